"""A log as one client reads it: the last entries, a window of time, and what comes after.

Rule 1: `read` never waits; who follows waits on `fileno` and reads again.
Rule 2: memory is bounded, whatever stands in the files: a block of input and its output.
Rule 3: only whole entries are shown. What a killed writer left half done is stepped over.
Rule 4: `finish` and `close` may come from another thread than `read`.
"""

import _thread
import os
from collections import deque
from typing import Protocol

from pinnace import errors
from pinnace.supervisor import logs_json, logs_local
from pinnace.supervisor.logs_segments import AnySegment, GzipSegment, PlainSegment, open_segments
from pinnace.supervisor.logs_selection import Selection
from pinnace.supervisor.logs_settings import parse
from pinnace.supervisor.logs_watch import Follow

# An entry of 16 KiB of controls is 96 KiB of JSON; without an end after this much, it is junk.
_LONGEST = 1 << 20


class Format(Protocol):
    """Bytes of a log's files → what a client gets."""

    def whole(self, data: bytes) -> int: ...
    def count(self, data: bytes) -> int: ...
    def skip(self, data: bytes, entries: int) -> bytes: ...
    def tail(self, fd: int, size: int, entries: int) -> tuple[int, int, int]: ...
    def render(self, data: bytes, selection: Selection) -> bytes: ...


_FORMATS: dict[str, Format] = {"json-file": logs_json.Format(), "local": logs_local.Format()}


