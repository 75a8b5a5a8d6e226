"""Query strings by Go's rules."""

import pytest

from pinnace import errors
from pinnace.api import forms


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", {}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a", {"a": [""]}),
        ("a=b%20c+d", {"a": ["b c d"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("a=%C3%A9", {"a": ["é"]}),
        ("&&a=1", {"a": ["1"]}),
    ],
)
def test_a_query_holds_all_values(text: str, query: dict[str, list[str]]) -> None:
    assert forms.parse_query(text) == query


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b", "invalid semicolon separator in query"),
        ("filters=%zz", 'invalid URL escape "%zz"'),
        ("a=%4", 'invalid URL escape "%4"'),
    ],
)
def test_a_broken_query_is_refused_in_the_words_of_go(text: str, message: str) -> None:
    with pytest.raises(errors.Invalid, match=message.replace("%", "%")) as caught:
        forms.parse_query(text)

    assert caught.value.message == message


@pytest.mark.parametrize("value", ["", "0", "no", "FALSE", " none "])
def test_what_is_false(value: str) -> None:
    assert not forms.boolean(value)


@pytest.mark.parametrize("value", ["1", "true", "yes", "anything"])
def test_what_is_true(value: str) -> None:
    assert forms.boolean(value)


def test_integers_have_a_sign_and_64_bits() -> None:
    assert forms.integer("-3") == -3
    assert forms.integer("+5") == 5
    assert forms.integer("9223372036854775807") == 2**63 - 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x", "invalid syntax"),
        ("1_0", "invalid syntax"),
        (" 1", "invalid syntax"),
        ("９", "invalid syntax"),
        ("9223372036854775808", "value out of range"),
        ("9" * 5000, "value out of range"),
    ],
)
def test_what_is_no_integer_is_refused(value: str, reason: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        forms.integer(value)

    assert caught.value.message == f'strconv.Atoi: parsing "{value}": {reason}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "invalid syntax"),
        ("x", "invalid syntax"),
        ("+1", "invalid syntax"),
        ("-1", "value out of range"),
        ("4294967296", "value out of range"),
        ("9" * 5000, "value out of range"),
    ],
)
def test_a_terminal_needs_a_size(value: str, reason: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        forms.dimension(value, "height")

    assert caught.value.message == f'invalid resize height "{value}": {reason}'


def test_a_size_is_a_number() -> None:
    assert forms.dimension("24", "height") == 24


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        ("", 0),
        ("12", 12_000_000_000),
        ("12.5", 12_500_000_000),
        ("12.000000001", 12_000_000_001),
        ("12.0000000019", 12_000_000_001),
        ("-1", -1_000_000_000),
    ],
)
def test_times_are_seconds_with_a_fraction(value: str, nanoseconds: int) -> None:
    assert forms.nanoseconds(value) == nanoseconds


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x", '"x": invalid syntax'),
        ("x.5", '"x": invalid syntax'),
        ("1.x", '"x": invalid syntax'),
        ("2026-01-01", '"2026-01-01": invalid syntax'),
        ("9" * 30, f'"{"9" * 30}": value out of range'),
        ("1." + "9" * 30, f'"{"9" * 30}": value out of range'),
    ],
)
def test_other_times_are_refused(value: str, reason: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        forms.nanoseconds(value)

    assert caught.value.message == f"strconv.ParseInt: parsing {reason}"


@pytest.mark.parametrize(
    ("value", "filters"),
    [
        ("", {}),
        ('{"label": ["a", "b"]}', {"label": ["a", "b"]}),
        ('{"label": {"a": true, "b": false}}', {"label": ["a", "b"]}),
        ('{"label": ["a", "a"]}', {"label": ["a"]}),
        ('{"label": null}', {"label": []}),
    ],
)
def test_filters_come_in_two_forms(value: str, filters: dict[str, list[str]]) -> None:
    assert forms.filters(value) == filters


@pytest.mark.parametrize("value", ["x", "[]", '{"a": "b"}', '{"a": [1]}', "[" * 100_000])
def test_other_filters_are_refused(value: str) -> None:
    with pytest.raises(errors.Invalid, match=r"^invalid filter$"):
        forms.filters(value)
