"""inotify(7): what happens to files, as events read from one descriptor."""

import os
import struct
from typing import NamedTuple

from pinnace.linux import syscall

IN_MODIFY = 0x00000002
IN_MOVED_FROM = 0x00000040
IN_MOVED_TO = 0x00000080
IN_CREATE = 0x00000100
IN_DELETE = 0x00000200
IN_UNMOUNT = 0x00002000
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000
IN_ONLYDIR = 0x01000000

_HEADER = struct.Struct("iIII")
# One event at least must fit: its header and a name of NAME_MAX bytes and a NUL.
_BUFFER = 64 * 1024


class Event(NamedTuple):
    watch: int  # -1 with IN_Q_OVERFLOW
    mask: int
    cookie: int
    name: bytes  # in the watched directory; empty when the watched file itself is meant


def parse(data: bytes) -> list[Event]:
    """The events in what one read returned."""
    events = []
    position = 0
    while position < len(data):
        watch, mask, cookie, length = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        name = data[position : position + length].rstrip(b"\0")
        position += length
        events.append(Event(watch, mask, cookie, name))
    return events


class Inotify:
    """One inotify instance. A user may have few (128 by default), but many watches in each."""

    def __init__(self) -> None:
        self.fd = syscall.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        return self.fd

    def add(self, path: str, mask: int) -> int:
        """Watch path; the same number again when the inode is watched already."""
        return syscall.inotify_add_watch(self.fd, path, mask)

    def remove(self, watch: int) -> None:
        """Stop watching; an IN_IGNORED event for the watch follows."""
        syscall.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[Event]:
        """What has happened since the last time; never waits."""
        try:
            return parse(os.read(self.fd, _BUFFER))
        except BlockingIOError:
            return []

    def close(self) -> None:
        os.close(self.fd)
