"""Ruleset as data → one atomic nfnetlink batch (nf_tables).

Rule: a batch happens as a whole or not at all, and touches no table but those it names.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pinnace.linux import netlink
from pinnace.linux.netlink import Message, nested, text
from pinnace.linux.nftables_rules import LENGTHS, Hook, Rule, Type, Verdict, be32, value

_SUBSYSTEM: Final = 10 << 8
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _DELTABLE, _GETTABLE = 0, 2, 1
_NEWCHAIN, _GETCHAIN, _DELCHAIN = 3, 4, 5
_NEWRULE, _GETRULE, _DELRULE = 6, 7, 8
_NEWSET, _GETSET, _DELSET = 9, 10, 11
_NEWELEMENT, _GETELEMENT, _DELELEMENT = 12, 13, 14
_MAP = 0x8  # NFT_SET_MAP
_VERDICTS = 0xFFFFFF00  # NFT_DATA_VERDICT
_TYPE_BITS = 6  # nft(8): the parts of a concatenated type, from high to low
_ELEMENTS_SIZE: Final = 48_000  # the list of them is one attribute, which has 16 bits of length
_GROUP_CHANGES: Final = 7  # NFNLGRP_NFTABLES

FAMILIES: Final = {"inet": 1, "ip": 2, "arp": 3, "bridge": 7, "ip6": 10}


class Table(NamedTuple):
    family: str
    name: str


class Chain(NamedTuple):
    """A kept chain's rules are another's: they are never touched once the chain is there."""

    name: str
    rules: Sequence[Rule] = ()
    hook: Hook | None = None
    drops: bool = False
    kept: bool = False


class Element(NamedTuple):
    """A key made by `nftables_rules.key`, and what a map has for it."""

    key: bytes
    data: bytes | Verdict | None = None


class Set(NamedTuple):
    """A set, or with `data` a map: to VERDICT, or to values of the types."""

    name: str
    key: Sequence[Type]
    data: Sequence[Type] = ()
    elements: Sequence[Element] = ()


class Content(NamedTuple):
    """All of one table."""

    table: Table
    chains: Sequence[Chain] = ()
    sets: Sequence[Set] = ()


class Names(NamedTuple):
    """What a table has in the kernel."""

    chains: frozenset[str]
    sets: frozenset[str]


NOTHING: Final = Names(frozenset(), frozenset())


# Encoding


def _message(kind: int, family: str, body: bytes = b"", flags: int = 0) -> Message:
    header = struct.pack(">BBH", FAMILIES[family], 0, 0)
    return Message(_SUBSYSTEM | kind, flags, header + body)


def delete_table(table: Table) -> Message:
    return _message(_DELTABLE, table.family, text(1, table.name))


def replace(content: Content, present: Names = NOTHING) -> list[Message]:
    """Make the table be exactly this, but for the rules of kept chains."""
    table, chains, sets = content
    messages = [_message(_NEWTABLE, table.family, text(1, table.name), netlink.CREATE)]
    messages += [_chain(table, chain) for chain in chains]
    kept = {chain.name for chain in chains if chain.kept}
    flushed = {chain.name for chain in chains if not chain.kept} | (present.chains - kept)
    messages += [_flush_chain(table, name) for name in sorted(flushed)]
    stale = present.chains - {chain.name for chain in chains}
    messages += [_delete_chain(table, name) for name in sorted(stale)]
    for number, each in enumerate(sets, 1):
        if each.name in present.sets:
            messages.append(_flush_set(table, each.name))
        else:
            messages.append(_set(table, each, number))
    names = {each.name for each in sets}
    messages += [_delete_set(table, name) for name in sorted(present.sets - names)]
    for each in sets:
        messages += add_elements(table, each.name, each.elements)
    for chain in chains:
        if not chain.kept:
            messages += [_rule(table, chain.name, rule) for rule in chain.rules]
    return messages


def _chain(table: Table, chain: Chain) -> Message:
    body = text(1, table.name) + text(3, chain.name)
    if chain.hook:
        hook = nested(4, be32(1, chain.hook.number), be32(2, chain.hook.priority))
        body += hook + be32(5, 0 if chain.drops else 1) + text(7, chain.hook.kind)
    return _message(_NEWCHAIN, table.family, body, netlink.CREATE)


def _flush_chain(table: Table, name: str) -> Message:
    return _message(_DELRULE, table.family, text(1, table.name) + text(2, name))


def _delete_chain(table: Table, name: str) -> Message:
    return _message(_DELCHAIN, table.family, text(1, table.name) + text(3, name))


def _rule(table: Table, chain: str, rule: Rule) -> Message:
    body = text(1, table.name) + text(2, chain) + rule.attributes()
    return _message(_NEWRULE, table.family, body, netlink.CREATE | netlink.APPEND)


def _length(types: Sequence[Type]) -> int:
    if len(types) == 1:
        return LENGTHS[types[0]]
    return sum((LENGTHS[each] + 3) & ~3 for each in types)


def _kind(types: Sequence[Type]) -> int:
    kind = 0
    for each in types:
        kind = kind << _TYPE_BITS | each
    return kind


def _set(table: Table, wanted: Set, ident: int) -> Message:
    body = text(1, table.name) + text(2, wanted.name) + be32(3, _MAP if wanted.data else 0)
    body += be32(4, _kind(wanted.key)) + be32(5, _length(wanted.key))
    if list(wanted.data) == [Type.VERDICT]:
        body += be32(6, _VERDICTS) + be32(7, 0)
    elif wanted.data:
        body += be32(6, _kind(wanted.data)) + be32(7, _length(wanted.data))
    body += be32(10, ident) + netlink.attribute(13, _byte_orders(wanted))
    return _message(_NEWSET, table.family, body, netlink.CREATE)


def _byte_orders(wanted: Set) -> bytes:
    """For `nft list`: names are in the machine's order there, all else is in the network's."""
    orders = (1 if list(types) == [Type.LINK_NAME] else 2 for types in (wanted.key, wanted.data))
    return b"".join(struct.pack("=BBI", kind, 4, order) for kind, order in enumerate(orders))


def _flush_set(table: Table, name: str) -> Message:
    return _message(_DELELEMENT, table.family, text(1, table.name) + text(2, name))


def _delete_set(table: Table, name: str) -> Message:
    return _message(_DELSET, table.family, text(1, table.name) + text(2, name))


def add_elements(table: Table, name: str, elements: Sequence[Element]) -> list[Message]:
    """Those that are there already, with the same data, may be added again."""
    return list(_elements(_NEWELEMENT, table, name, elements, netlink.CREATE))


def delete_elements(table: Table, name: str, elements: Sequence[Element]) -> list[Message]:
    """All of them must be there, or the batch is refused (ENOENT)."""
    bare = [Element(element.key) for element in elements]
    return list(_elements(_DELELEMENT, table, name, bare, 0))


def _elements(
    kind: int, table: Table, name: str, elements: Sequence[Element], flags: int
) -> Iterator[Message]:
    start = text(1, table.name) + text(2, name)
    encoded: list[bytes] = []
    size = 0
    for element in elements:
        data = _element(element)
        if size + len(data) > _ELEMENTS_SIZE:
            yield _message(kind, table.family, start + nested(3, *encoded), flags)
            encoded, size = [], 0
        encoded.append(data)
        size += len(data)
    if encoded:
        yield _message(kind, table.family, start + nested(3, *encoded), flags)


def _element(element: Element) -> bytes:
    data = element.data
    if isinstance(data, Verdict):
        return nested(1, value(1, element.key), data.attribute(2))
    return nested(1, value(1, element.key), value(2, data) if data is not None else b"")


# Sending and reading


def open_socket() -> netlink.Socket:
    return netlink.Socket(netlink.NETLINK_NETFILTER)


def apply(socket: netlink.Socket, messages: Sequence[Message]) -> None:
    """Carry out all of them or none; raises the kernel's first refusal."""
    if not messages:
        return
    subsystem = struct.pack(">BBH", 0, 0, 10)
    begin, end = Message(_BATCH_BEGIN, 0, subsystem), Message(_BATCH_END, 0, subsystem)
    socket.batch([begin, *messages, end], acknowledged=len(messages))


