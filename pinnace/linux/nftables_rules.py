"""Rules of nf_tables: what is matched and what is done, as nested attributes (pure).

A statement is bytes: one or more expressions, to be joined into a rule. Fields are loaded into
consecutive registers, so that several make one concatenated key of a set.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from pinnace.linux.netlink import attribute, nested, text

_LIST_ELEMENT, _NAME, _DATA = 1, 1, 2
_VALUE, _VERDICT = 1, 2
_FIRST_REGISTER: Final = 8  # NFT_REG32_00: 16 registers of 4 bytes


class Type(IntEnum):
    """Data types as nft(8) numbers them: the kernel keeps them, so that `nft list` can read."""

    VERDICT = 1
    ADDRESS = 7
    ADDRESS6 = 8
    ETHER_ADDRESS = 9
    ETHER_TYPE = 10
    PROTOCOL = 12
    PORT = 13
    LINK_NAME = 41


LENGTHS: Final = {
    Type.ADDRESS: 4,
    Type.ADDRESS6: 16,
    Type.ETHER_ADDRESS: 6,
    Type.ETHER_TYPE: 2,
    Type.PROTOCOL: 1,
    Type.PORT: 2,
    Type.LINK_NAME: 16,
}


def be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(_LIST_ELEMENT, text(_NAME, name), nested(_DATA, *attributes))


# Values


def padded(value: bytes) -> bytes:
    """A part of a key takes whole registers."""
    return value + bytes(-len(value) % 4)


def key(*values: bytes) -> bytes:
    return values[0] if len(values) == 1 else b"".join(padded(value) for value in values)


def link_name(name: str) -> bytes:
    return name.encode().ljust(16, b"\0")


def port(number: int) -> bytes:
    return struct.pack(">H", number)


TCP, UDP, SCTP, ICMP, ICMP6 = (bytes((number,)) for number in (6, 17, 132, 1, 58))
PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "sctp": SCTP}


class Verdict(NamedTuple):
    code: int
    chain: str = ""

    def attribute(self, kind: int) -> bytes:
        chain = text(2, self.chain) if self.chain else b""
        return nested(kind, nested(_VERDICT, be32(1, self.code), chain))


DROP, ACCEPT, RETURN = Verdict(0), Verdict(1), Verdict(-5)


def jump_to(chain: str) -> Verdict:
    return Verdict(-3, chain)


def value(kind: int, data: bytes) -> bytes:
    return nested(kind, attribute(_VALUE, data))


# Fields


class Field(NamedTuple):
    """What of a packet, or about it, can be loaded; `length` is in bytes."""

    name: str
    arguments: tuple[int, ...]
    length: int

    def load(self, register: int) -> bytes:
        match self.name:
            case "meta" | "ct":
                return _expression(self.name, be32(1, register), be32(2, self.arguments[0]))
            case "payload":
                base, offset = self.arguments
                return _expression(
                    "payload",
                    be32(1, register),
                    be32(2, base),
                    be32(3, offset),
                    be32(4, self.length),
                )
            case _:
                result, flags = self.arguments
                return _expression("fib", be32(1, register), be32(2, result), be32(3, flags))


_LINK_HEADER, _NETWORK_HEADER, _TRANSPORT_HEADER = 0, 1, 2


def _payload(base: int, offset: int, length: int) -> Field:
    return Field("payload", (base, offset), length)


ETHER_TYPE: Final = Field("meta", (1,), 2)
IN_LINK: Final = Field("meta", (6,), 16)
OUT_LINK: Final = Field("meta", (7,), 16)
FAMILY: Final = Field("meta", (15,), 1)
PROTOCOL: Final = Field("meta", (16,), 1)
CT_STATE: Final = Field("ct", (0,), 4)
CT_STATUS: Final = Field("ct", (2,), 4)
DESTINATION_TYPE: Final = Field("fib", (3, 2), 4)  # the type of the destination address
ETHER_SOURCE: Final = _payload(_LINK_HEADER, 6, 6)
SOURCE: Final = _payload(_NETWORK_HEADER, 12, 4)
DESTINATION: Final = _payload(_NETWORK_HEADER, 16, 4)
SOURCE6: Final = _payload(_NETWORK_HEADER, 8, 16)
DESTINATION6: Final = _payload(_NETWORK_HEADER, 24, 16)
ARP_SENDER: Final = _payload(_NETWORK_HEADER, 14, 4)
SOURCE_PORT: Final = _payload(_TRANSPORT_HEADER, 0, 2)
PORT: Final = _payload(_TRANSPORT_HEADER, 2, 2)
ICMP_TYPE: Final = _payload(_TRANSPORT_HEADER, 0, 1)
ND_TARGET: Final = _payload(_TRANSPORT_HEADER, 8, 16)

IPV4, IPV6 = b"\x02", b"\x0a"  # of FAMILY
ETHER_IP, ETHER_IP6, ETHER_ARP = b"\x08\x00", b"\x86\xdd", b"\x08\x06"
LOCAL: Final = struct.pack("=I", 2)  # of DESTINATION_TYPE: RTN_LOCAL
# Bits of CT_STATE and CT_STATUS (ip_conntrack_info, ip_conntrack_status).
ESTABLISHED, RELATED = 2, 4
DESTINATION_CHANGED = 32


def load(*fields: Field) -> bytes:
    register, loads = _FIRST_REGISTER, b""
    for each in fields:
        loads += each.load(register)
        register += (each.length + 3) // 4
    return loads


# Statements


def equal(field: Field, data: bytes) -> bytes:
    return load(field) + _compare(0, data)


def unequal(field: Field, data: bytes) -> bytes:
    return load(field) + _compare(1, data)


def _compare(operation: int, data: bytes) -> bytes:
    first = be32(1, _FIRST_REGISTER)
    return _expression("cmp", first, be32(2, operation), value(3, data))


def any_bit(field: Field, bits: int) -> bytes:
    """Whether one of the bits is set in a field of 4 bytes in the machine's order."""
    return load(field) + _masked(4, struct.pack("=I", bits)) + _compare(1, bytes(4))


