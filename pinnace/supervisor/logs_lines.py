"""A container's output, as it comes, → the runs of entries that Docker's copier would log.

Rule 1: an entry is a line with its newline, if the line without it is shorter than 16 KiB.
Rule 2: a longer line becomes entries of 16 KiB without a newline, then the rest of it with the
newline (which may be the newline alone); all have the time of the first.
Rule 3: what is left without a newline when the stream ends is an entry without one.
(moby daemon/logger/copier.go; its buffer is 16 KiB and the newline must be found inside it.)
"""

from typing import NamedTuple

LONGEST = 16 * 1024


class Run(NamedTuple):
    """Entries of one time: whole lines, or one piece that does not end in a newline."""

    data: bytes
    time_ns: int


class Lines:
    """What one stream has not finished yet: at most 16 KiB."""

    def __init__(self) -> None:
        self._rest = b""
        self._piece_time = 0  # of the first piece of the line that is under way, or 0

    def feed(self, data: bytes, now_ns: int) -> list[Run]:
        data = self._rest + data if self._rest else data
        runs: list[Run] = []
        start = 0
        if self._piece_time:
            start = self._continue(data, now_ns, runs)
        if not self._piece_time:
            start = self._whole_lines(data, start, now_ns, runs)
        self._rest = data[start:] if start else data
        return runs

    def flush(self, now_ns: int) -> list[Run]:
        """The stream has ended."""
        runs = [Run(self._rest, self._piece_time or now_ns)] if self._rest else []
        self._rest, self._piece_time = b"", 0
        return runs

    def _whole_lines(self, data: bytes, start: int, now_ns: int, runs: list[Run]) -> int:
        """Append what is finished in data from start on; returns where the unfinished begins."""
        while True:
            end, too_long = _end_of_short_lines(data, start)
            if end > start:
                runs.append(Run(data[start:end] if start or end < len(data) else data, now_ns))
            if not too_long:
                return end
            start = self._continue(data, now_ns, runs, end)
            if self._piece_time:
                return start

    def _continue(self, data: bytes, now_ns: int, runs: list[Run], start: int = 0) -> int:
        """Cut pieces off the long line at start until its newline or too little data is there."""
        while True:
            newline = data.find(b"\n", start, start + LONGEST)
            end = newline + 1 if newline >= 0 else start + LONGEST
            if end > len(data):
                return start
            self._piece_time = self._piece_time or now_ns
            runs.append(Run(data[start:end], self._piece_time))
            start = end
            if newline >= 0:
                self._piece_time = 0
                return start


def _end_of_short_lines(data: bytes, start: int) -> tuple[int, bool]:
    """Where the lines end that are whole and short enough, and whether a too long one follows."""
    while len(data) - start >= LONGEST:
        newline = data.rfind(b"\n", start, start + LONGEST)
        if newline < 0:
            return start, True
        start = newline + 1
    return max(start, data.rfind(b"\n", start) + 1), False
