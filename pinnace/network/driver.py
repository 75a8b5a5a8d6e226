"""How the legs of a network are made: one protocol, and what is the same for all drivers."""

import ipaddress
import socket
from typing import Final, NamedTuple, Protocol

from pinnace import errors
from pinnace.linux import links, netlink, netns, routes
from pinnace.linux.netlink import Message
from pinnace.network.addresses import Address
from pinnace.network.definitions import SYSCTLS, Definition, Endpoint


class Driver(Protocol):
    """Bridge, macvlan, ipvlan; host and none make nothing (`Unlinked`)."""

    def validate(self, definition: Definition, others: list[Definition]) -> Definition:
        """Refuse what can't be (Invalid, Forbidden, Failed), fill in `link`; changes nothing."""

    def setup(self, definition: Definition) -> None:
        """Make the network's links on the host, or repair them: done again, it changes nothing."""

    def teardown(self, definition: Definition) -> None:
        """Remove what setup made; what is gone already is no failure."""

    def join(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        """Give the namespace its link, under its final name and down: `configure` does the rest."""

    def leave(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        """Take the link away; with netns_fd < 0 the namespace is ending, which takes it away."""


class Unlinked:
    """The networks host and none: containers have no leg in them."""

    def validate(self, definition: Definition, others: list[Definition]) -> Definition:
        raise errors.Forbidden(f'only one instance of "{definition.driver}" network is allowed')

    def setup(self, definition: Definition) -> None:
        pass

    def teardown(self, definition: Definition) -> None:
        pass

    def join(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        pass

    def leave(self, definition: Definition, endpoint: Endpoint, netns_fd: int) -> None:
        pass


class Interface(NamedTuple):
    """A link inside a container, as it is to be. Gateways are those of default routes to set."""

    name: str
    addresses: tuple[tuple[Address, int], ...]
    gateways: tuple[Address, ...] = ()
    on_link_default: bool = False
    sysctls: tuple[tuple[str, str], ...] = ()


_PLACEHOLDER: Final = "IFNAME"


def interface(endpoint: Endpoint, *, default: tuple[int, ...]) -> Interface:
    """default: for which IP versions this endpoint leads to everywhere else."""
    gateways = tuple(each for each in endpoint.gateways if each.version in default)
    wanted = tuple(_sysctls(endpoint))
    own = list(zip(endpoint.addresses, endpoint.prefixes, strict=True))
    for text in endpoint.link_local:
        address = ipaddress.ip_address(text)
        own.append((address, 16 if address.version == 4 else 64))
    return Interface(endpoint.interface, tuple(own), gateways, sysctls=wanted)


def _sysctls(endpoint: Endpoint) -> list[tuple[str, str]]:
    """I23: no IPv6, and no router advertisements heard, unless asked for."""
    found = [(f"ipv6/conf/{endpoint.interface}/disable_ipv6", "0" if endpoint.ipv6 else "1")]
    if endpoint.ipv6:
        found.append((f"ipv6/conf/{endpoint.interface}/accept_ra", "0"))
        found.append((f"ipv6/conf/{endpoint.interface}/ndisc_notify", "1"))
    given = endpoint.options.get(SYSCTLS, "")
    for setting in given.split(",") if given else ():
        name, _, value = setting.partition("=")
        path = name.removeprefix("net.").replace(".", "/")
        found.append((path.replace(_PLACEHOLDER, endpoint.interface), value))
    return found


def check_sysctls(text: str) -> None:
    """Of an interface only; raises Invalid as Docker does."""
    for setting in text.split(",") if text else ():
        name, equals, _ = setting.partition("=")
        parts = name.split(".")
        if not equals or len(parts) < 5 or parts[0] != "net" or parts[3] != _PLACEHOLDER:
            raise errors.Invalid(
                f"invalid network driver option: unrecognised network interface sysctl "
                f"'{setting}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'"
            )


def configure(netns_fd: int, interfaces: list[Interface]) -> None:
    """Settings, addresses, up, and routes: one visit to the namespace, one send."""
    netns.inside(netns_fd, lambda: _configure(interfaces))


def _configure(interfaces: list[Interface]) -> None:
    with netlink.Socket() as here:
        messages = [links.change(netlink.LOOPBACK, up=True)]
        for each in interfaces:
            for name, value in each.sysctls:
                _set(name, value)
            messages += _messages(socket.if_nametoindex(each.name), each)
        here.send(*messages)


def _set(name: str, value: str) -> None:
    try:
        netns.set_sysctl(name, value)
    except FileNotFoundError:
        if not name.startswith("ipv6/"):  # a kernel without IPv6 needs it not switched off
            raise


def _messages(index: int, wanted: Interface) -> list[Message]:
    messages = [
        routes.add_address(index, address.packed, prefix) for address, prefix in wanted.addresses
    ]
    # Going up, it says where its addresses are now: someone else may have had them just before.
    messages.append(links.set_ipv4(index, {links.ARP_NOTIFY: 1}))
    messages.append(links.change(index, up=True))
    messages += [routes.add_route(index, gateway=each.packed) for each in wanted.gateways]
    if wanted.on_link_default:
        families = {address.version for address, _ in wanted.addresses}
        messages += [
            routes.add_route(index, family=socket.AF_INET if version == 4 else socket.AF_INET6)
            for version in sorted(families)
        ]
    return messages


def replace_default(netns_fd: int, old: Endpoint | None, new: Endpoint | None) -> None:
    """Move the default routes from one endpoint's gateways to the other's."""

    def move() -> None:
        with netlink.Socket() as here:
            if old is not None:
                index = socket.if_nametoindex(old.interface)
                # What is gone already need not go: the outcomes are not looked at.
                here.outcomes(
                    [routes.delete_route(index, gateway=each.packed) for each in old.gateways]
                )
            if new is not None:
                index = socket.if_nametoindex(new.interface)
                here.send(*[routes.add_route(index, gateway=g.packed) for g in new.gateways])

    netns.inside(netns_fd, move)


def delete_link(netns_fd: int, name: str) -> None:
    """From inside the namespace; one that is gone is no failure."""

    def delete() -> None:
        with netlink.Socket() as here:
            (error,) = here.outcomes([links.delete_named(name)])
            if error is not None and error.errno != 19:  # ENODEV
                raise error

    netns.inside(netns_fd, delete)


def allowed_interface(name: str) -> bool:
    return 0 < len(name) <= links.NAME_MAX and not set(name) & set("/ :\t\n") and name != "lo"
