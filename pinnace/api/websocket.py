"""Attach over a websocket (RFC 6455): the codec, without I/O, and the protocol that runs it.

One direction of the container's output is one message per read; what the client sends in text or
binary messages is the container's input. The engine sees an ordinary socket: the far end of a
pair.
"""

import asyncio
import base64
import hashlib
import socket
import struct
from enum import IntEnum
from typing import Final, NamedTuple

from pinnace.api.messages import Request

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Control frames are short by definition; a message of input is passed on frame by frame.
_LONGEST_CONTROL: Final = 125
_LONGEST_FRAME: Final = 1 << 20
NORMAL_CLOSURE: Final = 1000
PROTOCOL_ERROR: Final = 1002


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class ProtocolError(Exception):
    """The peer does not speak the protocol."""


class Frame(NamedTuple):
    opcode: Opcode
    payload: bytes


def wants_upgrade(request: Request) -> bool:
    return (
        request.header("Upgrade").lower() == "websocket"
        and request.header("Sec-WebSocket-Version") == "13"
        and request.has_header("Sec-WebSocket-Key")
    )


def accept_head(request: Request) -> bytes:
    """The answer that turns the connection into a websocket."""
    key = request.header("Sec-WebSocket-Key").encode()
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


def encode(opcode: Opcode, payload: bytes) -> bytes:
    """A frame from a server: final, not masked."""
    length = len(payload)
    if length < 126:
        return struct.pack(">BB", 0x80 | opcode, length) + payload
    if length < 1 << 16:
        return struct.pack(">BBH", 0x80 | opcode, 126, length) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, length) + payload


class Decoder:
    """Bytes from a client in, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        frames = []
        while frame := self._next():
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[0] & 0x70 or not buffer[1] & 0x80:
            raise ProtocolError("reserved bits, or a frame that is not masked")
        try:
            opcode = Opcode(buffer[0] & 0x0F)
        except ValueError:
            raise ProtocolError("unknown opcode") from None
        length = buffer[1] & 0x7F
        start = 2
        if length >= 126:
            layout = ">H" if length == 126 else ">Q"
            start += struct.calcsize(layout)
            if len(buffer) < start:
                return None
            (length,) = struct.unpack_from(layout, buffer, 2)
        if length > (_LONGEST_CONTROL if opcode >= Opcode.CLOSE else _LONGEST_FRAME):
            raise ProtocolError("frame too long")
        end = start + 4 + length
        if len(buffer) < end:
            return None
        payload = unmask(bytes(buffer[start + 4 : end]), bytes(buffer[start : start + 4]))
        del buffer[:end]
        return Frame(opcode, payload)


def unmask(payload: bytes, key: bytes) -> bytes:
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    both = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return both.to_bytes(len(payload), "big")


class Peer(asyncio.Protocol):
    """The client's side, on the upgraded connection; `kind` is the opcode of the output."""

    def __init__(self, kind: Opcode) -> None:
        self._kind = kind
        self._decoder = Decoder()
        self._client: asyncio.Transport
        self._inner: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport

    def bind(self, inner: asyncio.Transport) -> None:
        self._inner = inner

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except ProtocolError:
            self._say_goodbye(PROTOCOL_ERROR)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._client.write(encode(Opcode.PONG, frame.payload))
        elif frame.opcode is Opcode.CLOSE:
            self._say_goodbye(NORMAL_CLOSURE)
        elif frame.opcode is not Opcode.PONG:
            self._inner.write(frame.payload)

    def send(self, data: bytes) -> None:
        if not self._client.is_closing():
            self._client.write(encode(self._kind, data))

    def end(self) -> None:
        self._say_goodbye(NORMAL_CLOSURE)

    def _say_goodbye(self, code: int) -> None:
        if not self._client.is_closing():
            self._client.write(encode(Opcode.CLOSE, struct.pack(">H", code)))
            self._client.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.close()

    def pause_writing(self) -> None:
        self._inner.pause_reading()

    def resume_writing(self) -> None:
        self._inner.resume_reading()


class Inner(asyncio.Protocol):
    """The engine's side: raw bytes, as on any attach."""

    def __init__(self, peer: Peer, client: asyncio.Transport) -> None:
        self._peer = peer
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._peer.send(data)

    def eof_received(self) -> bool:
        self._peer.end()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._peer.end()

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume_reading()


async def bridge(
    transport: asyncio.Transport, initial: bytes, near: socket.socket, kind: Opcode
) -> None:
    """Run a websocket on `transport`; whoever has the far end speaks to it as a plain stream."""
    peer = Peer(kind)
    peer.connection_made(transport)
    inner, _ = await asyncio.get_running_loop().create_unix_connection(
        lambda: Inner(peer, transport), sock=near
    )
    peer.bind(inner)
    transport.set_protocol(peer)
    if initial:
        peer.data_received(initial)
    transport.resume_reading()
