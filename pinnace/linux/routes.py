"""Addresses, routes and neighbours: requests and lists (rtnetlink(7)).

Addresses are those of `ipaddress`, as packed bytes and prefix lengths; the functions return
messages, to be sent several at once: `netlink.Socket.send`.
"""

import socket as sockets
import struct
from typing import Final, NamedTuple

from pinnace.linux import netlink
from pinnace.linux.netlink import Message, attribute, u32

_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWNEIGH, _DELNEIGH = 28, 29

# if_addr.h: IFA_*; IFA_F_NODAD: usable at once, without asking the neighbours.
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_NODAD = 0x02
# rtnetlink.h: RTA_*, RT_SCOPE_*
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 5, 6, 7, 15
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_MAIN, _STATIC, _UNICAST = 254, 4, 1
_PERMANENT = 0x80  # NUD_PERMANENT
_ADDRESS_HEADER: Final = struct.Struct("=BBBBi")
_ROUTE_HEADER: Final = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR_HEADER: Final = struct.Struct("=BBHiHBB")


class Address(NamedTuple):
    ifindex: int
    packed: bytes
    prefix: int


class Route(NamedTuple):
    """A unicast route of the main table; `packed` is empty for the default route."""

    packed: bytes
    prefix: int
    ifindex: int
    gateway: bytes
    family: int


def _family(packed: bytes) -> int:
    return sockets.AF_INET if len(packed) == 4 else sockets.AF_INET6


def add_address(index: int, packed: bytes, prefix: int) -> Message:
    """Of IPv4 with its broadcast address; of IPv6 without duplicate address detection."""
    flags = netlink.CREATE | netlink.EXCLUDE
    return Message(_NEWADDR, flags, _address(index, packed, prefix))


def delete_address(index: int, packed: bytes, prefix: int) -> Message:
    return Message(_DELADDR, 0, _address(index, packed, prefix))


def _address(index: int, packed: bytes, prefix: int) -> bytes:
    family = _family(packed)
    body = _ADDRESS_HEADER.pack(family, prefix, 0, 0, index)
    body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    if family == sockets.AF_INET6:
        return body + u32(_IFA_FLAGS, _NODAD)
    if prefix < 31:
        (number,) = struct.unpack("!I", packed)
        body += attribute(_IFA_BROADCAST, struct.pack("!I", number | (1 << (32 - prefix)) - 1))
    return body


def addresses(socket: netlink.Socket) -> list[Address]:
    found = []
    for reply in socket.dump(_GETADDR, _ADDRESS_HEADER.pack(0, 0, 0, 0, 0)):
        _, prefix, _, _, index = _ADDRESS_HEADER.unpack_from(reply.body)
        values = netlink.attributes(reply.body[_ADDRESS_HEADER.size :])
        packed = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS, b"")
        found.append(Address(index, packed, prefix))
    return found


def add_route(
    index: int,
    destination: bytes = b"",
    prefix: int = 0,
    *,
    gateway: bytes = b"",
    metric: int = 0,
    family: int = 0,
) -> Message:
    """To a network, or the default one; without a gateway what it leads to is on the link."""
    flags = netlink.CREATE | netlink.EXCLUDE
    body = _route(index, destination, prefix, gateway=gateway, metric=metric, family=family)
    return Message(_NEWROUTE, flags, body)


def delete_route(
    index: int,
    destination: bytes = b"",
    prefix: int = 0,
    *,
    gateway: bytes = b"",
    metric: int = 0,
    family: int = 0,
) -> Message:
    body = _route(index, destination, prefix, gateway=gateway, metric=metric, family=family)
    return Message(_DELROUTE, 0, body)


def _route(
    index: int, destination: bytes, prefix: int, *, gateway: bytes, metric: int, family: int
) -> bytes:
    family = family or _family(gateway or destination)
    scope = _SCOPE_UNIVERSE if gateway or family == sockets.AF_INET6 else _SCOPE_LINK
    body = _ROUTE_HEADER.pack(family, prefix, 0, 0, _MAIN, _STATIC, scope, _UNICAST, 0)
    body += attribute(_RTA_DST, destination) if destination else b""
    body += attribute(_RTA_GATEWAY, gateway) if gateway else b""
    body += u32(_RTA_PRIORITY, metric) if metric else b""
    return body + u32(_RTA_OIF, index)


def routes(socket: netlink.Socket, family: int) -> list[Route]:
    """The unicast routes of the main table: what an address pool must not overlap."""
    found = []
    request = _ROUTE_HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    for reply in socket.dump(_GETROUTE, request):
        values = _ROUTE_HEADER.unpack_from(reply.body)
        of, prefix, table, kind = values[0], values[1], values[4], values[7]
        if of != family or table != _MAIN or kind != _UNICAST:
            continue
        more = netlink.attributes(reply.body[_ROUTE_HEADER.size :])
        index = struct.unpack("=I", more[_RTA_OIF])[0] if _RTA_OIF in more else 0
        found.append(Route(more.get(_RTA_DST, b""), prefix, index, more.get(_RTA_GATEWAY, b""), of))
    return found


def add_neighbour(index: int, packed: bytes, mac: bytes) -> Message:
    """A permanent entry: nobody is asked where the address is."""
    header = _NEIGHBOUR_HEADER.pack(_family(packed), 0, 0, index, _PERMANENT, 0, 0)
    body = header + attribute(1, packed) + attribute(2, mac)
    return Message(_NEWNEIGH, netlink.CREATE | netlink.REPLACE, body)


def delete_neighbour(index: int, packed: bytes) -> Message:
    header = _NEIGHBOUR_HEADER.pack(_family(packed), 0, 0, index, 0, 0, 0)
    return Message(_DELNEIGH, 0, header + attribute(1, packed))
