"""Netlink: attributes ↔ bytes, and sockets that send many requests and wait once (netlink(7)).

Also set_link_up, all that a container without a network needs: the zygote imports this module,
so what else there is to say to rtnetlink stands in `links`, `routes` and `nftables`.
"""

import _thread
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12

_RTM_NEWLINK = 16
REQUEST, MULTI, ACK, ECHO = 1, 2, 4, 8
DUMP = 0x300
REPLACE, EXCLUDE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
_ERROR, _DONE = 2, 3
# Flags of the NLMSG_ERROR reply: attributes follow; without _CAPPED the request comes first.
_ACK_TLVS, _CAPPED = 0x200, 0x100
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG

_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1
_CAP_ACK, _EXT_ACK, _STRICT_CHECK = 10, 11, 12
_IFF_UP = 1
_HEADER = struct.Struct("=LHHLL")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED, _TYPE_MASK = 0x8000, 0x3FFF
LOOPBACK = 1


def set_link_up(index: int) -> None:
    """Set IFF_UP on the link with this index in the caller's network namespace (rtnetlink(7))."""
    body = struct.pack("=BBHiII", socket.AF_UNSPEC, 0, 0, index, _IFF_UP, _IFF_UP)
    with Socket() as netlink:
        netlink.send(Message(_RTM_NEWLINK, 0, body))


# Attributes


def attribute(kind: int, data: bytes) -> bytes:
    length = len(data) + 4
    return _ATTRIBUTE.pack(length, kind) + data + bytes(-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, bytes((value,)))


def u16(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def u64(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=Q", value))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes in data, in order; a length that can't be ends them."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > len(data):
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    return dict(parts(data))


def string(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")


# Messages


class Message(NamedTuple):
    kind: int
    flags: int
    body: bytes


def encode(message: Message, sequence: int) -> bytes:
    """Padded, so that another message can follow."""
    header = _HEADER.pack(16 + len(message.body), message.kind, message.flags, sequence, 0)
    return header + message.body + bytes(-len(message.body) % 4)


class Received(NamedTuple):
    kind: int
    flags: int
    sequence: int
    body: bytes


def decode(data: bytes) -> Iterator[Received]:
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < 16:
            return
        yield Received(kind, flags, sequence, data[offset + 16 : offset + length])
        offset += (length + 3) & ~3


def failure(reply: Received) -> OSError | None:
    """What an NLMSG_ERROR says; the kernel's own words stand behind those of errno."""
    (code,) = struct.unpack_from("=i", reply.body)
    if not code:
        return None
    said = os.strerror(-code)
    if reply.flags & _ACK_TLVS:
        offset = 20
        if not reply.flags & _CAPPED:
            (length,) = struct.unpack_from("=L", reply.body, 4)
            offset = 4 + ((length + 3) & ~3)
        words = attributes(reply.body[offset:]).get(_ERROR_TEXT)
        said = f"{said}: {string(words)}" if words else said
    return OSError(-code, said)


class Socket:
    """A netlink socket of the namespace that the calling thread is in; it stays there for good.

    Requests of several threads take turns.
    """

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        self._lock = _thread.allocate_lock()  # `threading` is too much for the zygote
        self._sequence = 0
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        if protocol == NETLINK_ROUTE:
            # Else the kernel ignores what it does not know, and dumps what was not asked for.
            self._socket.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
        else:
            # A transaction is one send, however long (SO_SNDBUFFORCE).
            self._socket.setsockopt(socket.SOL_SOCKET, 32, 16 << 20)
        self._socket.bind((0, 0))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *messages: Message) -> None:
        """All requests in one send, and one wait for all; the first refusal is raised.

        The kernel goes on after a refused one (but in a batch of nfnetlink).
        """
        for error in self.outcomes(messages):
            if error is not None:
                raise error

    def outcomes(self, messages: Sequence[Message]) -> list[OSError | None]:
        """What became of each request, in their order."""
        if not messages:
            return []
        with self._lock:
            first = self._sequence + 1
            self._sequence += len(messages)
            data = b"".join(
                encode(Message(m.kind, m.flags | REQUEST | ACK, m.body), first + i)
                for i, m in enumerate(messages)
            )
            self._socket.send(data)
            return self._acknowledged(first, len(messages))

    def _acknowledged(self, first: int, count: int) -> list[OSError | None]:
        found: list[OSError | None] = [None] * count
        left = count
        while left:
            for reply in decode(self._socket.recv(1 << 16)):
                if reply.kind == _ERROR and 0 <= reply.sequence - first < count:
                    found[reply.sequence - first] = failure(reply)
                    left -= 1
        return found

    def batch(self, messages: Sequence[Message], *, acknowledged: int) -> None:
        """Send messages that stand or fall together; only one of them is acknowledged.

        What is refused is told in any case, and before the acknowledgement; a refusal of the
        first message is all that is told.
        """
        with self._lock:
            first = self._sequence + 1
            self._sequence += len(messages)
            encoded = []
            for i, (kind, flags, body) in enumerate(messages):
                flags |= REQUEST | (ACK if i == acknowledged else 0)
                encoded.append(encode(Message(kind, flags, body), first + i))
            self._socket.send(b"".join(encoded))
            if error := self._refusal(first, first + acknowledged):
                raise error

    def _refusal(self, first: int, last: int) -> OSError | None:
        refused: OSError | None = None
        while True:
            for reply in decode(self._socket.recv(1 << 16)):
                if reply.kind != _ERROR or not first <= reply.sequence <= last:
                    continue
                refused = refused or failure(reply)
                if reply.sequence == last or (reply.sequence == first and refused):
                    return refused

    def join(self, group: int) -> None:
        """Listen to what the kernel tells everyone: `heard`."""
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        self._socket.setblocking(False)

    def heard(self) -> Iterator[Received | None]:
        """What was told since the last time; None where something was lost."""
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield None
                continue
            yield from decode(data)

    def dump(self, kind: int, body: bytes, flags: int = DUMP) -> list[Received]:
        """Everything that the kernel lists for the request; asked again if it changed meanwhile."""
        interrupted = True
        while interrupted:
            found, interrupted = self._dump(Message(kind, flags | REQUEST, body))
        return found

    def _dump(self, message: Message) -> tuple[list[Received], bool]:
        found: list[Received] = []
        interrupted = False
        with self._lock:
            self._sequence += 1
            self._socket.send(encode(message, self._sequence))
            while True:
                for reply in decode(self._socket.recv(1 << 18)):
                    if reply.sequence != self._sequence:
                        continue
                    interrupted |= bool(reply.flags & 0x10)  # NLM_F_DUMP_INTR
                    if reply.kind == _DONE:
                        return found, interrupted
                    if reply.kind == _ERROR:
                        if error := failure(reply):
                            raise error
                        return found, interrupted
                    found.append(reply)
                    if not reply.flags & MULTI:
                        return found, interrupted
