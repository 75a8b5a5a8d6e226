"""One HTTP/1.1 connection on asyncio: h11 reads it, we write; and bounds of time and memory.

Rule 1: one request at a time is given to the application; what a client sends ahead waits,
unread beyond one buffer.
Rule 2: nothing is buffered without bound: not heads (h11), not bodies (`Body`), not answers (a
stream waits for the client).
Rule 3: when the client is gone, whoever works for it is told: a body read fails, a stream or a
waiting `async def` is cancelled. What runs in a worker thread finishes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

import h11

from pinnace.api import hijack
from pinnace.api.messages import NO_BODY, Body, Headers, Hijack, Reply, Request, Response

log = logging.getLogger("pinnace.api")

# An answer at once, or the promise of one.
Application: TypeAlias = Callable[[Request], "Reply | Awaitable[Reply]"]


class Limits(NamedTuple):
    head_bytes: int = 1 << 20  # Docker's
    head_seconds: float = 50.0
    body_stall_seconds: float = 600.0  # `docker load` may wait for a slow disk or a person
    unread_body_bytes: int = 256 * 1024  # as Go: a rest of this size is read to keep the connection
    linger_seconds: float = 5.0


class Connection(asyncio.Protocol):
    """The server's side of one client's connection; `siblings` holds it while it is open."""

    def __init__(
        self,
        application: Application,
        siblings: "set[Connection]",
        headers: Headers = (),
        limits: Limits | None = None,
    ) -> None:
        self._application = application
        self._siblings = siblings
        self._standard = encode_headers(headers)
        self._limits = limits or Limits()
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, self._limits.head_bytes)
        self._transport: asyncio.Transport
        # The request being answered.
        self.answering = False
        self._body: Body = NO_BODY
        self._without_body = False  # HEAD
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        self._unread: int | None = None  # bytes read and dropped of a body nobody wanted
        # The connection.
        self._handed_over = False
        self._last_request = False
        self.write_paused = False
        self._drained: asyncio.Future[None] | None = None
        # When the client must have got further, None while it need not hurry.
        self.deadline: float | None = None

    # What asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._siblings.add(self)

    def data_received(self, data: bytes) -> None:
        if self._handed_over:
            return
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        """Half closed: an answer in the making can still be read, a stream is over (as in Go)."""
        if self._handed_over or self._transport.get_extra_info("sslcontext") is not None:
            return False  # TLS knows no half
        self._body.fail("unexpected EOF")
        self._http.receive_data(b"")
        if self.answering:
            self._end_stream()
            return True
        self._advance()
        return self.answering

    def connection_lost(self, error: Exception | None) -> None:
        self._siblings.discard(self)
        self._body.fail("unexpected EOF")
        self._wake_writer()
        if self._task is not None and not self._handed_over:
            self._task.cancel()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self._wake_writer()
        self._advance()

    # What the server says

    def expire(self, now: float) -> None:
        """Called now and then: end the connection of a client that is too slow."""
        if self.deadline is None or now < self.deadline:
            return
        self._body.fail("timeout while reading the request")
        if not self.answering:
            self._transport.abort()

    def finish(self) -> None:
        """Take no further request; streams end now, answers in the making are sent."""
        self._last_request = True
        if not self.answering:
            self._transport.close()
        else:
            self._end_stream()

    def abort(self) -> None:
        if not self._handed_over:
            self._transport.abort()

    def _end_stream(self) -> None:
        if self._task is not None and self._streaming:
            self._task.cancel()

    # Reading

    def _advance(self) -> None:
        """Act on what has arrived, as far as it goes."""
        while not (self.write_paused or self._handed_over or self._transport.is_closing()):
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(error.error_status_hint)
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._take_data(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._take_end()
            else:
                self._pause(event)
                return

    def _pause(self, reason: object) -> None:
        if reason is h11.PAUSED:
            # A request sent ahead, or a client that waits for an upgrade.
            self._transport.pause_reading()
        elif self.answering:
            return
        elif isinstance(reason, h11.ConnectionClosed):
            self._transport.close()
        elif self.deadline is None and self._http.trailing_data[0]:
            self.deadline = self._loop.time() + self._limits.head_seconds

    def _begin(self, head: h11.Request) -> None:
        headers = list(head.headers)
        length = body_length(headers)
        if length is None:
            self._refuse(400)
            return
        self.answering = True
        self._without_body = head.method == b"HEAD"
        if length == 0:
            self._body = NO_BODY
            self.deadline = None
            self._http.next_event()
        else:
            self._body = Body(self._loop, wanted=self._go_on, resume=self._resume_reading)
            self.deadline = self._loop.time() + self._limits.body_stall_seconds
        request = Request(head.method.decode(), head.target.decode("latin-1"), headers, self._body)
        reply = self._application(request)
        if isinstance(reply, Response) and isinstance(reply.body, bytes):
            self._send_whole(reply, reply.body)
        else:
            self._task = self._loop.create_task(self._answer(reply))

    def _go_on(self) -> None:
        if self._http.they_are_waiting_for_100_continue and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _take_data(self, data: bytes | bytearray) -> None:
        if self._unread is not None:
            self._unread += len(data)
            if self._unread > self._limits.unread_body_bytes:
                self._transport.close()
        elif self._body.feed(bytes(data)):
            self.deadline = None
            self._transport.pause_reading()
        else:
            self.deadline = self._loop.time() + self._limits.body_stall_seconds

    def _resume_reading(self) -> None:
        # Said by a worker thread, maybe after the answer: then another request has begun.
        if self._http.their_state is h11.SEND_BODY and self._unread is None:
            self.deadline = self._loop.time() + self._limits.body_stall_seconds
            self._transport.resume_reading()

    def _take_end(self) -> None:
        self._body.finish()
        self.deadline = None
        if self._unread is not None:
            self._unread = None
            self._next()

    def _refuse(self, status: int) -> None:
        """What can't be read gets Go's short answer; without a request there is no JSON."""
        self._body.fail("malformed request body")
        if self.answering:
            self._last_request = True
            return
        line = f"{status} {HTTPStatus(status).phrase}".encode()
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Connection: close\r\n\r\n%b" % (line, line)
        )
        self._transport.close()

    # Answering

    async def _answer(self, coming: Reply | Awaitable[Reply]) -> None:
        try:
            reply = await coming if isinstance(coming, Awaitable) else coming
            if isinstance(reply, Hijack):
                await self._hand_over(reply)
            elif isinstance(reply.body, bytes):
                self._send_whole(reply, reply.body)
            else:
                await self._send_stream(reply)
        except asyncio.CancelledError:
            self._transport.abort()
        except Exception:
            # Too late for a status: the client sees an answer that breaks off.
            log.exception("answer broken off")
            self._transport.abort()

    def _send_whole(self, response: Response, body: bytes) -> None:
        if self._transport.is_closing():
            return
        if response.status in WITHOUT_BODY:
            self._transport.write(self._head(response, b""))
        else:
            head = self._head(response, b"Content-Length: %d\r\n" % len(body))
            self._transport.write(head if self._without_body else head + body)
        self._next()

    async def _send_stream(self, response: Response) -> None:
        assert not isinstance(response.body, bytes)
        chunked = self._http.their_http_version != b"1.0"
        self._last_request |= not chunked
        self._streaming = True
        try:
            framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
            self._transport.write(self._head(response, framing))
            async for piece in response.body:
                if piece:
                    # Not writelines, which in Python 3.12 and 3.13 may buffer without bound
                    # (CVE-2024-12254).
                    chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
                    self._transport.write(chunk)
                if self.write_paused:
                    await self._drain()
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        finally:
            self._streaming = False
            await response.body.aclose()
            response.close()
        self._next()

    def _head(self, response: Response, framing: bytes) -> bytes:
        self._last_request |= (
            response.final
            or self._http.they_are_waiting_for_100_continue
            or self._http.their_state is h11.MUST_CLOSE
        )
        return b"".join(
            (
                STATUS_LINES[response.status],
                self._standard,
                encode_headers(response.headers),
                date_header(self._loop.time()),
                framing,
                b"Connection: close\r\n\r\n" if self._last_request else b"\r\n",
            )
        )

    def _next(self) -> None:
        """The answer is out: go on with the next request, if there may be one."""
        self._task = None
        self.answering = False
        if self._http.their_state is h11.SEND_BODY and not self._last_request:
            # Closing now could reset the connection before the client has read the answer.
            self._unread = 0
            self.deadline = self._loop.time() + self._limits.linger_seconds
            self._transport.resume_reading()
        elif self._last_request or self._http.their_state in NO_FURTHER_REQUEST:
            self._transport.close()
        else:
            self._start_over()

    def _start_over(self) -> None:
        """h11 is given no answers, so it can't begin another cycle; a new one costs nothing."""
        ahead, ended = self._http.trailing_data
        self._http = h11.Connection(h11.SERVER, self._limits.head_bytes)
        self._transport.resume_reading()
        if ahead:
            self._http.receive_data(ahead)
        if ended:
            self._http.receive_data(b"")
        if ahead or ended:
            self._loop.call_soon(self._advance)

    async def _drain(self) -> None:
        while self.write_paused and not self._transport.is_closing():
            self._drained = self._loop.create_future()
            await self._drained

    def _wake_writer(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _hand_over(self, reply: Hijack) -> None:
        """Send the last HTTP there will be, and give the socket away."""
        if self._transport.is_closing():
            return
        self._handed_over = True
        self.deadline = None
        self._transport.pause_reading()
        initial, _ = self._http.trailing_data
        await hijack.Handover(self._transport, self._drain).perform(reply, initial)
        self._siblings.discard(self)


STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
WITHOUT_BODY: Final = frozenset({204, 304})
# Of a client: MUST_CLOSE is one that said "Connection: close".
NO_FURTHER_REQUEST: Final = frozenset({h11.MUST_CLOSE, h11.CLOSED, h11.ERROR})


def body_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The length of a request's body, -1 if only its end will tell, None if it is ambiguous.

    A request that a proxy before us could end elsewhere than we do would smuggle another.
    """
    length = 0
    framings = 0
    for name, value in headers:
        if name == b"content-length":
            length = int(value)
            framings += 1
        elif name == b"transfer-encoding":
            length = -1
            framings += 1
    return length if framings < 2 else None


def encode_headers(headers: Headers) -> bytes:
    encoded = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
    if encoded.count(b"\n") + encoded.count(b"\r") != 2 * len(headers):
        raise ValueError("a header of more than one line")
    return encoded


_date: tuple[int, bytes] = (-1, b"")


def date_header(now: float) -> bytes:
    """Made once a second; `now` is any clock."""
    global _date
    if _date[0] != int(now):
        text = time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime())
        _date = (int(now), text.encode())
    return _date[1]
