import time

import pytest

from pinnace.cli import format


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert format.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "digits", "text"),
    [
        (0, 3, "0B"),
        (999, 3, "999B"),
        (1000, 3, "1kB"),
        (5_430_000, 3, "5.43MB"),
        (1_983_675, 4, "1.984MB"),
        (999_999, 3, "1e+03kB"),
        (10**25, 4, "10YB"),
    ],
)
def test_sizes(count: int, digits: int, text: str) -> None:
    assert format.size(count, digits) == text


def test_binary_sizes() -> None:
    assert format.binary_size(25275000000) == "23.54GiB"
    assert format.binary_size(0) == "0B"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert format.align(["A\tLONGER HEADER\tC", "12345678901\tx\ty"]) == (
        "A             LONGER HEADER   C\n12345678901   x               y\n"
    )


def test_columns_have_ten_places_at_least() -> None:
    assert format.align(["A\tB", "1\t2"]) == "A         B\n1         2\n"


def test_a_line_without_the_cell_parts_a_column() -> None:
    assert format.align(["aaaaaaaaaaaa\tb", "alone", "c\td"]) == (
        "aaaaaaaaaaaa   b\nalone\nc         d\n"
    )


def test_wide_letters_take_two_places() -> None:
    assert format.align(["名前\tx", "abcdefgh\ty"]) == "名前       x\nabcdefgh   y\n"


def test_what_is_cut_ends_in_an_ellipsis() -> None:
    assert format.ellipsis("abcdef", 6) == "abcdef"
    assert format.ellipsis("abcdefg", 6) == "abcde…"
    assert format.ellipsis("名前名前", 5) == "名前…"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2025-11-23T17:40:01.5Z", 1763919601.5),
        ("2025-11-23T18:40:01+01:00", 1763919601.0),
        ("2025-11-23T12:10:01-05:30", 1763919601.0),
        ("2024-02-29T00:00:00Z", 1709164800.0),
        ("2000-03-01T00:00:00Z", 951868800.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert format.parse_time(text) == seconds


def test_every_day_of_some_years_is_read() -> None:
    for day in range(0, 366 * 60, 7):
        moment = time.gmtime(day * 86400)
        assert format.parse_time(time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)) == day * 86400


def test_labels_are_sorted() -> None:
    assert format.labels({"b": "2", "a": "1"}) == "a=1,b=2"
    assert format.labels(None) == ""
