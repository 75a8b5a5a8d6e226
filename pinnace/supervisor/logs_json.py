"""Docker's json-file format: one JSON object a line, in bulk both ways.

    {"log":"text\\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-23T17:45:03.65Z"}

Byte for byte what moby writes (jsonfilelog/jsonlog): Go's HTML-safe escapes, \\u00XX for all
controls but newline and return, \\ufffd for each byte that is not UTF-8, no trailing zeros in
the time. A newline in the file always ends an entry, since those within are escaped.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import ClassVar, TypeVar

import msgspec

from pinnace.supervisor.logs_selection import Selection, details_text, nanoseconds, padded

# What can stand in a JSON string as it is. The newline ends entries and is handled by itself.
_PLAIN = bytes(c for c in range(0x20, 0x80) if c not in b'"\\<>&') + b"\n"
_ESCAPES = [
    # The backslash first: the others bring backslashes of their own.
    (b"\\", rb"\\"),
    (b'"', rb"\""),
    (b"\r", rb"\r"),
    *((bytes([c]), b"\\u%04x" % c) for c in (*range(0x20), *b"<>&") if c not in b"\n\r"),
]


def escape(data: bytes) -> bytes:
    """The inside of a JSON string, except that newlines stay."""
    special = data.translate(None, _PLAIN)
    if not special:
        return data
    for character, replacement in _ESCAPES:
        if character in special:
            data = data.replace(character, replacement)
    return data if special.isascii() else _escape_unicode(data)


def _escape_unicode(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError:
        data = _replace_invalid(data)
    if b"\xe2\x80" in data:
        # JSON allows these two, JavaScript did not, so Go escapes them.
        data = data.replace(b"\xe2\x80\xa8", rb"\u2028").replace(b"\xe2\x80\xa9", rb"\u2029")
    return data


def _replace_invalid(data: bytes) -> bytes:
    r"""\ufffd for each byte that is no part of a character; Python's "replace" merges some.

    "surrogateescape" keeps those bytes apart as one lone surrogate each, and encoding with
    "replace" turns each into a question mark; real question marks step aside as NUL, which
    is free because controls have been escaped.
    """
    text = data.replace(b"?", b"\0").decode("utf-8", "surrogateescape")
    return text.encode("utf-8", "replace").replace(b"?", rb"\ufffd").replace(b"\0", b"?")


def stamp(time_ns: int) -> str:
    """Go's time.RFC3339Nano in UTC: zeros at the end of the fraction are left out."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{fraction:09d}".rstrip("0") + "Z" if fraction else whole + "Z"


def attributes_json(attributes: Mapping[str, str]) -> bytes:
    """A map as Go's encoding/json writes it: sorted, and escaped for HTML."""
    text = msgspec.json.encode(dict(attributes), order="deterministic")
    for character, replacement in _ESCAPES:
        if character in b"<>&":
            text = text.replace(character, replacement)
    return text.replace(b"\xe2\x80\xa8", rb"\u2028").replace(b"\xe2\x80\xa9", rb"\u2029")


