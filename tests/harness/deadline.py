"""The one place where a test waits: until something is true, and never longer than it may."""

import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A loaded CI machine is slower by this factor; it stretches limits, never the work.
SLOW = float(os.environ.get("PINNACE_TEST_SLOW", "1"))


class Expired(AssertionError):
    """What was waited for did not come."""


class Deadline:
    """A moment that does not move while the steps before it are taken."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds * SLOW

    @property
    def remaining(self) -> float:
        return max(0.0, self.end - time.monotonic())

    def until(self, condition: Callable[[], T], what: str = "") -> T:
        """The first true value of `condition`, which is asked again every few milliseconds."""
        pause = 0.001
        while True:
            value = condition()
            if value:
                return value
            if not self.remaining:
                raise Expired(f"not in time: {what or condition}; last seen: {value!r}")
            select.select([], [], [], min(pause, self.remaining))
            pause = min(pause * 2, 0.05)


def until(condition: Callable[[], T], what: str = "", *, seconds: float = 20) -> T:
    return Deadline(seconds).until(condition, what)
