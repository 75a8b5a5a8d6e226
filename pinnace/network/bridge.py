"""The bridge driver: a bridge on the host, and a pair of links for each endpoint."""

import errno
import ipaddress
from typing import Final

import msgspec

from pinnace import errors
from pinnace.linux import links, routes
from pinnace.linux.links import Place, Traits
from pinnace.linux.netlink import Message
from pinnace.network import addresses
from pinnace.network.definitions import (
    NAME,
    BridgeOptions,
    Definition,
    Endpoint,
    Port,
    bridge_options,
)
from pinnace.network.firewall import Binding, Leg, Link, Mode, Segment
from pinnace.network.host import Host

DEFAULT_NAME: Final = "pinnace0"


class Bridge:
    """`network.driver.Driver`; the firewall's rules are `networks`' to change."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._indexes: dict[str, int] = {}

    def validate(self, definition: Definition, others: list[Definition]) -> Definition:
        options = bridge_options(definition.options)
        name = options.name or f"br-{definition.id[:12]}"
        if any(other.link == name for other in others):
            raise errors.Forbidden(f"networks have same bridge name: {name}")
        present = self._host.link(name)
        if present is not None and not self._host.owned(present):
            raise errors.Forbidden(f"the link {name} exists and is not this engine's")
        return msgspec.structs.replace(definition, link=name)

    def setup(self, definition: Definition) -> None:
        link = self._host.link(definition.link)
        if link is None:
            traits = Traits(mac=_mac(definition), mtu=bridge_options(definition.options).mtu)
            self._host.netlink.send(links.bridge(definition.link, traits))
            link = self._host.link(definition.link)
            assert link is not None
        elif not self._host.owned(link):
            raise errors.Forbidden(f"the link {definition.link} exists and is not this engine's")
        self._host.set(_sysctls(definition))
        self._send(_settings(link.ifindex, definition, self._host.alias(definition.id)))
        self._indexes[definition.id] = link.ifindex

    def _send(self, messages: list[Message]) -> None:
        """An address that is there already is as wanted."""
        for error in self._host.netlink.outcomes(messages):
            if error is not None and error.errno != errno.EEXIST:
                raise error

    def teardown(self, definition: Definition) -> None:
        link = self._host.link(definition.link)
        if link is not None and link.alias == self._host.alias(definition.id):
            self._host.netlink.send(links.delete(link.ifindex))
        self._indexes.pop(definition.id, None)

    def join(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        mtu = bridge_options(definition.options).mtu
        name = endpoint.link
        self._host.netlink.send(
            links.veth(
                name,
                endpoint.interface,
                traits=Traits(mtu=mtu, master=self._index(definition)),
                peer=Traits(mac=endpoint.mac, mtu=mtu),
                peer_place=Place(netns_fd=netns_fd),
            ),
            # Before it is up: the host's half is to have no address of its own.
            links.set_port(name, hairpin=True),
            links.up_named(name),
        )

    def _index(self, definition: Definition) -> int:
        index = self._indexes.get(definition.id)
        if index is None:
            raise errors.Failed(f"the bridge of network {definition.name} is missing")
        return index

    def leave(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        if netns_fd >= 0:
            (error,) = self._host.netlink.outcomes([links.delete_named(endpoint.link)])
            if error is not None and error.errno != errno.ENODEV:
                raise error


def _mac(definition: Definition) -> str:
    """Of its own, and fixed: else a bridge takes that of some port, and changes it."""
    for record in definition.blocks:
        if record.gateway:
            return addresses.mac_of(ipaddress.ip_address(record.gateway), definition.id)
    return addresses.mac_of(ipaddress.IPv6Address(int(definition.id[:32], 16)), definition.id)


def _sysctls(definition: Definition) -> dict[str, str]:
    conf = f"ipv6/conf/{definition.link}"
    return (
        {f"{conf}/disable_ipv6": "0", f"{conf}/accept_ra": "0"}
        if definition.ipv6
        else {f"{conf}/disable_ipv6": "1"}
    )


def _settings(index: int, definition: Definition, alias: str) -> list[Message]:
    options = bridge_options(definition.options)
    messages = [
        links.set_alias(index, alias),
        links.set_ipv4(index, {links.ROUTE_LOCALNET: 1, links.FORWARDING: 1}),
    ]
    for record in definition.blocks:
        block = record.block()
        mode = options.mode4 if block.version == 4 else options.mode6
        if block.gateway is not None and mode is not Mode.ISOLATED:
            prefix = block.subnet.prefixlen
            messages.append(routes.add_address(index, block.gateway.packed, prefix))
    return [*messages, links.change(index, up=True)]


# What the firewall is to know


def segment(definition: Definition) -> Segment:
    options: BridgeOptions = bridge_options(definition.options)
    return Segment(
        bridge=definition.link,
        icc=options.icc,
        internal=definition.internal,
        masquerade=options.masquerade,
        mode4=options.mode4,
        mode6=options.mode6,
        host4=options.host4,
        host6=options.host6,
    )


def leg(definition: Definition, endpoint: Endpoint) -> Leg:
    return Leg(
        segment=segment(definition),
        link=endpoint.link,
        mac=endpoint.mac,
        ipv4=addresses.parse(endpoint.ipv4),
        ipv6=addresses.parse(endpoint.ipv6),
        trusted=endpoint.trusted,
        bindings=tuple(binding(port) for port in endpoint.ports),
        links=tuple(
            Link(ipaddress.ip_address(each.host), each.protocol, each.port)
            for each in endpoint.links
        ),
    )


def binding(port: Port) -> Binding:
    return Binding(port.protocol, ipaddress.ip_address(port.host), port.host_port, port.port)


def default_options(host: Host) -> dict[str, str]:
    """Of the network `bridge`; its bridge has another name where that is someone else's."""
    present = host.link(DEFAULT_NAME)
    name = DEFAULT_NAME if present is None or host.owned(present) else f"br-{host.engine[:12]}"
    return {NAME: name}