class Reader:
    """One client's reading. `tail` is how many of the last entries; negative means all.

    `since_ns` and `until_ns` are inclusive, 0 is none. Without `follow` it ends where the log
    ends now. With it, it goes on until `finish` was called and everything has been read.
    """

    def __init__(
        self,
        name: str,
        path: str,
        options: dict[str, str],
        *,
        stdout: bool = True,
        stderr: bool = True,
        since_ns: int = 0,
        until_ns: int = 0,
        tail: int = -1,
        timestamps: bool = False,
        details: bool = False,
        multiplexed: bool = True,
        follow: bool = False,
    ) -> None:
        if name not in _FORMATS:
            raise errors.Unsupported("configured logging driver does not support reading")
        self._format = _FORMATS[name]
        self._path = path
        self._max_files = parse(name, options).max_files
        self._selection = Selection(
            stdout=stdout,
            stderr=stderr,
            since_ns=since_ns,
            until_ns=until_ns,
            timestamps=timestamps,
            details=details,
            multiplexed=multiplexed,
        )
        self._lock = _thread.allocate_lock()  # of the files
        self._wakeup_lock = _thread.allocate_lock()  # never held for long
        self._done = self._closed = self._finishing = False
        self._shown = b""  # for the client, more than it wanted at once
        self._rest = b""  # of the current file, an entry's beginning
        self._last_look = False  # at the current file, which has been rotated away
        self._skip = 0  # entries of the current file that come before the tail
        self._current: AnySegment | None = None
        self._next: deque[AnySegment] = deque()
        # Before the files are opened, so that nothing written since goes unnoticed.
        self._follow = Follow(os.path.dirname(path)) if follow else None
        try:
            self._open(tail, since_ns)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def done(self) -> bool:
        """Nothing will come any more."""
        return self._closed or (self._done and not self._shown)

    @property
    def finished(self) -> bool:
        """As `done`: the word of the API's facade."""
        return self.done

    def fileno(self) -> int:
        """Readable when `read` is worth a try; -1 unless following."""
        return self._follow.wakeup.fd if self._follow is not None and not self._closed else -1

    def read(self, limit: int = 1 << 20) -> bytes:
        """At most so many bytes for the client; none if there is nothing now, or `done`."""
        with self._lock:
            if self._closed:
                return b""
            if self._follow is not None:
                self._follow.wakeup.clear()
            # Asked before the files are: what was written before `finish` is seen then.
            finishing = self._finishing or self._follow is None
            shown = [self._shown]
            size = len(self._shown)
            # A log of which nothing is wanted is gone through at once, but for `close`.
            while size < limit and not self._done and not self._closed:
                piece = self._advance()
                if piece is None:
                    self._done = finishing
                    break
                shown.append(piece)
                size += len(piece)
                self._done = self._selection.ended
            data = b"".join(shown)
            self._shown = data[limit:]
            return data[:limit]

    def finish(self) -> None:
        """The container has ended and its log is complete: `done` once that is read."""
        with self._wakeup_lock:
            self._finishing = True
            if self._follow is not None and not self._closed:
                self._follow.wakeup.set()

    def close(self) -> None:
        """Idempotent; a read under way is cut short."""
        with self._wakeup_lock:
            if self._closed:
                return
            self._closed = True
        with self._lock:
            if self._follow is not None:
                self._follow.close()
            for segment in (self._current, *self._next):
                if segment is not None:
                    segment.close()
            self._current = None
            self._next.clear()

    # Where to begin

    def _open(self, tail: int, since_ns: int) -> None:
        segments = open_segments(self._path, self._max_files)
        self._next.extend(segments)  # ours to close from now on
        newest = segments[-1] if segments else None
        if self._follow is None and isinstance(newest, PlainSegment):
            # A container that logs as fast as we read must not keep us here for ever.
            newest.end = newest.size
        if tail >= 0:
            self._seek(tail)
        while self._next and isinstance(self._next[0], GzipSegment):
            if len(self._next) == 1 or not self._next[0].is_before(since_ns):
                break
            self._next.popleft().close()
            self._skip = 0  # it was the first one's

    def _seek(self, entries: int) -> None:
        """Leave only the last entries, from the newest file back."""
        kept: list[AnySegment] = []
        while self._next and (entries > 0 or not kept):
            segment = self._next.pop()
            kept.append(segment)
            if isinstance(segment, PlainSegment):
                size = segment.size if segment.end is None else segment.end
                place = self._format.tail(segment.fd, size, entries)
                segment.position, self._skip, found = place
            else:
                total = self._count(segment)
                self._skip, found = max(total - entries, 0), min(total, entries)
            entries -= found
        while self._next:
            self._next.pop().close()
        self._next.extend(reversed(kept))

    def _count(self, segment: GzipSegment) -> int:
        entries = 0
        rest = b""
        while data := segment.read():
            data = rest + data
            whole = self._format.whole(data)
            entries += self._format.count(data[:whole])
            rest = data[whole:]
        segment.rewind()
        return entries

    # Going on

    def _advance(self) -> bytes | None:
        """One step forward: what it shows, which may be nothing; None at the end for now."""
        if self._current is None and not self._take_next():
            return None
        current = self._current
        assert current is not None
        if data := current.read():
            return self._show(data)
        if self._next or self._last_look:
            # What is left is no whole entry and never will be one.
            return b"" if self._take_next() else None
        if isinstance(current, PlainSegment) and self._follow is not None:
            return self._look_after(current)
        return None

    def _show(self, data: bytes) -> bytes:
        data = self._rest + data if self._rest else data
        whole = self._format.whole(data)
        self._rest = data[whole:] if len(data) - whole <= _LONGEST else b""
        entries = data[:whole]
        if self._skip:
            before = min(self._format.count(entries), self._skip)
            entries = self._format.skip(entries, before)
            self._skip -= before
        return self._format.render(entries, self._selection) if entries else b""

    def _take_next(self) -> bool:
        """Make the next file current, if there is one."""
        if not self._next and (self._follow is not None or self._current is None):
            found = open_segments(self._path, self._max_files, after=self._current)
            self._next.extend(found)
        if not self._next:
            return False
        if self._current is not None:
            self._current.close()
            self._skip = 0
        self._current = self._next.popleft()
        self._rest = b""
        self._last_look = False
        return True

    def _look_after(self, current: PlainSegment) -> bytes | None:
        """At the end of the newest file that we know of: is it still the newest?"""
        if not current.is_at(self._path):
            # Rotated, and written to until then: its end must be looked at once more.
            self._last_look = True
            return b""
        if current.size < current.position:
            # Truncated by somebody, who wants it read from its beginning.
            current.position = 0
            self._rest = b""
            return b""
        return None
