"""What passes between the HTTP connection and the router: requests, their bodies, replies."""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from pinnace import errors
from pinnace.api import forms

Headers: TypeAlias = tuple[tuple[str, str], ...]
Version: TypeAlias = tuple[int, ...]

# Of a body that nobody reads yet, no more than this waits in memory; then the client waits.
HIGH_WATER: Final = 512 * 1024
LOW_WATER: Final = 128 * 1024


class Truncated(errors.Invalid):
    """The client went away, or fell silent, before its body was complete."""


class Body:
    """A request's body in bounded memory: read by the loop with `await`, or in a worker thread.

    `feed`, `finish` and `fail` belong to the connection. As a file (`read`, `readable`) it blocks
    and must stay off the loop; `read_all` must stay on it. Reading first calls `wanted`, which
    lets the client send (100-continue).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        wanted: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._wanted: Callable[[], None] | None = wanted
        self._resume = resume
        self._chunks: deque[bytes] = deque()
        self._offset = 0  # what is taken already of the first chunk
        self._size = 0
        self._full = False
        self._complete = False
        self._failure: errors.PinnaceError | None = None
        self._changed = threading.Condition()
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> bool:
        """Add what arrived; true when the connection should stop reading until `resume`."""
        with self._changed:
            self._chunks.append(data)
            self._size += len(data)
            # Once full it stays so until it is low: a reader may take some between two chunks.
            self._full = self._full or self._size > HIGH_WATER
            self._wake()
            return self._full

    def finish(self) -> None:
        with self._changed:
            self._complete = True
            self._wake()

    def fail(self, reason: str) -> None:
        with self._changed:
            if not self._complete and self._failure is None:
                self._failure = Truncated(reason)
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def read(self, size: int = -1) -> bytes:
        """Blocks until there is something; at most `size` bytes, all of the body if negative."""
        self._ask(self._loop.call_soon_threadsafe)
        if size < 0:
            return b"".join(iter(lambda: self.read(HIGH_WATER), b""))
        with self._changed:
            while not (self._chunks or self._complete or self._failure):
                self._changed.wait()
            return self._take(size)

    def readinto(self, buffer: memoryview) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True

    async def read_all(self, limit: int) -> bytes:
        """The whole body; errors.Invalid when it is longer than `limit`."""
        self._ask(lambda call: call())
        parts: list[bytes] = []
        total = 0
        while True:
            with self._changed:
                nothing = not (self._chunks or self._complete or self._failure)
                if nothing:
                    self._waiter = self._loop.create_future()
                part = b"" if nothing else self._take(limit + 1)
            if nothing:
                await self._waiter_done()
                continue
            total += len(part)
            if total > limit:
                raise errors.Invalid(f"request body is larger than {limit} bytes")
            if not part:
                return b"".join(parts)
            parts.append(part)

    async def _waiter_done(self) -> None:
        assert self._waiter is not None
        await self._waiter

    def _ask(self, run: Callable[[Callable[[], None]], object]) -> None:
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            run(wanted)

    def _take(self, size: int) -> bytes:
        if self._failure:
            raise self._failure
        if not self._chunks:
            return b""
        first = self._chunks[0]
        data = first[self._offset : self._offset + size]
        self._offset += len(data)
        self._size -= len(data)
        if self._offset == len(first):
            self._chunks.popleft()
            self._offset = 0
        if self._full and self._size <= LOW_WATER:
            self._full = False
            self._loop.call_soon_threadsafe(self._resume)
        return data


class NoBody(Body):
    """The body of a request that has none."""

    def __init__(self) -> None:
        self._complete = True

    def finish(self) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass

    def read(self, size: int = -1) -> bytes:
        return b""

    async def read_all(self, limit: int) -> bytes:
        return b""


NO_BODY: Final = NoBody()


class Request:
    """A request's head, parsed as far as Docker's handlers look at it, and its body.

    The router adds `version` (of the API), `names` (the variable parts of the path), `pool` (the
    worker threads for what the handler leaves to do) and, for routes that take JSON, `document`
    (the whole body).
    """

    __slots__ = (
        "_headers", "_query", "body", "content_length", "document", "method", "names", "path",
        "pool", "query_string", "version",
    )  # fmt: skip

    def __init__(
        self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: Body
    ) -> None:
        self.method = method
        self.body = body
        self.path, self.query_string = _split_target(target)
        self.version: Version = ()
        self.names: dict[str, str] = {}
        self.document = b""
        self.pool: Executor
        # As in Go: the length, 0 without a body, -1 when only the end will tell.
        self.content_length = 0
        self._headers: dict[bytes, bytes] = {}
        self._query: forms.Query | None = None
        for name, value in headers:
            self._headers.setdefault(name, value)
        if b"transfer-encoding" in self._headers:
            self.content_length = -1
        elif length := self._headers.get(b"content-length"):
            self.content_length = int(length)

    def header(self, name: str) -> str:
        return self._headers.get(name.lower().encode(), b"").decode("latin-1")

    def has_header(self, name: str) -> bool:
        return name.lower().encode() in self._headers

    @property
    def query(self) -> forms.Query:
        if self._query is None:
            self._query = forms.parse_query(self.query_string)
        return self._query

    def text(self, name: str) -> str:
        """The first value of a parameter, "" without one."""
        values = self.query.get(name)
        return values[0] if values else ""

    def texts(self, name: str) -> list[str]:
        return self.query.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        return forms.boolean(self.text(name)) if name in self.query else default

    def integer(self, name: str) -> int | None:
        text = self.text(name)
        return forms.integer(text) if text else None

    def filters(self) -> forms.Filters:
        return forms.filters(self.text("filters"))


def _split_target(target: str) -> tuple[str, str]:
    """A request target, also in absolute form, as (path still escaped, query)."""
    if not target.startswith("/"):
        _, scheme, rest = target.partition("://")
        target = rest[rest.find("/") :] if scheme and "/" in rest else "/"
    path, _, query = target.partition("?")
    return path, query


def _nothing() -> None:
    pass


class Response(msgspec.Struct, frozen=True):
    """An answer: whole, or chunk by chunk, each sent as soon as it is there.

    `close` is called once, after the last chunk or when nobody will read any. After a `final`
    answer the connection ends.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes | AsyncGenerator[bytes, None] = b""
    close: Callable[[], object] = _nothing
    final: bool = False


