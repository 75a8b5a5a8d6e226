"""Giving a connection's socket away: as it is, or, behind TLS, the far end of a pump."""

import asyncio
import fcntl
import os
import socket
import sys
import termios
from typing import Final

from pinnace.api.messages import Hijack

BUFFER: Final = 256 * 1024
# Seconds; a tenth of a second in all.
SHORTEST_PAUSE: Final = 0.0001
LONGEST_PAUSE: Final = 0.03


async def give_away(transport: asyncio.Transport, initial: bytes, reply: Hijack) -> None:
    """Call `reply.take` in a worker thread with a socket that speaks to the client.

    The transport must not read and have nothing left to write. A plain socket is duplicated and
    its transport dropped without shutdown: the connection lives on in the duplicate.
    """
    if reply.through is not None:
        fd = await reply.through(transport, initial)
        initial = b""
    elif transport.get_extra_info("sslcontext") is None:
        client: socket.socket = transport.get_extra_info("socket")
        await head_is_read(client)
        fd = os.dup(client.fileno())
        transport.abort()
    else:
        fd = await pump(transport)

    await asyncio.get_running_loop().run_in_executor(None, reply.take, fd, initial)


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


async def pump(transport: asyncio.Transport) -> int:
    """A new socket whose other end is copied to and from `transport` until both are done."""
    near, far = socket.socketpair()
    near.setblocking(False)
    loop = asyncio.get_running_loop()
    inner, _ = await loop.create_unix_connection(lambda: Pipe(transport), sock=near)
    transport.set_protocol(Pipe(inner))
    transport.set_write_buffer_limits(BUFFER)
    transport.resume_reading()
    return far.detach()


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
