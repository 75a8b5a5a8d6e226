"""Docker's HTTP over a unix socket, by hand: so cheap that a measurement sees the engine."""

import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

VERSION = "/v1.44"


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """Docker's error text; the empty string when the body is none."""
        try:
            return str(self.json()["message"])
        except (ValueError, KeyError, TypeError):
            return ""


class Refused(Exception):
    """The engine answered with an error where success was needed."""

    def __init__(self, method: str, path: str, response: Response) -> None:
        text = response.body[:500].decode(errors="replace").strip()
        super().__init__(f"{method} {path}: {response.status} {text}")
        self.response = response


def path_of(host: str) -> str:
    if not host.startswith("unix://"):
        raise ValueError(f"{host}: only unix:// hosts are spoken to")
    return host.removeprefix("unix://")


def query(**parameters: object) -> str:
    """`?a=b`, with booleans as Docker's clients write them and None left out."""
    items = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in parameters.items()
        if value is not None
    }
    return "?" + urlencode(items, doseq=True) if items else ""


class Client:
    """One kept-alive connection; not for use by several threads."""

    def __init__(self, host: str, *, version: str = VERSION, timeout: float = 60) -> None:
        self.path = path_of(host)
        self.version = version
        self.timeout = timeout
        self._socket: socket.socket | None = None
        self._buffer = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""

    def connect(self) -> socket.socket:
        """A fresh connection that is the caller's."""
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh.settimeout(self.timeout)
        fresh.connect(self.path)
        return fresh

    def request(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        """One exchange on the kept connection, which is opened anew when the engine closed it."""
        message = self._message(method, path, body, headers)
        for attempt in (1, 2):
            fresh = self._socket is None
            connection = self._socket = self._socket or self.connect()
            try:
                connection.sendall(message)
                return self._response(connection, method)
            except (ConnectionError, EOFError):
                self.close()
                if fresh or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def ok(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        """`request` whose failure is an exception."""
        response = self.request(method, path, body, **headers)
        if response.status >= 400:
            raise Refused(method, path, response)
        return response

    def hijack(
        self, path: str, body: object = None, *, upgrade: bool = True, method: str = "POST"
    ) -> tuple[socket.socket, Response, bytes]:
        """(raw connection, the head of the answer, bytes that came with it)."""
        headers = {"Upgrade": "tcp", "Connection": "Upgrade"} if upgrade else {}
        connection = self.connect()
        connection.sendall(self._message(method, path, body, headers))
        head, rest = read_head(connection, b"")
        if head.status >= 400:
            reader = Client("unix://" + self.path)
            reader._buffer = rest
            return connection, head._replace(body=reader._body(connection, head)), b""
        return connection, head, rest

    def stream(self, path: str) -> "Stream":
        """The answer's body as it comes, on a connection of its own."""
        return Stream(self, path)

    def _message(self, method: str, path: str, body: object, headers: dict[str, str]) -> bytes:
        data = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        head = [f"{method} {self.version}{path} HTTP/1.1", "Host: docker"]
        if data or method in ("POST", "PUT"):
            head.append(f"Content-Length: {len(data)}")
        if data and "Content-Type" not in headers and "Content_Type" not in headers:
            head.append("Content-Type: application/json")
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + data

    def _response(self, connection: socket.socket, method: str) -> Response:
        head, self._buffer = read_head(connection, self._buffer)
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            return head
        body = self._body(connection, head)
        if head.headers.get("connection", "").lower() == "close":
            self.close()
        return head._replace(body=body)

    def _body(self, connection: socket.socket, head: Response) -> bytes:
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            return b"".join(self._chunks(connection))
        length = head.headers.get("content-length")
        if length is None:
            return self._until_eof(connection)
        return self._exactly(connection, int(length))

    def _chunks(self, connection: socket.socket) -> Iterator[bytes]:
        while True:
            while b"\r\n" not in self._buffer:
                self._fill(connection)
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            chunk = self._exactly(connection, size + 2)[:-2]
            if size == 0:
                return
            yield chunk

    def _exactly(self, connection: socket.socket, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill(connection)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _until_eof(self, connection: socket.socket) -> bytes:
        parts = [self._buffer]
        while data := connection.recv(1 << 20):
            parts.append(data)
        self.close()
        return b"".join(parts)

    def _fill(self, connection: socket.socket) -> None:
        data = connection.recv(1 << 18)
        if not data:
            raise EOFError("the engine closed the connection within an answer")
        self._buffer += data


class Stream:
    """A response whose body is read chunk by chunk while the engine writes it."""

    def __init__(self, client: Client, path: str) -> None:
        self._client = Client("unix://" + client.path, timeout=client.timeout)
        self._connection = self._client.connect()
        self._connection.sendall(client._message("GET", path, None, {}))
        self.head, self._client._buffer = read_head(self._connection, b"")

    def __iter__(self) -> Iterator[bytes]:
        if "chunked" in self.head.headers.get("transfer-encoding", ""):
            yield from self._client._chunks(self._connection)
            return
        if self._client._buffer:
            yield self._client._buffer
        while data := self._connection.recv(1 << 20):
            yield data

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def encode(body: object) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def read_head(connection: socket.socket, buffer: bytes) -> tuple[Response, bytes]:
    """The status line and headers, names in lower case; and what came after them."""
    while b"\r\n\r\n" not in buffer:
        data = connection.recv(1 << 16)
        if not data:
            raise EOFError("the engine closed the connection before an answer")
        buffer += data
    head, _, rest = buffer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Response(int(first.split(" ", 2)[1]), headers, b""), rest


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(stream, payload) of a multiplexed attach, exec or logs stream."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "big")
        yield data[position], data[position + 8 : position + 8 + size]
        position += 8 + size