class Order(Enum):
    """When a socket is given away.

    AFTER_HEAD_READ is for what speaks at once, since there are clients that lose what comes
    together with the head. BEFORE_HEAD is for what is silent until the client has read the head
    and makes it speak.
    """

    AFTER_HEAD_SENT = 1
    AFTER_HEAD_READ = 2
    BEFORE_HEAD = 3


class Hijack(msgspec.Struct, frozen=True):
    """The answer that ends HTTP on a connection: `head` is sent, and the socket is given away.

    `take(fd, initial)` runs in a worker thread and owns the socket that it is given; `initial` is
    what the client has sent behind its request. It returns what is left to be said, if it can't
    do what the head promised.
    `through`: a protocol that goes on on the connection (a websocket, later HTTP/2) takes the
    transport, what came ahead, and the near end of the socket that `take` gets instead.
    """

    head: bytes
    take: Callable[[int, bytes], bytes]
    order: Order = Order.AFTER_HEAD_SENT
    through: "Through | None" = None


Through: TypeAlias = Callable[[asyncio.Transport, bytes, socket.socket], Awaitable[None]]
Reply: TypeAlias = Response | Hijack


def text(status: int, message: str) -> Response:
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"),), message.encode())


def json(value: object, status: int = 200, headers: Headers = ()) -> Response:
    """An answer in JSON; like Go's encoder it ends in a newline."""
    return raw_json(msgspec.json.encode(value), status, headers)


def raw_json(encoded: bytes, status: int = 200, headers: Headers = ()) -> Response:
    return Response(status, (("Content-Type", "application/json"), *headers), encoded + b"\n")


def error(status: int, message: str) -> Response:
    return json({"message": message}, status)


def empty(status: int = 204) -> Response:
    return Response(status)
