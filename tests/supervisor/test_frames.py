"""Framing of streams on one connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.supervisor import frames


def test_a_frame_is_dockers_header_and_the_data() -> None:
    assert frames.mux("stderr", b"abc") == b"\x02\0\0\0\0\0\0\x03abc"
    assert frames.header("stdout", 0x01020304) == b"\x01\0\0\0\x01\x02\x03\x04"


def test_no_data_makes_no_frame() -> None:
    assert frames.mux("stdout", b"") == b""


@given(
    st.lists(st.tuples(st.sampled_from(sorted(frames.NUMBERS)), st.binary(min_size=1))),
    st.lists(st.integers(min_value=1, max_value=20)),
)
def test_demux_gives_back_what_mux_took_however_it_is_cut(
    sent: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    wire = b"".join(frames.mux(stream, data) for stream, data in sent)
    demux = frames.Demux()

    pieces = []
    for size in [*cuts, len(wire) + 1]:
        pieces += demux.feed(wire[:size])
        wire = wire[size:]

    assert demux.between_frames
    assert merged(pieces) == merged(sent)


def merged(pieces: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Neighbours of one stream as one, since a payload may come in pieces."""
    result: list[tuple[str, bytes]] = []
    for stream, data in pieces:
        if result and result[-1][0] == stream:
            result[-1] = (stream, result[-1][1] + data)
        else:
            result.append((stream, data))
    return result


def test_an_empty_frame_is_passed_over() -> None:
    demux = frames.Demux()

    assert demux.feed(frames.header("stdout", 0) + frames.mux("stderr", b"x")) == [("stderr", b"x")]


@pytest.mark.parametrize("part", [b"\x01\0\0", frames.header("stdout", 5) + b"abc"])
def test_a_stream_that_ends_within_a_frame_is_noticed(part: bytes) -> None:
    demux = frames.Demux()
    demux.feed(part)

    assert not demux.between_frames


def test_what_is_no_frame_is_refused_in_dockers_words() -> None:
    with pytest.raises(errors.Invalid, match="Unrecognized input header: 104"):
        frames.Demux().feed(b"hello world")