class Encoder:
    """Runs of entries → bytes for the file."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        extra = b',"attrs":' + attributes_json(attributes) if attributes else b""
        self._middles = {
            stream: b'","stream":"%s"%s,"time":"' % (stream.encode(), extra)
            for stream in ("stdout", "stderr")
        }

    def encode(self, stream: str, data: bytes, time_ns: int) -> bytes:
        """Data is whole lines, or one piece of a line without a newline."""
        tail = self._middles[stream] + stamp(time_ns).encode() + b'"}\n'
        if not data.endswith(b"\n"):
            return b'{"log":"' + escape(data) + tail
        tail = rb"\n" + tail
        inside = escape(data[:-1])
        return b'{"log":"' + inside.replace(b"\n", tail + b'{"log":"') + tail


class _Entry(msgspec.Struct, gc=False):
    log: str = ""
    stream: str = ""


class _TimedEntry(_Entry, gc=False):
    time: str = ""
    attrs: ClassVar[dict[str, str]] = {}  # not asked for, not decoded


class _DetailedEntry(msgspec.Struct, gc=False):
    log: str = ""
    stream: str = ""
    time: str = ""
    attrs: dict[str, str] = {}


_Timed = _TimedEntry | _DetailedEntry
AnyEntry = TypeVar("AnyEntry", _Entry, _TimedEntry, _DetailedEntry)

_ENTRIES = msgspec.json.Decoder(_Entry)
_TIMED = msgspec.json.Decoder(_TimedEntry)
_DETAILED = msgspec.json.Decoder(_DetailedEntry)
_BY_STREAM = attrgetter("stream")
_BY_DETAILS = attrgetter("stream", "time", "attrs")
_BLOCK = 64 * 1024
_SHORTEST_TIME = len("1970-01-01T00:00:00Z")


class Format:
    """Bytes of the file → what a client gets."""

    def whole(self, data: bytes) -> int:
        """How much of data, from its start, is whole entries."""
        return data.rfind(b"\n") + 1

    def cut(self, encoded: bytes, room: int) -> tuple[bytes, bytes]:
        """The fewest entries that are room bytes or more, and the rest."""
        end = encoded.find(b"\n", max(room - 1, 0)) + 1
        return encoded[:end], encoded[end:]

    def mend(self, fd: int, size: int) -> bytes:
        """What to append so that the next entry can be found behind one that a kill cut short."""
        return b"\n" if size and os.pread(fd, 1, size - 1) != b"\n" else b""

    def count(self, data: bytes) -> int:
        return data.count(b"\n")

    def skip(self, data: bytes, entries: int) -> bytes:
        """Data, of whole entries, without its first few."""
        return data.split(b"\n", entries)[entries]

    def tail(self, fd: int, size: int, entries: int) -> tuple[int, int, int]:
        """(offset, entries to skip there, entries found) of the last entries of a file."""
        missing = entries + 1  # newlines: the last entry's own, and those before each
        position = size
        while position > 0:
            start = max(position - _BLOCK, 0)
            block = os.pread(fd, position - start, start)
            newlines = block.count(b"\n")
            if newlines >= missing:
                end = len(block)
                for _ in range(missing):
                    end = block.rfind(b"\n", 0, end)
                return start + end + 1, 0, entries
            missing -= newlines
            position = start
        return 0, 0, entries + 1 - missing

    def render(self, data: bytes, selection: Selection) -> bytes:
        """What the selection takes of whole entries; stops at the end of its window."""
        if selection.details:
            return b"".join(_show(_read(_DETAILED, data), selection))
        if selection.timestamps or selection.needs_times:
            return b"".join(_show(_read(_TIMED, data), selection))
        return b"".join(
            selection.show(stream, [entry.log.encode() for entry in entries])
            for stream, entries in groupby(_read(_ENTRIES, data), _BY_STREAM)
            if stream in selection.streams
        )


def _show(found: Sequence[_Timed], selection: Selection) -> Iterator[bytes]:
    """What a driver wrote at once has one time, so most of the work is done once for many."""
    known: dict[str, str] = {}  # the attributes before; they rarely change within a log
    details = b""
    for (stream, when, attributes), entries in groupby(found, _BY_DETAILS):
        if not _passes(when, selection):
            if selection.ended:
                return
            continue
        if stream not in selection.streams:
            continue
        if attributes != known:
            known, details = attributes, details_text(attributes)
        lines = [entry.log.encode() for entry in entries]
        stamp = padded(when) if selection.timestamps else ""
        yield selection.show(stream, lines, stamp=stamp, details=details)


def _passes(when: str, selection: Selection) -> bool:
    if not selection.needs_times:
        return len(when) >= _SHORTEST_TIME
    try:
        return selection.passes(nanoseconds(when))
    except (ValueError, IndexError):
        return False  # damaged: an entry without its time


# UnicodeDecodeError comes for bytes that are not UTF-8: msgspec has no error of its own for them.
_DAMAGED = (msgspec.DecodeError, UnicodeDecodeError)


def _read(decoder: msgspec.json.Decoder[AnyEntry], data: bytes) -> list[AnyEntry]:
    try:
        return decoder.decode_lines(data)
    except _DAMAGED:
        found = (_salvage(decoder, line) for line in data.split(b"\n"))
        return [entry for entry in found if entry is not None]


def _salvage(decoder: msgspec.json.Decoder[AnyEntry], line: bytes) -> AnyEntry | None:
    """The entry in a line that may begin with a torn one: a write that was cut by a kill."""
    line = line.decode("utf-8", "replace").encode()
    # The quotes of this beginning are escaped inside of entries, so it is where one starts.
    for start in (0, line.rfind(b'{"log":"')):
        try:
            return decoder.decode(line[start:])
        except msgspec.DecodeError:
            continue
    return None
