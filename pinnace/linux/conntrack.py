"""Connection tracking: flows that are to be decided anew (nfnetlink, ctnetlink).

A flow of UDP has no end: while its packets go on, it is led where it was led first, though what
is published there has changed. Who changes it makes the kernel forget the flow.
"""

import struct
from typing import Final, NamedTuple

from pinnace.linux import netlink
from pinnace.linux.netlink import Message, attribute, nested, u8, u32

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_*
_ORIGINAL, _FILTER = 1, 25  # CTA_TUPLE_ORIG, CTA_FILTER
_IP, _PROTOCOL = 1, 2  # CTA_TUPLE_IP, CTA_TUPLE_PROTO
_NUMBER, _TO_PORT = 1, 3  # CTA_PROTO_NUM, CTA_PROTO_DST_PORT
_FILTER_ORIGINAL, _FILTER_REPLY = 1, 2
_BY_NUMBER, _BY_PORT = 1 << 3, 1 << 5  # which fields of a tuple a filter looks at
_ZONE: Final = 18
_IDENT: Final = 12
UDP: Final = 17
FAMILIES: Final = (2, 10)


class Flow(NamedTuple):
    """`tuple` is the attribute that names it."""

    family: int
    port: int
    tuple: bytes
    ident: bytes


def flows(socket: netlink.Socket, family: int, protocol: int, port: int) -> list[Flow]:
    """Those to this port, as they were sent."""
    asked = nested(_PROTOCOL, u8(_NUMBER, protocol), attribute(_TO_PORT, struct.pack(">H", port)))
    only = nested(_FILTER, u32(_FILTER_ORIGINAL, _BY_NUMBER | _BY_PORT), u32(_FILTER_REPLY, 0))
    body = _header(family) + nested(_ORIGINAL, nested(_IP), asked) + only
    found = []
    for reply in socket.dump(_GET, body):
        flow = _flow(reply.body)
        if flow is not None and flow.port == port:
            found.append(flow)
    return found


def _header(family: int) -> bytes:
    return struct.pack(">BBH", family, 0, 0)


def _flow(body: bytes) -> Flow | None:
    found = netlink.attributes(body[4:])
    original = found.get(_ORIGINAL, b"")
    protocol = netlink.attributes(netlink.attributes(original).get(_PROTOCOL, b""))
    if _TO_PORT not in protocol:
        return None
    (port,) = struct.unpack(">H", protocol[_TO_PORT])
    return Flow(body[0], port, original, found.get(_IDENT, b""))


def forget(socket: netlink.Socket, found: list[Flow]) -> None:
    """Those that have ended meanwhile are no failure."""
    messages = [
        Message(_DELETE, 0, _header(flow.family) + nested(_ORIGINAL, flow.tuple)) for flow in found
    ]
    for message in messages:
        socket.outcomes([message])


def forget_udp(socket: netlink.Socket, port: int) -> None:
    """Let packets to this port of ours be led by what is published now."""
    for family in FAMILIES:
        forget(socket, flows(socket, family, UDP, port))
