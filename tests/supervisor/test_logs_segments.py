"""The files of a log, whatever a rotation is doing to their names."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pinnace.supervisor.logs_gzip import Compression
from pinnace.supervisor.logs_segments import (
    AnySegment,
    GzipSegment,
    PlainSegment,
    open_segments,
)


@contextmanager
def segments_of(path: Path, *, after: AnySegment | None = None) -> Iterator[list[AnySegment]]:
    found = open_segments(str(path), 5, after=after)
    try:
        yield found
    finally:
        for segment in found:
            segment.close()


def text(segment: AnySegment) -> bytes:
    return b"".join(iter(segment.read, b""))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for number, name in enumerate(["log.3", "log.2", "log.1", "log"]):
        (tmp_path / name).write_bytes(b"%d" % number)
    return tmp_path / "log"


def compress(path: Path, latest: int = 1) -> None:
    compression = Compression.of(str(path), latest)
    assert compression is not None and compression.step(None)


def test_files_come_oldest_first_compressed_or_not(log: Path) -> None:
    compress(log.with_name("log.2"))
    log.with_name("log.3").rename(log.with_name("log.4"))  # a gap is no end

    with segments_of(log) as found:
        assert [text(s) for s in found] == [b"0", b"1", b"2", b"3"]


def test_no_file_is_no_log(tmp_path: Path) -> None:
    with segments_of(tmp_path / "log") as found:
        assert found == []


def test_one_file_under_two_names_is_one(log: Path) -> None:
    log.with_name("log.1").unlink()
    os.link(log, log.with_name("log.1"))  # as in the middle of a rotation

    with segments_of(log) as found:
        assert [text(s) for s in found] == [b"0", b"1", b"3"]


def test_what_came_after_a_file_is_found_wherever_that_has_gone(log: Path) -> None:
    with segments_of(log) as before:
        log.with_name("log.3").unlink()
        for number in (2, 1):
            log.with_name(f"log.{number}").rename(log.with_name(f"log.{number + 1}"))
        log.rename(log.with_name("log.1"))
        log.write_bytes(b"4")

        with segments_of(log, after=before[2]) as found:
            assert [text(s) for s in found] == [b"3", b"4"]
        with segments_of(log, after=before[0]) as found:
            assert [text(s) for s in found] == [b"1", b"2", b"3", b"4"]  # it was deleted


def test_what_came_after_a_file_is_found_though_that_was_compressed(log: Path) -> None:
    with segments_of(log) as before:
        compress(log.with_name("log.1"))

        with segments_of(log, after=before[2]) as found:
            assert [text(s) for s in found] == [b"3"]


def test_a_file_that_got_an_old_files_inode_is_not_taken_for_it(log: Path) -> None:
    compress(log.with_name("log.1"))
    with segments_of(log) as before:
        origin = next(s.origin for s in before if isinstance(s, GzipSegment))
    assert origin.identity is not None

    with segments_of(log) as found:
        # The newest file has another size or time, even should its number be the same.
        assert origin.identity[1:] != (os.fstat(found[-1].fd).st_size, 0)
        assert [text(s) for s in found] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_is_passed_over_without_waiting(kind: str, log: Path) -> None:
    log.unlink()
    if kind == "fifo":
        os.mkfifo(log)
    else:
        log.mkdir()

    with segments_of(log) as found:
        assert [text(s) for s in found] == [b"0", b"1", b"2"]


def test_a_large_compressed_file_is_read_in_blocks(tmp_path: Path) -> None:
    data = os.urandom(100_000) + b"x" * 2_000_000
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(data))

    with segments_of(tmp_path / "log") as (segment,):
        pieces = list(iter(segment.read, b""))
        assert isinstance(segment, GzipSegment)
        segment.rewind()
        again = text(segment)

    assert b"".join(pieces) == again == data
    assert max(map(len, pieces)) <= 128 * 1024


@pytest.mark.parametrize("size", [0, 5, 40, 900])
def test_a_damaged_compressed_file_gives_what_it_can(size: int, tmp_path: Path) -> None:
    data = b"".join(b"%d " % i for i in range(10_000))
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(data)[:size])

    with segments_of(tmp_path / "log") as (segment,):
        assert data.startswith(text(segment))


def test_a_compressed_file_knows_whether_it_is_old(log: Path) -> None:
    compress(log.with_name("log.1"), latest=10)

    with segments_of(log) as found:
        old = found[2]
        assert isinstance(old, GzipSegment)
        assert [old.is_before(t) for t in (9, 10, 11)] == [False, False, True]


def test_a_growing_file_is_read_on_but_not_beyond_its_end(log: Path) -> None:
    with segments_of(log) as found:
        newest = found[-1]
        assert isinstance(newest, PlainSegment)
        assert newest.read() == b"3"
        assert newest.read() == b""
        with open(log, "ab") as file:
            file.write(b"45")
        newest.end = 2
        assert newest.read() == b"4"
        assert newest.read() == b""
