"""Networks, endpoints and published ports → the rules of our two tables (pure).

    table inet pinnace-<engine>
      administrator    yours: its rules run before ours and are never touched
      forward          what may pass between containers, and to them from outside
      publish          published ports: destinations changed by maps, before routing
      source           the host's address for what leaves
    table bridge pinnace-<engine>
      check            frames of a container bear its own addresses, or are dropped
      between          containers of a network with enable_icc=false

A rule is written once; networks, endpoints and ports are elements of sets and maps, so that a
container's start changes a few elements, in one transaction.

Rule 1: an `accept` of ours holds for our chain only: other tables' chains decide as well, so
what the host's firewall drops stays dropped.
Rule 2: what is neither to nor from one of our bridges is not judged here.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from pinnace.linux import nftables
from pinnace.linux import nftables_rules as r
from pinnace.linux.netlink import Message
from pinnace.linux.nftables import Chain, Content, Element, Names, Set, Table
from pinnace.linux.nftables_rules import Hook, Type, rule
from pinnace.network.addresses import Address

ADMINISTRATOR: Final = "administrator"
FORMER: Final = {4: "former4", 6: "former6"}


class Mode(Enum):
    """How a bridge's containers are reached from outside (Docker's gateway modes)."""

    NAT = "nat"
    UNPROTECTED = "nat-unprotected"
    ROUTED = "routed"
    ISOLATED = "isolated"


class Segment(NamedTuple):
    """A bridge, as the firewall sees it."""

    bridge: str
    icc: bool = True
    internal: bool = False
    masquerade: bool = True
    mode4: Mode = Mode.NAT
    mode6: Mode = Mode.NAT
    host4: Address | None = None
    host6: Address | None = None


class Binding(NamedTuple):
    """A published port; an unspecified host address (0.0.0.0, ::) means all of the host's."""

    protocol: str
    host: Address
    host_port: int
    port: int


class Link(NamedTuple):
    """A legacy link: the endpoint may ask the other's port though the network has no icc."""

    other: Address
    protocol: str
    port: int


class Leg(NamedTuple):
    """An endpoint on a bridge. A trusted container may send what it likes (NET_ADMIN)."""

    segment: Segment
    link: str
    mac: str
    ipv4: Address | None = None
    ipv6: Address | None = None
    trusted: bool = False
    bindings: tuple[Binding, ...] = ()
    links: tuple[Link, ...] = ()


class Place(NamedTuple):
    """Which set of which family."""

    family: str
    name: str


Elements = dict[Place, dict[bytes, Element]]

_NONE: Final[Mapping[int, Iterable[str]]] = {}

_NAMES = (Type.LINK_NAME,)
_PAIR = (Type.LINK_NAME, Type.LINK_NAME)
_END4 = (Type.ADDRESS, Type.PROTOCOL, Type.PORT)
_END6 = (Type.ADDRESS6, Type.PROTOCOL, Type.PORT)
_FLOW4 = (Type.ADDRESS, Type.ADDRESS, Type.PROTOCOL, Type.PORT)
_FLOW6 = (Type.ADDRESS6, Type.ADDRESS6, Type.PROTOCOL, Type.PORT)
_ANY = (Type.PROTOCOL, Type.PORT)
_TO4 = (Type.ADDRESS, Type.PORT)
_TO6 = (Type.ADDRESS6, Type.PORT)

