"""The files of one log, opened so that a rotation under way neither hides nor repeats one."""

import os
import stat
from typing import Protocol

from pinnace.supervisor.logs_file import name
from pinnace.supervisor.logs_gzip import identity, read_origin
from pinnace.supervisor.logs_selection import nanoseconds

# Not O_RDONLY alone: whatever stands there instead of a file must not make the engine wait.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_GZIP = 31  # zlib's window bits: a gzip header is expected
_BLOCK = 128 * 1024
# A rotation comes with each 20 MB, and opening a few files takes a tenth of a millisecond.
_TRIES = 100


class Segment(Protocol):
    """One file of a log, read once from some place to its end."""

    def read(self) -> bytes:
        """What comes next, a block at most; empty at the end, for now."""

    def close(self) -> None: ...


class PlainSegment:
    """A file as it was written; the newest one may still grow."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.position = 0
        self.end: int | None = None  # where to stop, if not at the end

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def read(self) -> bytes:
        count = _BLOCK if self.end is None else min(_BLOCK, self.end - self.position)
        data = os.pread(self.fd, max(count, 0), self.position)
        self.position += len(data)
        return data

    def is_at(self, path: str) -> bool:
        """Whether path still is this file; also if there is none."""
        try:
            status = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) == _inode(self.fd)

    def close(self) -> None:
        os.close(self.fd)


class GzipSegment:
    """A compressed file; it does not change any more."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.origin = read_origin(fd)
        self.rewind()

    def rewind(self) -> None:
        import zlib  # a supervisor never reads

        self._position = 0
        self._ended = False
        self._stream = zlib.decompressobj(_GZIP)

    def is_before(self, time_ns: int) -> bool:
        """Whether all its entries are; its header says so."""
        try:
            return nanoseconds(self.origin.last_time) < time_ns
        except (ValueError, IndexError):
            return False

    def read(self) -> bytes:
        import zlib

        while not self._ended:
            rest = self._stream.unconsumed_tail
            packed = rest or os.pread(self.fd, _BLOCK, self._position)
            self._position += 0 if rest else len(packed)
            try:
                data = self._stream.decompress(packed, _BLOCK)
            except zlib.error:
                packed, data = b"", b""  # damaged: what came before it is all there is
            self._ended = self._stream.eof or not (packed or data)
            if data:
                return data
        return b""

    def close(self) -> None:
        os.close(self.fd)


AnySegment = PlainSegment | GzipSegment


def open_segments(
    path: str, max_files: int, *, after: AnySegment | None = None
) -> list[AnySegment]:
    """The files of the log, oldest first, or those that came after one that is read to its end.

    From the newest to the oldest: a file moves to higher numbers only, so that one which moves
    meanwhile is met twice and never missed, and the second time is recognised. After two moves
    it may be a newer one that is met, so it is done again when a rotation was completed.
    """
    for attempt in range(1, _TRIES + 1):
        found = _scan(path, max_files, after)
        newest = found[0] if found else None
        if attempt == _TRIES or not isinstance(newest, PlainSegment) or newest.is_at(path):
            break
        for segment in found:
            segment.close()
    return found[::-1]


def _scan(path: str, max_files: int, after: AnySegment | None) -> list[AnySegment]:
    """Newest first."""
    found: list[AnySegment] = []
    last = None if after is None else _Seen(after)
    for number in range(max_files):
        segment = _open(path, number)
        if segment is None:
            continue
        if last is not None and last.is_in(segment):
            segment.close()
            break
        if any(_Seen(earlier).is_in(segment) for earlier in found):
            segment.close()
            continue
        found.append(segment)
    return found


class _Seen:
    """A file that may be met again: under another number, or compressed."""

    def __init__(self, segment: AnySegment) -> None:
        self._inode = _inode(segment.fd)
        self._identity = identity(segment.fd) if isinstance(segment, PlainSegment) else None

    def is_in(self, segment: AnySegment) -> bool:
        if _inode(segment.fd) == self._inode:
            return True
        if isinstance(segment, PlainSegment) or self._identity is None:
            return False
        return segment.origin.identity == self._identity


def _open(path: str, number: int) -> AnySegment | None:
    # The plain one first: it is removed only when the compressed one is complete.
    if (fd := _open_file(name(path, number))) is not None:
        return PlainSegment(fd)
    if number and (fd := _open_file(name(path, number, compressed=True))) is not None:
        return GzipSegment(fd)
    return None


def _open_file(path: str) -> int | None:
    try:
        fd = os.open(path, _FLAGS)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return fd


def _inode(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
