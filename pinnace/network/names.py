"""The daemon's side of the process that answers names: started, told, and found again.

Rule: it is told what changes, and of everything when either side is new.
"""

import errno
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from pinnace.linux import netlink, netns, nftables, process
from pinnace.linux import nftables_rules as r
from pinnace.linux.nftables import Chain, Content, Table
from pinnace.linux.nftables_rules import Hook, rule
from pinnace.network import nameserver
from pinnace.network.definitions import Definition, Endpoint
from pinnace.network.host import Host
from pinnace.runtime.sync import Channel, Closed, close_fds

ADDRESS: Final = "127.0.0.11"
_PORT: Final = 53
_SOCKET: Final = "names.sock"
_RULES: Final = Table("ip", "pinnace")


class Resolution(NamedTuple):
    """What a container may ask: in which networks, under which links, and whom else."""

    networks: Sequence[str]
    links: Mapping[str, str] = {}
    host_servers: Sequence[str] = ()
    own_servers: Sequence[str] = ()


class Names:
    def __init__(self, folder: str, host: Host | None = None) -> None:
        self._folder = folder
        self._host = host
        self._lock = threading.RLock()
        self._channel: Channel | None = None
        self._holding: set[str] = set()
        self.pid = 0  # of the process, if this daemon has started it
        self._zones: dict[str, tuple[Definition, dict[str, Endpoint]]] = {}

    # The process

    def _connected(self) -> Channel:
        if self._channel is None:
            self._channel = self._find() or self._start()
            _hello(self._channel)
            self._tell_all(self._channel)
        return self._channel

    def _tell_all(self, channel: Channel) -> None:
        for definition, endpoints in self._zones.values():
            channel.send(_zone(definition, endpoints.values()))

    def _find(self) -> Channel | None:
        """The one that an earlier daemon has started."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _Folder(self._folder) as folder:
            try:
                connection.connect(f"{folder}/{_SOCKET}")
            except OSError:
                connection.close()
                return None
        return Channel(connection)

    def _start(self) -> Channel:
        path = f"{self._folder}/{_SOCKET}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _Folder(self._folder) as folder:
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    pass
                listener.bind(f"{folder}/{_SOCKET}")
            os.chmod(path, 0o600)
            listener.listen(4)
            # Connected before it runs: it must not see itself unneeded.
            connection = self._find()
            assert connection is not None
            # Where the bridges are, it reaches the containers.
            inside = self._host.inside if self._host else _directly
            self.pid = pid = inside(lambda: _spawn(path, listener.fileno()))
        finally:
            listener.close()
        threading.Thread(target=os.waitpid, args=(pid, 0), name="names", daemon=True).start()
        return connection

    def _tell(self, *messages: nameserver.Message, fds: list[int] | None = None) -> None:
        """A process that has died is started again, and told everything."""
        with self._lock:
            try:
                channel = self._connected()
                for message in messages:
                    channel.send(message, fds)
            except (Closed, OSError):
                self._forget()
                channel = self._connected()
                for message in messages:
                    channel.send(message, fds)

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def start_soon(self) -> None:
        """In the background: a container that is to be answered need not wait for it then."""
        if not self.running:
            threading.Thread(target=self._warm, name="names", daemon=True).start()

    def _warm(self) -> None:
        with self._lock:
            try:
                self._connected()
            except (Closed, OSError):
                self._forget()  # who needs it will see why

    def settle(self) -> None:
        """Return when all that was told before has taken effect."""
        if self.running:
            with self._lock:
                try:
                    _hello(self._connected())
                except (Closed, OSError):
                    self._forget()
                    self._connected()

    @property
    def running(self) -> bool:
        return self._channel is not None

    # Networks

    def know(self, definition: Definition, endpoints: Iterable[Endpoint]) -> None:
        """A network, with all that is in it."""
        known = {each.id: each for each in endpoints}
        self._zones[definition.id] = definition, known
        if self.running:
            self._tell(_zone(definition, known.values()))

    def forget_network(self, network: str) -> None:
        self._zones.pop(network, None)
        if self.running:
            self._tell(nameserver.DropZone(network=network))

    def put(self, endpoint: Endpoint) -> None:
        if endpoint.network in self._zones:
            self._zones[endpoint.network][1][endpoint.id] = endpoint
            if self.running:
                member = _member(endpoint)
                self._tell(nameserver.Put(network=endpoint.network, member=member))

    def drop(self, endpoint: Endpoint) -> None:
        if endpoint.network in self._zones:
            self._zones[endpoint.network][1].pop(endpoint.id, None)
            if self.running:
                self._tell(nameserver.Drop(network=endpoint.network, endpoint=endpoint.id))

    # Containers

    def attach(self, container: str, netns_fd: int, pidfd: int, resolution: Resolution) -> None:
        """Answer a container from now on; its /etc/resolv.conf is to name 127.0.0.11."""
        udp, tcp = netns.inside(netns_fd, listen)
        try:
            request = nameserver.Attach(
                sandbox=container,
                networks=list(resolution.networks),
                links=dict(resolution.links),
                host_servers=list(resolution.host_servers),
                own_servers=list(resolution.own_servers),
            )
            fds = [netns_fd, pidfd, udp.fileno(), tcp.fileno()]
            self._tell(request, fds=fds)
        finally:
            udp.close()
            tcp.close()

    def see(self, container: str, resolution: Resolution) -> None:
        """It is in other networks now."""
        self._tell(
            nameserver.See(
                sandbox=container,
                networks=list(resolution.networks),
                host_servers=list(resolution.host_servers),
                own_servers=list(resolution.own_servers),
            )
        )

    def detach(self, container: str) -> None:
        if self.running:
            self._tell(nameserver.Detach(sandbox=container))

    # Published ports

    def hold(self, pidfd: int, held: Mapping[str, int], relays: Mapping[str, str]) -> None:
        """Keep sockets, by the ports' names, while the daemon is away and the process lives.

        Connections to those in relays are passed on. Nobody waits for all that: the process may
        have to be started first.
        """
        if held:
            with self._lock:
                self._holding |= held.keys()
            own = {name: os.dup(fd) for name, fd in held.items()}
            work = (os.dup(pidfd), own, relays)
            threading.Thread(target=self._hold, args=work, name="ports", daemon=True).start()

    def _hold(self, pidfd: int, held: Mapping[str, int], relays: Mapping[str, str]) -> None:
        try:
            for name, fd in held.items():
                message = nameserver.Hold(owner=name, relay=relays.get(name, ""))
                with self._lock:
                    if name in self._holding:  # not released meanwhile
                        self._tell(message, fds=[pidfd, fd])
        finally:
            close_fds([pidfd, *held.values()])

    def release(self, names: Collection[str]) -> None:
        """When it returns, the ports can be bound by others."""
        with self._lock:
            self._holding -= set(names)
            if self.running and names:
                self._tell(*(nameserver.Release(owner=name) for name in names))
                self.settle()

    def reconnect(self) -> nameserver.Known:
        """After a restart: who is answered, the others are to be attached; which ports are held."""
        with self._lock:
            self._channel = self._channel or self._find()
            if self._channel is None:
                return nameserver.Known(sandboxes=[])
            found = _hello(self._channel)
            self._tell_all(self._channel)
            return found

    def close(self) -> None:
        """Let it go on."""
        with self._lock:
            self._forget()


def _hello(channel: Channel) -> nameserver.Known:
    channel.send(nameserver.Hello())
    frame, _ = channel.receive_frame()
    return nameserver.known.decode(frame)


def _spawn(path: str, listener_fd: int) -> int:
    env = {"PATH": os.environ.get("PATH", "")}
    return process.spawn(nameserver.command(path), [listener_fd], env)


def _directly(action: Callable[[], int]) -> int:
    return action()


class _Folder:
    """A short path of a folder: an address has room for 107 bytes (unix(7))."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> str:
        self._fd = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        close_fds([self._fd])


