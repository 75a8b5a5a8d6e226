from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.dockerfile import golang


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('a"b\\', '"a\\"b\\\\"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\x00\x1f\x7f", '"\\x00\\x1f\\x7f"'),
        ("é♥😀", '"é♥😀"'),
        ("\x85\u2028\U000e0001", '"\\u0085\\u2028\\U000e0001"'),
    ],
)
def test_text_is_quoted_as_by_go(text: str, quoted: str) -> None:
    assert golang.quote(text) == quoted


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+5s", 5_000_000_000),
        ("1h1m1.5s", 3_661_500_000_000),
        ("-1.5ms", -1_500_000),
        ("1us2µs3μs4ns", 6_004),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert golang.duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_000_000, "2ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (-5_000_000_000, "-5s"),
    ],
)
def test_durations_are_written_as_by_go(nanoseconds: int, text: str) -> None:
    assert golang.duration_text(nanoseconds) == text


@given(st.integers(min_value=0, max_value=(1 << 62)))
def test_a_duration_survives_being_written(nanoseconds: int) -> None:
    assert golang.duration(golang.duration_text(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (golang.duration, "", 'time: invalid duration ""'),
        (golang.duration, ".s", 'time: invalid duration ".s"'),
        (golang.duration, "5", 'time: missing unit in duration "5"'),
        (golang.duration, "5x", 'time: unknown unit "x" in duration "5x"'),
        (golang.duration, "9" * 30 + "h", 'time: invalid duration "' + "9" * 30 + 'h"'),
        (golang.boolean, "yes", 'strconv.ParseBool: parsing "yes": invalid syntax'),
        (golang.memory, "x", "invalid size: 'x'"),
        (golang.memory, "-1", "invalid size: '-1'"),
        (golang.memory, "1kbb", "invalid size: '1kbb'"),
        (golang.memory, "1bb", "invalid size: '1bb'"),
        (golang.memory, "9e99", "invalid size: '9e99'"),
    ],
)
def test_wrong_text_is_refused_in_the_words_of_go(
    read: Callable[[str], object], text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=r"^.") as caught:
        read(text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "base", "message"),
    [
        ("8", 8, 'strconv.ParseInt: parsing "8": invalid syntax'),
        ("", 10, 'strconv.ParseInt: parsing "": invalid syntax'),
        ("300", 10, 'strconv.ParseInt: parsing "300": value out of range'),
    ],
)
def test_wrong_numbers(text: str, base: int, message: str) -> None:
    with pytest.raises(ValueError, match=r"^.") as caught:
        golang.integer(text, low=-9, high=255, base=base)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("64", 64), ("1b", 1), ("1k", 1024), ("1.5 MiB", 3 << 19), ("2GB", 2 << 30)],
)
def test_sizes(text: str, size: int) -> None:
    assert golang.memory(text) == size


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for read in (golang.duration, golang.boolean, golang.memory):
        try:
            read(text)
        except ValueError:
            continue
