"""The API served: listeners, worker threads, and an orderly end.

`Server(engine, listeners).run()` blocks until `stop()`, which any thread or signal handler may
call. Sockets are bound when the server is made, so that their failure is the caller's.
"""

import asyncio
import contextlib
import grp
import logging
import os
import socket
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ssl import SSLContext
from typing import Final, NamedTuple

from pinnace import errors
from pinnace.api import http, router, routes
from pinnace.api.facade import Engine

log = logging.getLogger("pinnace.api")

QUICK_THREADS: Final = 32
SLOW_THREADS: Final = 96
BACKLOG: Final = 1024
EXPIRY_SECONDS: Final = 5.0
# How long answers in the making may take when the server stops.
GRACE_SECONDS: Final = 10.0


class Listener(NamedTuple):
    """A bound socket, and for TCP the TLS it speaks; `path` is removed at the end."""

    socket: socket.socket
    tls: SSLContext | None = None
    path: str | None = None


def listen(address: str, tls: SSLContext | None = None, group: str = "docker") -> Listener:
    """A listener for `unix://PATH`, `tcp://HOST:PORT` or `fd://NUMBER` (bound by a parent)."""
    scheme, separator, rest = address.partition("://")
    if separator and scheme == "unix":
        return _listen_unix(rest, group)
    if separator and scheme == "tcp":
        return _listen_tcp(rest, tls)
    if separator and scheme == "fd" and rest.isdigit():
        inherited = socket.socket(fileno=int(rest))
        inherited.setblocking(False)
        return Listener(inherited, tls if inherited.family != socket.AF_UNIX else None)
    raise errors.Invalid(f"invalid listen address: {address}")


def _listen_unix(path: str, group: str) -> Listener:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    _remove_stale(path)
    # The mode holds from the first moment: between bind and chmod anybody could connect.
    before = os.umask(0o117)
    try:
        bound.bind(path)
    finally:
        os.umask(before)
    with contextlib.suppress(KeyError, PermissionError):
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    bound.listen(BACKLOG)
    return Listener(bound, path=path)


def _remove_stale(path: str) -> None:
    """A socket that nobody listens on any more; a live one is left, and bind fails."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def _listen_tcp(address: str, tls: SSLContext | None) -> Listener:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdigit():
        raise errors.Invalid(f"invalid listen address: tcp://{address}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    bound.setblocking(False)
    return Listener(bound, tls)


class Server:
    """Serves an engine on its listeners."""

    def __init__(
        self, engine: Engine, listeners: Sequence[Listener], limits: http.Limits | None = None
    ) -> None:
        self._listeners = listeners
        self._limits = limits
        self.connections: set[http.Connection] = set()
        version = engine.system.version()["Version"]
        self._headers = router.standard_headers(f"Docker/{version} (linux)")
        self._pools = router.Pools(
            ThreadPoolExecutor(QUICK_THREADS, thread_name_prefix="quick"),
            ThreadPoolExecutor(SLOW_THREADS, thread_name_prefix="slow"),
        )
        self._router = router.Router(routes.ROUTES, engine, self._pools)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`; `ready` is called when connections are accepted."""
        try:
            self._loop.run_until_complete(self._serve(ready))
        finally:
            self._loop.close()

    def stop(self) -> None:
        """End `run` soon: no new requests, answers in the making are sent, streams end."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended already
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._loop.set_default_executor(self._pools.slow)
        servers = [await self._accept(listener) for listener in self._listeners]
        expiry = self._loop.create_task(self._expire())
        ready()
        await self._stopping.wait()
        for server in servers:
            server.close()
        for listener in self._listeners:
            if listener.path is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(listener.path)
        expiry.cancel()
        await self._finish_connections()
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _accept(self, listener: Listener) -> asyncio.AbstractServer:
        # Also for unix sockets: create_unix_server removes their path since Python 3.13, even
        # if it was bound by somebody else.
        return await self._loop.create_server(
            self._connect, sock=listener.socket, ssl=listener.tls, backlog=BACKLOG
        )

    def _connect(self) -> http.Connection:
        return http.Connection(self._router, self.connections, self._headers, self._limits)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            now = self._loop.time()
            for connection in list(self.connections):
                connection.expire(now)

    async def _finish_connections(self) -> None:
        end = self._loop.time() + GRACE_SECONDS
        for connection in list(self.connections):
            connection.finish()
        while self.connections and self._loop.time() < end:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)


def serve(
    engine: Engine, listeners: Sequence[Listener], ready: Callable[[], None] = lambda: None
) -> None:
    """Serve until the process ends; what must stop it keeps the `Server` instead."""
    Server(engine, listeners).run(ready)
