"""A container's legs: what each endpoint is to be, and which of them leads outside.

Rule: what can be refused is refused here, before anything is made.
"""

import ipaddress
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

import msgspec

from pinnace import errors
from pinnace.network import addresses, definitions, driver
from pinnace.network.addresses import Address
from pinnace.network.definitions import Definition, Endpoint, Port
from pinnace.network.ports import PortRequest, Ports
from pinnace.network.register import Register

SETTING_UP: Final = "failed to set up container networking: "


class Sandbox(NamedTuple):
    """The container whose namespace it is. A trusted one may send from any address.

    It is prepared as long as nobody has asked for it to be started.
    """

    container: str
    name: str
    trusted: bool = False
    prepared: bool = False


class Wanted(NamedTuple):
    """A leg of a container, as the client wants it; dns_names are all its names there."""

    network: str
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    link_local: Sequence[str] = ()
    dns_names: Sequence[str] = ()
    options: Mapping[str, str] = {}
    gateway_priority: int = 0
    links: Sequence[Port] = ()


class Legs:
    def __init__(self, register: Register, ports: Ports) -> None:
        self._register = register
        self._ports = ports

    def plan(
        self, sandbox: Sandbox, wanted: Sequence[Wanted], requests: Sequence[PortRequest]
    ) -> list[Endpoint]:
        """Endpoints with addresses and ports of their own, recorded: all or none.

        One that was made ahead is kept if it fits.
        """
        with self._register.lock, ExitStack() as undo:
            known = {each.network: each for each in self._register.of_container(sandbox.container)}
            planned: list[Endpoint] = []
            for leg in wanted:
                definition = self._register.find(leg.network)
                endpoint = _adopted(known.get(definition.id), sandbox, leg)
                if endpoint is None:
                    endpoint = self._endpoint(sandbox, definition, leg, planned)
                    undo.callback(self._register.give_back, definition.id, endpoint.addresses)
                planned.append(endpoint)
            if requests:
                planned = self._with_ports(planned, requests, undo)
            self._register.record(planned)
            undo.pop_all()
        return planned

    def fitting(self, sandbox: Sandbox, wanted: Sequence[Wanted]) -> bool:
        """Whether the legs that were made ahead are among those wanted."""
        known = {each.network: each for each in self._register.of_container(sandbox.container)}
        for leg in wanted:
            endpoint = known.pop(self._register.find(leg.network).id, None)
            if endpoint is not None and _adopted(endpoint, sandbox, leg) is None:
                return False
        return not known

    def _endpoint(
        self, sandbox: Sandbox, definition: Definition, leg: Wanted, others: Sequence[Endpoint]
    ) -> Endpoint:
        _check_leg(definition, leg)
        asked = [ipaddress.ip_address(text) for text in (leg.ipv4, leg.ipv6) if text]
        owned = {each.version: (each, size) for each, size in self._take(definition, asked)}
        four, six = owned.get(4), owned.get(6)
        first = four or six
        mac = leg.mac or (addresses.mac_of(first[0], definition.id) if first else "")
        reachable = {} if definition.internal else owned
        gateways = {v: self._register.gateway(definition, a) for v, (a, _) in reachable.items()}
        present = [*self._register.of_container(sandbox.container), *others]
        return Endpoint(
            id=secrets.token_hex(32),
            network=definition.id,
            container=sandbox.container,
            name=sandbox.name,
            interface=_interface_name(definition, leg, present),
            link=f"veth{secrets.token_hex(4)[:7]}",
            mac=mac.lower().replace("-", ":"),
            ipv4=str(four[0]) if four else "",
            ipv4_prefix=four[1] if four else 0,
            ipv6=str(six[0]) if six else "",
            ipv6_prefix=six[1] if six else 0,
            gateway4=gateways.get(4, ""),
            gateway6=gateways.get(6, ""),
            link_local=list(leg.link_local),
            dns_names=list(leg.dns_names),
            options=dict(leg.options),
            gateway_priority=leg.gateway_priority,
            trusted=sandbox.trusted,
            prepared=sandbox.prepared,
            links=list(leg.links),
        )

    def _take(self, definition: Definition, asked: Sequence[Address]) -> list[tuple[Address, int]]:
        if asked and definition.chosen_subnets:
            raise errors.Invalid(
                f"invalid config for network {definition.name}: invalid endpoint settings:\n"
                "user specified IP address is supported only when connecting to networks with "
                "user configured subnets"
            )
        return self._register.take(definition, asked)

    def _with_ports(
        self, planned: list[Endpoint], requests: Sequence[PortRequest], undo: ExitStack
    ) -> list[Endpoint]:
        """Ports are published by the endpoint that leads outside."""
        carrier = self.carrier(planned)
        if carrier is None:
            return planned
        ports = self.hold(carrier, requests)
        undo.callback(self._ports.release, carrier.id, ports)
        carrying = msgspec.structs.replace(carrier, ports=[*carrier.ports, *ports])
        return [carrying if each.id == carrier.id else each for each in planned]

    def hold(self, carrier: Endpoint, requests: Sequence[PortRequest]) -> list[Port]:
        binding = self._register.find(carrier.network).options.get(definitions.HOST_BINDING, "")
        if binding and binding != "0.0.0.0":
            requests = [each._replace(host=each.host or binding) for each in requests]
        try:
            return self._ports.take(carrier.id, requests, carrier.addresses)
        except errors.Failed as error:
            raise errors.Failed(
                "driver failed programming external connectivity on endpoint "
                f"{carrier.name} ({carrier.id}): {error.message}"
            ) from error

    def carrier(self, endpoints: Sequence[Endpoint]) -> Endpoint | None:
        for version in (4, 6):
            found = self.default(endpoints, version)
            if found is not None and self._register.find(found.network).driver == "bridge":
                return found
        return None

    def default(self, endpoints: Iterable[Endpoint], version: int) -> Endpoint | None:
        """The endpoint with the default route: the highest priority, then the network's name."""
        able = [each for each in endpoints if (each.gateway4 if version == 4 else each.gateway6)]
        names = {each.id: each.name for each in self._register.networks()}
        return min(able, key=lambda e: (-e.gateway_priority, names[e.network]), default=None)

    def interfaces(
        self, endpoints: Sequence[Endpoint], missing: Sequence[Endpoint]
    ) -> list[driver.Interface]:
        chosen = {version: self.default(endpoints, version) for version in (4, 6)}
        return [
            driver.interface(
                each, default=tuple(v for v, best in chosen.items() if best and best.id == each.id)
            )
            for each in missing
        ]

    def move_default(
        self,
        before: Sequence[Endpoint],
        after: Sequence[Endpoint],
        netns_fd: int,
        arriving: Endpoint | None = None,
    ) -> None:
        """`configure` gives an arriving endpoint its routes, once the old one's are away."""
        was = {version: self.default(before, version) for version in (4, 6)}
        now = {version: self.default(after, version) for version in (4, 6)}
        for version in (4, 6):
            old, new = was[version], now[version]
            if old == new:
                continue
            stays = old if old is not None and old in after else None
            comes = new if new is not None and new != arriving else None
            if stays is not None or comes is not None:
                driver.replace_default(netns_fd, _only(stays, version), _only(comes, version))


