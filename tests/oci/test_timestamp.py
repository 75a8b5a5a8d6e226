import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.oci import timestamp


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-23T18:06:17.6255623Z", 1795457177625562300),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-01-01T00:00:01.000000001", 1000000001),
        ("0001-01-01T00:00:00Z", -62135596800 * 10**9),
    ],
)
def test_times_are_read(text: str, nanoseconds: int) -> None:
    assert timestamp.parse(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        timestamp.parse(text)


@given(st.integers(0, 4102444800 * 10**9))
def test_what_is_written_is_read_again(nanoseconds: int) -> None:
    assert timestamp.parse(timestamp.text(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10s", 990 * 10**9),
        ("1m30s", 910 * 10**9),
        ("5", 5 * 10**9),
        ("5.25", 5250000000),
        ("1970-01-01T00:00:07Z", 7 * 10**9),
        ("1970-01-02", 86400 * 10**9),
        ("1970-01-01T00:01", 60 * 10**9),
    ],
)
def test_filters_take_durations_seconds_and_times(value: str, expected: int) -> None:
    assert timestamp.ago(value, 1000 * 10**9) == expected
