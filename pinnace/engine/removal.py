"""`docker rm` and `prune`: a container and all that is its own, whatever state it is in."""

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from pinnace import errors
from pinnace.engine import filters, lifecycle
from pinnace.engine.documents import Container, Status
from pinnace.engine.events import Events
from pinnace.engine.launcher import Launcher
from pinnace.engine.lifecycle import Event
from pinnace.engine.pool import Pool
from pinnace.engine.registry import Registry
from pinnace.engine.runs import Runs
from pinnace.engine.settings import Settings
from pinnace.engine.volumes import Volumes
from pinnace.engine.waits import Exit, Waits
from pinnace.linux import failpoint
from pinnace.store.snapshots import Overlay

_PATIENCE = 10.0


class Removal:
    def __init__(
        self,
        *,
        settings: Settings,
        registry: Registry,
        runs: Runs,
        launcher: Launcher,
        snapshots: Overlay,
        volumes: Volumes,
        pool: Pool,
        events: Events,
        waits: Waits,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._runs = runs
        self._launcher = launcher
        self._snapshots = snapshots
        self._volumes = volumes
        self._pool = pool
        self._events = events
        self._waits = waits
        self._guard = threading.Lock()
        self._kept: set[str] = set()

    @contextlib.contextmanager
    def kept(self, ident: str) -> Iterator[None]:
        """While it is being restarted, its exit does not remove it (`--rm`)."""
        with self._guard:
            self._kept.add(ident)
        try:
            yield
        finally:
            with self._guard:
                self._kept.discard(ident)

    def remove(self, ident: str, *, force: bool, volumes: bool) -> None:
        event = Event.REMOVE_BY_FORCE if force else Event.REMOVE
        ended = self._waits.for_exit(self._registry.get(ident).id)
        try:
            self._remove_when(ended, ident, event, volumes=volumes)
        finally:
            ended.cancel()

    def _remove_when(
        self, ended: "Future[Exit]", ident: str, event: Event, *, volumes: bool
    ) -> None:
        with self._registry.locked(ident) as container:
            before = container.state.status
            container.state.status = lifecycle.next(before, event, ident=ident, id=container.id)
            container.has_been_manually_stopped = True
            running = container.id in self._runs.live
            container.version += 1
        try:
            if running:
                self._kill(container, ended)
            self._remove(container, volumes=volumes)
        except BaseException:
            with contextlib.suppress(errors.NotFound), self._registry.locked(container.id):
                container.state.status = Status.DEAD
                self._registry.save(container)
            raise

    def automatically(self, ident: str) -> None:
        """After the exit of a container with `--rm`; someone else may have been quicker."""
        with self._guard:
            if ident in self._kept:
                return
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            self.remove(ident, force=True, volumes=True)

    def finish(self) -> None:
        """Remove what was being removed when the last daemon died."""
        for container in self._registry.all():
            if container.state.status is Status.REMOVING:
                container.state.status = Status.DEAD
                self.automatically(container.id)

    def _kill(self, container: Container, ended: "Future[Exit]") -> None:
        with contextlib.suppress(errors.Conflict):  # it is ending by itself
            self._runs.signal(container, signal.SIGKILL)
        try:
            ended.result(_PATIENCE)
        except NotYet:
            raise errors.Failed(
                f"cannot remove container {container.id}: could not kill container: "
                "tried to kill container, but did not receive an exit event"
            ) from None

    def _remove(self, container: Container, *, volumes: bool) -> None:
        """Its folders become orphans first, which a crash leaves to the next start's sweep."""
        self._pool.discard(container.id)
        failpoint.hit("remove")
        self._launcher.clear(container.id)
        self._snapshots.remove(container.id)
        self._registry.remove(container)
        shutil.rmtree(f"{self._settings.data_root}/containers/{container.id}", ignore_errors=True)
        self._volumes.release(container.id, container.mounts if volumes else ())
        self._events.container("destroy", container)
        self._waits.removed(container.id, (container.state.exit_code, None))

    def prune(self, wanted: filters.Filters) -> tuple[Sequence[str], int]:
        """Remove the containers that do not run; (ids, bytes freed)."""
        filters.check(wanted, frozenset({"label", "label!", "until"}))
        before = filters.until(wanted, time.time_ns()) if "until" in wanted else None
        removed, freed = [], 0
        for container in self._registry.all():
            if container.state.status not in (Status.CREATED, Status.EXITED, Status.DEAD):
                continue
            if before is not None and container.created >= before:
                continue
            if not filters.prunable(wanted, container.config.labels):
                continue
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                size = self._snapshots.usage(container.id).size
                self.remove(container.id, force=False, volumes=False)
                removed.append(container.id)
                freed += size
        self._events.publish("container", "prune", "", {"reclaimed": str(freed)})
        return removed, freed