_SETS: Final = {
    Place("inet", name): (key, data)
    for name, key, data in (
        ("bridges", _NAMES, ()),
        ("former4", _NAMES, ()),
        ("former6", _NAMES, ()),
        ("internal", _NAMES, ()),
        ("within", _PAIR, ()),
        ("hairpin", _PAIR, ()),
        ("open4", _NAMES, ()),
        ("open6", _NAMES, ()),
        ("answering4", _NAMES, ()),
        ("answering6", _NAMES, ()),
        ("masqueraded4", _NAMES, ()),
        ("masqueraded6", _NAMES, ()),
        ("sources4", _NAMES, (Type.ADDRESS,)),
        ("sources6", _NAMES, (Type.ADDRESS6,)),
        ("published4", _END4, ()),
        ("published6", _END6, ()),
        ("routed4", _END4, ()),
        ("routed6", _END6, ()),
        ("linked4", _FLOW4, ()),
        ("linked6", _FLOW6, ()),
        ("itself4", (Type.ADDRESS, Type.ADDRESS), ()),
        ("itself6", (Type.ADDRESS6, Type.ADDRESS6), ()),
        ("any4", _ANY, _TO4),
        ("any6", _ANY, _TO6),
        ("bound4", _END4, _TO4),
        ("bound6", _END6, _TO6),
    )
} | {
    Place("bridge", name): (key, ())
    for name, key in (
        ("guarded", _NAMES),
        ("closed", _NAMES),
        ("macs", (Type.LINK_NAME, Type.ETHER_ADDRESS)),
        ("addresses4", (Type.LINK_NAME, Type.ADDRESS)),
        ("addresses6", (Type.LINK_NAME, Type.ADDRESS6)),
        ("published4", _END4),
        ("published6", _END6),
        ("linked4", _FLOW4),
        ("linked6", _FLOW6),
        ("answers4", _FLOW4),
        ("answers6", _FLOW6),
    )
}  # fmt: skip


def tables(engine: str) -> list[Table]:
    """Ours, told from other engines' by the engine's id."""
    return [Table(family, f"pinnace-{engine[:12]}") for family in ("inet", "bridge")]


def ruleset(
    engine: str,
    segments: Iterable[Segment],
    legs: Iterable[Leg],
    *,
    former: Mapping[int, Iterable[str]] = _NONE,
) -> list[Content]:
    """All of both tables.

    Between the former links, by IP version, nothing is forwarded: they were there when forwarding
    was off, and it was switched on for our networks only.
    """
    elements = of_former(former)
    for segment in segments:
        _merge(elements, of_segment(segment))
    for leg in legs:
        _merge(elements, of_leg(leg))
    inet, bridge = tables(engine)
    return [
        Content(inet, _inet_chains(), _sets("inet", elements)),
        Content(bridge, _bridge_chains(), _sets("bridge", elements)),
    ]


def replace(contents: Sequence[Content], present: Mapping[Table, Names]) -> list[Message]:
    """Everything anew, as one transaction."""
    messages: list[Message] = []
    for content in contents:
        messages += nftables.replace(content, present.get(content.table, nftables.NOTHING))
    return messages


def add(engine: str, elements: Elements) -> list[Message]:
    return [
        message
        for place, found in elements.items()
        for message in nftables.add_elements(
            _table(engine, place.family), place.name, list(found.values())
        )
    ]


def remove(engine: str, elements: Elements) -> list[Message]:
    return [
        message
        for place, found in elements.items()
        for message in nftables.delete_elements(
            _table(engine, place.family), place.name, list(found.values())
        )
    ]


def _table(engine: str, family: str) -> Table:
    inet, bridge = tables(engine)
    return inet if family == "inet" else bridge


def _sets(family: str, elements: Elements) -> list[Set]:
    return [
        Set(place.name, key, data, list(elements.get(place, {}).values()))
        for place, (key, data) in _SETS.items()
        if place.family == family
    ]


def _merge(into: Elements, more: Elements) -> None:
    for place, found in more.items():
        into.setdefault(place, {}).update(found)


# Elements


class _Collector:
    """Elements by their places; the same one twice is one (it can be deleted only once)."""

    def __init__(self) -> None:
        self.found: Elements = {}

    def inet(self, name: str, *key: bytes, data: bytes | None = None) -> None:
        self._put(Place("inet", name), r.key(*key), data)

    def bridge(self, name: str, *key: bytes) -> None:
        self._put(Place("bridge", name), r.key(*key), None)

    def _put(self, place: Place, key: bytes, data: bytes | None) -> None:
        self.found.setdefault(place, {})[key] = Element(key, data)


def of_former(former: Mapping[int, Iterable[str]]) -> Elements:
    into = _Collector()
    for version, names in former.items():
        for name in names:
            into.inet(FORMER[version], r.link_name(name))
    return into.found


