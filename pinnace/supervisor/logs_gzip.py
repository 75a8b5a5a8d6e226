"""A rotated log → the same as .gz, in slices; what it was can be read from the header.

The header's extra field holds JSON, as Docker's does (lastTime), and which file it was made of.
A reader that has read that file finds by it which compressed one it need not read again.
"""

import os
from types import ModuleType
from typing import NamedTuple

import msgspec

from pinnace.supervisor.logs_json import stamp

_HEADER = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"  # deflate, FEXTRA, no time, unknown system
_SLICE = 256 * 1024


class Identity(NamedTuple):
    """A file that is no longer written to. An inode's number alone may be another's later."""

    inode: int
    size: int
    modified_ns: int


def identity(fd: int) -> Identity:
    status = os.fstat(fd)
    return Identity(status.st_ino, status.st_size, status.st_mtime_ns)


class Origin(msgspec.Struct, rename="camel", omit_defaults=True):
    """The extra field."""

    last_time: str = ""  # RFC 3339; with us of the latest entry, since clocks may be set back
    identity: Identity | None = None


def read_origin(fd: int) -> Origin:
    """Of a compressed log; empty if it is another's, or damaged."""
    header = os.pread(fd, len(_HEADER) + 2, 0)
    if header[:4] != _HEADER[:4]:
        return Origin()
    length = int.from_bytes(header[-2:], "little")
    try:
        return msgspec.json.decode(os.pread(fd, length, len(header)), type=Origin)
    except msgspec.MsgspecError:
        return Origin()


def _deflate() -> ModuleType:
    """Imported when the first log is rotated: most containers never come to it."""
    try:
        from isal import isal_zlib  # three to five times as fast

        return isal_zlib
    except ImportError:
        import zlib

        return zlib


class Compression:
    """One file being replaced by its compressed form, which appears whole or not at all."""

    def __init__(self, path: str, source_fd: int, target_fd: int, latest: int | None) -> None:
        self._path = path
        self._source_fd = source_fd
        self._target_fd = target_fd
        self._deflate = _deflate()
        # Level 1: log lines repeat themselves, and the container's output is waiting.
        self._stream = self._deflate.compressobj(1, 8, -15)
        self._checksum = 0
        self._length = 0
        origin = Origin("" if latest is None else stamp(latest), identity(source_fd))
        extra = msgspec.json.encode(origin)
        self._pending = _HEADER + len(extra).to_bytes(2, "little") + extra

    @classmethod
    def of(cls, path: str, latest: int | None) -> "Compression | None":
        """None if the file is not there, or nothing can be made beside it."""
        try:
            source_fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            target_fd = os.open(f"{path}.gz.new", flags, 0o640)
        except OSError:
            os.close(source_fd)
            return None
        return cls(path, source_fd, target_fd, latest)

    def step(self, amount: int | None) -> bool:
        """Compress so many bytes more, or all; True when there is nothing left to do."""
        try:
            while amount is None or amount > 0:
                data = os.read(self._source_fd, min(amount or _SLICE, _SLICE))
                if not data:
                    self._finish()
                    return True
                amount = amount - len(data) if amount is not None else None
                self._feed(data)
        except OSError:
            self._give_up()
            return True
        return False

    def _feed(self, data: bytes) -> None:
        self._checksum = self._deflate.crc32(data, self._checksum)
        self._length += len(data)
        self._write(self._stream.compress(data))

    def _finish(self) -> None:
        footer = self._checksum.to_bytes(4, "little") + (self._length & 0xFFFFFFFF).to_bytes(
            4, "little"
        )
        self._write(self._stream.flush() + footer)
        self._close()
        # In this order there is a whole one at every moment.
        os.rename(f"{self._path}.gz.new", f"{self._path}.gz")
        os.unlink(self._path)

    def _give_up(self) -> None:
        """The file stays as it is, and is rotated further like that."""
        self._close()
        try:
            os.unlink(f"{self._path}.gz.new")
        except OSError:
            pass

    def _write(self, data: bytes) -> None:
        data, self._pending = self._pending + data, b""
        while data:
            data = data[os.write(self._target_fd, data) :]

    def _close(self) -> None:
        for fd in (self._source_fd, self._target_fd):
            if fd >= 0:
                os.close(fd)
        self._source_fd = self._target_fd = -1
