"""Prepared shells for ordinary containers: what can be done before `create` is done by then.

A shell is a supervisor whose init waits in its namespaces, in the cgroup that bears the id of
the container to come. So ids are handed out here: `reserve` gives the id of a waiting shell
(or a fresh one), `take` the shell itself, if it is still there and fits. The unusual
containers go the cold way, which is the same code run later.
"""

import logging
import secrets
import threading
import time
from collections import deque
from typing import NamedTuple

import msgspec

from pinnace.engine import keepers
from pinnace.engine.idranges import IdRanges
from pinnace.engine.keepers import KeeperFailed, Zygote
from pinnace.errors import PinnaceError
from pinnace.linux import cgroup
from pinnace.linux.process import IDMap
from pinnace.runtime.container import Preparation
from pinnace.runtime.sync import Channel

_log = logging.getLogger(__name__)

_KEPT_FOR = 10.0  # seconds that a created container's shell waits for its start


class Shell(NamedTuple):
    id: str
    id_base: int
    preparation: Preparation
    channel: Channel
    reserved_until: float


class Pool:
    """`depth` waiting shells; refilled by a thread of its own."""

    def __init__(self, zygote: Zygote, ranges: IdRanges, depth: int) -> None:
        self._zygote = zygote
        self._ranges = ranges
        self._depth = depth
        self._pattern: Preparation | None = None
        self._ready: deque[Shell] = deque()
        self._reserved: dict[str, Shell] = {}
        self._condition = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def prepare_like(self, pattern: Preparation) -> None:
        """Begin to make shells like this one (its id-dependent fields are replaced)."""
        self._pattern = pattern
        if self._depth:
            self._thread = threading.Thread(target=self._run, name="pool", daemon=True)
            self._thread.start()

    def reserve(self) -> str:
        """An id for a container that is being created."""
        with self._condition:
            if not self._ready:
                return secrets.token_hex(32)
            shell = self._ready.popleft()
            until = time.monotonic() + _KEPT_FOR
            self._reserved[shell.id] = shell._replace(reserved_until=until)
            self._condition.notify()
            return shell.id

    def id_base(self, ident: str) -> int | None:
        """The first host id of the shell that waits for this container, if one does."""
        with self._condition:
            shell = self._reserved.get(ident)
            return shell.id_base if shell else None

    def take(self, ident: str, wanted: Preparation) -> Shell | None:
        """The shell for this container, if it is what the container wants."""
        with self._condition:
            shell = self._reserved.pop(ident, None)
        if shell is None:
            return None
        if _fits(shell.preparation, wanted):
            return shell
        self._discard(shell)
        return None

    def discard(self, ident: str) -> None:
        """The container will not be started with its shell; its cgroup is free then."""
        with self._condition:
            shell = self._reserved.pop(ident, None)
        if shell is not None:
            self._discard(shell)

    def _discard(self, shell: Shell) -> None:
        """The supervisor sees the end of its channel and clears up; what was killed did not."""
        shell.channel.hang_up()
        shell.channel.close()
        try:
            cgroup.end(shell.preparation.cgroup_path)
        except OSError as error:
            _log.warning("cgroup of a prepared shell stays: %s", error)
        self._ranges.release(shell.id_base)

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
        for shell in (*self._ready, *self._reserved.values()):
            self._discard(shell)

    def _run(self) -> None:
        while self._await_need():
            try:
                shell = self._make()
            except (PinnaceError, KeeperFailed, OSError):
                time.sleep(1)  # starts go the cold way, and tell why it does not work
                continue
            with self._condition:
                self._ready.append(shell)

    def _await_need(self) -> bool:
        """Wait until a shell is missing, dropping those whose container was not started."""
        while True:
            with self._condition:
                expired = self._expired()
                if self._closed:
                    return False
                if not expired and len(self._ready) < self._depth:
                    return True
                if not expired:
                    self._condition.wait(_KEPT_FOR if self._reserved else None)
            for shell in expired:
                self._discard(shell)

    def _expired(self) -> list[Shell]:
        now = time.monotonic()
        expired = [shell for shell in self._reserved.values() if shell.reserved_until < now]
        for shell in expired:
            del self._reserved[shell.id]
        return expired

    def _make(self) -> Shell:
        assert self._pattern is not None
        ident = secrets.token_hex(32)
        base = self._ranges.take() if self._pattern.uid_maps else 0
        parent = self._pattern.cgroup_path.rpartition("/")[0]
        preparation = msgspec.structs.replace(
            self._pattern,
            staged=True,
            cgroup_path=f"{parent}/{ident}",
            uid_maps=_moved(self._pattern.uid_maps, base),
            gid_maps=_moved(self._pattern.gid_maps, base),
        )
        try:
            channel = keepers.prepare(self._zygote, preparation)
        except BaseException:
            self._ranges.release(base)
            raise
        return Shell(ident, base, preparation, channel, 0.0)


def _moved(maps: list[IDMap], base: int) -> list[IDMap]:
    return [maps[0]._replace(outside=base), *maps[1:]] if maps else []


def _fits(have: Preparation, wanted: Preparation) -> bool:
    """Limits are written again where they differ; all else has to be the same."""
    as_made = msgspec.structs.replace(wanted, staged=have.staged, resources=have.resources)
    return as_made == have