def of_segment(segment: Segment) -> Elements:
    into, name = _Collector(), r.link_name(segment.bridge)
    into.inet("bridges", name)
    into.inet("hairpin", name, name)
    if segment.icc:
        into.inet("within", name, name)
    if segment.internal:
        into.inet("internal", name)
        return into.found
    for version, mode, host in (
        ("4", segment.mode4, segment.host4),
        ("6", segment.mode6, segment.host6),
    ):
        if mode is Mode.UNPROTECTED:
            into.inet("open" + version, name)
        if mode is Mode.ROUTED:
            into.inet("answering" + version, name)
        elif host is not None:
            into.inet("sources" + version, name, data=host.packed)
        elif segment.masquerade and mode is not Mode.ISOLATED:
            into.inet("masqueraded" + version, name)
    return into.found


def of_leg(leg: Leg) -> Elements:
    into, link = _Collector(), r.link_name(leg.link)
    if not leg.segment.icc:
        into.bridge("closed", link)
    for own, version in ((leg.ipv4, "4"), (leg.ipv6, "6")):
        if own is not None and not leg.trusted:
            into.bridge("addresses" + version, link, own.packed)
    if not leg.trusted:
        into.bridge("guarded", link)
        into.bridge("macs", link, bytes.fromhex(leg.mac.replace(":", "")))
    _merge(into.found, of_bindings(leg, leg.bindings))
    for other in leg.links:
        _link(into, leg, other)
    return into.found


def of_bindings(leg: Leg, bindings: Iterable[Binding]) -> Elements:
    """Of ports alone: they come and go while the container runs."""
    into = _Collector()
    if leg.segment.internal:
        return into.found
    for binding in bindings:
        version = str(binding.host.version)
        own, mode = (
            (leg.ipv4, leg.segment.mode4) if version == "4" else (leg.ipv6, leg.segment.mode6)
        )
        if own is None or mode is Mode.ISOLATED:
            continue
        protocol = r.PROTOCOLS[binding.protocol]
        end = (own.packed, protocol, r.port(binding.port))
        if mode is Mode.ROUTED:
            into.inet("routed" + version, *end)
            continue
        into.inet("published" + version, *end)
        into.inet("itself" + version, own.packed, own.packed)
        if not leg.segment.icc:
            into.bridge("published" + version, *end)
        to = r.key(own.packed, r.port(binding.port))
        if binding.host.is_unspecified:
            into.inet("any" + version, protocol, r.port(binding.host_port), data=to)
        else:
            host = binding.host.packed
            into.inet("bound" + version, host, protocol, r.port(binding.host_port), data=to)
    return into.found


def _link(into: _Collector, leg: Leg, other: Link) -> None:
    version = str(other.other.version)
    own = leg.ipv4 if version == "4" else leg.ipv6
    if own is None:
        return
    end = r.PROTOCOLS[other.protocol], r.port(other.port)
    into.inet("linked" + version, own.packed, other.other.packed, *end)
    into.bridge("linked" + version, own.packed, other.other.packed, *end)
    into.bridge("answers" + version, other.other.packed, own.packed, *end)


# Rules

_ACCEPT, _DROP, _RETURN = (r.verdict(what) for what in (r.ACCEPT, r.DROP, r.RETURN))
_IS4, _IS6 = r.equal(r.FAMILY, r.IPV4), r.equal(r.FAMILY, r.IPV6)
_LOOPBACK = bytes((127, 0, 0, 0))
_LOOPBACK6 = bytes(15) + b"\1"
_LINK_LOCAL6 = b"\xfe\x80" + bytes(14)


def _inet_chains() -> list[Chain]:
    return [
        Chain(ADMINISTRATOR, kept=True),
        Chain("forward", _forward(), Hook("filter", r.FORWARD, 0)),
        Chain("inbound", _inbound()),
        Chain("loopback", _loopback(), Hook("filter", r.PREROUTING, -300)),
        Chain("prerouting", _prerouting(), Hook("nat", r.PREROUTING, -100)),
        Chain("output", [rule(r.jump("publish"))], Hook("nat", r.OUTPUT, -100)),
        Chain("publish", _publish()),
        Chain("source", _source(), Hook("nat", r.POSTROUTING, 100)),
    ]


