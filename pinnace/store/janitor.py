"""Folders that no row knows any more are deleted here: later, slowly, when nobody waits.

Why not at once: on ext4, files made in the minutes after a mass delete cost about ten times
the CPU (the kernel steps around every inode that was freed recently). So deletion waits for
a quiet moment, and goes on in small steps.
"""

import contextlib
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

QUIET = 2.0  # seconds without `busy()` before work begins
PATIENCE = 60.0  # but never wait longer than this
STEP = 200  # entries deleted between two pauses
PAUSE = 0.02

log = logging.getLogger(__name__)


class Janitor:
    """Deletes folders directly below `root`; what a crash leaves is found by the next sweep."""

    def __init__(self, root: str, chore: Callable[[], None] = lambda: None) -> None:
        self._root = root
        self._chore = chore
        self._names: deque[str] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._used = time.monotonic()
        self._start = threading.Lock()
        self._counter = itertools.count(time.time_ns())

    def busy(self) -> None:
        """Someone is being served: put work off."""
        self._used = time.monotonic()

    def discard(self, name: str) -> None:
        """Delete root/name some time later. The name must never be used again."""
        self._names.append(name)
        self._wake.set()
        if self._thread is None:
            with self._start:
                if self._thread is None and not self._stop.is_set():
                    self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Stop at the next step; the rest is left for the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def drain(self) -> None:
        """Delete everything now."""
        while self._names:
            for _ in self._delete(self._names.popleft()):
                pass

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            self._wait_for_quiet()
            # First the rows, durably, then the files: a power cut must not bring back a row
            # whose folder is gone.
            if not self._stop.is_set():
                self._chore()
            while self._names and not self._stop.is_set():
                for _ in self._delete(self._names.popleft()):
                    self._stop.wait(PAUSE)
                    self._wait_for_quiet()
                    if self._stop.is_set():
                        return

    def _wait_for_quiet(self) -> None:
        limit = time.monotonic() + PATIENCE
        while not self._stop.is_set():
            now = time.monotonic()
            quiet = min(self._used + QUIET, limit)
            if now >= quiet:
                return
            self._stop.wait(quiet - now)

    def _delete(self, name: str) -> Iterator[None]:
        """Delete root/name, yielding after every STEP entries.

        Folders inside are first moved up to the root: no recursion, no path that is too long,
        two open fds, whatever depth a container has made.
        """
        root_fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        names, done = [name], 0
        try:
            while names:
                name = names.pop()
                try:
                    for inner in self._empty(root_fd, name):
                        if inner:
                            names.append(inner)
                        done += 1
                        if done % STEP == 0:
                            yield
                    os.rmdir(name, dir_fd=root_fd)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    log.warning("cannot delete %s/%s: %s", self._root, name, error)
        finally:
            os.close(root_fd)

    def _empty(self, root_fd: int, name: str) -> Iterator[str]:
        """Delete the entries of a folder; yields the new name of each folder moved out of it."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=root_fd)
        try:
            with os.scandir(fd) as listing:
                entries = [(e.name, e.is_dir(follow_symlinks=False)) for e in listing]
            for entry, folder in entries:
                if folder:
                    moved = f"trash-{next(self._counter)}"
                    os.rename(entry, moved, src_dir_fd=fd, dst_dir_fd=root_fd)
                    yield moved
                else:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(entry, dir_fd=fd)
                    yield ""
        finally:
            os.close(fd)
