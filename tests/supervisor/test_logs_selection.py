"""Times, windows, and how an entry is shown."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.supervisor.logs_selection import (
    Selection,
    details_text,
    nanoseconds,
    padded,
    stamp_of,
)


@given(st.integers(0, 253402300799 * 10**9))
def test_a_stamp_means_its_moment(time_ns: int) -> None:
    stamp = stamp_of(time_ns)

    assert nanoseconds(stamp) == time_ns
    assert stamp[:19] == datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("text", "shown", "time_ns"),
    [
        ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01.000000000Z", 10**9),
        ("1970-01-01T00:00:00.5Z", "1970-01-01T00:00:00.500000000Z", 5 * 10**8),
        ("1970-01-01T02:00:00.25+02:00", "1970-01-01T02:00:00.250000000+02:00", 25 * 10**7),
        ("1969-12-31T23:00:00-01:00", "1969-12-31T23:00:00.000000000-01:00", 0),
    ],
)
def test_zeros_that_go_leaves_out_are_put_back(text: str, shown: str, time_ns: int) -> None:
    assert padded(text) == shown
    assert nanoseconds(text) == time_ns


@pytest.mark.parametrize(
    "text", ["", "now", "1970-01-01", "1970-01-01T00:00:00", "1970/01/01T00:00:00Z", "x" * 30]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        nanoseconds(text)


def test_once_an_entry_was_late_enough_clocks_may_go_back() -> None:
    selection = Selection(stdout=True, stderr=True, since_ns=10)

    assert [selection.passes(t) for t in (9, 10, 3, 12)] == [False, True, True, True]


def test_the_first_entry_that_is_too_late_ends_the_log() -> None:
    selection = Selection(stdout=True, stderr=True, until_ns=10)

    assert [selection.passes(t) for t in (9, 10, 11, 3)] == [True, True, False, False]
    assert selection.ended


def test_time_details_and_line_are_shown_in_this_order() -> None:
    selection = Selection(
        stdout=True, stderr=True, timestamps=True, details=True, multiplexed=False
    )

    shown = selection.show("stdout", [b"a\n", b"b\n"], stamp="T", details=b"x=1")

    assert shown == b"T x=1 a\nT x=1 b\n"


def test_each_entry_has_a_frame_of_its_own() -> None:
    selection = Selection(stdout=True, stderr=True)

    shown = selection.show("stderr", [b"a\n", b"bc\n"])

    assert shown == b"\2\0\0\0\0\0\0\2a\n\2\0\0\0\0\0\0\3bc\n"


def test_details_are_sorted_and_escaped_as_in_a_query() -> None:
    assert details_text({"b": "x y&z", "a/": "ü~-_."}) == b"a%2F=%C3%BC~-_.,b=x+y%26z"
