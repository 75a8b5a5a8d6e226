"""The Docker Engine API over a raw socket: one request after another on a kept connection.

The socket and http packages take 50 ms to import; what is needed of them is here and in
`connection`.
Rule 1: nothing is sent that a daemon of an older API would refuse unseen: the first refusal of
the version makes the client step down to the newest one that the daemon names.
Rule 2: sockets never raise SIGPIPE (the terminal's does its work, see `main`).
"""

from __future__ import annotations

import errno

from pinnace.cli import document
from pinnace.cli.connection import PATH, Address, Connection, encode_query, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from pinnace.cli.connection import Query


API_VERSION = "1.51"
_TOO_NEW = "Maximum supported API version is "


class DaemonError(Exception):
    """The daemon answered, and the answer is no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"Error response from daemon: {self.message}"


class Unreachable(Exception):
    """No daemon answers at the address."""


class Response:
    """An answer's head, and its body as it comes."""

    __slots__ = ("_connection", "_finished", "_left", "_owner", "headers", "status")

    def __init__(
        self,
        connection: Connection,
        status: int,
        headers: dict[str, str],
        owner: Client,
        head: bool,
    ) -> None:
        self._connection = connection
        self._owner: Client | None = owner
        self.status = status
        self.headers = headers
        # None: chunked; -1: until the connection's end.
        self._left: int | None = int(headers.get("content-length", -1))
        if "chunked" in headers.get("transfer-encoding", ""):
            self._left = None
        if head or status in (204, 304):
            self._left = 0
        self._finished = self._left == 0
        if self._finished:
            self._release()

    def __iter__(self) -> Iterator[bytes]:
        while not self._finished:
            data = self._next()
            if data:
                yield data
        self._release()

    def read(self) -> bytes:
        return b"".join(self)

    def json(self) -> Any:
        body = self.read()
        return document.decode(body) if body.strip() else None

    def messages(self) -> Iterator[Any]:
        """The body of a streaming endpoint, value by value."""
        return document.decode_stream(iter(self))

    def fileno(self) -> int:
        """Readable once more of the body is there."""
        return self._connection.sock.fileno()

    def next_ready(self) -> bytes:
        """The next of the body and all that came with it; empty at the end."""
        data = b"" if self._finished else self._next()
        while self._connection.buffer and not self._finished:
            data += self._next()
        return data

    def detach(self) -> Connection:
        """The connection itself: from now on it is a plain stream both ways."""
        self._owner = None
        return self._connection

    def _next(self) -> bytes:
        try:
            return self._chunk() if self._left is None else self._plain()
        except EOFError:
            raise Unreachable("unexpected EOF") from None
        except ConnectionResetError:
            raise Unreachable("connection reset by peer") from None

    def _plain(self) -> bytes:
        data = self._connection.take()
        if self._left == -1 or self._left is None:
            self._finished = not data
            return data
        if not data:
            raise EOFError
        if len(data) > self._left:
            data, self._connection.buffer = data[: self._left], data[self._left :]
        self._left -= len(data)
        self._finished = self._left == 0
        return data

    def _chunk(self) -> bytes:
        size = int(self._connection.take_line().partition(b";")[0], 16)
        data = self._connection.take_exactly(size + 2)[:-2]
        self._finished = size == 0
        return data

    def _release(self) -> None:
        if self._owner is None:
            return
        if self._left == -1 or "close" in self.headers.get("connection", ""):
            self._connection.close()
        else:
            self._owner.idle = self._connection
        self._owner = None


