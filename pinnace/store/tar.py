"""The tar format: blocks of 512 bytes <-> members. Pure; reading and writing is done elsewhere.

Read: v7, ustar, pax, GNU (long names, old and new sparse files), star's prefix.
Written: ustar, with a pax header where ustar has no room. Names are bytes and never trusted.
Sources: pax(1) in POSIX.1-2017; GNU tar manual, "Basic Tar Format" and "Sparse Formats".
"""

import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from pinnace import errors

BLOCK = 512
# A member's pax header or long name; Linux has no name or attribute that needs more (I13).
EXTENSION_LIMIT = 1 << 20
END = bytes(2 * BLOCK)

REGULAR, LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = (
    b"0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
)
GNU_SPARSE, GNU_LONG_NAME, GNU_LONG_LINK, PAX, PAX_GLOBAL = b"S", b"L", b"K", b"x", b"g"

XATTR = b"SCHILY.xattr."

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")
_PADDING = bytes(BLOCK)


class Malformed(errors.Invalid):
    """Not a tar archive, or a broken one."""


class Segment(NamedTuple):
    """A part of a sparse file that holds data."""

    offset: int
    size: int


class Member(NamedTuple):
    """One file of an archive. `stored` bytes of data follow its header; `size` is what the
    file has in the end, which is more if there are holes (segments)."""

    name: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    stored: int
    mtime: int  # nanoseconds
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: Mapping[bytes, bytes] = {}
    size: int = 0
    segments: tuple[Segment, ...] | None = None


class Records(NamedTuple):
    """A pax header: the last value of every keyword, and old sparse maps in their order."""

    values: dict[bytes, bytes]
    sparse: tuple[Segment, ...] | None


def padded(size: int) -> int:
    """Bytes that `size` bytes of data take in the archive."""
    return (size + BLOCK - 1) & -BLOCK


def padding(size: int) -> bytes:
    return _PADDING[: -size % BLOCK]


# Names.


def relative(name: bytes) -> bytes:
    """A member's name without what means nothing; b"" is the root. Raises Malformed."""
    if b"\0" in name:
        raise Malformed("a name in the archive has a zero byte")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise Malformed(f"{os.fsdecode(name)!r} is outside of the archive's root")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def quick_relative(name: bytes) -> bytes:
    """The same for the names that archives usually have, without looking at every part."""
    if name.startswith(b"./"):
        name = name[2:]
    if name.endswith(b"/"):
        name = name[:-1]
    if b"/." in name or b"//" in name or name[:1] in b"/." or b"\0" in name:
        return relative(name)
    return name


# Reading.


def parse(block: bytes | memoryview) -> Member:
    """The member of one header block, before pax and GNU extensions are applied."""
    (
        name,
        mode,
        uid,
        gid,
        size,
        mtime,
        checksum,
        kind,
        link,
        magic,
        _uname,
        _gname,
        major,
        minor,
        prefix,
        tail,
    ) = _HEADER.unpack(block)
    _verify(block, checksum)
    name = name.partition(b"\0")[0]
    if magic[:6] == b"ustar\0":
        # star keeps access times in the last 24 bytes of the prefix.
        prefix = (prefix[:131] if tail[8:] == b"tar\0" else prefix).partition(b"\0")[0]
        if prefix:
            name = prefix + b"/" + name
    if kind == b"\0":
        kind = DIRECTORY if name.endswith(b"/") else REGULAR
    elif kind == b"7":
        kind = REGULAR
    # Other than files have no data, whatever their size field says (as Go's archive/tar).
    length = 0 if kind in _WITHOUT_DATA else number(size)
    if length < 0:
        raise Malformed("archive/tar: invalid tar header")
    device = kind in _DEVICES
    return Member(
        name,
        kind,
        number(mode) & 0o7777,
        number(uid),
        number(gid),
        length,
        number(mtime) * 1_000_000_000,
        link.partition(b"\0")[0],
        number(major) if device else 0,
        number(minor) if device else 0,
        {},
        length,
    )


_DEVICES = frozenset((CHAR, BLOCK_DEVICE))
_WITHOUT_DATA = frozenset((LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO))


def _verify(block: bytes | memoryview, field: bytes) -> None:
    # The checksum is the sum of all bytes, with its own field read as spaces. The low half of
    # Adler-32 is 1 + the sum of all bytes modulo 65521: the same, twenty times faster.
    expected = number(field)
    actual = zlib.adler32(block) & 0xFFFF
    if (1 + expected + sum(field) - 8 * 0x20 - actual) % 65521 and expected != _signed_sum(block):
        raise Malformed("archive/tar: invalid tar header")


def _signed_sum(block: bytes | memoryview) -> int:
    """What some old implementations have stored: the bytes as signed characters."""
    values: tuple[int, ...] = struct.unpack("512b", block)
    return sum(values) - sum(values[148:156]) + 8 * 0x20


