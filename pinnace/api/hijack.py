"""Giving a connection's socket away: as it is, or, behind TLS, the far end of a pump."""

import asyncio
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Awaitable, Callable
from typing import Final

from pinnace.api.messages import Hijack, Order

BUFFER: Final = 256 * 1024
# Seconds; a tenth of a second in all.
SHORTEST_PAUSE: Final = 0.0001
LONGEST_PAUSE: Final = 0.03


class Handover:
    """From a transport that does not read any more to a socket that somebody else has.

    A plain socket is duplicated, and its transport dropped without shutdown: the connection
    lives on in the duplicate. Any other transport is pumped to and from one end of a pair.
    """

    def __init__(
        self, transport: asyncio.Transport, drained: Callable[[], Awaitable[None]]
    ) -> None:
        self._transport = transport
        self._drained = drained
        transport.set_write_buffer_limits(0)

    async def perform(self, reply: Hijack, initial: bytes) -> None:
        plain = self._transport.get_extra_info("sslcontext") is None and reply.through is None
        if plain:
            await self._take(reply, initial, os.dup(self._socket.fileno()))
            self._transport.abort()
            return
        near, far = socket.socketpair()
        near.setblocking(False)
        through = reply.through or pump
        await self._take(reply, b"", far.detach())
        await through(self._transport, initial, near)

    @property
    def _socket(self) -> socket.socket:
        client: socket.socket = self._transport.get_extra_info("socket")
        return client

    async def _take(self, reply: Hijack, initial: bytes, fd: int) -> None:
        if reply.order is not Order.BEFORE_HEAD:
            await self._send(reply.head)
        if reply.order is Order.AFTER_HEAD_READ:
            await head_is_read(self._socket)
        taking = asyncio.get_running_loop().run_in_executor(None, reply.take, fd, initial)
        left_to_say = await taking
        if reply.order is Order.BEFORE_HEAD:
            await self._send(reply.head)
        await self._send(left_to_say)

    async def _send(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)
            await self._drained()


async def head_is_read(client: socket.socket) -> None:
    """Wait, but not for long, until the client has read what it was sent.

    docker-py reads the head through a buffer and what follows past it: output that comes together
    with the head is lost to it. dockerd is too slow for this to show. Only a unix socket tells
    what its peer has read; of TCP one knows what has arrived.
    """
    if client.family != socket.AF_UNIX:
        return
    pause = SHORTEST_PAUSE
    while pause < LONGEST_PAUSE and unread(client):
        await asyncio.sleep(pause)
        pause *= 1.5


def unread(client: socket.socket) -> int:
    """Memory of what was sent and not read yet."""
    answer = fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


async def pump(transport: asyncio.Transport, initial: bytes, near: socket.socket) -> None:
    """Copy between a transport and one end of a pair until both are done."""
    loop = asyncio.get_running_loop()
    inner, _ = await loop.create_unix_connection(lambda: Pipe(transport), sock=near)
    transport.set_protocol(Pipe(inner))
    transport.set_write_buffer_limits(BUFFER)
    inner.write(initial)
    transport.resume_reading()


class Pipe(asyncio.Protocol):
    """Writes what its transport reads to another one, and holds that back when it can't keep up."""

    def __init__(self, target: asyncio.Transport) -> None:
        self._target = target

    def data_received(self, data: bytes) -> None:
        self._target.write(data)

    def eof_received(self) -> bool:
        self._target.close()  # TLS knows no half
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._target.close()

    def pause_writing(self) -> None:
        self._target.pause_reading()

    def resume_writing(self) -> None:
        self._target.resume_reading()
