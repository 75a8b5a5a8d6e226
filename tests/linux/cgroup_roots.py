"""Leaves the root of the unified hierarchy as it was found."""

from collections.abc import Iterator
from contextlib import contextmanager

from pinnace.linux import cgroup


def _subtree_control() -> set[str]:
    unified = cgroup.detect().unified
    if unified is None:
        return set()
    with open(f"{unified.target}/cgroup.subtree_control") as file:
        return set(file.read().split())


@contextmanager
def restored() -> Iterator[None]:
    """Switches off, after the block, the controllers that were switched on in it."""
    before = _subtree_control()
    yield
    unified = cgroup.detect().unified
    for name in _subtree_control() - before:
        assert unified is not None
        with open(f"{unified.target}/cgroup.subtree_control", "w") as file:
            file.write(f"-{name}")
