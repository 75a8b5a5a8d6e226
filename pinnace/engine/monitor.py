"""One thread that hears from all supervisors, and one that acts on it; also the daemon's clock.

The listener only reads messages: what follows from them (restart, removal) may wait for locks
and disks, so it is done elsewhere, in order for each container.
"""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pinnace.runtime.sync import Channel, Closed
from pinnace.supervisor import protocol
from pinnace.supervisor.loop import IN, Loop

_log = logging.getLogger(__name__)

Handler = Callable[[protocol.Event | None], None]


class Monitor:
    """`watch` a supervisor's channel; its handler gets each event, and None when it is gone."""

    def __init__(self) -> None:
        self._loop = Loop()
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._workers = ThreadPoolExecutor(8, thread_name_prefix="monitor")
        self._loop.watch(self._wake_fd, IN, self._woken)
        self._thread = threading.Thread(target=self._loop.run, name="monitor", daemon=True)
        self._thread.start()

    def watch(self, channel: Channel, handler: Handler) -> None:
        self._call(
            lambda: self._loop.watch(channel.fileno(), IN, lambda _: self._ready(channel, handler))
        )

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run action on a worker later."""
        self._call(lambda: self._loop.after(seconds, lambda: self.submit(action)))

    def submit(self, action: Callable[[], None]) -> None:
        """Run action on a worker; what it raises is logged."""
        try:
            self._workers.submit(_logged, action)
        except RuntimeError:
            pass  # closing: the next daemon finds out by itself

    def close(self) -> None:
        self._call(lambda: setattr(self._loop, "stopped", True))
        self._thread.join()
        self._workers.shutdown()
        os.close(self._wake_fd)

    def _call(self, action: Callable[[], None]) -> None:
        """Run action on the loop's thread."""
        with self._lock:
            self._calls.append(action)
        os.eventfd_write(self._wake_fd, 1)

    def _woken(self, _: int) -> None:
        os.eventfd_read(self._wake_fd)
        with self._lock:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def _ready(self, channel: Channel, handler: Handler) -> None:
        event: protocol.Event | None = None
        try:
            frame, _ = channel.receive_frame()
            message = protocol.answers.decode(frame)
            if isinstance(message, protocol.Event):
                event = message
        except (Closed, OSError):
            self._loop.forget(channel.fileno())
            channel.close()
        if event is not None or channel.fileno() < 0:
            self._workers.submit(_logged, lambda: handler(event))


def _logged(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # noqa: BLE001 (an edge: nobody is there to catch it)
        _log.exception("after an event of a supervisor")
