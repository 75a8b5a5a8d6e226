"""The daemon's side of the process that answers names: started, told, and found again.

Rule: it is told what changes, and of everything when either side is new.
"""

import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from pinnace.linux import netns, process
from pinnace.network import listening, nameserver
from pinnace.network.definitions import Definition, Endpoint
from pinnace.network.host import Host
from pinnace.runtime.sync import Channel, Closed, close_fds

_SOCKET: Final = "names.sock"


_log = logging.getLogger(__name__)


class Resolution(NamedTuple):
    """What a container may ask: in which networks, under which links, and whom else."""

    networks: Sequence[str]
    links: Mapping[str, str] = {}
    host_servers: Sequence[str] = ()
    own_servers: Sequence[str] = ()


class _Answered(NamedTuple):
    """A container that is answered, by fds of our own: it is to be answered again after a crash."""

    netns_fd: int
    pidfd: int
    resolution: Resolution


class _Port(NamedTuple):
    """A held port, by fds of our own."""

    pidfd: int
    fd: int
    relay: str


class Names:
    def __init__(self, folder: str, host: Host | None = None) -> None:
        self._folder = folder
        self._host = host
        self._lock = threading.RLock()
        self._channel: Channel | None = None
        self._answered: dict[str, _Answered] = {}
        self._holding: dict[str, _Port] = {}
        self.pid = 0  # of the process, if this daemon has started it
        self._zones: dict[str, tuple[Definition, dict[str, Endpoint]]] = {}

    # The process

    def _connected(self) -> Channel:
        """The process that there is, or a new one that is told everything."""
        if self._channel is None:
            found = self._find()
            self._channel = channel = found or self._start()
            _hello(channel)
            self._tell_zones(channel)
            if found is None:
                self._tell_rest(channel)
            watch = threading.Thread(target=self._watch, args=(channel,), daemon=True)
            watch.start()
        return self._channel

    def _tell_zones(self, channel: Channel) -> None:
        for definition, endpoints in self._zones.values():
            channel.send(_zone(definition, endpoints.values()))

    def _tell_rest(self, channel: Channel) -> None:
        for name, port in self._holding.items():
            message = nameserver.Hold(owner=name, relay=port.relay)
            channel.send(message, [port.pidfd, port.fd])
        for container, answered in self._answered.items():
            try:
                _attach(channel, container, answered)
            except OSError as error:  # it is ending just now
                _log.debug("names for %s: %s", container[:12], error)

    def _watch(self, channel: Channel) -> None:
        """When the process dies, another takes over at once."""
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLRDHUP)
        poll.poll()
        with self._lock:
            if self._channel is not channel:
                return
            _log.warning("the process that answers names is gone: another is started")
            self._forget()
            if self._answered or self._holding:
                self._warm()

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
        """A new process is told what is to be known, and so this as well."""
        with self._lock:
            try:
                channel = self._connected()
                for message in messages:
                    channel.send(message, fds)
            except (Closed, OSError):
                self._forget()
                self._connected()

    def _forget(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            try:
                channel.socket.shutdown(socket.SHUT_RDWR)  # `_watch` wakes up
            except OSError:
                pass  # it was the other side that left
            channel.close()

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
        self.remember(container, netns_fd, pidfd, resolution)
        with self._lock:
            answered = self._answered[container]
            if not self.running and self._find_or_start():
                return  # it was told of all containers
            try:
                _attach(self._connected(), container, answered)
            except Closed:
                self._forget()
                self._connected()

    def _find_or_start(self) -> bool:
        """Whether a new process had to be started."""
        before = self.pid
        self._connected()
        return self.pid != before

    def remember(self, container: str, netns_fd: int, pidfd: int, resolution: Resolution) -> None:
        """It is answered already, by a process that an earlier daemon has started."""
        with self._lock:
            self._lose(container)
            self._answered[container] = _Answered(os.dup(netns_fd), os.dup(pidfd), resolution)

    def _lose(self, container: str) -> None:
        known = self._answered.pop(container, None)
        if known is not None:
            close_fds([known.netns_fd, known.pidfd])

    def see(self, container: str, resolution: Resolution) -> None:
        """It is in other networks now."""
        with self._lock:
            known = self._answered.get(container)
            if known is None:
                return
            self._answered[container] = known._replace(resolution=resolution)
            self._tell(
                nameserver.See(
                    sandbox=container,
                    networks=list(resolution.networks),
                    host_servers=list(resolution.host_servers),
                    own_servers=list(resolution.own_servers),
                )
            )

    def detach(self, container: str) -> None:
        with self._lock:
            self._lose(container)
            if self.running:
                self._tell(nameserver.Detach(sandbox=container))

    # Published ports

    def hold(self, pidfd: int, held: Mapping[str, int], relays: Mapping[str, str]) -> None:
        """Keep sockets, by the ports' names, while the daemon is away and the process lives.

        Connections to those in relays are passed on. Nobody waits for all that: the process may
        have to be started first.
        """
        new = {
            name: _Port(os.dup(pidfd), os.dup(fd), relays.get(name, ""))
            for name, fd in held.items()
        }
        if new:
            with self._lock:
                for name, port in new.items():
                    self._let_go(name)
                    self._holding[name] = port
            threading.Thread(target=self._hold, args=(new,), name="ports", daemon=True).start()

    def _hold(self, new: Mapping[str, _Port]) -> None:
        with self._lock:
            for name, port in new.items():
                if self._holding.get(name) is port:  # not released meanwhile
                    message = nameserver.Hold(owner=name, relay=port.relay)
                    self._tell(message, fds=[port.pidfd, port.fd])

    def _let_go(self, name: str) -> None:
        port = self._holding.pop(name, None)
        if port is not None:
            close_fds([port.pidfd, port.fd])

    def release(self, names: Collection[str]) -> None:
        """When it returns, the ports can be bound by others."""
        with self._lock:
            for name in names:
                self._let_go(name)
            if self.running and names:
                self._tell(*(nameserver.Release(owner=name) for name in names))
                self.settle()

    def reconnect(self) -> nameserver.Known:
        """After a restart: who is answered, the others are to be attached; which ports are held."""
        with self._lock:
            if self._channel is None and not os.path.exists(f"{self._folder}/{_SOCKET}"):
                return nameserver.Known(sandboxes=[])
            return _hello(self._connected())

    def close(self) -> None:
        """Let it go on."""
        with self._lock:
            self._forget()
            for container in list(self._answered):
                self._lose(container)
            for name in list(self._holding):
                self._let_go(name)


def _attach(channel: Channel, container: str, answered: _Answered) -> None:
    """Raises OSError where the namespace takes no sockets."""
    resolution = answered.resolution
    request = nameserver.Attach(
        sandbox=container,
        networks=list(resolution.networks),
        links=dict(resolution.links),
        host_servers=list(resolution.host_servers),
        own_servers=list(resolution.own_servers),
    )
    udp, tcp = netns.inside(answered.netns_fd, listening.listen)
    with udp, tcp:
        channel.send(request, [answered.netns_fd, answered.pidfd, udp.fileno(), tcp.fileno()])


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
