"""Links: requests that make, change and delete them, and the list of them (rtnetlink(7)).

The functions return messages, to be sent several at once: `netlink.Socket.send`.
"""

import struct
from typing import Final, NamedTuple

from pinnace.linux import netlink
from pinnace.linux.netlink import Message, nested, u8, u16, u32

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_INFO: Final = struct.Struct("=BBHiII")

# if_link.h: IFLA_*
_ADDRESS, _NAME, _MTU, _LINK, _MASTER = 1, 3, 4, 5, 10
_PROTINFO, _LINKINFO, _NET_NS_PID, _ALIAS = 12, 18, 19, 20
_AF_SPEC, _NET_NS_FD, _EXT_MASK, _LINK_NETNSID = 26, 28, 29, 37
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_PEER = 1
_MACVLAN_MODE, _IPVLAN_MODE, _IPVLAN_FLAGS, _VLAN_ID = 1, 1, 2, 1
_BRIDGE_FORWARD_DELAY, _BRIDGE_STP, _BRIDGE_SNOOPING, _BRIDGE_VLAN_FILTERING = 1, 5, 23, 7
_PORT_HAIRPIN, _PORT_ISOLATED = 4, 33
_INET, _INET6 = 2, 10
_INET_CONF, _INET6_GENERATION, _NO_ADDRESS = 1, 8, 1

UP: Final = 1
PROMISCUOUS: Final = 0x100
LOWER_UP: Final = 0x10000
NAME_MAX: Final = 15

MACVLAN_MODES: Final = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES: Final = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS: Final = {"bridge": 0, "private": 1, "vepa": 2}

# Keys of `settings`: ipv4 DEVCONF numbers (linux/ip.h), so that no file need be written.
ROUTE_LOCALNET: Final = 26
FORWARDING: Final = 1
ARP_NOTIFY: Final = 22


class Link(NamedTuple):
    """What the kernel lists; `parent` is the index of the lower device or peer."""

    ifindex: int
    name: str
    flags: int
    mtu: int
    mac: str
    master: int
    kind: str
    alias: str
    parent: int

    @property
    def up(self) -> bool:
        return bool(self.flags & UP)


class Place(NamedTuple):
    """In which namespace a link is to be: that of an fd, or of a process."""

    netns_fd: int = -1
    pid: int = 0

    def attribute(self) -> bytes:
        if self.netns_fd >= 0:
            return u32(_NET_NS_FD, self.netns_fd)
        return u32(_NET_NS_PID, self.pid) if self.pid else b""


HERE: Final = Place()


class Traits(NamedTuple):
    """What any kind of link can be given; zero values leave it to the kernel."""

    mac: str = ""
    mtu: int = 0
    master: int = 0
    up: bool = False

    def attributes(self) -> bytes:
        return b"".join(
            (
                netlink.attribute(_ADDRESS, mac_bytes(self.mac)) if self.mac else b"",
                u32(_MTU, self.mtu) if self.mtu else b"",
                u32(_MASTER, self.master) if self.master else b"",
            )
        )


PLAIN: Final = Traits()


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", "").replace("-", ""))


def _header(index: int = 0, *, up: bool | None = None) -> bytes:
    return _INFO.pack(0, 0, 0, index, UP if up else 0, 0 if up is None else UP)


def _create(
    name: str, kind: str, data: bytes, *, traits: Traits, place: Place = HERE, rest: bytes = b""
) -> Message:
    info = nested(
        _LINKINFO,
        netlink.text(_INFO_KIND, kind),
        nested(_INFO_DATA, data) if data else b"",
    )
    body = (
        _header(up=True if traits.up else None)
        + netlink.text(_NAME, name)
        + traits.attributes()
        + place.attribute()
        + rest
        + info
    )
    return Message(_NEWLINK, netlink.CREATE | netlink.EXCLUDE, body)


def bridge(name: str, traits: Traits = PLAIN) -> Message:
    """A bridge without spanning tree and multicast snooping: it forwards from the first frame."""
    data = u32(_BRIDGE_FORWARD_DELAY, 0) + u32(_BRIDGE_STP, 0) + u8(_BRIDGE_SNOOPING, 0)
    return _create(name, "bridge", data, traits=traits)


def veth(
    name: str,
    peer_name: str,
    *,
    traits: Traits = PLAIN,
    peer: Traits = PLAIN,
    peer_place: Place = HERE,
) -> Message:
    """A pair; the second half appears at its place at once, under its final name."""
    inner = (
        _header(up=True if peer.up else None)
        + netlink.text(_NAME, peer_name)
        + peer.attributes()
        + peer_place.attribute()
    )
    return _create(name, "veth", nested(_VETH_PEER, inner), traits=traits)


