"""An event loop for one thread: file descriptors and deadlines, each with a callback."""

import heapq
import itertools
import select
import time
from collections.abc import Callable

IN, OUT, HUP, ERR = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP, select.EPOLLERR
Callback = Callable[[int], None]


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self.stopped = False

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call callback(events) when fd is ready; a second watch of an fd replaces the first."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        when = time.monotonic() + seconds
        heapq.heappush(self._timers, (when, next(self._count), callback))

    def run(self) -> None:
        while not self.stopped:
            for fd, events in self._epoll.poll(self._timeout()):
                # A callback may have forgotten an fd that is ready in the same batch.
                if (callback := self._callbacks.get(fd)) is not None:
                    callback(events)
            self._run_timers()

    def _timeout(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