def _adopted(endpoint: Endpoint | None, sandbox: Sandbox, leg: Wanted) -> Endpoint | None:
    if endpoint is None or not fits(endpoint, leg) or endpoint.trusted != sandbox.trusted:
        return None
    names = list(leg.dns_names)
    return msgspec.structs.replace(
        endpoint,
        name=sandbox.name,
        prepared=sandbox.prepared,
        dns_names=names,
        gateway_priority=leg.gateway_priority,
    )


def fits(endpoint: Endpoint, leg: Wanted) -> bool:
    """Whether an endpoint that was made ahead is what is wanted."""
    special = (leg.ipv4, leg.ipv6, leg.mac, leg.link_local, leg.options, leg.links)
    return not any(special)


def _check_leg(definition: Definition, leg: Wanted) -> None:
    driver.check_sysctls(leg.options.get(definitions.SYSCTLS, ""))
    if definition.driver in ("host", "null"):
        raise errors.Invalid(f"containers have no leg in network {definition.name}")


def _interface_name(definition: Definition, leg: Wanted, present: Sequence[Endpoint]) -> str:
    taken = {each.interface for each in present}
    wanted = leg.options.get(definitions.IF_NAME, "")
    if wanted:
        if not driver.allowed_interface(wanted) or wanted in taken:
            raise errors.Invalid(f"invalid interface name: {wanted}")
        return wanted
    prefix = definition.options.get(definitions.IF_PREFIX, "eth")
    number = 0
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"


def _only(endpoint: Endpoint | None, version: int) -> Endpoint | None:
    """With the gateway of one version."""
    if endpoint is None:
        return None
    if version == 4:
        return msgspec.structs.replace(endpoint, gateway6="")
    return msgspec.structs.replace(endpoint, gateway4="")


@contextmanager
def setting_up() -> Iterator[None]:
    """Failures of a start are told with Docker's words in front."""
    try:
        yield
    except errors.PinnaceError as error:
        if error.message.startswith("invalid config for network"):
            raise
        raise type(error)(SETTING_UP + error.message) from error
    except OSError as error:
        raise errors.Failed(f"{SETTING_UP}{error.strerror or error}") from error
