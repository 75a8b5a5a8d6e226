"""Ranges of host ids for the containers' user namespaces: no two containers share one."""

import threading

from pinnace import errors
from pinnace.engine import bundle


class IdRanges:
    """Hands out ranges of `bundle.RANGE_SIZE` ids by their first one; a released one comes last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()
        self._next = bundle.RANGES_START

    def take(self) -> int:
        with self._lock:
            count = (bundle.RANGES_END - bundle.RANGES_START) // bundle.RANGE_SIZE
            for _ in range(count):
                base, self._next = self._next, self._next + bundle.RANGE_SIZE
                if self._next >= bundle.RANGES_END:
                    self._next = bundle.RANGES_START
                if base not in self._taken:
                    self._taken.add(base)
                    return base
        raise errors.Unavailable("no range of ids is left for another container's user namespace")

    def claim(self, base: int) -> None:
        """A running container was found to have this one."""
        with self._lock:
            self._taken.add(base)

    def release(self, base: int) -> None:
        with self._lock:
            self._taken.discard(base)