def _zone(definition: Definition, endpoints: Iterable[Endpoint]) -> nameserver.NewZone:
    members = [_member(each) for each in endpoints]
    return nameserver.NewZone(network=definition.id, name=definition.name, members=members)


def _member(endpoint: Endpoint) -> nameserver.Member:
    addresses = [str(address) for address in endpoint.addresses]
    return nameserver.Member(endpoint.id, endpoint.dns_names, addresses)


def listen() -> tuple[socket.socket, socket.socket]:
    """(UDP, TCP) at 127.0.0.11 of the calling thread's namespace, reached by port 53.

    They listen elsewhere, so that a container can have a server of its own at port 53 of all
    addresses. Packets are rewritten without connection tracking, which would slow all others.
    """
    while True:
        udp, tcp = _bound_pair()
        if udp is not None:
            break
    tcp.listen(16)
    messages = nftables.replace(_redirection(udp.getsockname()[1]))
    here = nftables.open_socket()
    try:
        nftables.apply(here, [*_without_old(here), *messages])
    finally:
        here.close()
    return udp, tcp


def _bound_pair() -> tuple[socket.socket | None, socket.socket]:
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        tcp.bind((ADDRESS, 0))
        udp.bind((ADDRESS, tcp.getsockname()[1]))
    except OSError as error:
        udp.close()
        tcp.close()
        if error.errno == errno.EADDRINUSE:
            return None, tcp
        raise
    return udp, tcp


def _without_old(here: netlink.Socket) -> list[netlink.Message]:
    """Of sockets that were lost with their process."""
    if _RULES in nftables.tables(here, _RULES.family):
        return [nftables.delete_table(_RULES)]
    return []


def _redirection(number: int) -> Content:
    address = socket.inet_aton(ADDRESS)
    rules = [
        rule(
            r.equal(field, address),
            r.equal(r.PROTOCOL, protocol),
            r.equal(port, r.port(was)),
            r.set_port(port, becomes, checksum_offset=checksum),
        )
        for field, port, was, becomes in (
            (r.DESTINATION, r.PORT, _PORT, number),
            (r.SOURCE, r.SOURCE_PORT, number, _PORT),
        )
        for protocol, checksum in ((r.UDP, 6), (r.TCP, 16))
    ]
    chain = Chain("output", rules, Hook("filter", r.OUTPUT, -300))
    return Content(_RULES, [chain])