class Client:
    """Requests to one daemon."""

    __slots__ = ("address", "fixed", "headers", "idle", "program", "version")

    def __init__(
        self, address: Address, *, version: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self.address = address
        self.fixed = bool(version)  # a user who names a version gets that one or an error
        self.version = version or API_VERSION
        self.headers = dict(headers or {})
        self.idle: Connection | None = None
        self.program = "pinnace"

    def get(self, path: str, query: Query | None = None) -> Any:
        return self.request("GET", path, query).json()

    def post(self, path: str, query: Query | None = None, body: object = None) -> Any:
        return self.request("POST", path, query, body).json()

    def delete(self, path: str, query: Query | None = None) -> Any:
        return self.request("DELETE", path, query).json()

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer if it is a good one, else DaemonError."""
        pending = self.begin(method, path, query, body, headers=headers)
        try:
            return pending.finish()
        except DaemonError as error:
            if not self._step_down(error, body):
                raise
        return self.begin(method, path, query, body, headers=headers).finish()

    def stream(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        chunks: Iterable[bytes],
        content_type: str = "application/x-tar",
    ) -> Response:
        """A request whose body is sent piece by piece."""
        if not self.fixed:
            # The body can be sent once only, so the version must be right the first time.
            self._agree(self.request("HEAD", "/_ping").headers.get("api-version", ""))
        headers = {"Content-Type": content_type}
        return self.begin(method, path, query, headers=headers, chunks=chunks).finish()

    def hijack(self, path: str, query: Query | None = None, body: object = None) -> Connection:
        """Asks for a two-way stream; the connection is no longer this client's."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        response = self.request("POST", path, query, body, headers=headers)
        return response.detach()

    def begin(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        chunks: Iterable[bytes] | None = None,
    ) -> Pending:
        """Sends a request and doesn't wait for its answer."""
        if "//" in path or path.endswith("/"):
            kind = path.split("/")[1].removesuffix("s")
            raise Unreachable(f"invalid {kind} name or ID: value is empty")
        payload = b"" if body is None else document.encode(body).encode("utf-8", "replace")
        head = self._head(method, path, query, payload, headers or {}, has_body=body is not None)
        if chunks is not None:
            connection = self._connect()
            try:
                connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
                connection.send_chunks(chunks)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the daemon refused half-way; its answer says why
            return Pending(self, connection, method, b"")
        if body is not None or method == "POST":
            head += b"Content-Length: %d\r\n" % len(payload)
        message = head + b"\r\n" + payload
        connection, self.idle = self.idle or self._connect(), None
        return Pending(self, connection, method, message)

    def _head(
        self,
        method: str,
        path: str,
        query: Query | None,
        payload: bytes,
        headers: Mapping[str, str],
        *,
        has_body: bool,
    ) -> bytes:
        target = f"/v{self.version}{quote(path, PATH)}{encode_query(query or {})}"
        host = (
            f"{self.address.host}:{self.address.port}"
            if self.address.host
            else "api.moby.localhost"
        )
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"User-Agent: {self.program}"]
        if has_body:
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in {**self.headers, **headers}.items()]
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace")

    def _connect(self) -> Connection:
        try:
            return Connection(self.address.connect())
        except OSError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: OSError) -> Unreachable:
        daemon = "Docker" if self.program == "docker" else self.program
        if error.errno in (errno.EACCES, errno.EPERM):
            return Unreachable(
                f"permission denied while trying to connect to the {daemon} daemon socket "
                f"at {self.address.text}"
            )
        return Unreachable(
            f"Cannot connect to the {daemon} daemon at {self.address.text}. "
            f"Is the {self.program} daemon running?"
        )

    def _step_down(self, error: DaemonError, body: object) -> bool:
        if self.fixed or error.status != 400 or _TOO_NEW not in error.message:
            return False
        self._agree(error.message.partition(_TOO_NEW)[2])
        return True

    def _agree(self, theirs: str) -> None:
        theirs = theirs.strip().rstrip(".")
        if theirs and _order(theirs) < _order(self.version):
            self.version = theirs
        self.fixed = True


class Pending:
    """A request under way."""

    __slots__ = ("_client", "_connection", "_message", "_method")

    def __init__(self, client: Client, connection: Connection, method: str, message: bytes) -> None:
        self._client = client
        self._connection = connection
        self._method = method
        self._message = message
        if message:
            self._send()

    def finish(self) -> Response:
        """Waits for the answer's head."""
        try:
            status, headers = _read_head(self._connection)
        except (EOFError, ConnectionResetError):
            if not (self._connection.used and self._message):
                raise Unreachable("error during connect: EOF") from None
            # A kept connection may have been closed in the meantime; a fresh one has not.
            self._connection = self._client._connect()
            self._send()
            return self.finish()
        self._connection.used = True
        response = Response(self._connection, status, headers, self._client, self._method == "HEAD")
        if status >= 400:
            raise DaemonError(status, _message(response))
        return response

    def _send(self) -> None:
        try:
            self._connection.send(self._message)
        except (BrokenPipeError, ConnectionResetError):
            if not self._connection.used:
                return  # the answer, if any, says why
            self._connection = self._client._connect()
            self._connection.send(self._message)


def together(
    client: Client, requests: Sequence[tuple[str, str, Query]], limit: int = 50
) -> Iterator[DaemonError | None]:
    """Each request on a connection of its own, all at once; the outcomes in their order."""
    for start in range(0, len(requests), limit):
        pendings = []
        for method, path, query in requests[start : start + limit]:
            each = Client(client.address, version=client.version, headers=client.headers)
            each.program = client.program
            pendings.append(each.begin(method, path, query))
        for pending in pendings:
            try:
                pending.finish().read()
            except DaemonError as error:
                yield error
            else:
                yield None


def _read_head(connection: Connection) -> tuple[int, dict[str, str]]:
    status = 100
    while status == 100:
        words = connection.take_line().split(b" ", 2)
        status = int(words[1])
        headers: dict[str, str] = {}
        while line := connection.take_line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
    return status, headers


def _message(response: Response) -> str:
    body = response.read()
    try:
        return str(document.decode(body)["message"]).strip()
    except (ValueError, TypeError, KeyError):
        pass
    text = body.decode("utf-8", "replace").strip()
    return text or f"request returned {response.status} for the API route"


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
