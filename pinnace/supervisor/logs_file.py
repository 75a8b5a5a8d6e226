"""A log on disk: appended to, bounded, rotated and compressed, and never a reason to stop.

    <path>  <path>.1  <path>.2 …          newest first; with compression the older ones end in .gz

Rule 1: a file is rotated before the entry that comes after its limit was reached, as Docker does.
Rule 2: readers take no lock. <path> always exists: a file only moves from one number to a higher
one, so who opens from the newest to the oldest and ignores what it has already misses nothing.
Rule 3: what can't be written is dropped and counted. The container is neither stopped nor made
to wait, and the file stays whole.

Compression is done here, a slice with each write, and not in a forked child: a child would hold
the container's pipes and the clients' sockets open and has to be waited for, while a slice costs
a write a millisecond. Slices are twice as large as what is written, so a file is compressed
before half of the next is full.
"""

import os
from collections.abc import Callable
from typing import Protocol

from pinnace.supervisor.logs_gzip import Compression
from pinnace.supervisor.logs_settings import Settings

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_MODE = 0o640


class Entries(Protocol):
    """What is to be known of encoded entries to keep them whole."""

    def whole(self, data: bytes) -> int: ...
    def cut(self, encoded: bytes, room: int) -> tuple[bytes, bytes]: ...
    def mend(self, fd: int, size: int) -> bytes: ...
    def count(self, data: bytes) -> int: ...


def name(path: str, number: int, *, compressed: bool = False) -> str:
    return (f"{path}.{number}" if number else path) + (".gz" if compressed else "")


class LogFile:
    """The file that is written to, and those before it."""

    def __init__(
        self, path: str, settings: Settings, entries: Entries, report: Callable[[str], None]
    ) -> None:
        self.dropped_entries = 0
        self.dropped_bytes = 0
        self._path = path
        self._settings = settings
        self._entries = entries
        self._report = report
        self._failing = False
        self._compression: Compression | None = None
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        self._fd = os.open(path, _FLAGS, _MODE)
        self._size = os.fstat(self._fd).st_size
        # Of the entries in the file; unknown when others than ours are in it.
        self._latest: int | None = None if self._size else 0
        self._clean_up()

    def append(self, encoded: bytes, time_ns: int) -> None:
        """Write whole entries, rotating between them where it is due."""
        limit = self._settings.max_size
        amount = 2 * len(encoded)
        while encoded:
            if limit and self._size >= limit and not self._rotate():
                self._drop(encoded)
                return
            room = limit - self._size
            if limit and len(encoded) > room:
                head, encoded = self._entries.cut(encoded, room)
            else:
                head, encoded = encoded, b""
            if self._latest is not None:
                self._latest = max(self._latest, time_ns)
            self._write(head)
        if self._compression is not None:
            self._compress(amount)

    def close(self) -> None:
        """Idempotent. Compression that is under way is finished, as Docker does."""
        self._compress(None)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:] if done else data)
        except OSError as error:
            self._undo_part(data, done)
            self._note(error)
            return
        self._size += done
        if self._failing:
            self._failing = False
            self._report(
                f"the log {self._path} can be written again; "
                f"{self.dropped_entries} entries have been dropped so far"
            )

    def _undo_part(self, data: bytes, done: int) -> None:
        """Of a write that failed halfway keep the whole entries; count the others."""
        kept = self._entries.whole(data[:done])
        if done > kept:
            try:
                # The file may be shorter than we know, if somebody truncated it.
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - (done - kept))
            except OSError:
                kept = done  # readers step over the damage
        self._size += kept
        self._drop(data[kept:])

    def _drop(self, data: bytes) -> None:
        self.dropped_entries += self._entries.count(data)
        self.dropped_bytes += len(data)

    def _note(self, error: OSError) -> None:
        """Say once that output is being lost."""
        if not self._failing:
            self._failing = True
            self._report(f"writing the log {self._path} fails, output is dropped: {error}")

    # Rotation

    def _rotate(self) -> bool:
        """Make <path> an empty file; False if that fails, then all is as before."""
        actual = os.fstat(self._fd).st_size
        if actual < self._settings.max_size:
            self._size = actual  # somebody truncated it
            return True
        self._compress(None)
        fresh = f"{self._path}.new"
        try:
            fd = os.open(fresh, _FLAGS | os.O_TRUNC, _MODE)
        except OSError as error:
            self._note(error)
            return False
        try:
            self._make_room()
            os.rename(fresh, self._path)
        except OSError as error:
            os.close(fd)
            self._note(error)
            return False
        os.close(self._fd)
        self._fd, self._size = fd, 0
        self._start_compression(self._latest)
        self._latest = 0
        return True

    def _make_room(self) -> None:
        """Move every file to the next number; the oldest goes. <path> stays, as .1 too."""
        last = self._settings.max_files - 1
        if not last:
            return
        for compressed in (False, True):
            _quietly(os.unlink, name(self._path, last, compressed=compressed))
        for number in range(last, 1, -1):
            for compressed in (False, True):
                older = name(self._path, number, compressed=compressed)
                _quietly(os.rename, name(self._path, number - 1, compressed=compressed), older)
        try:
            os.link(self._path, name(self._path, 1))
        except FileNotFoundError:
            pass  # somebody removed it
        except OSError:
            # A file system without hard links; for a moment there is no <path>.
            os.rename(self._path, name(self._path, 1))

    def _clean_up(self) -> None:
        """Finish what a killed predecessor left half done."""
        if torn := self._entries.mend(self._fd, self._size):
            self._write(torn)
        _quietly(os.unlink, f"{self._path}.new")
        if self._settings.max_files < 2:
            return
        newest = name(self._path, 1)
        try:
            if os.path.samestat(os.stat(newest), os.fstat(self._fd)):
                os.unlink(newest)  # linked, but <path> was not replaced yet
        except FileNotFoundError:
            return
        self._start_compression(None)

    # Compression

    def _start_compression(self, latest: int | None) -> None:
        if self._settings.compress and self._settings.max_files > 1:
            self._compression = Compression.of(name(self._path, 1), latest)

    def _compress(self, amount: int | None) -> None:
        """Go on with so many bytes, or to the end."""
        if self._compression is not None and self._compression.step(amount):
            self._compression = None


def _quietly(call: Callable[..., None], *paths: str) -> None:
    try:
        call(*paths)
    except FileNotFoundError:
        pass
