import bz2
import gzip
import io
import lzma
import threading
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest

from pinnace import errors
from pinnace.oci.digest import Digester, of
from pinnace.store import streams

DATA = b"".join(b"line %d\n" % number for number in range(200_000))


def zstd(data: bytes) -> bytes:
    codec = pytest.importorskip("backports.zstd")
    return bytes(codec.compress(data))


PACKED = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstd,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def cut(data: bytes, size: int = 10_000) -> Iterator[bytes]:
    return iter([data[start : start + size] for start in range(0, len(data), size)])


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("size", [1 << 30, 10_001, 3])
def test_streams_are_recognised_and_decompressed(kind: str, size: int) -> None:
    data = DATA if size > 3 else DATA[:5000]

    found, plain = streams.decompressed(cut(PACKED[kind](data), size))

    assert found == kind
    assert b"".join(plain) == data


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_streams_may_have_several_members(kind: str) -> None:
    packed = PACKED[kind](b"one ") + PACKED[kind](b"two")

    assert b"".join(streams.decompressed([packed])[1]) == b"one two"


def test_zeros_after_the_end_are_padding() -> None:
    assert b"".join(streams.decompressed([gzip.compress(b"x"), bytes(100)])[1]) == b"x"


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
@pytest.mark.parametrize("damage", ["cut", "changed", "junk after"])
def test_broken_streams_are_invalid(kind: str, damage: str) -> None:
    packed = bytearray(PACKED[kind](DATA))
    match damage:
        case "cut":
            del packed[-5:]
        case "changed":
            middle = len(packed) // 2
            packed[middle : middle + 20] = b"damage damage damage"
        case "junk after":
            packed += b"junk"

    with pytest.raises(errors.Invalid):
        b"".join(streams.decompressed(cut(bytes(packed)))[1])


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_bombs_come_in_small_pieces(kind: str) -> None:
    packed = PACKED[kind](bytes(64 << 20))
    tracemalloc.start()

    _, plain = streams.decompressed([packed])
    total = sum(map(len, plain))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 20 << 20


def test_the_own_compression_is_gzip() -> None:
    assert gzip.decompress(b"".join(streams.compressed(cut(DATA)))) == DATA


def test_it_works_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "isal", None)

    packed = b"".join(streams.compressed(cut(DATA)))

    assert zlib.decompress(packed, 31) == DATA
    assert b"".join(streams.decompressed(cut(packed))[1]) == DATA


def test_chunks_are_hashed_and_copied_on_their_way() -> None:
    digester, copy = Digester(), io.BytesIO()

    passed = streams.tee(streams.hashed(cut(DATA), digester), copy.write)

    assert b"".join(passed) == DATA == copy.getvalue()
    assert digester.digest == of(DATA)


def test_a_peek_takes_nothing_away() -> None:
    head, again = streams.peek(iter([b"a", b"b", b"c"]), 2)
    assert (head, b"".join(again)) == (b"ab", b"abc")

    head, again = streams.peek([], 2)
    assert (head, list(again)) == (b"", [])


def test_reading_ahead_changes_nothing() -> None:
    with streams.Ahead(cut(DATA)) as chunks:
        assert b"".join(chunks) == DATA


def test_errors_of_the_producer_reach_the_consumer() -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise errors.Invalid("broken")

    with streams.Ahead(broken()) as chunks:
        assert next(chunks) == b"x"
        with pytest.raises(errors.Invalid, match="broken"):
            next(chunks)


def test_leaving_early_ends_the_thread() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"

    before = threading.active_count()
    with streams.Ahead(endless()) as chunks:
        next(chunks)

    assert threading.active_count() == before
