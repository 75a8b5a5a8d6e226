"""Our format for Docker's `local` driver: frames of raw output, so that no byte is changed.

A frame is entries of one stream and time:
    "pL"  stream  details' length  output's length  time in ns | details  output | sum of lengths
Docker keeps its own format of this driver private, so nobody but an engine reads such files.
The sum at the end lets a reader walk backwards.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pinnace.supervisor import frames
from pinnace.supervisor.logs_selection import Selection, details_text, stamp_of

_MAGIC = b"pL"
_HEADER = struct.Struct(">2sBIIq")
_FOOTER = struct.Struct(">I")
_AROUND = _HEADER.size + _FOOTER.size
# A frame is held in memory whole; more output than this at once becomes several.
_LARGEST = 64 * 1024
_LARGEST_DETAILS = 256 * 1024
_BLOCK = 256 * 1024


class Frame(NamedTuple):
    stream: str
    time_ns: int
    details: bytes
    output: bytes

    @property
    def entries(self) -> int:
        return self.output.count(b"\n") + (not self.output.endswith(b"\n"))


def _pack(frame: Frame) -> bytes:
    stream, time_ns, details, output = frame
    number = frames.NUMBERS[stream]
    header = _HEADER.pack(_MAGIC, number, len(details), len(output), time_ns)
    return b"".join((header, details, output, _FOOTER.pack(len(details) + len(output))))


def _length(data: bytes, position: int) -> int:
    """Of the frame at position, all in all: 0 when the data ends within it, -1 if it is none."""
    if len(data) - position < _HEADER.size:
        return 0 if _MAGIC.startswith(data[position : position + 2]) else -1
    magic, number, details, output, _ = _HEADER.unpack_from(data, position)
    is_frame = magic == _MAGIC and number in (1, 2)
    if not is_frame or not 0 < output <= _LARGEST or details > _LARGEST_DETAILS:
        return -1
    length = _AROUND + details + output
    if len(data) - position < length:
        return 0
    (footer,) = _FOOTER.unpack_from(data, position + length - _FOOTER.size)
    return length if footer == details + output else -1


def _unpack(data: bytes) -> Iterator[Frame]:
    """The frames in data, which begins with one; what is damaged is stepped over."""
    position = 0
    while position < len(data):
        length = _length(data, position)
        if length <= 0:
            position = _next_magic(data, position + 1)
            continue
        _, number, details_size, _, time_ns = _HEADER.unpack_from(data, position)
        start = position + _HEADER.size
        position += length
        details = data[start : start + details_size]
        output = data[start + details_size : position - _FOOTER.size]
        yield Frame(frames.NAMES[number], time_ns, details, output)


def _next_magic(data: bytes, position: int) -> int:
    found = data.find(_MAGIC, position)
    return found if found >= 0 else len(data)


class Encoder:
    """Runs of entries → bytes for the file."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._details = details_text(dict(attributes))[:_LARGEST_DETAILS] if attributes else b""

    def encode(self, stream: str, data: bytes, time_ns: int) -> bytes:
        """Data is whole lines of at most 16 KiB, or one piece of a line without a newline."""
        encoded = []
        start = 0
        while len(data) - start > _LARGEST:
            end = data.rfind(b"\n", start, start + _LARGEST) + 1
            encoded.append(_pack(Frame(stream, time_ns, self._details, data[start:end])))
            start = end
        rest = data[start:] if start else data
        encoded.append(_pack(Frame(stream, time_ns, self._details, rest)))
        return b"".join(encoded)