def names(socket: netlink.Socket, table: Table) -> Names:
    """The chains and sets that the table has; nothing if it is not there."""
    chains = socket.dump(*_query(_GETCHAIN, table.family))
    sets = socket.dump(*_query(_GETSET, table.family))
    return Names(
        frozenset(_named(body, 3) for _, _, _, body in chains if _named(body, 1) == table.name),
        frozenset(_named(body, 2) for _, _, _, body in sets if _named(body, 1) == table.name),
    )


def tables(socket: netlink.Socket, family: str) -> list[Table]:
    found = socket.dump(*_query(_GETTABLE, family))
    return [Table(family, _named(reply.body, 1)) for reply in found]


def rules(socket: netlink.Socket, table: Table, chain: str) -> int:
    """How many rules a chain has."""
    body = text(1, table.name) + text(2, chain)
    return len(socket.dump(*_query(_GETRULE, table.family, body)))


def elements(socket: netlink.Socket, table: Table, name: str) -> set[bytes]:
    """The keys that a set has."""
    found = set()
    query = _query(_GETELEMENT, table.family, text(1, table.name) + text(2, name))
    for reply in socket.dump(*query):
        for _, element in netlink.parts(netlink.attributes(reply.body[4:]).get(3, b"")):
            found.add(netlink.attributes(netlink.attributes(element)[1])[1])
    return found


def _query(kind: int, family: str, body: bytes = b"") -> tuple[int, bytes]:
    message = _message(kind, family, body)
    return message.kind, message.body


def _named(body: bytes, kind: int) -> str:
    return netlink.string(netlink.attributes(body[4:]).get(kind, b""))


class Watch:
    """Tells when a table, or a part of it, was deleted, by a firewall's reload say."""

    _GONE: Final = frozenset(_SUBSYSTEM | kind for kind in (_DELTABLE, _DELCHAIN, _DELRULE))

    def __init__(self) -> None:
        self._socket = netlink.Socket(netlink.NETLINK_NETFILTER)
        self._socket.join(_GROUP_CHANGES)

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def lost(self, wanted: Sequence[Table]) -> bool:
        """Whether one of the tables has lost something since the last look; does not wait."""
        lost = False
        families = {FAMILIES[table.family]: table.name for table in wanted}
        for reply in self._socket.heard():
            if reply is None:
                lost = True  # too much was said to keep it all (ENOBUFS)
            elif reply.kind in self._GONE:
                lost |= families.get(reply.body[0]) == _named(reply.body, 1)
        return lost
