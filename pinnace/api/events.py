"""/events: what happens, as it happens."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Final

from pinnace import errors
from pinnace.api import forms, streams, versions
from pinnace.api.facade import Engine, Subscription
from pinnace.api.messages import Request, Response, Version
from pinnace.api.router import Route, in_thread

# A client that is this many events behind has given up.
MOST_WAITING: Final = 4096
SEQUENCE: Final = "application/json-seq"
OFFERED: Final = ("application/jsonl", "application/x-ndjson", SEQUENCE)

Shown = dict[str, Any]


class Queue:
    """Events on their way from any thread to the loop; ends when the client is too slow."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Shown | None] = asyncio.Queue()

    def put(self, event: Shown) -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._add, event)
        except RuntimeError:
            pass  # the server has stopped

    def _add(self, event: Shown) -> None:
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put_nowait(event)
        elif self._waiting.qsize() == MOST_WAITING:
            self._waiting.put_nowait(None)

    async def get(self, until: int) -> Shown | None:
        """The next event; None when there is none before `until` (0: never)."""
        if not self._waiting.empty():
            return self._waiting.get_nowait()
        try:
            remaining = (until - time.time_ns()) / 1e9 if until else None
            return await asyncio.wait_for(self._waiting.get(), remaining)
        except TimeoutError:
            return None


async def events(engine: Engine, request: Request) -> Response:
    since = forms.nanoseconds(request.text("since"))
    until = forms.nanoseconds(request.text("until"))
    if until and until < since:
        raise errors.Invalid(
            f"`since` time ({request.text('since')}) cannot be after "
            f"`until` time ({request.text('until')})"
        )
    filters = request.filters()
    queue = Queue()
    subscription: Subscription = await in_thread(
        request.pool, engine.events.subscribe, filters, since, until, queue.put
    )
    media_type = negotiate(request.header("Accept")) or versions.events_type(request.version)
    return Response(
        200,
        (("Content-Type", media_type),),
        follow(queue, until, request.version, media_type == SEQUENCE),
        subscription.close,
    )


def negotiate(accept: str) -> str:
    """The offered media type that the client names itself and likes best; "" if none."""
    best, best_quality = "", 0.0
    for part in accept.split(","):
        media_type, _, parameters = part.strip().partition(";")
        quality = parse_quality(parameters)
        if media_type.strip().lower() in OFFERED and quality > best_quality:
            best, best_quality = media_type.strip().lower(), quality
    return best


def parse_quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


async def follow(
    queue: Queue, until: int, version: Version, sequence: bool
) -> AsyncGenerator[bytes, None]:
    """Encoded events until `until`; what the engine remembers is in the queue already."""
    separator = b"\x1e" if sequence else b""
    while event := await queue.get(until):
        shown = versions.event(event, version)
        if shown is not None:
            yield separator + streams.json_line(shown)


ROUTES: Final = [Route("GET", "/events", events)]
