"""Where a daemon listens, a connection to it, and how a request's target is written."""

from __future__ import annotations

import _socket
import errno
import os

from pinnace.cli import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    # None and False are left out, True is 1, a sequence is repeated, a mapping is JSON.
    Query = Mapping[str, "str | int | bool | Sequence[str] | Mapping[str, Any] | None"]

DEFAULT_SOCKETS = ("/run/pinnace/pinnace.sock", "/var/run/docker.sock")
_READ = 1 << 18
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
PATH = UNRESERVED | frozenset(b"/:@+")


class Address:
    """Where a daemon listens: `unix:///path` or `tcp://host:port`."""

    __slots__ = ("host", "path", "port", "text")

    def __init__(self, text: str) -> None:
        scheme, separator, rest = text.strip().partition("://")
        if not separator:
            scheme, rest = "tcp", scheme
        self.path, self.host, self.port = "", "", 0
        if scheme == "unix":
            self.path = rest or DEFAULT_SOCKETS[1]
            self.text = f"unix://{self.path}"
        elif scheme == "tcp":
            self.host, self.port = _split_port(rest, text)
            shown = f"[{self.host}]" if ":" in self.host else self.host
            self.text = f"tcp://{shown}:{self.port}"
        else:
            raise ValueError(f"invalid bind address format: {text}")

    def connect(self) -> _socket.socket:
        if self.path:
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            sock.connect(self.path)
            return sock
        failure: OSError | None = None
        for family, kind, proto, _, where in _socket.getaddrinfo(
            self.host, self.port, 0, _socket.SOCK_STREAM
        ):
            sock = _socket.socket(family, kind, proto)
            try:
                sock.connect(where)
            except OSError as error:
                failure = error
                sock.close()
                continue
            # An attached terminal sends single keys: each must go at once.
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            return sock
        raise failure or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


def default_address() -> Address:
    """The engine's own socket if it is there, else Docker's."""
    for path in DEFAULT_SOCKETS:
        if os.path.exists(path):
            return Address(f"unix://{path}")
    return Address(f"unix://{DEFAULT_SOCKETS[0]}")


class Connection:
    """One connection with what was read from it and not used yet."""

    __slots__ = ("buffer", "sock", "used")

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.used = False

    def take(self) -> bytes:
        """What is at hand, or else the next that comes; empty at the end."""
        if self.buffer:
            taken, self.buffer = self.buffer, b""
            return taken
        return self.sock.recv(_READ)

    def take_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def take_line(self) -> bytes:
        while True:
            line, end, rest = self.buffer.partition(b"\r\n")
            if end:
                self.buffer = rest
                return line
            self._more()

    def _more(self) -> None:
        data = self.sock.recv(_READ)
        if not data:
            raise EOFError
        self.buffer += data

    def send(self, data: bytes | memoryview) -> None:
        self.sock.sendall(data, _socket.MSG_NOSIGNAL)

    def send_chunks(self, chunks: Iterable[bytes]) -> None:
        """A body of unknown length; what the daemon says meanwhile is read, lest both wait."""
        import select

        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN | select.POLLOUT)
        for piece in _framed(chunks):
            view = memoryview(piece)
            while view:
                for _, events in poll.poll():
                    if events & select.POLLIN:
                        data = self.sock.recv(_READ)
                        if not data:
                            return  # it has answered and closed; the answer is in the buffer
                        self.buffer += data
                    if events & (select.POLLERR | select.POLLHUP):
                        raise BrokenPipeError
                    if events & select.POLLOUT:
                        flags = _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT
                        view = view[self.sock.send(view, flags) :]

    def close(self) -> None:
        self.sock.close()


def quote(text: str, safe: frozenset[int] = UNRESERVED) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    if safe.issuperset(raw):
        return text
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in raw)


def encode_query(query: Query) -> str:
    pairs = []
    for name, value in query.items():
        if value is None or value is False:
            continue
        if isinstance(value, dict):
            value = document.encode(value, sort_keys=True)
        if isinstance(value, list | tuple):
            pairs += [f"{name}={quote(str(each))}" for each in value]
        else:
            pairs.append(f"{name}={quote('1' if value is True else str(value))}")
    return "?" + "&".join(pairs) if pairs else ""


def _split_port(rest: str, whole: str) -> tuple[str, int]:
    rest = rest.partition("/")[0]
    host, colon, port = rest.rpartition(":")
    if not colon or (rest.startswith("[") and rest.endswith("]")):
        host, port = rest, ""
    if port and not port.isdigit():
        raise ValueError(f"invalid bind address format: {whole}")
    return host.strip("[]") or "localhost", int(port or 2375)


def _framed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if chunk:
            yield b"%x\r\n" % len(chunk)
            yield chunk
            yield b"\r\n"
    yield b"0\r\n\r\n"
