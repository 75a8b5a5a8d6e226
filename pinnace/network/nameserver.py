"""The process that answers the names of containers, and keeps on while the daemon is away.

It has sockets in the namespaces of the containers, at 127.0.0.11, and one for the daemon. A
sandbox is forgotten when its first process has ended, so that no namespace is kept by it; when
there is none left and no daemon, it ends itself.

    daemon                                  this process
      Hello ────────────────────────────────▶
            ◀──────────────────────────────── Known
      Attach + fds of namespace, process,
          UDP and TCP socket [, held ports] ▶ answers from now on
      Zone, Put, Drop, See, Hold, Detach ───▶
"""

import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from pinnace.linux import netns, process
from pinnace.network import dns
from pinnace.network.dns import Code, Malformed, Question, View, Zone
from pinnace.network.forwarding import Forwarder, Upstream
from pinnace.network.relay import Relay
from pinnace.runtime.sync import Channel, Closed, close_fds
from pinnace.supervisor.loop import ERR, HUP, IN, Loop

_AT_ONCE: Final = 32  # questions of one container, before others have a turn
_WAITING: Final = 256  # questions of one container that others have not answered yet
_STREAMS: Final = 64  # TCP connections of one container
_PATIENCE: Final = 10.0  # seconds that a silent TCP connection is kept
_LONGEST: Final = 65535
_FILES: Final = 1 << 20  # a container takes four, a port two


class Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    pass


class Hello(Message, frozen=True):
    pass


class Known(Message, frozen=True, kw_only=True):
    """The sandboxes that are being answered, and whose ports are held."""

    sandboxes: list[str]
    held: list[str] = []


class Attach(Message, frozen=True, kw_only=True):
    """Answer a container. Its own servers are asked from its namespace, the host's from here."""

    sandbox: str
    networks: list[str]
    links: dict[str, str] = {}
    host_servers: list[str] = []
    own_servers: list[str] = []


class See(Message, frozen=True, kw_only=True):
    """The container is in these networks now; without servers it may ask nobody else."""

    sandbox: str
    networks: list[str]
    host_servers: list[str] = []
    own_servers: list[str] = []


class Detach(Message, frozen=True, kw_only=True):
    sandbox: str


class Hold(Message, frozen=True, kw_only=True):
    """The fds: a process, and what is kept open as long as it lives (a published port's socket).

    A second message for the same owner replaces the first. With relay, connections to the socket
    are passed on: `172.17.0.2#80`.
    """

    owner: str
    relay: str = ""


class Release(Message, frozen=True, kw_only=True):
    owner: str


class Member(msgspec.Struct, frozen=True):
    """An endpoint, its names and addresses."""

    endpoint: str
    names: list[str]
    addresses: list[str]


class NewZone(Message, frozen=True, kw_only=True):
    """A network, new or known, and all that is in it: there is no moment without its names."""

    network: str
    name: str
    members: list[Member] = []


class DropZone(Message, frozen=True, kw_only=True):
    network: str


class Put(Message, frozen=True, kw_only=True):
    network: str
    member: Member


class Drop(Message, frozen=True, kw_only=True):
    network: str
    endpoint: str


Request = Hello | Attach | See | Detach | Hold | Release | NewZone | DropZone | Put | Drop

requests = msgspec.json.Decoder(Request)
known = msgspec.json.Decoder(Known)


def command(path: str) -> list[str]:
    """What to execute; fd 3 is a socket that listens at path."""
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = [ours, *(each for each in sys.path if each and each != ours)]
    code = (
        f"import sys; sys.path[:] = {paths!r}\n"
        f"from pinnace.network import nameserver; nameserver.main({path!r})"
    )
    return [sys.executable, "-I", "-S", "-c", code]


def main(path: str) -> None:
    process.set_title("pinnace:names")
    process.hide_from_tracers()
    process.set_rlimit(os.getpid(), "RLIMIT_NOFILE", _FILES, _FILES)
    os.set_inheritable(3, False)
    server = Server(socket.socket(fileno=3), path)
    server.run()