def dummy(name: str, traits: Traits = PLAIN) -> Message:
    return _create(name, "dummy", b"", traits=traits)


def macvlan(
    name: str, parent: int, mode: int, *, traits: Traits = PLAIN, place: Place = HERE
) -> Message:
    data = u32(_MACVLAN_MODE, mode)
    return _create(name, "macvlan", data, traits=traits, place=place, rest=u32(_LINK, parent))


def ipvlan(
    name: str,
    parent: int,
    mode: int,
    flags: int,
    *,
    traits: Traits = PLAIN,
    place: Place = HERE,
) -> Message:
    data = u16(_IPVLAN_MODE, mode) + u16(_IPVLAN_FLAGS, flags)
    return _create(name, "ipvlan", data, traits=traits, place=place, rest=u32(_LINK, parent))


def vlan(name: str, parent: int, ident: int, traits: Traits = PLAIN) -> Message:
    data = u16(_VLAN_ID, ident)
    return _create(name, "vlan", data, traits=traits, rest=u32(_LINK, parent))


def change(
    index: int,
    *,
    up: bool | None = None,
    name: str = "",
    traits: Traits = PLAIN,
    place: Place = HERE,
) -> Message:
    body = _header(index, up=up) + traits.attributes() + place.attribute()
    if name:
        body += netlink.text(_NAME, name)
    return Message(_NEWLINK, 0, body)


def set_alias(index: int, alias: str) -> Message:
    return Message(_NEWLINK, 0, _header(index) + netlink.attribute(_ALIAS, alias.encode()))


def leave_master(index: int) -> Message:
    return Message(_NEWLINK, 0, _header(index) + u32(_MASTER, 0))


def set_ipv4(index: int, settings: dict[int, int]) -> Message:
    """Values of /proc/sys/net/ipv4/conf/<link>, by their numbers."""
    values = b"".join(u32(key, value) for key, value in settings.items())
    spec = nested(_AF_SPEC, nested(_INET, nested(_INET_CONF, values)))
    return Message(_NEWLINK, 0, _header(index) + spec)


def set_port(name: str, *, hairpin: bool) -> Message:
    """Of a link that is in a bridge: with hairpin, frames may leave by the port they came by.

    It makes itself no IPv6 address when it is set up.
    """
    body = _header() + netlink.text(_NAME, name)
    data = nested(_INFO_SLAVE_DATA, u8(_PORT_HAIRPIN, hairpin))
    kind = netlink.text(_INFO_SLAVE_KIND, "bridge")
    silent = nested(_AF_SPEC, nested(_INET6, u8(_INET6_GENERATION, _NO_ADDRESS)))
    return Message(_NEWLINK, 0, body + nested(_LINKINFO, kind, data) + silent)


def up_named(name: str) -> Message:
    return Message(_NEWLINK, 0, _header(up=True) + netlink.text(_NAME, name))


def delete(index: int) -> Message:
    return Message(_DELLINK, 0, _header(index))


def delete_named(name: str) -> Message:
    return Message(_DELLINK, 0, _header() + netlink.text(_NAME, name))


def dump(socket: netlink.Socket, *, master: int = 0) -> list[Link]:
    """All links of the socket's namespace, or the ports of one bridge."""
    body = _header() + (u32(_MASTER, master) if master else b"")
    return [_decode(reply.body) for reply in socket.dump(_GETLINK, body)]


def get(socket: netlink.Socket, name: str) -> Link | None:
    """The link with this name, if there is one."""
    body = _header() + netlink.text(_NAME, name)
    try:
        (reply,) = socket.dump(_GETLINK, body, flags=0)
    except OSError as error:
        if error.errno == 19:  # ENODEV
            return None
        raise
    return _decode(reply.body)


def _decode(body: bytes) -> Link:
    _, _, _, index, flags, _ = _INFO.unpack_from(body)
    found = netlink.attributes(body[_INFO.size :])
    info = netlink.attributes(found.get(_LINKINFO, b""))
    return Link(
        ifindex=index,
        name=netlink.string(found.get(_NAME, b"")),
        flags=flags,
        mtu=_number(found, _MTU),
        mac=found.get(_ADDRESS, b"").hex(":"),
        master=_number(found, _MASTER),
        kind=netlink.string(info.get(_INFO_KIND, b"")),
        alias=netlink.string(found.get(_ALIAS, b"")),
        parent=_number(found, _LINK),
    )


def _number(found: dict[int, bytes], kind: int) -> int:
    data = found.get(kind)
    return int(struct.unpack("=I", data)[0]) if data else 0
