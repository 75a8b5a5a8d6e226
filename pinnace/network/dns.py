"""Names of containers: questions and answers of DNS as bytes, and what a container may know (pure).

A container asks in the networks that it is in: for `web`, or `web.backend` where backend is the
network; what is none of ours is asked of the host's servers, unchanged (RFC 1035).
"""

import ipaddress
import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

A, PTR, AAAA, ANY, OPT = 1, 12, 28, 255, 41
IN: Final = 1
TTL: Final = 600  # as Docker's
PLAIN_SIZE: Final = 512  # of an answer by UDP, unless the question says more (EDNS)
_MOST: Final = 4096

_HEADER: Final = struct.Struct(">HHHHHH")
_RESPONSE, _TRUNCATED, _DESIRED, _AVAILABLE = 0x8000, 0x0200, 0x0100, 0x0080
_OPCODE: Final = 0x7800
_TO_QUESTION: Final = b"\xc0\x0c"  # a pointer to the name asked for


class Code(IntEnum):
    NO_ERROR = 0
    FORMAT = 1
    FAILURE = 2
    NO_SUCH_NAME = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


class Malformed(Exception):
    """Not a question that can be answered; `reply` is what to say, if anything."""

    def __init__(self, reply: bytes = b"") -> None:
        super().__init__("malformed question")
        self.reply = reply


class Question(NamedTuple):
    """`name` is in lower case without the last dot; `raw` is the question as it came."""

    ident: int
    flags: int
    name: str
    kind: int
    raw: bytes
    size: int


def parse(data: bytes) -> Question:
    """The one question of a request; raises Malformed."""
    if len(data) < _HEADER.size:
        raise Malformed
    ident, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & _RESPONSE:
        raise Malformed
    if flags & _OPCODE:
        raise Malformed(_head(ident, flags, Code.NOT_IMPLEMENTED, 0, 0))
    try:
        if questions != 1:
            raise ValueError
        name, end = _name(data, _HEADER.size)
        kind, _ = struct.unpack_from(">HH", data, end)
        end += 4
        size = _size(data, end, answers + authorities + additional)
    except (ValueError, struct.error, IndexError):
        raise Malformed(_head(ident, flags, Code.FORMAT, 0, 0)) from None
    return Question(ident, flags, name, kind, data[_HEADER.size : end], size)


def _name(data: bytes, offset: int) -> tuple[str, int]:
    """A name without pointers, as a question has it, and where it ends."""
    labels, length = [], 0
    while size := data[offset]:
        length += size + 1
        if size > 63 or length > 254 or offset + 1 + size > len(data):
            raise ValueError
        labels.append(data[offset + 1 : offset + 1 + size].decode("latin-1").lower())
        offset += 1 + size
    return ".".join(labels), offset + 1


def _size(data: bytes, offset: int, records: int) -> int:
    """What the asker takes by UDP: the class field of its OPT record (RFC 6891)."""
    if records != 1 or data[offset] != 0:
        return PLAIN_SIZE
    kind, size = struct.unpack_from(">HH", data, offset + 1)
    return min(max(size, PLAIN_SIZE), _MOST) if kind == OPT else PLAIN_SIZE


def _head(ident: int, flags: int, code: Code, questions: int, answers: int) -> bytes:
    kept = flags & (_OPCODE | _DESIRED)
    flags = _RESPONSE | kept | _AVAILABLE | code
    return _HEADER.pack(ident, flags, questions, answers, 0, 0)


def reply(question: Question, code: Code, records: Sequence[bytes] = ()) -> bytes:
    head = _head(question.ident, question.flags, code, 1, len(records))
    return head + question.raw + b"".join(records)


def fitting(data: bytes, question: Question) -> bytes:
    """For UDP: an answer that is too long is cut, so that the asker comes again by TCP."""
    if len(data) <= question.size:
        return data
    ident, flags, *_ = _HEADER.unpack_from(data)
    return _HEADER.pack(ident, flags | _TRUNCATED, 1, 0, 0, 0) + question.raw


