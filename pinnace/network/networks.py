"""Networks and the containers in them: made, joined, left, and found again after a restart.

    plan      addresses and ports of a start are taken: one transaction, before the container is
    join      its namespace gets the links; the firewall learns of it: one more transaction
    release   all of it is given back; the links go with the namespace

Rule: what can be refused is refused by `plan`, and then nothing is half made.
"""

import hashlib
import ipaddress
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

import msgspec

from pinnace import errors
from pinnace.linux import links, nftables, routes
from pinnace.linux.netlink import Message
from pinnace.network import addresses, bridge, definitions, driver, firewall
from pinnace.network.addresses import Address, BlockConfig, Pool
from pinnace.network.definitions import BlockRecord, Definition, Endpoint, Port
from pinnace.network.driver import Driver, Unlinked
from pinnace.network.host import Host
from pinnace.network.ports import PortRequest, Ports
from pinnace.network.register import Register

_log = logging.getLogger(__name__)

SETTING_UP: Final = "failed to set up container networking: "


class Request(NamedTuple):
    """A network to be made, as the client wants it."""

    name: str
    driver: str = "bridge"
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    blocks: Sequence[BlockConfig] = ()
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}


class Sandbox(NamedTuple):
    """The container whose namespace it is. A trusted one may send from any address."""

    container: str
    name: str
    trusted: bool = False


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


class Networks:
    def __init__(
        self,
        register: Register,
        host: Host,
        *,
        drivers: Mapping[str, Driver] | None = None,
        pools: Sequence[Pool] = addresses.DEFAULT_POOLS,
        changed: Callable[[str], None] = lambda network: None,
    ) -> None:
        self._register = register
        self._host = host
        self.ports = Ports(host)
        self._drivers: dict[str, Driver] = {"bridge": bridge.Bridge(host)}
        self._drivers |= drivers or {}
        self._drivers |= {"host": Unlinked(), "null": Unlinked()}
        self._pools = [*pools, addresses.local_pool(host.engine)]
        self._changed = changed
        self._joined: set[str] = set()
        self._only_router = False

    # Networks

    def create(self, request: Request) -> Definition:
        """A network that can be joined at once. Raises what Docker answers."""
        self._check_name(request.name)
        if request.driver not in self._drivers:
            raise errors.NotFound(f'plugin "{request.driver}" not found')
        if request.ipam_driver not in ("", "default", "null"):
            raise errors.NotFound(f'plugin "{request.ipam_driver}" not found')
        with self._register.lock, ExitStack() as undo:
            definition = self._define(request)
            chosen = self._drivers[definition.driver]
            definition = chosen.validate(definition, self._register.networks())
            self._register.add(definition)
            undo.callback(self._register.delete, definition.id)
            undo.callback(chosen.teardown, definition)
            chosen.setup(definition)
            self._route(definition)
            self._change(firewall.add, self._segment(definition))
            undo.pop_all()
        return definition

    def _check_name(self, name: str) -> None:
        if not name.strip():
            raise errors.Invalid("invalid name: name is empty")
        if name in definitions.PREDEFINED or name == "default":
            raise errors.Forbidden(f"operation is not permitted on predefined {name} network ")
        if any(each.name == name for each in self._register.networks()):
            raise errors.Conflict(f"network with name {name} already exists")

    def _define(self, request: Request) -> Definition:
        records = self._blocks(request)
        return Definition(
            id=secrets.token_hex(32),
            name=request.name,
            driver=request.driver,
            created=time.time_ns(),
            ipv4=request.ipv4,
            ipv6=request.ipv6,
            internal=request.internal,
            attachable=request.attachable,
            ipam_driver=request.ipam_driver or "default",
            ipam_options=dict(request.ipam_options) if request.ipam_options is not None else None,
            chosen_subnets=not request.blocks,
            blocks=records,
            options=dict(request.options),
            labels=dict(request.labels),
        )

    def _blocks(self, request: Request) -> list[BlockRecord]:
        ours = self._register.subnets()
        asked = addresses.blocks(request.blocks, ipv4=request.ipv4, ipv6=request.ipv6, taken=ours)
        given = {ipaddress.ip_network(config.subnet): config for config in request.blocks}
        if request.driver not in ("host", "null"):
            for version, wanted in ((4, request.ipv4), (6, request.ipv6)):
                if wanted and not any(block.version == version for block in asked):
                    taken = [*ours, *self._routed(version), *(each.subnet for each in asked)]
                    subnet = addresses.choose_subnet(self._pools, version, taken)
                    asked.append(addresses.Block(subnet, None))
        return [_record(addresses.with_gateway(each), given.get(each.subnet)) for each in asked]

    def _routed(self, version: int) -> Iterator[addresses.Network]:
        """What the host reaches already: no subnet of ours is to hide it."""
        family = 2 if version == 4 else 10
        for route in routes.routes(self._host.netlink, family):
            if route.prefix:
                yield ipaddress.ip_network((route.packed, route.prefix))

    def remove(self, ident: str) -> Definition:
        with self._register.lock:
            definition = self._register.find(ident)
            if definition.predefined:
                raise errors.Forbidden(
                    f"{definition.name} is a pre-defined network and cannot be removed"
                )
            if active := self._register.of_network(definition.id):
                listed = ", ".join(f'name:"{each.name}" id:"{each.id[:12]}"' for each in active)
                raise errors.Forbidden(
                    f"error while removing network: network {definition.name} has active "
                    f"endpoints ({listed})"
                )
            self._change(firewall.remove, self._segment(definition))
            self._drivers[definition.driver].teardown(definition)
            self._register.delete(definition.id)
        return definition

    def find(self, ident: str) -> Definition:
        return self._register.find("bridge" if ident == "default" else ident)

    def all(self) -> list[Definition]:
        return self._register.networks()

    def members(self, network: str) -> list[Endpoint]:
        """The endpoints in a network, by its id."""
        return self._register.of_network(network)

    def legs(self, container: str) -> list[Endpoint]:
        return self._register.of_container(container)

    @property
    def host_gateway(self) -> str:
        """What `host-gateway` stands for: the host, as containers of the default bridge see it."""
        return self.find("bridge").blocks[0].gateway

    # A container's legs

    def plan(
        self,
        sandbox: Sandbox,
        wanted: Sequence[Wanted],
        requests: Sequence[PortRequest] = (),
    ) -> list[Endpoint]:
        """Take addresses and ports for a start; a leg that `prepare` made is kept if it fits."""
        with _setting_up(), self._register.lock, ExitStack() as undo:
            known = {each.network: each for each in self._register.of_container(sandbox.container)}
            planned: list[Endpoint] = []
            for leg in wanted:
                definition = self.find(leg.network)
                endpoint = self._adopted(known.get(definition.id), sandbox, leg)
                if endpoint is None:
                    endpoint = self._endpoint(sandbox, definition, leg, planned)
                    owned = (definition.id, endpoint.addresses)
                    undo.callback(self._register.give_back, *owned)
                planned.append(endpoint)
            if requests:
                planned = self._with_ports(planned, requests, undo)
            self._register.record(planned)
            undo.pop_all()
        for each in planned:
            self._changed(each.network)
        return planned

    def prepare(self, container: str, netns_fd: int) -> None:
        """Give a waiting shell its leg in the default bridge, in case its container wants one."""
        self.plan(Sandbox(container, container[:12]), [Wanted("bridge")])
        try:
            self.join(container, netns_fd)
        except BaseException:
            self.release(container)
            raise

    def _adopted(self, endpoint: Endpoint | None, sandbox: Sandbox, leg: Wanted) -> Endpoint | None:
        if endpoint is None or not fits(endpoint, leg) or endpoint.trusted != sandbox.trusted:
            return None
        names = list(leg.dns_names)
        return msgspec.structs.replace(
            endpoint, name=sandbox.name, dns_names=names, gateway_priority=leg.gateway_priority
        )

    def fitting(self, container: str, sandbox: Sandbox, wanted: Sequence[Wanted]) -> bool:
        """Whether the legs that `prepare` made are among those wanted; else let them go."""
        known = {each.network: each for each in self._register.of_container(container)}
        for leg in wanted:
            endpoint = known.pop(self.find(leg.network).id, None)
            if endpoint is not None and self._adopted(endpoint, sandbox, leg) is None:
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
        carrier = self._carrier(planned)
        if carrier is None:
            return planned
        ports = self._hold(carrier, requests)
        undo.callback(self.ports.release, carrier.id, ports)
        carrying = msgspec.structs.replace(carrier, ports=[*carrier.ports, *ports])
        return [carrying if each.id == carrier.id else each for each in planned]

    def _hold(self, carrier: Endpoint, requests: Sequence[PortRequest]) -> list[Port]:
        binding = self._register.find(carrier.network).options.get(definitions.HOST_BINDING, "")
        if binding and binding != "0.0.0.0":
            requests = [each._replace(host=each.host or binding) for each in requests]
        try:
            return self.ports.take(carrier.id, requests, carrier.addresses)
        except errors.Failed as error:
            raise errors.Failed(
                "driver failed programming external connectivity on endpoint "
                f"{carrier.name} ({carrier.id}): {error.message}"
            ) from error

    def _carrier(self, endpoints: Sequence[Endpoint]) -> Endpoint | None:
        for version in (4, 6):
            found = self._default(endpoints, version)
            if found is not None and self._register.find(found.network).driver == "bridge":
                return found
        return None

    def _default(self, endpoints: Iterable[Endpoint], version: int) -> Endpoint | None:
        """The endpoint with the default route: the highest priority, then the network's name."""
        able = [each for each in endpoints if (each.gateway4 if version == 4 else each.gateway6)]
        names = {each.id: each.name for each in self._register.networks()}
        return min(able, key=lambda e: (-e.gateway_priority, names[e.network]), default=None)

    def join(self, container: str, netns_fd: int) -> None:
        """Give the container's namespace the links that it has not got yet."""
        endpoints = self._register.of_container(container)
        missing = [each for each in endpoints if each.id not in self._joined]
        with _setting_up():
            for each in missing:
                definition = self._register.find(each.network)
                self._drivers[definition.driver].join(definition, each, netns_fd)
            if missing:
                driver.configure(netns_fd, self._interfaces(endpoints, missing))
            self._change(firewall.add, *(self._leg(each) for each in endpoints))
        self._joined |= {each.id for each in missing}

    def _interfaces(
        self, endpoints: Sequence[Endpoint], missing: Sequence[Endpoint]
    ) -> list[driver.Interface]:
        chosen = {version: self._default(endpoints, version) for version in (4, 6)}
        return [
            driver.interface(
                each, default=tuple(v for v, best in chosen.items() if best and best.id == each.id)
            )
            for each in missing
        ]

    def release(self, container: str) -> None:
        """The namespace is going: nobody waits for its links to be deleted."""
        with self._register.lock:
            gone = self._register.of_container(container)
            if gone:
                self._forget(gone)
        for each in gone:
            self._changed(each.network)

    def _forget(self, gone: Sequence[Endpoint]) -> None:
        joined = [each for each in gone if each.id in self._joined]
        self._change(firewall.remove, *(self._leg(each) for each in joined))
        for each in gone:
            self.ports.release(each.id)
            self._joined.discard(each.id)
        self._register.forget(gone)

    # While it runs

    def connect(self, sandbox: Sandbox, wanted: Wanted, netns_fd: int) -> Endpoint:
        """One more leg; the default route goes where the priorities say."""
        definition = self.find(wanted.network)
        self._check_connect(sandbox, definition)
        before = self._register.of_container(sandbox.container)
        with self._register.lock, ExitStack() as undo:
            endpoint = self._endpoint(sandbox, definition, wanted, ())
            undo.callback(self._register.give_back, definition.id, endpoint.addresses)
            self._register.record([endpoint])
            undo.pop_all()
        try:
            self._move_default(before, [*before, endpoint], netns_fd, arriving=endpoint)
            self.join(sandbox.container, netns_fd)
        except BaseException:
            self.disconnect(sandbox.container, definition.id, netns_fd)
            raise
        self._changed(definition.id)
        return endpoint

    def _check_connect(self, sandbox: Sandbox, definition: Definition) -> None:
        if definition.driver == "host":
            raise errors.Invalid(
                "cannot connect container to host network - container must be created in host "
                "network mode"
            )
        if definition.driver == "null":
            raise errors.Invalid(
                "container cannot be connected to multiple networks with one of the networks in "
                "private (none) mode"
            )
        legs = self._register.of_container(sandbox.container)
        if any(each.network == definition.id for each in legs):
            raise errors.Forbidden(
                f"endpoint with name {sandbox.name} already exists in network {definition.name}"
            )

    def disconnect(self, container: str, ident: str, netns_fd: int) -> Endpoint:
        """Take a leg away; published ports move to the leg that leads outside then."""
        definition = self.find(ident)
        legs = self._register.of_container(container)
        leaving = next((each for each in legs if each.network == definition.id), None)
        if leaving is None:
            raise errors.Failed(
                f"container {container} is not connected to network {definition.name}"
            )
        rest = [each for each in legs if each.id != leaving.id]
        with self._register.lock:
            self._forget([leaving])
        self._drivers[definition.driver].leave(definition, leaving, netns_fd)
        self._move_default(legs, rest, netns_fd)
        self._move_ports(leaving, rest)
        self._changed(definition.id)
        return leaving

    def _move_default(
        self,
        before: Sequence[Endpoint],
        after: Sequence[Endpoint],
        netns_fd: int,
        arriving: Endpoint | None = None,
    ) -> None:
        """`configure` gives an arriving endpoint its routes, once the old one's are away."""
        was = {version: self._default(before, version) for version in (4, 6)}
        now = {version: self._default(after, version) for version in (4, 6)}
        for version in (4, 6):
            old, new = was[version], now[version]
            if old == new:
                continue
            stays = old if old is not None and old in after else None
            comes = new if new is not None and new != arriving else None
            if stays is not None or comes is not None:
                driver.replace_default(netns_fd, _only(stays, version), _only(comes, version))

    def _move_ports(self, leaving: Endpoint, rest: Sequence[Endpoint]) -> None:
        carrier = self._carrier(rest) if leaving.ports else None
        if carrier is None:
            return
        requests = [
            PortRequest(each.protocol, each.port, each.host, each.host_port, each.host_port)
            for each in leaving.ports
        ]
        self._publish(carrier, requests)

    def publish(self, container: str, requests: Sequence[PortRequest]) -> list[Port]:
        """Publish further ports of a running container."""
        carrier = self._carrier(self._register.of_container(container))
        if carrier is None:
            raise errors.Conflict(f"container {container} has no network to publish ports on")
        return self._publish(carrier, requests)

    def _publish(self, carrier: Endpoint, requests: Sequence[PortRequest]) -> list[Port]:
        with self._register.lock:
            ports = self._hold(carrier, requests)
            try:
                carrying = msgspec.structs.replace(carrier, ports=[*carrier.ports, *ports])
                self._register.record([carrying])
                self._change(firewall.add, self._leg(carrying))
            except BaseException:
                self.ports.release(carrier.id, ports)
                raise
        return ports

    def unpublish(self, container: str, ports: Sequence[Port]) -> None:
        """No new connections; what goes on may go on."""
        with self._register.lock:
            for each in self._register.of_container(container):
                going = [port for port in each.ports if port in ports]
                if going:
                    kept = [port for port in each.ports if port not in ports]
                    less = msgspec.structs.replace(each, ports=kept)
                    # A set has an element once, though two ports may want it.
                    self._change(firewall.remove, self._leg(each))
                    self._change(firewall.add, self._leg(less))
                    self._register.record([less])
                    self.ports.release(each.id, going)

    # The firewall

    def _segment(self, definition: Definition) -> firewall.Elements:
        if definition.driver != "bridge":
            return {}
        return firewall.of_segment(bridge.segment(definition))

    def _leg(self, endpoint: Endpoint) -> firewall.Elements:
        definition = self._register.find(endpoint.network)
        if definition.driver != "bridge":
            return {}
        return firewall.of_leg(bridge.leg(definition, endpoint))

    def _change(
        self,
        how: Callable[[str, firewall.Elements], list[Message]],
        *elements: firewall.Elements,
    ) -> None:
        """A few elements, in one transaction; everything anew where the kernel has lost ours."""
        messages = [m for each in elements for m in how(self._host.engine, each)]
        try:
            self._host.change(messages)
        except FileNotFoundError:
            _log.warning("the firewall's tables were changed by someone else: written again")
            self.repair()
            if how is firewall.add:
                self._host.change(messages)

    def repair(self) -> None:
        """Write our tables as they should be, as one transaction; an administrator's rules stay."""
        with self._register.lock:
            bridges = [each for each in self._register.networks() if each.driver == "bridge"]
            own = {each.id: each for each in bridges}
            legs = [
                bridge.leg(own[each.network], each)
                for each in self._register.endpoints()
                if each.network in own and each.id in self._joined
            ]
            contents = firewall.ruleset(
                self._host.engine,
                [bridge.segment(each) for each in bridges],
                legs,
                only_router=self._only_router,
            )
            present = {
                each.table: nftables.names(self._host.firewall, each.table) for each in contents
            }
            self._host.change(firewall.replace(contents, present))

    def repair_if_lost(self) -> bool:
        """To be called when `watch_fd` is readable."""
        if not self._host.watch.lost(firewall.tables(self._host.engine)):
            return False
        _log.warning("the firewall's tables were removed by someone else: written again")
        self.repair()
        self._host.watch.lost(firewall.tables(self._host.engine))  # what we did ourselves
        return True

    @property
    def watch_fd(self) -> int:
        return self._host.watch.fileno()

    def _route(self, definition: Definition) -> None:
        if definition.driver == "bridge":
            was_off = self._host.enable_forwarding(ipv6=definition.ipv6)
            if was_off and not self._only_router:
                self._only_router = True
                self.repair()

    # The engine's start and end

    def recover(self, running: Iterable[str]) -> None:
        """Make the predefined networks, repair all, and drop what containers have left behind."""
        alive = set(running)
        with self._register.lock:
            gone = [each for each in self._register.endpoints() if each.container not in alive]
            self._register.forget(gone)
            self._joined = {each.id for each in self._register.endpoints()}
            self._predefine()
            self.repair()
            for each in self._register.networks():
                self._drivers[each.driver].setup(each)
                self._route(each)
            for endpoint in gone:
                self._sweep(endpoint)
            for endpoint in self._register.endpoints():
                for port in self.ports.claim(endpoint.id, endpoint.ports):
                    _log.warning(
                        "port %s/%s of container %s is held by someone else now",
                        port.host_port, port.protocol, endpoint.name,
                    )  # fmt: skip

    def _sweep(self, endpoint: Endpoint) -> None:
        """The half of a pair whose container ended, or never began, while nobody looked."""
        if endpoint.link and self._host.link(endpoint.link) is not None:
            self._host.netlink.outcomes([links.delete_named(endpoint.link)])

    def _predefine(self) -> None:
        present = {each.name for each in self._register.networks()}
        for name, kind in (("host", "host"), ("none", "null")):
            if name not in present:
                self._register.add(_predefined(self._host.engine, name, kind))
        if "bridge" not in present:
            options = bridge.default_options(self._host)
            blocks = self._blocks(Request("bridge"))
            definition = msgspec.structs.replace(
                _predefined(self._host.engine, "bridge", "bridge"),
                blocks=blocks,
                chosen_subnets=True,
                options=options | _DEFAULTS,
                link=options[definitions.NAME],
            )
            self._register.add(definition)

    def close(self) -> None:
        """Let go of sockets; containers go on."""
        self.ports.close()
        self._host.close()

    def erase(self) -> None:
        """Remove all that is ours from the kernel: for an engine that is not to come back."""
        for each in self._register.networks():
            self._drivers[each.driver].teardown(each)
        for table in firewall.tables(self._host.engine):
            if table in nftables.tables(self._host.firewall, table.family):
                self._host.change([nftables.delete_table(table)])


_DEFAULTS: Final = {
    definitions.DEFAULT_BRIDGE: "true",
    definitions.ICC: "true",
    definitions.MASQUERADE: "true",
    definitions.HOST_BINDING: "0.0.0.0",
    definitions.MTU: "1500",
}


def _predefined(engine: str, name: str, kind: str) -> Definition:
    ident = hashlib.sha256(f"{engine} {name}".encode()).hexdigest()
    return Definition(id=ident, name=name, driver=kind, created=time.time_ns())


def _record(block: addresses.Block, asked: BlockConfig | None) -> BlockRecord:
    return BlockRecord(
        subnet=str(block.subnet),
        gateway=str(block.gateway or ""),
        ip_range=str(block.ip_range or ""),
        auxiliary=dict(asked.auxiliary) if asked else {},
        asked_gateway=asked.gateway if asked else None,
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
def _setting_up() -> Iterator[None]:
    """Failures of a start are told with Docker's words in front."""
    try:
        yield
    except errors.PinnaceError as error:
        if error.message.startswith("invalid config for network"):
            raise
        raise type(error)(SETTING_UP + error.message) from error
    except OSError as error:
        raise errors.Failed(f"{SETTING_UP}{error.strerror or error}") from error
