"""Bodies that come piece by piece: JSON messages, and iterators that need a worker thread."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import msgspec

from pinnace import errors
from pinnace.api.facade import LogReader
from pinnace.api.messages import Request, Response
from pinnace.api.router import in_thread


def json_line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def progress_line(value: dict[str, Any]) -> bytes:
    """One message of load, import, pull or build: these lines end as on a teletype."""
    return msgspec.json.encode(value) + b"\r\n"


def error_line(message: str) -> bytes:
    """How a stream of progress messages says that it failed: after its head no status can."""
    return progress_line({"errorDetail": {"message": message}, "error": message})


def progress_lines(messages: Iterator[bytes]) -> Iterator[bytes]:
    """The messages, and what stops them as the last one."""
    try:
        yield from messages
    except errors.PinnaceError as error:
        yield error_line(error.message)


class Pulled:
    """A blocking iterator as an answer's body: each piece is got in a worker thread.

    The first piece is got here, so that what can't be done is known before the answer's head.
    """

    def __init__(self, items: Iterator[bytes], pool: Executor) -> None:
        self._items = items
        self._pool = pool
        self._first = next(items, b"")
        self._step: Future[bytes | None] | None = None

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        yield self._first
        while True:
            self._step = self._pool.submit(next, self._items, None)
            piece = await asyncio.wrap_future(self._step)
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        """Closes the iterator, in a worker thread, when its step under way has ended."""
        close = getattr(self._items, "close", None)
        if close is None:
            return
        if self._step is None:
            self._pool.submit(close)
        else:
            self._step.add_done_callback(lambda _: self._pool.submit(close))


def pull(items: Iterator[bytes], request: Request, content_type: str) -> Response:
    body = Pulled(items, request.pool)
    headers = (("Content-Type", content_type),)
    return Response(200, headers, body.pieces(), body.close)


async def read_log(reader: LogReader, pool: Executor) -> AsyncGenerator[bytes, None]:
    """A log to its end, or for as long as it is followed; its files are read in worker threads."""
    while True:
        piece = await in_thread(pool, reader.read)
        if piece:
            yield piece
        elif reader.finished:
            return
        else:
            await readable(reader.fileno())


async def readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, wake)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