def address_record(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    kind = A if address.version == 4 else AAAA
    return _record(kind, address.packed)


def pointer_record(name: str) -> bytes:
    return _record(PTR, encode_name(name))


def _record(kind: int, data: bytes) -> bytes:
    return _TO_QUESTION + struct.pack(">HHIH", kind, IN, TTL, len(data)) + data


def encode_name(name: str) -> bytes:
    encoded = b""
    for label in name.split(".") if name else ():
        data = label.encode("latin-1", "replace")[:63]
        encoded += bytes((len(data),)) + data
    return encoded + b"\0"


def question(name: str, kind: int, *, ident: int = 1, size: int = 0) -> bytes:
    """A request, as a resolver sends it."""
    data = _HEADER.pack(ident, _DESIRED, 1, 0, 0, 1 if size else 0)
    data += encode_name(name) + struct.pack(">HH", kind, IN)
    return data + (b"\0" + struct.pack(">HHIH", OPT, size, 0, 0) if size else b"")


def answers(data: bytes) -> tuple[Code, bool, list[str]]:
    """(code, truncated, what the answers say), of replies made here."""
    _, flags, questions, count, *_ = _HEADER.unpack_from(data)
    offset = _HEADER.size
    for _ in range(questions):
        offset = _name(data, offset)[1] + 4
    found = []
    for _ in range(count):
        kind, _, _, length = struct.unpack_from(">HHIH", data, offset + 2)
        value = data[offset + 12 : offset + 12 + length]
        found.append(_name(value, 0)[0] if kind == PTR else str(ipaddress.ip_address(value)))
        offset += 12 + length
    return Code(flags & 0xF), bool(flags & _TRUNCATED), found


# What is known


class _Member(NamedTuple):
    names: tuple[str, ...]
    records: tuple[tuple[int, bytes], ...]
    reverses: tuple[str, ...]


class Zone:
    """The names of one network."""

    def __init__(self, name: str) -> None:
        self.name = name.lower()
        self._members: dict[str, _Member] = {}
        self._records: dict[tuple[str, int], list[bytes]] = {}
        self._owners: dict[str, str] = {}

    def put(self, ident: str, names: Sequence[str], addresses: Sequence[str]) -> None:
        """An endpoint's names; the first is what its addresses are called."""
        self.drop(ident)
        own = [ipaddress.ip_address(address) for address in addresses]
        member = _Member(
            names=tuple(dict.fromkeys(name.lower() for name in names)),
            records=tuple((A if a.version == 4 else AAAA, address_record(a)) for a in own),
            reverses=tuple(address.reverse_pointer for address in own),
        )
        self._members[ident] = member
        for name in member.names:
            # A name is known, though it has no address of the version asked for.
            for kind in (A, AAAA):
                self._records.setdefault((name, kind), [])
            for kind, record in member.records:
                self._records[name, kind].append(record)
        for reverse in member.reverses if names else ():
            self._owners[reverse] = names[0]

    def drop(self, ident: str) -> None:
        member = self._members.pop(ident, None)
        if member is None:
            return
        for reverse in member.reverses:
            self._owners.pop(reverse, None)
        for name in member.names:
            for kind, record in member.records:
                self._records[name, kind].remove(record)
            if not any(self._records[name, kind] for kind in (A, AAAA)):
                for kind in (A, AAAA):
                    del self._records[name, kind]

    def records(self, name: str, kind: int) -> list[bytes] | None:
        """None if the name is not known here; taken in turn by those who ask."""
        found = self._records.get((name, kind))
        if found is not None and len(found) > 1:
            found.append(found.pop(0))
        return found

    def knows(self, name: str) -> bool:
        return (name, A) in self._records

    def owner(self, reverse: str) -> str | None:
        return self._owners.get(reverse)


class View(NamedTuple):
    """What one container sees: its networks, and the links that are its own."""

    zones: Sequence[Zone]
    links: Mapping[str, str] = {}


def answer(asked: Question, view: View) -> bytes | None:
    """What we know ourselves; None if someone else is to be asked."""
    if asked.kind == PTR:
        owner = next(_owners(asked.name, view), None)
        return None if owner is None else reply(asked, Code.NO_ERROR, [pointer_record(owner)])
    for name in _meanings(asked.name, view):
        for zone, local in _places(name, view):
            if not zone.knows(local):
                continue
            records = zone.records(local, asked.kind) or []
            return reply(asked, Code.NO_ERROR, records)
    return None


def _owners(reverse: str, view: View) -> Iterator[str]:
    for zone in view.zones:
        owner = zone.owner(reverse)
        if owner is not None:
            yield f"{owner}.{zone.name}"


def _meanings(name: str, view: View) -> Iterator[str]:
    linked = view.links.get(name)
    if linked is not None:
        yield linked.lower()
    yield name


def _places(name: str, view: View) -> Iterator[tuple[Zone, str]]:
    for zone in view.zones:
        yield zone, name
        if name.endswith("." + zone.name):
            yield zone, name[: -len(zone.name) - 1]