def in_prefix(field: Field, network: bytes, prefix: int) -> bytes:
    """Whether an address is in a network."""
    size = len(network)
    ones = ((1 << prefix) - 1) << (8 * size - prefix)
    return load(field) + _masked(size, ones.to_bytes(size, "big")) + _compare(0, network)


def _masked(length: int, mask: bytes) -> bytes:
    return _expression(
        "bitwise",
        be32(1, _FIRST_REGISTER),
        be32(2, _FIRST_REGISTER),
        be32(3, length),
        value(4, mask),
        value(5, bytes(length)),
    )


def within(name: str, *fields: Field, inverted: bool = False) -> bytes:
    """Whether the fields are a key of the set."""
    flags = be32(5, 1) if inverted else b""
    return load(*fields) + _expression("lookup", text(1, name), be32(2, _FIRST_REGISTER), flags)


def mapped(name: str, *fields: Field) -> bytes:
    """Load what the map has for the fields; the rule ends if it has nothing."""
    first = be32(2, _FIRST_REGISTER)
    return load(*fields) + _expression("lookup", text(1, name), first, be32(3, _FIRST_REGISTER))


def decide(name: str, *fields: Field) -> bytes:
    """Do what the verdict map has for the fields; nothing if it has nothing."""
    first = be32(2, _FIRST_REGISTER)
    return load(*fields) + _expression("lookup", text(1, name), first, be32(3, 0))


def verdict(what: Verdict) -> bytes:
    return _expression("immediate", be32(1, 0), what.attribute(2))


def jump(chain: str) -> bytes:
    return verdict(jump_to(chain))


def count() -> bytes:
    return _expression("counter", attribute(1, bytes(8)), attribute(2, bytes(8)))


def redirect_to_mapped(family: bytes) -> bytes:
    """DNAT to the address and port that `mapped` has loaded."""
    return _nat(1, family, with_port=True)


def source_mapped(family: bytes) -> bytes:
    """SNAT to the address that `mapped` has loaded."""
    return _nat(0, family, with_port=False)


def _nat(kind: int, family: bytes, *, with_port: bool) -> bytes:
    after = _FIRST_REGISTER + (1 if family == IPV4 else 4)
    return _expression(
        "nat",
        be32(1, kind),
        be32(2, family[0]),
        be32(3, _FIRST_REGISTER),
        be32(5, after) if with_port else b"",
    )


def masquerade() -> bytes:
    return _expression("masq")


def set_port(field: Field, number: int, *, checksum_offset: int) -> bytes:
    """Write a port into the packet, without connection tracking."""
    base, offset = field.arguments
    loaded = _expression("immediate", be32(1, _FIRST_REGISTER), value(2, port(number)))
    return loaded + _expression(
        "payload",
        be32(5, _FIRST_REGISTER),
        be32(2, base),
        be32(3, offset),
        be32(4, 2),
        be32(6, 1),
        be32(7, checksum_offset),
    )


class Hook(NamedTuple):
    """Where a base chain sits; `kind` is filter or nat."""

    kind: str
    number: int
    priority: int


# netfilter.h: enum nf_inet_hooks; the same numbers in the bridge family
PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)


class Rule(NamedTuple):
    """Its statements one after another; the comment is shown by `nft list`."""

    statements: Sequence[bytes]
    comment: str = ""

    def attributes(self) -> bytes:
        found = nested(4, *self.statements)
        if not self.comment:
            return found
        words = self.comment.encode() + b"\0"
        return found + attribute(7, bytes((0, len(words))) + words)


def rule(*statements: bytes, comment: str = "") -> Rule:
    return Rule(statements, comment)
