"""What the engine expects of root file systems: the Snapshotter protocol, and its words.

A *snapshot* is *active* (somebody writes in it: a container, a layer being unpacked), a *view*
(the same, read-only) or *committed* (a layer, never changed again). Active ones have a *key*,
committed ones a *name* (the chain id of the layer); both are unique together. The *parent* of
any snapshot is a committed one.

    container:  prepare(id, chain_id) -> mount the Layers -> remove(id)
    unpacking:  prepare(key, chain_id, init=False) -> differ.apply(Layers.upper)
                -> commit(key, new_chain_id)
"""

from enum import StrEnum
from typing import NamedTuple, Protocol

from pinnace.runtime.layers import Layers
from pinnace.store.trees import Usage


class Kind(StrEnum):
    ACTIVE = "active"
    VIEW = "view"
    COMMITTED = "committed"
    INIT = "init"
    HOST = "host"


class Info(NamedTuple):
    id: int
    key: str
    kind: Kind
    parent: str | None
    volatile: bool
    size: int
    inodes: int
    created: int


class Snapshotter(Protocol):
    def prepare(
        self, key: str, parent: str | None, *, init: bool = True, volatile: bool = False
    ) -> Layers:
        """A new active snapshot. Raises database.Taken for a used key, NotFound for an unknown
        parent. `volatile`: nobody needs it after a crash."""
        ...

    def view(self, key: str, parent: str | None) -> Layers:
        """A new read-only snapshot, to be removed like an active one."""
        ...

    def mounts(self, key: str) -> Layers:
        """What `prepare` returned."""
        ...

    def commit(self, key: str, name: str) -> None:
        """An active snapshot becomes a committed one, durably. Raises database.Taken when
        there is one of that name; the active one is then unchanged."""
        ...

    def stat(self, key: str) -> Info: ...

    def usage(self, key: str) -> Usage:
        """Of an active one: counted now; of a committed one: as it was when committed."""
        ...

    def remove(self, key: str) -> None:
        """Forget it, and delete its files later. Idempotent. Raises Conflict if it has
        children."""
        ...