def _forward() -> list[r.Rule]:
    return [
        rule(r.jump(ADMINISTRATOR)),
        rule(r.any_bit(r.CT_STATE, r.ESTABLISHED | r.RELATED), _ACCEPT),
        rule(r.within("within", r.IN_LINK, r.OUT_LINK), _ACCEPT, comment="same network"),
        rule(r.within("internal", r.IN_LINK), _DROP),
        rule(r.within("internal", r.OUT_LINK), _DROP),
        rule(r.within("bridges", r.OUT_LINK), r.jump("inbound")),
        *(
            rule(check, r.within(name, r.IN_LINK), r.within(name, r.OUT_LINK), _DROP)
            for check, name in ((_IS4, FORMER[4]), (_IS6, FORMER[6]))
        ),
    ]


def _inbound() -> list[r.Rule]:
    changed = r.any_bit(r.CT_STATUS, r.DESTINATION_CHANGED)
    foreign = r.within("bridges", r.IN_LINK, inverted=True)
    rules = []
    for version, family, source, destination, ping in (
        ("4", _IS4, r.SOURCE, r.DESTINATION, r.ICMP),
        ("6", _IS6, r.SOURCE6, r.DESTINATION6, r.ICMP6),
    ):
        end = (destination, r.PROTOCOL, r.PORT)
        rules += [
            rule(changed, family, r.within("published" + version, *end), _ACCEPT),
            rule(family, r.within("routed" + version, *end), _ACCEPT),
            rule(family, r.within("linked" + version, source, *end), _ACCEPT),
            rule(family, r.within("open" + version, r.OUT_LINK), foreign, _ACCEPT),
            rule(r.equal(r.PROTOCOL, ping), r.within("answering" + version, r.OUT_LINK), _ACCEPT),
        ]
    return [*rules, rule(_DROP, comment="neither published nor of this network")]


def _loopback() -> list[r.Rule]:
    """Bridges have route_localnet, so that 127.0.0.1 can be published: containers stay out."""
    to_loopback = r.in_prefix(r.DESTINATION, _LOOPBACK, 8)
    return [rule(r.within("bridges", r.IN_LINK), _IS4, to_loopback, _DROP)]


def _prerouting() -> list[r.Rule]:
    """A neighbour that sends to our 127.0.0.1 must not get at what is published there."""
    elsewhere = r.unequal(r.IN_LINK, r.link_name("lo"))
    to_loopback = r.in_prefix(r.DESTINATION, _LOOPBACK, 8)
    return [rule(elsewhere, _IS4, to_loopback, _RETURN), rule(r.jump("publish"))]


def _publish() -> list[r.Rule]:
    rules = [
        rule(r.unequal(r.DESTINATION_TYPE, r.LOCAL), _RETURN),
        # The kernel lets no redirected answer in to ::1; a relay listens there.
        rule(_IS6, r.equal(r.DESTINATION6, _LOOPBACK6), _RETURN),
    ]
    for version, check, family, destination in (
        ("4", _IS4, r.IPV4, r.DESTINATION),
        ("6", _IS6, r.IPV6, r.DESTINATION6),
    ):
        bound = r.mapped("bound" + version, destination, r.PROTOCOL, r.PORT)
        anywhere = r.mapped("any" + version, r.PROTOCOL, r.PORT)
        rules += [
            rule(check, bound, r.redirect_to_mapped(family)),
            rule(check, anywhere, r.redirect_to_mapped(family)),
        ]
    return rules


def _source() -> list[r.Rule]:
    out = r.within("bridges", r.OUT_LINK, inverted=True)
    changed = r.any_bit(r.CT_STATUS, r.DESTINATION_CHANGED)
    to_container = r.within("bridges", r.OUT_LINK)
    from_loopback = r.in_prefix(r.SOURCE, _LOOPBACK, 8)
    rules = [
        # Else the answer would go past the host, with a source that nobody asked.
        rule(changed, r.within("hairpin", r.IN_LINK, r.OUT_LINK), r.masquerade()),
        # With br_netfilter a bridge does it by itself, and there is no link to see it came by.
        rule(changed, _IS4, r.within("itself4", r.SOURCE, r.DESTINATION), r.masquerade()),
        rule(changed, _IS6, r.within("itself6", r.SOURCE6, r.DESTINATION6), r.masquerade()),
        rule(_IS4, from_loopback, to_container, r.masquerade()),
    ]
    for version, check, family in (("4", _IS4, r.IPV4), ("6", _IS6, r.IPV6)):
        fixed = r.mapped("sources" + version, r.IN_LINK)
        rules += [
            rule(check, out, fixed, r.source_mapped(family)),
            rule(check, out, r.within("masqueraded" + version, r.IN_LINK), r.masquerade()),
        ]
    return rules


