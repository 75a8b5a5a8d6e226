"""TCP connections passed on where the kernel can't redirect them.

That is IPv6 for a container that has only IPv4, and ::1, which no redirected answer may reach.
All else that is published goes without us, at the kernel's speed.
"""

import errno
import socket
from collections.abc import Callable
from typing import Final

from pinnace.supervisor.loop import ERR, HUP, IN, OUT, Loop

_PIECE: Final = 1 << 18
_MOST: Final = 1000  # connections of one port


class Relay:
    """Accepts at a bound socket, and connects each connection to the target."""

    def __init__(self, loop: Loop, listener: socket.socket, target: str) -> None:
        self._loop = loop
        self._listener = listener
        host, _, port = target.rpartition("#")
        self._target = (host, int(port))
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._pairs: set[_Pair] = set()
        listener.setblocking(False)
        listener.listen(128)
        loop.watch(listener.fileno(), IN, self._accept)

    def close(self) -> None:
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for pair in list(self._pairs):
            pair.close()

    def _accept(self, events: int) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        far = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        for each in (near, far):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = far.connect_ex(self._target) if len(self._pairs) < _MOST else errno.EAGAIN
        if code not in (0, errno.EINPROGRESS):
            near.close()
            far.close()
            return
        self._pairs.add(_Pair(self._loop, near, far, self._pairs.discard))


class _Pair:
    """Two ends; what one says goes to the other, and so does its end."""

    def __init__(
        self,
        loop: Loop,
        near: socket.socket,
        far: socket.socket,
        closed: Callable[["_Pair"], None],
    ) -> None:
        self._loop = loop
        self._closed = closed
        self._ways = {near.fileno(): _Way(near, far), far.fileno(): _Way(far, near)}
        loop.watch(far.fileno(), OUT | ERR | HUP, self._connected)

    def _connected(self, events: int) -> None:
        if any(
            way.to.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for way in self._ways.values()
        ):
            self.close()
            return
        for fd in self._ways:
            self._loop.watch(fd, IN, lambda events: self._move())

    def _move(self) -> None:
        """Move what can be moved, and wait for what can be moved next."""
        try:
            for way in self._ways.values():
                way.move()
        except OSError:
            self.close()
            return
        if all(way.ended for way in self._ways.values()):
            self.close()
            return
        for fd, way in self._ways.items():
            back = next(other for number, other in self._ways.items() if number != fd)
            wanted = (IN if way.hungry else 0) | (OUT if back.waiting else 0)
            self._loop.watch(fd, wanted, lambda events: self._move())

    def close(self) -> None:
        for fd, way in self._ways.items():
            self._loop.forget(fd)
            way.source.close()
        self._closed(self)


class _Way:
    """From one end to the other."""

    def __init__(self, source: socket.socket, to: socket.socket) -> None:
        self.source = source
        self.to = to
        self.waiting = b""
        self.finished = False  # the source has said its last
        self.ended = False  # and the other end knows

    @property
    def hungry(self) -> bool:
        return not self.waiting and not self.finished

    def move(self) -> None:
        if self.hungry:
            try:
                self.waiting = self.source.recv(_PIECE)
                self.finished = not self.waiting
            except BlockingIOError:
                pass
        if self.waiting:
            try:
                self.waiting = self.waiting[self.to.send(self.waiting) :]
            except BlockingIOError:
                pass
        if self.finished and not self.waiting and not self.ended:
            self.to.shutdown(socket.SHUT_WR)
            self.ended = True
