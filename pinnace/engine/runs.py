"""The life of a container's runs: start, exit, restart, and finding them again after a crash.

Rule: a run is in `live` from the moment its program was executed until its exit is recorded;
the supervisor, not this module, decides what the exit was.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from pinnace import errors
from pinnace.engine import failures, keepers, lifecycle, restarts, volume_content
from pinnace.engine.documents import Container, Status
from pinnace.engine.events import Events
from pinnace.engine.facts import Donor
from pinnace.engine.idranges import IdRanges
from pinnace.engine.keepers import KeeperFailed, Zygote
from pinnace.engine.launcher import Launch, Launcher
from pinnace.engine.lifecycle import Event
from pinnace.engine.monitor import Monitor
from pinnace.engine.pool import Pool
from pinnace.engine.registry import Registry
from pinnace.engine.waits import Waits
from pinnace.linux import cgroup, failpoint, process
from pinnace.oci import spec
from pinnace.runtime.sync import Channel, close_fds
from pinnace.store.snapshots import Overlay
from pinnace.supervisor import protocol

_log = logging.getLogger(__name__)

_KILLED = 137


class Live(NamedTuple):
    """A running container, as the daemon holds it."""

    channel: Channel
    pidfd: int
    pid: int
    id_base: int
    cgroup_path: str


class PendingClient(NamedTuple):
    """An attached connection of a container that does not run yet."""

    client: protocol.Client
    fd: int


class Runs:
    def __init__(
        self,
        *,
        registry: Registry,
        launcher: Launcher,
        zygote: Zygote,
        pool: Pool,
        ranges: IdRanges,
        monitor: Monitor,
        snapshots: Overlay,
        events: Events,
        waits: Waits,
    ) -> None:
        self._registry = registry
        self._launcher = launcher
        self._zygote = zygote
        self._pool = pool
        self._ranges = ranges
        self._monitor = monitor
        self._snapshots = snapshots
        self._events = events
        self._waits = waits
        self._guard = threading.Lock()
        self._pending: dict[str, list[PendingClient]] = {}
        self.live: dict[str, Live] = {}
        self.exec_exited: Callable[[str, int], None] = lambda ident, code: None
        self.remove_automatically: Callable[[str], None] = lambda ident: None
        self.before_start: Callable[[Container], None] = lambda container: None
        self.ended: list[Callable[[Container], None]] = []

    # Starting

    def start(self, ident: str) -> None:
        """Start a created or exited container; nothing is left behind if it can't be."""
        with self._registry.locked(ident) as container:
            status = lifecycle.next(
                container.state.status, Event.START, ident=ident, id=container.id
            )
            container.has_been_manually_stopped = False
            container.restart_count = 0
            self._start(container, status)

    def _start(self, container: Container, status: Status) -> None:
        try:
            with ExitStack() as undo:
                self._execute(container, status, undo)
                undo.pop_all()
        except (KeeperFailed, errors.PinnaceError, OSError) as error:
            raise self._failed(container, error) from error
        self._events.container("start", container)

    def _execute(self, container: Container, status: Status, undo: ExitStack) -> None:
        self.before_start(container)
        _make_bind_sources(container)
        id_base = self._id_base(container)
        undo.callback(self._ranges.release, id_base)
        shm_path = self._launcher.share_memory(container)
        undo.callback(self._launcher.unshare_memory, container.id)
        with volume_content.pinned(container.mounts) as pinned:
            known = self._launcher.gather(
                container, id_base, self._donors(container), shm_path, pinned
            )
            launch = self._launcher.plan(container, self._snapshots.mounts(container.id), known)
            # Where the making was killed, nobody else removes it.
            undo.callback(cgroup.end, launch.preparation.cgroup_path)
            failpoint.hit("engine-planned")
            channel, run = self._shell(container.id, launch)
            undo.callback(channel.close)
            started, pidfd = self._run(container.id, channel, run)
            undo.callback(process.send_signal, pidfd, signal.SIGKILL)
        failpoint.hit("engine-started")
        live = Live(channel, pidfd, started.pid, id_base, launch.preparation.cgroup_path)
        self._begin(container, live, status, started.started_at)

    def _run(self, ident: str, channel: Channel, run: protocol.Run) -> tuple[protocol.Started, int]:
        """Have it executed, with the clients that wait for it attached."""
        clients = self._take_pending(ident)
        run = msgspec.structs.replace(run, clients=[pending.client for pending in clients])
        fds = [pending.fd for pending in clients]
        try:
            started, received = keepers.ask(channel, run, protocol.Started, fds)
        finally:
            close_fds(fds)
        return started, received[0]

    def _begin(self, container: Container, live: Live, status: Status, started_at: int) -> None:
        state = container.state
        state.status, state.pid, state.started_at = status, live.pid, started_at
        state.exit_code, state.error, state.oom_killed = 0, "", False
        container.has_been_started_before = True
        self.live[container.id] = live
        self._registry.save(container)
        ident = container.id
        self._monitor.watch(live.channel, lambda event: self._heard(ident, event))

    def _id_base(self, container: Container) -> int:
        """0 where the data root's file system has no id-mapped mounts."""
        if not self._launcher.has_private_users(container):
            return 0
        base = self._pool.id_base(container.id)
        return self._ranges.take() if base is None else base

    def _shell(self, ident: str, launch: Launch) -> tuple[Channel, protocol.Run]:
        """A waiting shell, or a supervisor that is to make one first."""
        shell = self._pool.take(ident, launch.preparation) if launch.poolable else None
        if shell is not None:
            return shell.channel, launch.run
        self._pool.discard(ident)
        run = msgspec.structs.replace(launch.run, preparation=launch.preparation)
        return self._zygote.spawn(), run

    def _donors(self, container: Container) -> dict[str, Donor]:
        """The containers whose namespaces this one joins."""
        host = container.host_config
        modes = {"network": host.network_mode, "IPC": host.ipc_mode, "PID": host.pid_mode}
        donors = {}
        for kind, mode in modes.items():
            if mode.startswith("container:"):
                ident = mode.removeprefix("container:")
                donors[ident] = self._donor(kind, ident)
                if kind == "network":
                    self._share_names(container, ident)
        return donors

    def _share_names(self, container: Container, ident: str) -> None:
        """The files of /etc are the other one's, which may have been made after this one."""
        other = self._registry.get(ident)
        container.hostname_path = other.hostname_path
        container.hosts_path = other.hosts_path
        container.resolv_conf_path = other.resolv_conf_path

    def _donor(self, kind: str, ident: str) -> Donor:
        try:
            other = self._registry.get(ident)
        except errors.NotFound as error:
            message = f"joining {kind.lower()} namespace of container: {error.message}"
            raise errors.Invalid(message) from None
        live = self.live.get(other.id)
        if live is None and kind == "network":
            raise errors.Conflict(
                "cannot join network namespace of a non running container: "
                f"container {other.name} is {other.state.status.value}"
            )
        if live is None:
            raise errors.Conflict(
                f"failed to join {kind} namespace: container {other.id} is not running"
            )
        if kind == "IPC" and other.host_config.ipc_mode not in ("shareable", "host"):
            raise errors.Invalid(
                f"failed to join IPC namespace: container {other.id}: non-shareable IPC "
                "(hint: use IpcMode:shareable for the donor container)"
            )
        shm = f"{self._launcher.folder(other.id)}/shm"
        return Donor(
            pid=live.pid,
            private_users=_has_own_users(live.pid),
            shm_path=shm if other.host_config.ipc_mode == "shareable" else "",
        )

    def _failed(self, container: Container, error: Exception) -> errors.PinnaceError:
        """Record why it could not start, and say it as Docker does."""
        code, told = failures.of_start(error)
        container.state.exit_code = code
        container.state.error = told.message
        container.state.finished_at = time.time_ns()
        last_try = container.state.status is Status.RESTARTING
        if last_try:
            container.state.status = Status.EXITED
        self._registry.save(container)
        self._launcher.clear(container.id)
        self._drop_pending(container.id)
        # Otherwise it has not ended: who waits for its next exit waits on, as with Docker.
        if last_try:
            self._waits.exited(container.id, (code, told.message))
        if container.host_config.auto_remove:
            self._monitor.submit(lambda: self.remove_automatically(container.id))
        return told

    # Clients that attach before the start

    def attach_pending(self, ident: str, client: protocol.Client, fd: int) -> None:
        with self._guard:
            self._pending.setdefault(ident, []).append(PendingClient(client, fd))

    def _take_pending(self, ident: str) -> list[PendingClient]:
        with self._guard:
            return self._pending.pop(ident, [])

    def _drop_pending(self, ident: str) -> None:
        close_fds([pending.fd for pending in self._take_pending(ident)])

    # Ending

    def _heard(self, ident: str, event: protocol.Event | None) -> None:
        match event:
            case protocol.Exited():
                self._exited(ident, event)
            case None if ident in self.live:
                self._exited(ident, self._lost(ident))
            case None:
                pass  # it has told its exit before, and goes
            case protocol.ExecExited():
                self.exec_exited(event.id, event.code)
            case protocol.OutOfMemory():
                self._events.container("oom", self._registry.get(ident))
            case protocol.Detached():
                self._events.container("detach", self._registry.get(ident))

    def _lost(self, ident: str) -> protocol.Exited:
        """The supervisor is gone: what it has left written, else we end what it was keeping."""
        record = read_exit(self._launcher.folder(ident))
        if record is not None:
            return record
        live = self.live.get(ident)
        if live is not None:
            cgroup.end(live.cgroup_path)
        return protocol.Exited(code=_KILLED, finished_at=time.time_ns())

    def _exited(self, ident: str, record: protocol.Exited) -> None:
        with self._registry.locked(ident) as container:
            live = self.live.pop(container.id, None)
            if live is None:
                return
            self._release(live)
            self._record_exit(container, record)
            again = restarts.decide(container, record.finished_at)
            container.state.status = lifecycle.next(
                container.state.status,
                Event.RETRY if again is not None else Event.EXITED,
                ident=ident,
                id=container.id,
            )
            self._registry.save(container)
        self._launcher.unshare_memory(ident)
        for action in self.ended:
            action(container)
        seconds = (record.finished_at - container.state.started_at) // 1_000_000_000
        attributes = {"exitCode": str(record.code), "execDuration": str(max(0, seconds))}
        if record.oom_killed:
            self._events.container("oom", container)
        self._events.container("die", container, attributes)
        self._waits.exited(ident, (record.code, None))
        if again is not None:
            self._monitor.after(again, lambda: self._restart(ident))
        elif container.host_config.auto_remove:
            self.remove_automatically(ident)

    def _release(self, live: Live) -> None:
        os.close(live.pidfd)
        self._ranges.release(live.id_base)

    def _record_exit(self, container: Container, record: protocol.Exited) -> None:
        state = container.state
        state.pid, state.exit_code = 0, record.code
        state.finished_at, state.oom_killed = record.finished_at, record.oom_killed

    def _restart(self, ident: str) -> None:
        """The restart policy's next try; a failure to start is the end of it."""
        try:
            with self._registry.locked(ident) as container:
                if container.state.status is not Status.RESTARTING:
                    return
                container.restart_count += 1
                self._start(container, Status.RUNNING)
        except errors.NotFound:
            pass  # removed meanwhile
        except errors.PinnaceError as error:
            _log.warning("container %s could not be restarted: %s", ident[:12], error.message)

    # Signals

    def signal(self, container: Container, number: int, *, resume: bool = False) -> None:
        """Send a signal to the first process; raises Conflict when it is gone.

        A paused container gets it when it is resumed: at once if asked, or with SIGKILL.
        """
        live = self.live.get(container.id)
        if live is None or not process.send_signal(live.pidfd, number):
            raise errors.Conflict(f"container {container.id} is not running")
        resume = resume or number == signal.SIGKILL
        if resume and container.state.status is Status.PAUSED:
            try:
                cgroup.at(live.cgroup_path).thaw()
            except FileNotFoundError:
                pass  # SIGKILL has ended it, frozen as it was

    def cgroup(self, container: Container) -> cgroup.Cgroup:
        live = self.live.get(container.id)
        if live is None:
            raise errors.Conflict(f"container {container.id} is not running")
        return cgroup.at(live.cgroup_path)

    # After a start of the daemon

    def adopt(self) -> None:
        """Find the containers that went on without us, and what became of the others."""
        for container in self._registry.all():
            if not self._adopt(container) and container.state.status in (
                Status.RUNNING,
                Status.PAUSED,
            ):
                folder = self._launcher.folder(container.id)
                self.live[container.id] = self._dead(container, folder)
                self._exited(container.id, self._lost(container.id))

    def begin_policies(self) -> None:
        """Start what its restart policy wants to run when the engine starts."""
        for container in self._registry.all():
            if container.state.status is Status.RESTARTING:
                self._submit_restart(container.id)
            elif container.state.status is Status.EXITED and restarts.at_boot(container):
                container.state.status = Status.RESTARTING
                self._submit_restart(container.id)

    def _submit_restart(self, ident: str) -> None:
        self._monitor.submit(lambda: self._restart(ident))

    def _adopt(self, container: Container) -> bool:
        """Whether a supervisor keeps it; also one that was started just before we died."""
        try:
            self._adopt_live(container, self._launcher.folder(container.id))
        except (OSError, errors.PinnaceError, KeeperFailed, msgspec.MsgspecError):
            return False
        return True

    def _adopt_live(self, container: Container, folder: str) -> None:
        wanted = _bundle(folder)
        channel = keepers.connect(folder)
        status, fds = keepers.ask(channel, protocol.Subscribe(), protocol.Status)
        base = _range_of(wanted)
        self._ranges.claim(base)
        live = Live(channel, fds[0], status.pid, base, _cgroup_path(wanted))
        group = cgroup.at(live.cgroup_path)
        self._begin(
            container,
            live,
            Status.PAUSED if group.frozen else Status.RUNNING,
            status.started_at or container.state.started_at,
        )

    def _dead(self, container: Container, folder: str) -> Live:
        """A stand-in for what is no more, so that its end can be recorded."""
        try:
            path = _cgroup_path(_bundle(folder))
        except (OSError, msgspec.MsgspecError):
            path = f"/pinnace/{container.id}"
        channel, other = Channel.pair()
        other.close()
        channel.close()
        return Live(channel, os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), 0, 0, path)

    def close(self) -> None:
        """Leave the containers running."""
        for ident in list(self._pending):
            self._drop_pending(ident)
        for live in self.live.values():
            os.close(live.pidfd)


def _make_bind_sources(container: Container) -> None:
    """`-v` makes a folder of what is missing on the host; `--mount` has refused it before."""
    for point in container.mounts:
        if point.type != "bind" or not point.create_source or os.path.exists(point.source):
            continue
        try:
            os.makedirs(point.source, 0o755, exist_ok=True)
        except OSError as error:
            reason = f"mkdir {error.filename}: {(error.strerror or '').lower()}"
            raise errors.Failed(
                f"error while creating mount source path '{point.source}': {reason}"
            ) from None


def read_exit(folder: str) -> protocol.Exited | None:
    try:
        with open(f"{folder}/exit.json", "rb") as file:
            return protocol.exit_record.decode(file.read())
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _bundle(folder: str) -> spec.Spec:
    with open(f"{folder}/config.json", "rb") as file:
        return spec.decode(file.read())


def _range_of(wanted: spec.Spec) -> int:
    mappings = wanted.linux.uid_mappings if wanted.linux else []
    return mappings[0].host_id if mappings else 0


def _cgroup_path(wanted: spec.Spec) -> str:
    return wanted.linux.cgroups_path if wanted.linux else ""


def _has_own_users(pid: int) -> bool:
    return os.stat(f"/proc/{pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino
