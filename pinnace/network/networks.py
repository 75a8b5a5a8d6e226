"""Networks and the containers in them: made, joined, left, and found again after a restart.

plan      addresses and ports of a start are taken: one transaction, before the container is
join      its namespace gets the links; the firewall learns of it: one more transaction
release   all of it is given back; the links go with the namespace
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from pinnace import errors
from pinnace.linux import links
from pinnace.network import addresses, bridge, driver, ports, vlans
from pinnace.network.addresses import Pool
from pinnace.network.creation import Creation, Request
from pinnace.network.definitions import Definition, Endpoint, Port
from pinnace.network.driver import Driver, Unlinked
from pinnace.network.filtering import Filter
from pinnace.network.host import Host
from pinnace.network.legs import Legs, Sandbox, Wanted, setting_up
from pinnace.network.names import Names, Resolution
from pinnace.network.ports import PortRequest, Ports
from pinnace.network.register import Register

_log = logging.getLogger(__name__)


class Namespace(NamedTuple):
    """A container's network namespace and first process; the fds stay the caller's.

    host_servers are asked for other names from the host, own_servers from the namespace; links
    are other names for the names of containers.
    """

    netns_fd: int
    pidfd: int = -1
    host_servers: Sequence[str] = ()
    own_servers: Sequence[str] = ()
    links: Mapping[str, str] = {}


_DEFAULT_BRIDGE: Final = Request("bridge")


class Networks:
    def __init__(
        self,
        register: Register,
        host: Host,
        names: Names,
        *,
        pools: Sequence[Pool] = addresses.DEFAULT_POOLS,
        default_bridge: Request = _DEFAULT_BRIDGE,
    ) -> None:
        self._register = register
        self._host = host
        self._names = names
        self._ports = Ports(host)
        self._drivers: dict[str, Driver] = {
            "bridge": bridge.Bridge(host),
            "macvlan": vlans.Vlans(host, "macvlan"),
            "ipvlan": vlans.Vlans(host, "ipvlan"),
            "host": Unlinked(),
            "null": Unlinked(),
        }
        self._filter = Filter(host, register)
        self._creation = Creation(register, host, self._filter, self._drivers, pools)
        self._legs = Legs(register, self._ports)
        self._default_bridge = default_bridge

    # Networks

    def create(self, request: Request) -> Definition:
        """A network that can be joined at once. Raises what Docker answers."""
        definition = self._creation.create(request)
        self._names.know(definition, [])
        self._names.start_soon()
        return definition

    def remove(self, ident: str) -> Definition:
        definition = self._creation.remove(ident)
        self._names.forget_network(definition.id)
        return definition

    def find(self, ident: str) -> Definition:
        """By id, name or the beginning of an id; raises NotFound."""
        return self._register.find(ident)

    def all(self) -> list[Definition]:
        return self._register.networks()

    def members(self, network: str) -> list[Endpoint]:
        """The endpoints in a network, by its id."""
        return [each for each in self._register.of_network(network) if not each.prepared]

    def legs(self, container: str) -> list[Endpoint]:
        """The endpoints of a container that runs."""
        return [each for each in self._register.of_container(container) if not each.prepared]

    @property
    def host_gateway(self) -> str:
        """What `host-gateway` stands for: the host, as containers of the default bridge see it."""
        return self.find("bridge").blocks[0].gateway

    def resolved(self, container: str) -> bool:
        """Whether its names are answered at 127.0.0.11: it is in a network of someone's own."""
        return any(self._named(each) for each in self._register.of_container(container))

    def _named(self, endpoint: Endpoint) -> bool:
        return not self._register.find(endpoint.network).predefined

    # A container's start and end

    def plan(
        self,
        sandbox: Sandbox,
        wanted: Sequence[Wanted],
        requests: Sequence[PortRequest] = (),
    ) -> list[Endpoint]:
        """Take addresses and ports for a start; a leg that `prepare` made is kept if it fits.

        Raises what Docker answers, and nothing is taken then.
        """
        with setting_up():
            if not self._legs.fitting(sandbox, wanted):
                raise errors.Conflict("the prepared namespace does not fit")
            return self._legs.plan(sandbox, wanted, requests)

    def prepare(self, container: str, netns_fd: int) -> None:
        """Give a waiting shell its leg in the default bridge, in case its container wants one."""
        shell = Sandbox(container, container[:12], prepared=True)
        self._legs.plan(shell, [Wanted("bridge")], ())
        try:
            self.join(container, Namespace(netns_fd))
        except BaseException:
            self.release(container)
            raise

    def fits(self, sandbox: Sandbox, wanted: Sequence[Wanted]) -> bool:
        """Whether what `prepare` made can be kept; else the shell is of no use."""
        return self._legs.fitting(sandbox, wanted)

    def join(self, container: str, namespace: Namespace) -> None:
        """Give the container's namespace the links that it has not got yet, ports and names."""
        endpoints = self._register.of_container(container)
        missing = [each for each in endpoints if each.id not in self._filter.joined]
        with setting_up():
            for each in missing:
                definition = self._register.find(each.network)
                self._drivers[definition.driver].join(definition, each, namespace.netns_fd)
            if missing:
                interfaces = self._legs.interfaces(endpoints, missing)
                driver.configure(namespace.netns_fd, interfaces)
            self._filter.add(*endpoints)
            self._resolve(container, namespace)
        for each in endpoints:
            self._hold(each, namespace)

    def _hold(self, endpoint: Endpoint, namespace: Namespace) -> None:
        """Ports outlive the daemon."""
        if namespace.pidfd >= 0 and endpoint.ports:
            held = self._ports.sockets(endpoint.id)
            self._names.hold(namespace.pidfd, held, ports.relays(endpoint))

    def _resolve(self, container: str, namespace: Namespace) -> None:
        named = [each for each in self._register.of_container(container) if self._named(each)]
        if not named:
            return
        for each in named:
            self._names.put(each)
        resolution = self._resolution(container, namespace)
        self._names.attach(container, namespace.netns_fd, namespace.pidfd, resolution)

    def _resolution(self, container: str, namespace: Namespace) -> Resolution:
        """I23: who can't reach the outside can't have it asked for them, either."""
        legs = self._register.of_container(container)
        networks = [self._register.find(each.network) for each in legs]
        outside = any(not each.internal for each in networks)
        return Resolution(
            networks=[each.id for each in networks if not each.predefined],
            links=namespace.links,
            host_servers=namespace.host_servers if outside else (),
            own_servers=namespace.own_servers if outside else (),
        )

    def release(self, container: str) -> list[Endpoint]:
        """The namespace is going, and its links with it: nobody waits for that. Idempotent."""
        with self._register.lock:
            gone = self._register.of_container(container)
            if gone:
                self._forget(gone)
        if any(self._named(each) for each in gone):
            self._names.detach(container)
        return gone

    def _forget(self, gone: Sequence[Endpoint]) -> None:
        self._filter.remove(*gone)
        for each in gone:
            self._ports.release(each.id)
            if each.ports:
                self._names.release([ports.name(port) for port in each.ports])
            self._names.drop(each)
        self._register.forget(gone)

    # While it runs

    def connect(self, sandbox: Sandbox, wanted: Wanted, namespace: Namespace) -> Endpoint:
        """One more leg; the default route goes where the priorities say."""
        self._check_connect(sandbox, wanted)
        before = self._register.of_container(sandbox.container)
        (endpoint,) = self._legs.plan(sandbox, [wanted], ())
        try:
            after = [*before, endpoint]
            self._legs.move_default(before, after, namespace.netns_fd, arriving=endpoint)
            self.join(sandbox.container, namespace)
        except BaseException:
            self.disconnect(sandbox.container, endpoint.network, namespace)
            raise
        return endpoint

    def _check_connect(self, sandbox: Sandbox, wanted: Wanted) -> None:
        definition = self.find(wanted.network)
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

    def disconnect(self, container: str, ident: str, namespace: Namespace) -> Endpoint:
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
        self._drivers[definition.driver].leave(definition, leaving, namespace.netns_fd)
        self._legs.move_default(legs, rest, namespace.netns_fd)
        self._move_ports(leaving, rest, namespace)
        self._names.see(container, self._resolution(container, namespace))
        return leaving

    def _move_ports(
        self, leaving: Endpoint, rest: Sequence[Endpoint], namespace: Namespace
    ) -> None:
        carrier = self._legs.carrier(rest) if leaving.ports else None
        if carrier is not None:
            requests = [
                PortRequest(each.protocol, each.port, each.host, each.host_port, each.host_port)
                for each in leaving.ports
            ]
            self._publish(carrier, requests, namespace)

    def publish(
        self, container: str, requests: Sequence[PortRequest], namespace: Namespace
    ) -> list[Port]:
        """Publish further ports of a running container."""
        carrier = self._legs.carrier(self._register.of_container(container))
        if carrier is None:
            raise errors.Conflict(f"container {container} has no network to publish ports on")
        return self._publish(carrier, requests, namespace)

    def _publish(
        self, carrier: Endpoint, requests: Sequence[PortRequest], namespace: Namespace
    ) -> list[Port]:
        with self._register.lock:
            made = self._legs.hold(carrier, requests)
            try:
                carrying = msgspec.structs.replace(carrier, ports=[*carrier.ports, *made])
                self._register.record([carrying])
                self._filter.add(carrying)
            except BaseException:
                self._ports.release(carrier.id, made)
                raise
        self._hold(carrying, namespace)
        return made

    def unpublish(self, container: str, going: Sequence[Port]) -> None:
        """No new connections; what goes on may go on."""
        with self._register.lock:
            for each in self._register.of_container(container):
                gone = [port for port in each.ports if port in going]
                if gone:
                    kept = [port for port in each.ports if port not in going]
                    less = msgspec.structs.replace(each, ports=kept)
                    # A set has an element once, though two ports may want it.
                    self._filter.remove(each)
                    self._filter.add(less)
                    self._register.record([less])
                    self._ports.release(each.id, gone)
                    self._names.release([ports.name(port) for port in gone])

    # The engine's start and end

    def recover(self, running: Mapping[str, Namespace]) -> None:
        """Make the predefined networks, repair all, and drop what containers have left behind."""
        with self._register.lock:
            gone = [each for each in self._register.endpoints() if each.container not in running]
            self._register.forget(gone)
            self._filter.adopt(self._register.endpoints())
            self._creation.predefine(self._default_bridge)
            self._filter.repair()
            for each in self._register.networks():
                self._set_up(each)
            for endpoint in gone:
                self._sweep(endpoint)
        self._find_names(running)
        if not all(each.predefined for each in self._register.networks()):
            self._names.start_soon()

    def _set_up(self, definition: Definition) -> None:
        """One network that can't be must not keep the others, and the engine, from being."""
        try:
            self._drivers[definition.driver].setup(definition)
            self._filter.enable_routing(definition)
        except (errors.PinnaceError, OSError) as error:
            _log.error("network %s could not be set up: %s", definition.name, error)
        if not definition.predefined:
            self._names.know(definition, self._register.of_network(definition.id))

    def _find_names(self, running: Mapping[str, Namespace]) -> None:
        known = self._names.reconnect()
        for container in set(known.sandboxes) - set(running):
            self._names.detach(container)
        wanted = {ports.name(p) for each in self._register.endpoints() for p in each.ports}
        self._names.release(set(known.held) - wanted)
        for container, namespace in running.items():
            if container not in known.sandboxes:
                self._resolve(container, namespace)
                continue
            resolution = self._resolution(container, namespace)
            self._names.remember(container, namespace.netns_fd, namespace.pidfd, resolution)
        for endpoint in self._register.endpoints():
            for port in self._ports.claim(endpoint.id, endpoint.ports, known.held):
                _log.warning(
                    "port %s of container %s is held by someone else now",
                    ports.name(port), endpoint.name,
                )  # fmt: skip

    def _sweep(self, endpoint: Endpoint) -> None:
        """The half of a pair whose container ended, or never began, while nobody looked."""
        if endpoint.link and self._host.link(endpoint.link) is not None:
            self._host.netlink.outcomes([links.delete_named(endpoint.link)])

    @property
    def watch_fd(self) -> int:
        """Readable when someone has changed the firewall: `repair_if_lost`."""
        return self._host.watch.fileno()

    def repair_if_lost(self) -> bool:
        """Write our tables again if someone has removed them, by a reload of a firewall say."""
        return self._filter.repair_if_lost()

    def repair(self) -> None:
        self._filter.repair()

    def close(self) -> None:
        """Let go of sockets; containers go on."""
        self._names.close()
        self._ports.close()
        self._host.close()

    def erase(self) -> None:
        """Remove all that is ours from the kernel: for an engine that is not to come back."""
        for each in self._register.networks():
            self._drivers[each.driver].teardown(each)
        self._filter.erase()