@lru_cache(8192)
def number(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's two's complement with the top bit set."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value
    digits = field.partition(b"\0")[0].strip(b" ")
    try:
        return int(digits, 8) if digits else 0
    except ValueError as error:
        raise Malformed("archive/tar: invalid tar header") from error


def parse_pax(data: bytes) -> Records:
    """Records of the form "LENGTH KEYWORD=VALUE\\n"; values may hold anything."""
    values: dict[bytes, bytes] = {}
    offsets: list[int] = []
    sizes: list[int] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        length = _decimal(data[position:space]) if space > 0 else 0
        end = position + length
        if length < 5 or end > len(data) or data[end - 1 : end] != b"\n":
            raise Malformed("archive/tar: invalid tar header")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise Malformed("archive/tar: invalid tar header")
        position = end
        if key == b"GNU.sparse.offset":
            offsets.append(_decimal(value))
        elif key == b"GNU.sparse.numbytes":
            sizes.append(_decimal(value))
        else:
            values[key] = value
    sparse = tuple(map(Segment, offsets, sizes)) if offsets else None
    if b"GNU.sparse.map" in values:
        numbers = [_decimal(part) for part in values[b"GNU.sparse.map"].split(b",")]
        sparse = tuple(map(Segment, numbers[::2], numbers[1::2]))
    return Records(values, sparse)


def apply_pax(member: Member, records: Records) -> Member:
    """The member as its pax header corrects it. An empty value takes a correction back."""
    changes: dict[str, object] = {}
    xattrs: dict[bytes, bytes] = {}
    for key, value in records.values.items():
        if key.startswith(XATTR):
            xattrs[key[len(XATTR) :]] = value
        elif value:
            match key:
                case b"path":
                    changes["name"] = value
                case b"linkpath":
                    changes["link"] = value
                case b"uid" | b"gid":
                    changes[key.decode()] = _decimal(value)
                case b"mtime":
                    changes["mtime"] = _nanoseconds(value)
                case b"size" if member.type not in _WITHOUT_DATA:
                    changes["stored"] = changes["size"] = _decimal(value)
    if xattrs:
        changes["xattrs"] = xattrs
    _apply_sparse(changes, records)
    return member._replace(**changes) if changes else member  # type: ignore[arg-type]


def _apply_sparse(changes: dict[str, object], records: Records) -> None:
    values = records.values
    if b"GNU.sparse.name" in values:
        changes["name"] = values[b"GNU.sparse.name"]
    real = values.get(b"GNU.sparse.realsize") or values.get(b"GNU.sparse.size")
    if real:
        changes["size"] = _decimal(real)
    if records.sparse is not None:
        changes["segments"] = records.sparse
    elif values.get(b"GNU.sparse.major") == b"1":
        changes["segments"] = ()  # The map stands before the data: see `sparse_in_data`.


def sparse_in_data(records: Records) -> bool:
    """Does the data begin with a map (GNU's sparse format 1.0)?"""
    return records.values.get(b"GNU.sparse.major") == b"1"


def old_sparse(block: bytes, extensions: Iterable[bytes]) -> tuple[int, tuple[Segment, ...]]:
    """Size and map of a GNU_SPARSE member from its header and the blocks that continue it."""
    fields = [block[386 + 24 * i : 386 + 24 * (i + 1)] for i in range(4)]
    for extension in extensions:
        fields += [extension[24 * i : 24 * (i + 1)] for i in range(21)]
    segments = tuple(
        Segment(number(field[:12]), number(field[12:])) for field in fields if field[0]
    )
    return number(block[483:495]), segments


def check_segments(member: Member) -> Member:
    """Sparse parts lie in order inside the file, and their data is what is stored."""
    end = 0
    for segment in member.segments or ():
        if segment.offset < end or segment.size < 0:
            raise Malformed("archive/tar: invalid tar header")
        end = segment.offset + segment.size
    stored = sum(segment.size for segment in member.segments or ())
    if end > member.size or stored > member.stored:
        raise Malformed("archive/tar: invalid tar header")
    return member


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise Malformed("archive/tar: invalid tar header")
    return int(value)


def _nanoseconds(value: bytes) -> int:
    seconds, _, fraction = value.partition(b".")
    negative = seconds.startswith(b"-")
    whole = _decimal(seconds.removeprefix(b"-") or b"0") * 1_000_000_000
    part = _decimal((fraction + b"000000000")[:9])
    return -(whole + part) if negative else whole + part


# Writing.


def header(member: Member) -> bytes:
    """The blocks before a member's data. mtime is rounded down to seconds, as Docker does."""
    records = _needed_records(member)
    extended = _pax_member(records) if records else b""
    seconds = member.mtime // 1_000_000_000
    block = _HEADER.pack(
        member.name[:100],
        b"%07o\0" % (member.mode & 0o7777),
        _octal(member.uid, 8),
        _octal(member.gid, 8),
        _octal(member.stored, 12),
        _octal(max(seconds, 0), 12),
        b" " * 8,
        member.type,
        member.link[:100],
        b"ustar\00000",
        b"",
        b"",
        _octal(member.major, 8),
        _octal(member.minor, 8),
        b"",
        b"",
    )
    # Of zeros and ASCII only up to names: the sum may pass Adler's modulus, so it is a real one.
    return extended + block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _needed_records(member: Member) -> dict[bytes, bytes]:
    """What does not fit: names are not split into prefix and name, numbers not in base 256."""
    records: dict[bytes, bytes] = {}
    if len(member.name) > 100 or not member.name.isascii():
        records[b"path"] = member.name
    if len(member.link) > 100 or not member.link.isascii():
        records[b"linkpath"] = member.link
    for key, value, limit in (
        (b"uid", member.uid, 8**7),
        (b"gid", member.gid, 8**7),
        (b"size", member.stored, 8**11),
        (b"mtime", member.mtime // 1_000_000_000, 8**11),
    ):
        if not 0 <= value < limit:
            records[key] = b"%d" % value
    for key, data in sorted(member.xattrs.items()):
        records[XATTR + key] = data
    return records


def _pax_member(records: Mapping[bytes, bytes]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records.items())
    head = header(Member(b"PaxHeaders/x", PAX, 0o644, 0, 0, len(data), 0))
    return head + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (key, value)
    length = len(rest) + len(b"%d" % len(rest))
    if len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def _octal(value: int, width: int) -> bytes:
    """Zero where the number needs a pax record."""
    digits = b"%0*o\0" % (width - 1, value)
    return digits if len(digits) == width and value >= 0 else b"0" * (width - 1) + b"\0"