class Server:
    def __init__(self, listener: socket.socket, path: str) -> None:
        self._path = path
        self._listener = listener
        self._loop = Loop()
        self._channel: Channel | None = None
        self._zones: dict[str, Zone] = {}
        self._sandboxes: dict[str, _Sandbox] = {}
        self._held: dict[str, list[int]] = {}
        self._relays: dict[str, Relay] = {}
        self._forwarder = Forwarder(self._loop)
        self._loop.watch(listener.fileno(), IN, self._accept)

    def run(self) -> None:
        self._loop.run()

    # The daemon

    def _accept(self, events: int) -> None:
        connection, _ = self._listener.accept()
        self._leave_daemon()  # a new daemon is the only one
        self._channel = channel = Channel(connection)
        self._loop.watch(channel.fileno(), IN | HUP | ERR, lambda events: self._hear(channel))

    def _leave_daemon(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def _hear(self, channel: Channel) -> None:
        try:
            frame, fds = channel.receive_frame()
        except (Closed, OSError):
            self._leave_daemon()
            self._end_if_idle()
            return
        try:
            self._obey(requests.decode(frame), fds, channel)
        except (msgspec.MsgspecError, OSError):
            close_fds(fds)  # of a newer daemon, or of a container that has gone meanwhile

    def _obey(self, request: Request, fds: list[int], channel: Channel) -> None:
        match request:
            case Hello():
                channel.send(Known(sandboxes=list(self._sandboxes), held=list(self._held)))
            case Attach(sandbox=ident):
                self._drop(ident)
                self._sandboxes[ident] = _Sandbox(self, request, fds)
            case See(sandbox=ident) if ident in self._sandboxes:
                self._sandboxes[ident].see(request)
            case See():
                pass
            case Detach(sandbox=ident):
                self._drop(ident)
            case Hold(owner=owner):
                self._release(owner)
                self._hold(request, fds)
            case Release(owner=owner):
                self._release(owner)
            case NewZone() | DropZone() | Put() | Drop():
                self._learn(request)

    def _learn(self, told: NewZone | DropZone | Put | Drop) -> None:
        zone = self._zones.get(told.network)
        match told:
            case NewZone():
                self._zones[told.network] = zone = Zone(told.name)
                for member in told.members:
                    zone.put(member.endpoint, member.names, member.addresses)
                for each in self._sandboxes.values():
                    each.look_again()
            case DropZone():
                self._zones.pop(told.network, None)
            case Put() if zone is not None:
                zone.put(told.member.endpoint, told.member.names, told.member.addresses)
            case Drop() if zone is not None:
                zone.drop(told.endpoint)
            case Put() | Drop():
                pass

    def _drop(self, ident: str) -> None:
        sandbox = self._sandboxes.pop(ident, None)
        if sandbox is not None:
            sandbox.close()

    def ended(self, ident: str) -> None:
        """The first process of a container is no more."""
        self._drop(ident)
        self._end_if_idle()

    def _hold(self, request: Hold, fds: list[int]) -> None:
        owner = request.owner
        self._held[owner] = fds
        self._loop.watch(fds[0], IN, lambda events: self._release_and_end(owner))
        if request.relay:
            listener = socket.socket(fileno=fds.pop())
            self._relays[owner] = Relay(self._loop, listener, request.relay)

    def _release(self, owner: str) -> None:
        fds = self._held.pop(owner, [])
        if fds:
            self._loop.forget(fds[0])
        relay = self._relays.pop(owner, None)
        if relay is not None:
            relay.close()
        close_fds(fds)

    def _release_and_end(self, owner: str) -> None:
        self._release(owner)
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._channel is None and not self._sandboxes and not self._held:
            os.unlink(self._path)
            self._loop.stopped = True

    def zones(self, networks: list[str]) -> list[Zone]:
        return [self._zones[each] for each in networks if each in self._zones]

    @property
    def loop(self) -> Loop:
        return self._loop

    @property
    def forwarder(self) -> Forwarder:
        return self._forwarder


Answer = Callable[[bytes], None]


class _Sandbox:
    """One container: its sockets, and what it may see."""

    def __init__(self, server: Server, request: Attach, fds: list[int]) -> None:
        self._server = server
        self._ident = request.sandbox
        self._netns_fd, self._pidfd, udp_fd, tcp_fd = fds
        self._udp = socket.socket(fileno=udp_fd)
        self._tcp = socket.socket(fileno=tcp_fd)
        self._streams: set[_Stream] = set()
        self._waiting = 0
        self._links = {alias.lower(): name for alias, name in request.links.items()}
        self._networks: list[str] = []
        self._view = View([])
        self._upstreams: list[Upstream] = []
        self.see(request)
        for each in (self._udp, self._tcp):
            each.setblocking(False)
        watch = server.loop.watch
        watch(self._udp.fileno(), IN, self._datagrams)
        watch(self._tcp.fileno(), IN, self._connection)
        watch(self._pidfd, IN, lambda events: server.ended(self._ident))

    def see(self, request: Attach | See) -> None:
        self._networks = request.networks
        own = [Upstream(each, self._inside) for each in request.own_servers]
        self._upstreams = own + [Upstream(each, _here) for each in request.host_servers]
        self.look_again()

    def look_again(self) -> None:
        self._view = View(self._server.zones(self._networks), self._links)

    def _inside(self, family: int, kind: int) -> socket.socket:
        return netns.inside(self._netns_fd, lambda: _here(family, kind))

    def close(self) -> None:
        for fd in (self._udp.fileno(), self._tcp.fileno(), self._pidfd):
            self._server.loop.forget(fd)
        for stream in list(self._streams):
            stream.close()
        self._udp.close()
        self._tcp.close()
        close_fds([self._netns_fd, self._pidfd])

    def _datagrams(self, events: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            self._answer(data, lambda found, peer=peer: self._send(found, peer), stream=False)  # type: ignore[misc]

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        try:
            self._udp.sendto(data, peer)
        except OSError:
            pass  # it has gone, or does not read: it will ask again

    def _answer(self, data: bytes, say: Answer, *, stream: bool) -> None:
        try:
            asked = dns.parse(data)
        except Malformed as error:
            if error.reply:
                say(error.reply)
            return
        found = dns.answer(asked, self._view)
        if found is not None:
            say(found if stream else dns.fitting(found, asked))
        elif self._upstreams:
            self._forward(asked, data, say, stream=stream)
        else:
            say(dns.reply(asked, Code.FAILURE))

    def _forward(self, asked: Question, data: bytes, say: Answer, *, stream: bool) -> None:
        if self._waiting >= _WAITING:
            say(dns.reply(asked, Code.FAILURE))  # one container must not keep others from asking
            return
        self._waiting += 1

        def heard(found: bytes | None) -> None:
            self._waiting -= 1
            say(found if found is not None else dns.reply(asked, Code.FAILURE))

        self._server.forwarder.ask(data, self._upstreams, heard, stream=stream)

    def _connection(self, events: int) -> None:
        try:
            accepted, _ = self._tcp.accept()
        except OSError:
            return
        if len(self._streams) >= _STREAMS:
            accepted.close()
            return
        stream = _Stream(self._server.loop, accepted, self._asked, self._streams.discard)
        self._streams.add(stream)

    def _asked(self, data: bytes, say: Answer) -> None:
        self._answer(data, say, stream=True)


class _Stream:
    """A TCP connection of a container: questions and answers with their lengths in front."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        asked: Callable[[bytes, Answer], None],
        closed: Callable[["_Stream"], None],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._asked = asked
        self._closed = closed
        self._buffer = b""
        self._last = time.monotonic()
        connection.setblocking(False)
        loop.watch(connection.fileno(), IN, self._readable)
        loop.after(_PATIENCE, self._look)

    def _look(self) -> None:
        if self._connection.fileno() < 0:
            return
        if time.monotonic() - self._last >= _PATIENCE:
            self.close()
        else:
            self._loop.after(_PATIENCE, self._look)

    def _readable(self, events: int) -> None:
        try:
            data = self._connection.recv(_LONGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._last = time.monotonic()
        self._buffer += data
        while len(self._buffer) >= 2:
            (length,) = struct.unpack_from(">H", self._buffer)
            if len(self._buffer) < 2 + length:
                return
            question, self._buffer = self._buffer[2 : 2 + length], self._buffer[2 + length :]
            self._asked(question, self._say)

    def _say(self, data: bytes) -> None:
        if self._connection.fileno() < 0:
            return
        try:
            # An answer fits into the socket's buffer, or its reader does not read.
            if self._connection.send(struct.pack(">H", len(data)) + data) < len(data) + 2:
                self.close()
        except OSError:
            self.close()

    def close(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self._closed(self)


def _here(family: int, kind: int) -> socket.socket:
    made = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    return made