class Format:
    """Bytes of the file → what a client gets."""

    def whole(self, data: bytes) -> int:
        """How much of data, from its start, is whole entries, or damage before one."""
        position = 0
        while position < len(data):
            length = _length(data, position)
            if length < 0:
                position = _next_magic(data, position + 1)
                continue
            if length == 0:
                break
            position += length
        return position

    def cut(self, encoded: bytes, room: int) -> tuple[bytes, bytes]:
        """The fewest entries that are room bytes or more, and the rest."""
        position = 0
        while (length := _length(encoded, position)) < room - position:
            position += length
        (frame,) = _unpack(encoded[position : position + length])
        # The room left for output; its header, details and footer come on top in any case.
        wanted = room - position - _AROUND - len(frame.details)
        end = frame.output.find(b"\n", max(wanted - 1, 0)) + 1 or len(frame.output)
        head = encoded[:position] + _pack(frame._replace(output=frame.output[:end]))
        tail = frame.output[end:]
        rest = _pack(frame._replace(output=tail)) if tail else b""
        return head, rest + encoded[position + length :]

    def mend(self, fd: int, size: int) -> bytes:
        """What to append so that the next entry can be found behind one that a kill cut short."""
        end, _, _ = self.tail(fd, size, 0)
        torn = os.pread(fd, size - end, end)
        if not torn:
            return b""
        padded = torn.ljust(_HEADER.size, b"\0")
        if _length(padded, 0) == 0:
            # As long as its header promises, with a footer that belies it.
            _, _, details, output, _ = _HEADER.unpack_from(padded)
            padded = padded.ljust(_AROUND + details + output, b"\0")
        return padded[len(torn) :]

    def count(self, data: bytes) -> int:
        return sum(frame.entries for frame in _unpack(data))

    def skip(self, data: bytes, entries: int) -> bytes:
        """Data, of whole entries, without its first few."""
        kept = []
        for frame in _unpack(data):
            if frame.entries <= entries:
                entries -= frame.entries
                continue
            output = frame.output.split(b"\n", entries)[entries] if entries else frame.output
            entries = 0
            kept.append(_pack(frame._replace(output=output)))
        return b"".join(kept)

    def tail(self, fd: int, size: int, entries: int) -> tuple[int, int, int]:
        """(offset, entries to skip there, entries found) of the last entries of a file."""
        return _walk_back(fd, size, entries) or self._walk_forth(fd, size, entries)

    def render(self, data: bytes, selection: Selection) -> bytes:
        """What the selection takes of whole entries; stops at the end of its window."""
        shown = []
        for frame in _unpack(data):
            if not selection.passes(frame.time_ns):
                if selection.ended:
                    break
                continue
            if frame.stream not in selection.streams:
                continue
            lines = [frame.output] if selection.raw else _entries(frame.output)
            stamp = stamp_of(frame.time_ns) if selection.timestamps else ""
            shown.append(selection.show(frame.stream, lines, stamp=stamp, details=frame.details))
        return b"".join(shown)

    def _walk_forth(self, fd: int, size: int, entries: int) -> tuple[int, int, int]:
        """As tail, for a file that is damaged or ends within a frame."""
        found = 0
        rest = b""
        position = 0
        while position < size and (block := os.pread(fd, min(_BLOCK, size - position), position)):
            position += len(block)
            data = rest + block
            whole = self.whole(data)
            found += self.count(data[:whole])
            rest = data[whole:]
        if entries == 0:
            return position - len(rest), 0, 0
        return 0, max(found - entries, 0), min(found, entries)


def _entries(output: bytes) -> list[bytes]:
    lines = output.split(b"\n")
    last = lines.pop()
    entries = [line + b"\n" for line in lines]
    if last:
        entries.append(last)
    return entries


def _walk_back(fd: int, size: int, entries: int) -> tuple[int, int, int] | None:
    """From the end by the footers; None when they don't lead to frames."""
    found = 0
    data = b""
    start = end = size  # start: of data in the file; end: of the frames not yet looked at
    while end > 0:
        length = _last_length(data, end - start)
        if length < 0 or (length == 0 and start == 0):
            return None
        if length == 0:
            count = min(_BLOCK, start)
            data = os.pread(fd, count, start - count) + data[: end - start]
            start -= count
            continue
        if found >= entries:
            break
        end -= length
        (frame,) = _unpack(data[end - start : end - start + length])
        found += frame.entries
    return end, max(found - entries, 0), min(found, entries)


def _last_length(data: bytes, end: int) -> int:
    """As _length, of the frame that ends at end."""
    if end < _AROUND:
        return 0
    (both,) = _FOOTER.unpack_from(data, end - _FOOTER.size)
    if both > _LARGEST + _LARGEST_DETAILS:
        return -1
    position = end - _AROUND - both
    if position < 0:
        return 0
    return both + _AROUND if _length(data, position) == both + _AROUND else -1
