"""Questions that are not about containers are asked of other servers, one after another.

Each question goes out from a socket of its own, by a port that the kernel chooses, with a number
that cannot be guessed: who does not see it cannot answer it.
"""

import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pinnace.supervisor.loop import ERR, HUP, IN, OUT, Loop

PORT: Final = 53
_PATIENCE: Final = 3.0  # seconds for one server
_MOST_SERVERS: Final = 3  # as Docker
_AT_ONCE: Final = 8192  # of all containers
_HEADER: Final = 12

MakeSocket = Callable[[int, int], socket.socket]


class Upstream(NamedTuple):
    """A server's address, `:port` if it is not 53, and how to make a socket that reaches it."""

    address: str
    make: MakeSocket

    def target(self) -> tuple[int, tuple[str, int]]:
        host, port = self.address, PORT
        if "#" in host:
            host, _, text = host.partition("#")
            port = int(text)
        return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, port)


class Forwarder:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._open = 0

    def ask(
        self,
        data: bytes,
        servers: Sequence[Upstream],
        heard: Callable[[bytes | None], None],
        *,
        stream: bool,
    ) -> None:
        """heard gets the answer, with the number of the question; None when there is none."""
        if self._open >= _AT_ONCE:
            heard(None)
            return
        self._open += 1

        def done(found: bytes | None) -> None:
            self._open -= 1
            heard(found)

        exchange = _Exchange(self._loop, data, list(servers[:_MOST_SERVERS]), done, stream=stream)
        exchange.begin()


class _Exchange:
    """One question, on its way to one server after another."""

    def __init__(
        self,
        loop: Loop,
        data: bytes,
        servers: list[Upstream],
        done: Callable[[bytes | None], None],
        *,
        stream: bool,
    ) -> None:
        self._loop = loop
        self._data = data
        self._servers = servers
        self._done = done
        self._stream = stream
        self._number = b""
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._round = 0

    def begin(self) -> None:
        """With the next server; when there is none, that was it."""
        while self._servers:
            server = self._servers.pop(0)
            self._round += 1
            self._number = secrets.token_bytes(2)
            self._buffer = b""
            try:
                self._connect(server)
            except (OSError, ValueError):
                self._close()
                continue
            self._wait()
            return
        self._done(None)

    def _connect(self, server: Upstream) -> None:
        family, target = server.target()
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        self._socket = made = server.make(family, kind)
        code = made.connect_ex(target)
        if self._stream and code in (0, 115):  # EINPROGRESS
            self._loop.watch(made.fileno(), OUT | HUP | ERR, self._connected)
            return
        if code:
            raise OSError(code, "connect")
        made.send(self._number + self._data[2:])
        self._loop.watch(made.fileno(), IN | ERR, self._readable)

    def _connected(self, events: int) -> None:
        assert self._socket is not None
        question = self._number + self._data[2:]
        try:
            self._socket.send(struct.pack(">H", len(question)) + question)
        except OSError:
            self._next()
            return
        self._loop.watch(self._socket.fileno(), IN | HUP | ERR, self._readable)

    def _readable(self, events: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65535)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # nobody is there (ICMP says)
        if self._stream:
            self._collected(data)
        elif not data:
            self._next()
        elif self._matches(data):
            self._finish(data)

    def _collected(self, data: bytes) -> None:
        self._buffer += data
        complete = len(self._buffer) >= 2
        if complete:
            (length,) = struct.unpack_from(">H", self._buffer)
            found = self._buffer[2 : 2 + length]
            if len(found) == length and self._matches(found):
                self._finish(found)
                return
        if not data:
            self._next()

    def _matches(self, data: bytes) -> bool:
        """An answer to this question: its number, and its words but for capitals."""
        asked = self._data[_HEADER:]
        end = asked.find(b"\0") + 5
        said = data[_HEADER : _HEADER + end]
        return (
            len(data) >= _HEADER
            and data[:2] == self._number
            and bool(data[2] & 0x80)
            and said.lower() == asked[:end].lower()
        )

    def _finish(self, data: bytes) -> None:
        self._close()
        self._round += 1
        self._done(self._data[:2] + data[2:])

    def _wait(self) -> None:
        this = self._round

        def late() -> None:
            if this == self._round:
                self._next()

        self._loop.after(_PATIENCE, late)

    def _next(self) -> None:
        self._close()
        self.begin()

    def _close(self) -> None:
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