def _bridge_chains() -> list[Chain]:
    return [
        Chain(
            "prerouting",
            [rule(r.within("guarded", r.IN_LINK), r.jump("check"))],
            Hook("filter", r.PREROUTING, -300),
        ),
        Chain("advertised", _advertised()),
        Chain("check", _check()),
        Chain(
            "forward",
            [rule(r.within("closed", r.IN_LINK), r.jump("between"))],
            Hook("filter", r.FORWARD, -200),
        ),
        Chain("between", _between()),
    ]


_ADVERTISED, _ROUTER, _REDIRECT = b"\x88", b"\x86", b"\x89"  # ICMPv6 types 136, 134, 137


def _check() -> list[r.Rule]:
    ip, ip6, arp = (r.equal(r.ETHER_TYPE, kind) for kind in (r.ETHER_IP, r.ETHER_IP6, r.ETHER_ARP))
    icmp6 = r.equal(r.PROTOCOL, r.ICMP6)
    return [
        rule(r.within("macs", r.IN_LINK, r.ETHER_SOURCE, inverted=True), _DROP),
        rule(ip, r.within("addresses4", r.IN_LINK, r.SOURCE), _RETURN),
        rule(ip, _DROP, comment="not the container's address"),
        rule(arp, r.within("addresses4", r.IN_LINK, r.ARP_SENDER), _RETURN),
        rule(arp, r.equal(r.ARP_SENDER, bytes(4)), _RETURN, comment="is it free?"),
        rule(arp, _DROP),
        rule(ip6, icmp6, r.equal(r.ICMP_TYPE, _ROUTER), _DROP),
        rule(ip6, icmp6, r.equal(r.ICMP_TYPE, _REDIRECT), _DROP),
        rule(ip6, icmp6, r.equal(r.ICMP_TYPE, _ADVERTISED), r.jump("advertised")),
        rule(ip6, r.within("addresses6", r.IN_LINK, r.SOURCE6), _RETURN),
        rule(ip6, r.in_prefix(r.SOURCE6, _LINK_LOCAL6, 10), _RETURN),
        rule(ip6, r.equal(r.SOURCE6, bytes(16)), _RETURN, comment="is it free?"),
        rule(ip6, _DROP),
    ]


def _advertised() -> list[r.Rule]:
    return [
        rule(r.in_prefix(r.ND_TARGET, _LINK_LOCAL6, 10), _RETURN),
        rule(r.within("addresses6", r.IN_LINK, r.ND_TARGET), _RETURN),
        rule(_DROP),
    ]


def _between() -> list[r.Rule]:
    rules = []
    for version, kind, source, destination in (
        ("4", r.ETHER_IP, r.SOURCE, r.DESTINATION),
        ("6", r.ETHER_IP6, r.SOURCE6, r.DESTINATION6),
    ):
        check = r.equal(r.ETHER_TYPE, kind)
        asked = (source, destination, r.PROTOCOL)
        rules += [
            rule(check, r.within("linked" + version, *asked, r.PORT), _ACCEPT),
            rule(check, r.within("answers" + version, *asked, r.SOURCE_PORT), _ACCEPT),
            # What the bridge itself has redirected (br_netfilter) looks like this here.
            rule(check, r.within("published" + version, destination, r.PROTOCOL, r.PORT), _ACCEPT),
            rule(
                check, r.within("published" + version, source, r.PROTOCOL, r.SOURCE_PORT), _ACCEPT
            ),
        ]
    neighbours = [
        rule(r.equal(r.PROTOCOL, r.ICMP6), r.equal(r.ICMP_TYPE, kind), _RETURN)
        for kind in (b"\x87", _ADVERTISED)
    ]
    rules += neighbours
    rules += [rule(r.equal(r.ETHER_TYPE, kind), _DROP) for kind in (r.ETHER_IP, r.ETHER_IP6)]
    return rules
