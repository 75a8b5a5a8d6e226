"""Who follows a log is woken when it is written to; any number of followers, one inotify.

A user may have 128 inotify instances by default, and a log collector follows every container of
a machine. So the process has one instance, with a thread that reads it while anybody follows,
and each follower has an eventfd of its own to wait on.
"""

import _thread
import os
import select

from pinnace.linux import inotify

# The folder is watched, not the file: a rotation's new file is covered from its first byte.
_MASK = inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO | inotify.IN_ONLYDIR


class Wakeup:
    """A descriptor that is readable when there may be something new."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def set(self) -> None:
        os.eventfd_write(self.fd, 1)

    def clear(self) -> None:
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self.fd)


class _Instance:
    """What is open while there is a follower."""

    def __init__(self) -> None:
        self.inotify = inotify.Inotify()
        self.left = Wakeup()  # set when a follower has left

    def wait(self) -> None:
        poll = select.poll()
        poll.register(self.inotify, select.POLLIN)
        poll.register(self.left.fd, select.POLLIN)
        poll.poll()

    def close(self) -> None:
        self.inotify.close()
        self.left.close()


class _Hub:
    """All followers of this process."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._instance: _Instance | None = None
        self._followers: dict[int, set[Wakeup]] = {}  # by watch

    def add(self, folder: str, wakeup: Wakeup) -> int:
        with self._lock:
            if self._instance is None:
                self._instance = _Instance()
                self._start(self._instance)
            try:
                watch = self._instance.inotify.add(folder, _MASK)
            except OSError:
                self._instance.left.set()
                raise
            self._followers.setdefault(watch, set()).add(wakeup)
            return watch

    def remove(self, watch: int, wakeup: Wakeup) -> None:
        with self._lock:
            followers = self._followers[watch]
            followers.discard(wakeup)
            if followers or self._instance is None:
                return
            del self._followers[watch]
            try:
                self._instance.inotify.remove(watch)
            except OSError:
                pass  # the folder was deleted, and its watch with it
            self._instance.left.set()

    def _start(self, instance: _Instance) -> None:
        import threading  # in the daemon only: a supervisor has no threads

        threading.Thread(
            target=self._run, args=(instance,), name="pinnace-logs", daemon=True
        ).start()

    def _run(self, instance: _Instance) -> None:
        while True:
            instance.wait()
            with self._lock:
                instance.left.clear()
                if not self._followers:
                    self._instance = None
                    instance.close()
                    return
                self._wake({event.watch for event in instance.inotify.read()})

    def _wake(self, watches: set[int]) -> None:
        if -1 in watches:  # the queue overflowed: it may have been anybody's
            watches = set(self._followers)
        for watch in watches:
            for wakeup in self._followers.get(watch, ()):
                wakeup.set()


_HUB = _Hub()


class Follow:
    """Wakes one reader when something in the folder changes."""

    def __init__(self, folder: str) -> None:
        self.wakeup = Wakeup()
        try:
            self._watch = _HUB.add(folder, self.wakeup)
        except OSError:
            self.wakeup.close()
            raise

    def close(self) -> None:
        _HUB.remove(self._watch, self.wakeup)
        self.wakeup.close()
