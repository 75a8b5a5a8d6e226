"""Folders that no row knows any more are deleted here: later, slowly, when nobody waits.

Why not at once: on ext4, files made in the minutes after a mass delete cost about ten times
the CPU (the kernel steps around every inode that was freed recently). So deletion waits for
a quiet moment, and goes on in small steps.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from pinnace.store import trees

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

    def busy(self) -> None:
        """Someone is being served: put work off."""
        self._used = time.monotonic()

    def discard(self, name: str) -> None:
        """Delete root/name some time later. The name must never be used again."""
        self._names.append(name)
        self.wake()

    def wake(self) -> None:
        """There is something to do, or the chore would be welcome."""
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
                self._delete_slowly(self._names.popleft())

    def _delete_slowly(self, name: str) -> None:
        for count, _ in enumerate(self._delete(name), 1):
            if count % STEP == 0:
                self._stop.wait(PAUSE)
                self._wait_for_quiet()
                if self._stop.is_set():
                    return

    def _delete(self, name: str) -> Iterator[None]:
        root_fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield from trees.delete(root_fd, name)
        except OSError as error:
            log.warning("cannot delete %s/%s: %s", self._root, name, error)
        finally:
            os.close(root_fd)

    def _wait_for_quiet(self) -> None:
        limit = time.monotonic() + PATIENCE
        while not self._stop.is_set():
            now = time.monotonic()
            quiet = min(self._used + QUIET, limit)
            if now >= quiet:
                return
            self._stop.wait(quiet - now)
