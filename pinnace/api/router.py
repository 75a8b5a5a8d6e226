"""From a request to its handler and back: route table, API version, threads, error → status.

Rule 1: a handler is a plain function of (engine, request), run in a worker thread, or an
`async def` for what waits or streams, run on the loop; it returns a reply or raises `errors.*`.
Rule 2: this file alone knows status codes of errors, and logs them, once.
Rule 3: a path is matched after it is unescaped; one that isn't clean is redirected, as in Docker.
"""

import asyncio
import inspect
import logging
import posixpath
import re
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast
from urllib.parse import quote

from pinnace import errors
from pinnace.api import forms, messages
from pinnace.api.facade import Engine
from pinnace.api.messages import Headers, Reply, Request, Response, Version

T = TypeVar("T")

log = logging.getLogger("pinnace.api")

Handler: TypeAlias = "Callable[[Engine, Request], Reply | Awaitable[Reply]]"

OLDEST: Final[Version] = (1, 24)
NEWEST: Final[Version] = (1, 56)

# No body that is a document needs more; the longest are the environments of `create`.
LONGEST_DOCUMENT: Final = 16 << 20

STATUS: Final[dict[type[errors.PinnaceError], int]] = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Invalid: 400,
    errors.NotModified: 304,
    errors.Forbidden: 403,
    errors.Unauthorized: 401,
    errors.Unavailable: 503,
    errors.Unsupported: 501,
    errors.Failed: 500,
}


class Route(NamedTuple):
    """`{name}` in a path matches anything, also slashes and nothing, as `{name:.*}` in Docker;
    `{name:segment}` one segment.

    `document`: the body is JSON and read before the handler runs. `slow`: takes seconds, and
    must not use up the threads that the quick ones need. `inline`: touches memory only, and
    runs on the loop.
    """

    method: str
    path: str
    handler: Handler
    since: Version = OLDEST
    document: bool = False
    slow: bool = False
    inline: bool = False


class Pools(NamedTuple):
    """Bounded sets of worker threads, started as they are needed."""

    quick: Executor
    slow: Executor


class Router:
    """The application of `http.Connection`: answers requests out of `routes`."""

    def __init__(self, routes: Iterable[Route], engine: Engine, pools: Pools) -> None:
        self._engine = engine
        self._pools = pools
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Route]] = []
        for route in routes:
            if "{" in route.path:
                self._patterns.append((route.method, compile_path(route.path), route))
            else:
                self._exact[route.method, route.path] = route

    def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        try:
            path = forms.unescape(request.path)
        except errors.Invalid:
            return messages.text(400, "400 Bad Request")
        if (cleaned := clean_path(path)) != path:
            return redirect(cleaned, request.query_string)
        version, path = split_version(path)
        found = self.find(request.method, path)
        if found is None:
            return messages.error(404, "page not found")
        route, request.names = found
        request.pool = self._pools.slow if route.slow else self._pools.quick
        try:
            request.version = check_version(version)
            check_since(route, request.version)
        except errors.Invalid as error:
            return refuse_version(version, error.message)
        if route.inline:
            return self._answer_inline(route, request)
        return self._answer(route, request)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        if route := self._exact.get((method, path)):
            return route, {}
        for wanted, pattern, route in self._patterns:
            if wanted == method and (match := pattern.fullmatch(path)):
                return route, match.groupdict()
        return None

    def _answer_inline(self, route: Route, request: Request) -> Reply:
        try:
            reply = route.handler(self._engine, request)
            assert isinstance(reply, Response)
            return reply
        except Exception as error:  # noqa: BLE001 - the edge: a request ends, the daemon goes on
            return answer_error(route, error)

    async def _answer(self, route: Route, request: Request) -> Reply:
        try:
            if route.document:
                request.document = await request.body.read_all(LONGEST_DOCUMENT)
            reply: Reply
            if inspect.iscoroutinefunction(route.handler):
                reply = await route.handler(self._engine, request)
                return reply
            plain = cast("Callable[[Engine, Request], Reply]", route.handler)
            return await in_thread(request.pool, plain, self._engine, request)
        except Exception as error:  # noqa: BLE001 - the edge: a request ends, the daemon goes on
            return answer_error(route, error)


async def in_thread(pool: Executor, function: Callable[..., T], *args: Any) -> T:
    """Run in a worker thread; when nobody waits any more, what it returns is closed."""
    running = pool.submit(function, *args)
    try:
        return await asyncio.wrap_future(running)
    except asyncio.CancelledError:
        running.add_done_callback(_close_result)
        raise


def _close_result(done: "Future[Any]") -> None:
    if not done.cancelled() and done.exception() is None:
        close = getattr(done.result(), "close", None)
        if close is not None:
            close()


def answer_error(route: Route, error: Exception) -> Response:
    """The one place where an error becomes a status, and where failures are logged."""
    if not isinstance(error, errors.PinnaceError):
        log.exception("%s %s failed", route.method, route.path, exc_info=error)
        return messages.error(500, str(error) or type(error).__name__)
    status = status_of(error)
    if status == 500:
        log.error("%s %s: %s", route.method, route.path, error.message, exc_info=error.__cause__)
    if status == 304:
        return messages.empty(304)
    return messages.error(status, error.message)


def status_of(error: errors.PinnaceError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


# Paths


def compile_path(path: str) -> re.Pattern[str]:
    pattern = re.sub(r"\\{(\w+):segment\\}", r"(?P<\1>[^/]+)", re.escape(path))
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", pattern), re.DOTALL)


def clean_path(path: str) -> str:
    """Go's path.Clean, but a slash at the end stays."""
    if path.startswith("/") and "//" not in path and "/." not in path:
        return path
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def redirect(path: str, query: str) -> Response:
    location = quote(path) + ("?" + query if query else "")
    return Response(301, (("Location", location),))


# Versions


_VERSIONED: Final = re.compile(r"/v([0-9.]+)(/.*)", re.DOTALL)


def split_version(path: str) -> tuple[str, str]:
    match = _VERSIONED.fullmatch(path)
    return (match[1], match[2]) if match else ("", path)


def parse_version(text: str) -> Version:
    """The parts as numbers: 1.051 is 1.51, and 1.2.3 lies between 1.2 and 1.3."""
    parts = [int(part[:9]) if part else 0 for part in text.split(".")]
    while len(parts) > 2 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def check_version(text: str) -> Version:
    """The version that a request asks for, the newest if none; refuses what is not served."""
    if not text:
        return NEWEST
    version = parse_version(text)
    if version < OLDEST:
        raise errors.Invalid(
            f"client version {text} is too old. Minimum supported API version is "
            f"{spell(OLDEST)}, please upgrade your client to a newer version"
        )
    if version > NEWEST:
        raise errors.Invalid(
            f"client version {text} is too new. Maximum supported API version is {spell(NEWEST)}"
        )
    return version


def check_since(route: Route, version: Version) -> None:
    if version < route.since:
        path = re.sub(r"\{(\w+)\}", r"{\1:.*}", route.path)
        raise errors.Invalid(
            f"{route.method} {path} requires minimum API version {spell(route.since)}"
        )


def refuse_version(asked: str, message: str) -> Response:
    """Clients older than JSON errors get a text they can show."""
    if asked and parse_version(asked) < OLDEST:
        return messages.text(400, message + "\n")
    return messages.error(400, message)


def spell(version: Version) -> str:
    return ".".join(str(part) for part in version)


def standard_headers(server: str) -> Headers:
    return (
        ("Api-Version", spell(NEWEST)),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Server", server),
    )
