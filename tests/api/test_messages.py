"""Requests as handlers see them, and their bodies."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from pinnace import errors
from pinnace.api import messages
from pinnace.api.messages import NO_BODY, Body, Request, Truncated


def make_body(
    loop: asyncio.AbstractEventLoop,
    wanted: Callable[[], None] = lambda: None,
    resume: Callable[[], None] = lambda: None,
) -> Body:
    return Body(loop, wanted=wanted, resume=resume)


def test_a_body_is_read_at_once_on_the_loop() -> None:
    async def read() -> bytes:
        body = make_body(asyncio.get_running_loop())
        reading = asyncio.ensure_future(body.read_all(100))
        await asyncio.sleep(0)
        body.feed(b"he")
        await asyncio.sleep(0)
        body.feed(b"llo")
        body.finish()
        return await reading

    assert asyncio.run(read()) == b"hello"


def test_a_body_longer_than_allowed_is_refused() -> None:
    async def read() -> None:
        body = make_body(asyncio.get_running_loop())
        body.feed(b"x" * 11)
        await body.read_all(10)

    with pytest.raises(errors.Invalid, match="larger than 10 bytes"):
        asyncio.run(read())


def test_a_worker_thread_reads_a_body_as_a_file() -> None:
    async def read() -> list[bytes]:
        loop = asyncio.get_running_loop()
        body = make_body(loop)
        reading = loop.run_in_executor(None, lambda: [body.read(2), body.read(100), body.read(5)])
        body.feed(b"hello")
        body.finish()
        return await reading

    assert asyncio.run(read()) == [b"he", b"llo", b""]


def test_a_worker_thread_reads_all_of_a_body() -> None:
    async def read() -> bytes:
        loop = asyncio.get_running_loop()
        body = make_body(loop)
        reading = loop.run_in_executor(None, body.read)
        for piece in (b"a", b"b", b"c"):
            body.feed(piece)
        body.finish()
        return await reading

    assert asyncio.run(read()) == b"abc"


def test_a_body_is_read_into_a_buffer() -> None:
    async def read() -> bytes:
        body = make_body(asyncio.get_running_loop())
        body.feed(b"hello")
        buffer = bytearray(3)
        return bytes(buffer[: body.readinto(memoryview(buffer))])

    assert asyncio.run(read()) == b"hel"


def test_a_full_body_stops_the_client_until_it_is_read() -> None:
    async def fill() -> tuple[bool, bool, list[str]]:
        resumed: list[str] = []
        body = make_body(asyncio.get_running_loop(), resume=lambda: resumed.append("resumed"))
        below = body.feed(b"x" * 1000)
        above = body.feed(b"x" * messages.HIGH_WATER)
        body.read(1000)
        body.read(messages.HIGH_WATER)
        await asyncio.sleep(0)
        return below, above, resumed

    assert asyncio.run(fill()) == (False, True, ["resumed"])


def test_a_full_body_that_is_half_read_is_full_until_it_is_low() -> None:
    async def told() -> tuple[bool, list[bool]]:
        resumed: list[bool] = []
        body = make_body(asyncio.get_running_loop(), resume=lambda: resumed.append(True))
        body.feed(b"x" * (messages.HIGH_WATER + 1))
        body.read(messages.HIGH_WATER // 2)
        still = body.feed(b"x")  # the rest of what had arrived when the client was stopped
        body.read(messages.HIGH_WATER)
        body.read(1)
        await asyncio.sleep(0)
        return still, resumed

    assert asyncio.run(told()) == (True, [True])


@pytest.mark.parametrize("reader", ["loop", "thread"])
def test_a_body_that_breaks_off_fails_its_reader(reader: str) -> None:
    async def read() -> bytes:
        loop = asyncio.get_running_loop()
        body = make_body(loop)
        reading = (
            asyncio.ensure_future(body.read_all(10))
            if reader == "loop"
            else asyncio.ensure_future(loop.run_in_executor(None, body.read))
        )
        await asyncio.sleep(0)
        body.fail("unexpected EOF")
        return await reading

    with pytest.raises(Truncated, match="unexpected EOF"):
        asyncio.run(read())


def test_a_complete_body_can_no_longer_fail() -> None:
    async def read() -> bytes:
        body = make_body(asyncio.get_running_loop())
        body.feed(b"x")
        body.finish()
        body.fail("unexpected EOF")
        return await body.read_all(10)

    assert asyncio.run(read()) == b"x"


def test_a_body_is_asked_for_once() -> None:
    async def read() -> list[threading.Thread]:
        loop = asyncio.get_running_loop()
        asked: list[threading.Thread] = []
        body = make_body(loop, wanted=lambda: asked.append(threading.current_thread()))
        body.feed(b"ab")
        body.finish()
        await loop.run_in_executor(None, body.read, 1)
        await body.read_all(10)
        await asyncio.sleep(0)
        return asked

    assert asyncio.run(read()) == [threading.main_thread()]


def test_no_body_is_empty() -> None:
    assert NO_BODY.read() == b""
    assert asyncio.run(NO_BODY.read_all(0)) == b""


def make_request(target: str, *headers: tuple[bytes, bytes]) -> Request:
    return Request("GET", target, list(headers), NO_BODY)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a/b?c=d", "/a/b", "c=d"),
        ("/a?b?c", "/a", "b?c"),
        ("http://host/a?b", "/a", "b"),
        ("http://host", "/", ""),
        ("*", "/", ""),
    ],
)
def test_targets(target: str, path: str, query: str) -> None:
    request = make_request(target)

    assert (request.path, request.query_string) == (path, query)


def test_parameters() -> None:
    request = make_request("/x?name=a&name=b&all=1&t=5&none=")

    assert request.text("name") == "a"
    assert request.texts("name") == ["a", "b"]
    assert request.flag("all")
    assert not request.flag("absent")
    assert request.flag("absent", default=True)
    assert not request.flag("none", default=True)
    assert request.integer("t") == 5
    assert request.integer("absent") is None


def test_headers_are_found_in_any_case() -> None:
    request = make_request("/", (b"content-type", b"a/b"))

    assert request.header("Content-Type") == "a/b"
    assert request.has_header("content-type")
    assert request.header("Upgrade") == ""


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ((b"content-length", b"12"), 12),
        ((b"transfer-encoding", b"chunked"), -1),
        ((b"host", b"d"), 0),
    ],
)
def test_the_length_of_a_body(header: tuple[bytes, bytes], length: int) -> None:
    assert make_request("/", header).content_length == length
