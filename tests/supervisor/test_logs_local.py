"""Frames of raw output: packed, cut, walked in both directions, and found again after damage."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.supervisor.logs_local import Encoder, Format
from pinnace.supervisor.logs_selection import Selection

FORMAT = Format()
RAW = {"stdout": True, "stderr": True, "multiplexed": False}

# A run is whole lines, or a piece that does not end in a newline.
LINES = st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"") + b"\n"), min_size=1)
PIECES = st.binary(min_size=1, max_size=30).map(lambda b: [b.replace(b"\n", b"x")])
RUNS = st.lists(LINES | PIECES, min_size=1, max_size=10)
ATTRIBUTES = st.sampled_from([{}, {"tag": "a b"}])


def encoded(runs: list[list[bytes]], attributes: dict[str, str]) -> bytes:
    encoder = Encoder(attributes)
    return b"".join(encoder.encode("stdout", b"".join(run), 1) for run in runs)


def shown(data: bytes) -> bytes:
    return FORMAT.render(data, Selection(**RAW))


@given(RUNS, ATTRIBUTES)
def test_output_comes_back_unchanged(runs: list[list[bytes]], attributes: dict[str, str]) -> None:
    data = encoded(runs, attributes)

    assert FORMAT.whole(data) == len(data)
    assert FORMAT.count(data) == sum(map(len, runs))
    assert shown(data) == b"".join(map(b"".join, runs))


@given(RUNS, ATTRIBUTES, st.data())
def test_a_cut_takes_as_few_entries_as_fill_the_room(
    runs: list[list[bytes]], attributes: dict[str, str], data: st.DataObject
) -> None:
    whole = encoded(runs, attributes)
    room = data.draw(st.integers(1, len(whole) - 1))

    head, tail = FORMAT.cut(whole, room)

    assert shown(head) + shown(tail) == shown(whole)
    assert FORMAT.count(head) + FORMAT.count(tail) == FORMAT.count(whole)
    assert len(head) >= room
    shorter = FORMAT.cut(whole, room - 1)[0] if room > 1 else b""
    assert len(shorter) <= len(head)


@given(RUNS, ATTRIBUTES, st.integers(0, 40), st.integers(0, 60))
def test_the_tail_is_found_from_behind(
    runs: list[list[bytes]], attributes: dict[str, str], entries: int, torn: int
) -> None:
    data = encoded(runs, attributes)
    lines = [line for run in runs for line in run]
    wanted = b"".join(lines[max(len(lines) - entries, 0) :])
    end = encoded([[b"x" * 70 + b"\n"]], attributes)[:torn]

    with_end = os.memfd_create("log")
    os.write(with_end, data + end)
    try:
        offset, skip, found = FORMAT.tail(with_end, len(data) + len(end), entries)
    finally:
        os.close(with_end)

    assert found == min(entries, len(lines))
    assert shown(FORMAT.skip(data[offset:], skip)) == wanted


@given(RUNS, st.integers(0, 40))
def test_skipping_leaves_the_later_entries(runs: list[list[bytes]], entries: int) -> None:
    data = encoded(runs, {})
    entries = min(entries, FORMAT.count(data))

    rest = [line for run in runs for line in run][entries:]

    assert shown(FORMAT.skip(data, entries)) == b"".join(rest)


@given(RUNS, RUNS, st.integers(1, 500), st.booleans())
def test_what_was_written_after_a_torn_frame_is_found(
    before: list[list[bytes]], after: list[list[bytes]], cut: int, is_detailed: bool
) -> None:
    good = encoded(before, {})
    torn = encoded([[b"y" * 300 + b"\n"]], {"tag": "t"} if is_detailed else {})[:cut]
    is_torn = len(torn) == cut and cut < 300
    fd = os.memfd_create("log")
    os.write(fd, good + torn)
    try:
        mended = FORMAT.mend(fd, len(good + torn))
    finally:
        os.close(fd)

    data = good + torn + mended + encoded(after, {})

    assert FORMAT.whole(data) == len(data)
    lost = b"" if is_torn else b"y" * 300 + b"\n"
    lines = [b"".join(map(b"".join, runs)) for runs in (before, after)]
    assert shown(data) in (lines[0] + lost + lines[1], lines[0] + lines[1])


@given(RUNS, st.binary(min_size=1, max_size=100), RUNS)
def test_damage_hides_nothing_that_comes_behind_it(
    before: list[list[bytes]], damage: bytes, after: list[list[bytes]]
) -> None:
    damage = damage.replace(b"p", b"q")  # else it may promise a frame, and hide up to that length
    data = encoded(before, {}) + damage + encoded(after, {})

    assert shown(data) == b"".join(map(b"".join, [*before, *after]))


def test_large_output_becomes_several_frames() -> None:
    lines = b"".join(b"%09d\n" % i for i in range(30_000))

    data = Encoder({}).encode("stdout", lines, 1)

    assert FORMAT.count(data) == 30_000
    assert shown(data) == lines
    fd = os.memfd_create("log")
    os.write(fd, data)
    offset, skip, found = FORMAT.tail(fd, len(data), 12_345)
    os.close(fd)
    assert (found, shown(FORMAT.skip(data[offset:], skip))) == (12_345, lines[-123_450:])


@pytest.mark.parametrize("wanted", ["stdout", "stderr"])
def test_streams_and_details_are_kept(wanted: str) -> None:
    encoder = Encoder({"b": "2", "a": "x y"})
    data = encoder.encode("stdout", b"out\n", 1) + encoder.encode("stderr", b"err\n", 2)
    streams = {"stdout": wanted == "stdout", "stderr": wanted == "stderr"}

    selection = Selection(**streams, details=True, multiplexed=False)

    assert FORMAT.render(data, selection) == b"a=x+y,b=2 %s\n" % wanted.removeprefix("std").encode()
