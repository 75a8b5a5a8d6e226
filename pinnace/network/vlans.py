"""The drivers macvlan and ipvlan: a container's link is a part of one of the host's links.

Without the option `parent` the network leads nowhere: its parent is a dummy link of our own.
"""

import errno
from typing import Final

import msgspec

from pinnace import errors
from pinnace.linux import links
from pinnace.linux.links import Place, Traits
from pinnace.linux.netlink import Message
from pinnace.network import definitions, driver
from pinnace.network.definitions import Definition, Endpoint
from pinnace.network.host import Host

PARENT: Final = "parent"
_MODES: Final = {"macvlan": links.MACVLAN_MODES, "ipvlan": links.IPVLAN_MODES}
_DEFAULTS: Final = {"macvlan": "bridge", "ipvlan": "l2"}


class Vlans:
    """`network.driver.Driver`, of one of the two kinds."""

    def __init__(self, host: Host, kind: str) -> None:
        self._host = host
        self._kind = kind

    def validate(self, definition: Definition, others: list[Definition]) -> Definition:
        self._mode(definition)
        self._flag(definition)
        definitions.mtu(definition.options)
        parent = definition.options.get(PARENT, "")
        if not parent or definition.internal:
            dummy = f"dm-{definition.id[:12]}"
            return msgspec.structs.replace(definition, link=dummy, link_made=True)
        if len(parent) > links.NAME_MAX:
            raise errors.Failed("numerical result out of range")
        base, tag = _parts(parent)
        missing = self._host.link(parent) is None
        if missing and not tag:
            raise errors.Failed(f"-o parent={parent} is not found on this host")
        if missing and self._host.link(base) is None:
            raise errors.Failed(f"failed to create the vlan link {parent}: no such link {base}")
        return msgspec.structs.replace(definition, link=parent, link_made=missing)

    def _mode(self, definition: Definition) -> int:
        modes = _MODES[self._kind]
        name = definition.options.get(f"{self._kind}_mode", "") or _DEFAULTS[self._kind]
        if name not in modes:
            raise errors.Failed(
                f"requested {self._kind} mode '{name}' is not valid, "
                f"'{_DEFAULTS[self._kind]}' mode is the {self._kind} driver default"
            )
        return modes[name]

    def _flag(self, definition: Definition) -> int:
        name = definition.options.get("ipvlan_flag", "") or "bridge"
        if self._kind == "ipvlan" and name not in links.IPVLAN_FLAGS:
            raise errors.Failed(
                f"requested ipvlan flag '{name}' is not valid, 'bridge' is the ipvlan driver "
                "default"
            )
        return links.IPVLAN_FLAGS.get(name, 0)

    def setup(self, definition: Definition) -> None:
        if not definition.link_made or self._host.link(definition.link) is not None:
            return
        self._send(self._parent(definition))
        made = self._host.link(definition.link)
        assert made is not None
        alias = self._host.alias(definition.id)
        self._host.netlink.send(links.set_alias(made.ifindex, alias))

    def _parent(self, definition: Definition) -> Message:
        if definition.link.startswith("dm-"):
            return links.dummy(definition.link, Traits(up=True))
        base, tag = _parts(definition.link)
        below = self._host.link(base)
        if below is None:
            raise errors.Failed(f"-o parent={base} is not found on this host")
        return links.vlan(definition.link, below.ifindex, int(tag), Traits(up=True))

    def teardown(self, definition: Definition) -> None:
        link = self._host.link(definition.link)
        if link is not None and link.alias == self._host.alias(definition.id):
            self._host.netlink.send(links.delete(link.ifindex))

    def join(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        parent = self._host.link(definition.link)
        if parent is None:
            raise errors.Failed(f"-o parent={definition.link} is not found on this host")
        place = Place(netns_fd=netns_fd)
        mode, mtu = self._mode(definition), definitions.mtu(definition.options)
        name = endpoint.interface
        if self._kind == "macvlan":
            traits = Traits(mac=endpoint.mac, mtu=mtu)
            self._send(links.macvlan(name, parent.ifindex, mode, traits=traits, place=place))
        else:
            flag = self._flag(definition)
            traits = Traits(mtu=mtu)
            made = links.ipvlan(name, parent.ifindex, mode, flag, traits=traits, place=place)
            self._send(made)

    def _send(self, message: Message) -> None:
        try:
            self._host.netlink.send(message)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise errors.Failed(
                    f"this kernel has no links of the kind that {self._kind} networks need"
                ) from error
            raise

    def leave(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        if netns_fd >= 0:
            driver.delete_link(netns_fd, endpoint.interface)


def _parts(parent: str) -> tuple[str, str]:
    """`eth0.10` is VLAN 10 of eth0; raises Failed in Docker's words."""
    base, dot, tag = parent.partition(".")
    if dot and not (tag.isascii() and tag.isdigit() and 0 < int(tag) < 4095):
        raise errors.Failed(
            f"unable to parse a valid vlan id from: {tag} (ex. eth0.10 for vlan 10)"
        )
    return base, tag
