"""The verbs on containers, in Docker's words: what the API and embedders call."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, nullcontext, suppress

import msgspec

from pinnace import errors
from pinnace.engine import filters, keepers, lifecycle, names, processes, signals, validate
from pinnace.engine.creation import Creation
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    HostConfig,
    NetworkingConfig,
    Status,
    UpdateConfig,
)
from pinnace.engine.events import Events
from pinnace.engine.execs import Execs
from pinnace.engine.facts import Machine
from pinnace.engine.launcher import Launcher
from pinnace.engine.lifecycle import Event
from pinnace.engine.registry import Registry
from pinnace.engine.removal import Removal
from pinnace.engine.requests import AttachOptions, LogOptions
from pinnace.engine.rootfiles import RootFiles
from pinnace.engine.runs import Runs
from pinnace.engine.settings import Settings
from pinnace.engine.tails import Tail, Tails
from pinnace.engine.waits import Exit, Waits
from pinnace.linux import cgroup
from pinnace.runtime import resources
from pinnace.supervisor import detach, protocol

_KILL_PATIENCE = 10.0  # seconds until a killed process must have gone


class Containers:
    def __init__(
        self,
        *,
        settings: Settings,
        machine: Machine,
        registry: Registry,
        creation: Creation,
        runs: Runs,
        removal: Removal,
        launcher: Launcher,
        execs: Execs,
        files: RootFiles,
        tails: Tails,
        events: Events,
        waits: Waits,
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._registry = registry
        self._creation = creation
        self._runs = runs
        self._removal = removal
        self._launcher = launcher
        self._execs = execs
        self._files = files
        self._tails = tails
        self._events = events
        self._waits = waits

    # Being

    def create(
        self,
        name: str | None,
        config: ContainerConfig | None,
        host_config: HostConfig | None = None,
        networking: NetworkingConfig | None = None,
        platform: str | None = None,
    ) -> tuple[str, list[str]]:
        """(id, warnings)."""
        return self._creation.create(name, config, host_config, networking, platform)

    def get(self, ident: str) -> Container:
        return self._registry.get(ident)

    def list(
        self,
        *,
        all: bool = False,
        limit: int = 0,
        size: bool = False,
        filters: filters.Filters | None = None,
    ) -> Sequence[Container]:
        """Newest first."""
        return self._select(filters or {}, all=all).keep(self._registry.all(), limit)

    def _select(self, wanted: filters.Filters, *, all: bool) -> filters.ContainerQuery:
        return filters.query(
            wanted, all=all, find=self._registry.get, descendants=self._files.descendants
        )

    def rename(self, ident: str, new_name: str) -> None:
        if not new_name:
            raise errors.Invalid("Neither old nor new names may be empty")
        with self._registry.locked(ident) as container:
            old = container.name
            wanted = new_name if new_name.startswith("/") else f"/{new_name}"
            if wanted == f"/{old}":
                raise errors.Invalid("Renaming a container with the same name as its current name")
            try:
                self._registry.rename(container, names.check(wanted))
            except (errors.Invalid, errors.Conflict) as error:
                message = f"Error when allocating new name: {error.message}"
                raise type(error)(message) from None
        self._events.container("rename", container, {"oldName": f"/{old}"})

    def update(self, ident: str, update: UpdateConfig) -> Sequence[str]:
        """Change limits, also of a running container, and the restart policy; warnings."""
        with self._registry.locked(ident) as container:
            self._check(container, Event.UPDATE, ident)
            host, warnings = validate.update(container, update, self._machine)
            if container.id in self._runs.live:
                warnings = [*warnings, *self._limit(container, host)]
            container.host_config = host
            self._registry.save(container)
        self._events.container("update", container)
        return warnings

    def _limit(self, container: Container, host: HostConfig) -> Sequence[str]:
        changed = msgspec.structs.replace(container, host_config=host)
        limits = self._launcher.resources(changed)
        steps = resources.update(limits, cgroup.detect().version)
        try:
            return self._runs.cgroup(container).write(steps)
        except FileNotFoundError:
            return []  # it has just ended: the limits are for its next start

    def remove(
        self, ident: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        if link:
            raise errors.Invalid(f"Could not get parent container for {ident}: no such link")
        self._removal.remove(ident, force=force, volumes=volumes)

    def prune(self, filters: filters.Filters | None = None) -> tuple[Sequence[str], int]:
        """(ids removed, bytes freed)."""
        return self._removal.prune(filters or {})

    # Running

    def start(self, ident: str) -> None:
        self._runs.start(ident)

    def stop(self, ident: str, timeout: int | None = None, signal: str | None = None) -> None:
        """Ask it to end, and kill it when it has not after so many seconds (-1: never)."""
        container = self._registry.get(ident)
        lifecycle.next(container.state.status, Event.STOP, ident=ident, id=container.id)
        number = self._ending(container, signal, f"cannot stop container: {ident}")
        self._end(container, number, self._patience(container, timeout))
        self._events.container("stop", container)

    def _patience(self, container: Container, timeout: int | None) -> float | None:
        if timeout is None:
            timeout = container.config.stop_timeout
        if timeout is None:
            timeout = self._settings.stop_timeout
        return None if timeout < 0 else float(timeout)

    def _ending(self, container: Container, signal: str | None, what: str) -> int:
        """The signal asked for, else the container's own."""
        if not signal:
            return self._stop_signal(container)
        try:
            return signals.parse(signal)
        except errors.Invalid as error:
            raise errors.Invalid(f"{what}: {error.message}") from None

    @staticmethod
    def _stop_signal(container: Container) -> int:
        return signals.parse(container.config.stop_signal or "SIGTERM")

    def _end(self, container: Container, number: int, patience: float | None) -> None:
        ended = self._waits.for_exit(container.id)
        if not self._mark_stopped(container):
            ended.cancel()
            return
        # Who has just ended by itself is waited for too: its end is told before ours is.
        with suppress(errors.Conflict):
            self._signal(container, number)
        try:
            ended.result(patience)
        except NotYet:
            self._kill_and_wait(container, ended)

    def _mark_stopped(self, container: Container) -> bool:
        """No restart policy shall start it again; False if it does not run anyway."""
        with self._registry.locked(container.id):
            container.has_been_manually_stopped = True
            if container.state.status is Status.RESTARTING:
                container.state.status = Status.EXITED
            self._registry.save(container)
            return container.id in self._runs.live

    def _signal(self, container: Container, number: int) -> None:
        resume = number == self._stop_signal(container)  # as Docker
        self._runs.signal(container, number, resume=resume)
        self._events.container("kill", container, {"signal": str(number)})

    def _kill_and_wait(self, container: Container, ended: "Future[Exit]") -> None:
        with suppress(errors.Conflict):
            self._signal(container, signal.SIGKILL)
        try:
            ended.result(_KILL_PATIENCE)
        except NotYet:
            raise errors.Failed(
                f"cannot stop container: {container.id}: tried to kill container, "
                "but did not receive an exit event"
            ) from None

    def kill(self, ident: str, signal: str | None = None) -> None:
        """Send a signal; with SIGKILL, the default, return when the container has ended."""
        number = signals.parse(signal) if signal else 9
        container = self._registry.get(ident)
        lifecycle.next(container.state.status, Event.KILL, ident=ident, id=container.id)
        if number == 9:
            ended = self._waits.for_exit(container.id)
            if self._mark_stopped(container):
                self._kill_and_wait(container, ended)
            else:
                ended.cancel()
            return
        if number == self._stop_signal(container):
            self._mark_stopped(container)
        try:
            self._signal(container, number)
        except errors.Conflict as error:
            message = f"cannot kill container: {ident}: {error.message}"
            raise errors.Conflict(message) from None

    def restart(self, ident: str, timeout: int | None = None, signal: str | None = None) -> None:
        container = self._registry.get(ident)
        number = self._ending(container, signal, f"Cannot restart container {ident}")
        self._check(container, Event.RESTART, ident)
        with self._removal.kept(container.id):
            self._end(container, number, self._patience(container, timeout))
            self._runs.start(container.id)
        self._events.container("restart", container)

    def pause(self, ident: str) -> None:
        self._freeze(ident, Event.PAUSE, "pause")

    def unpause(self, ident: str) -> None:
        self._freeze(ident, Event.UNPAUSE, "unpause")

    def _freeze(self, ident: str, event: Event, action: str) -> None:
        with self._registry.locked(ident) as container:
            status = lifecycle.next(container.state.status, event, ident=ident, id=container.id)
            group = self._runs.cgroup(container)
            try:
                group.freeze() if event is Event.PAUSE else group.thaw()
            except FileNotFoundError:
                raise errors.Conflict(f"container {container.id} is not running") from None
            container.state.status = status
            self._registry.save(container)
        self._events.container(action, container)

    def wait(self, ident: str, condition: str = "not-running") -> "Future[Exit]":
        """(exit code, error) when it stops running, exits next, or is removed."""
        container = self._registry.get(ident)
        if condition == "removed":
            return self._waits.for_removal(container.id)
        future = self._waits.for_exit(container.id)
        if condition != "next-exit" and not container.state.running:
            future.cancel()
            now: Future[Exit] = Future()
            now.set_result((container.state.exit_code, None))
            return now
        return future

    # Watching

    def top(self, ident: str, ps_args: str = "") -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """(titles, rows) of the processes inside."""
        container = self._registry.get(ident)
        self._check(container, Event.TOP, ident)
        pids = self._runs.cgroup(container).processes()
        return processes.table(pids, ps_args or "-ef")

    def resize(self, ident: str, height: int, width: int) -> None:
        container = self._registry.get(ident)
        self._check(container, Event.RESIZE, ident)
        message = protocol.Resize(height=height, width=width)
        keepers.request(self._launcher.folder(container.id), message, protocol.Done)
        self._events.container("resize", container, {"height": str(height), "width": str(width)})

    def check_attach(self, ident: str, options: AttachOptions) -> Container:
        """The container that may be attached to; raises what Docker answers before it hijacks."""
        container = self._registry.get(ident)
        try:
            detach.parse(options.detach_keys)
        except errors.Invalid:
            message = f"Invalid detach keys ({options.detach_keys}) provided"
            raise errors.Invalid(message) from None
        self._check(container, Event.ATTACH, ident)
        return container

    def attach(
        self, ident: str, options: AttachOptions, client_fd: int, initial: bytes = b""
    ) -> None:
        """Give the client's connection to the supervisor, with what was said before if asked.

        client_fd is ours from now on.
        """
        try:
            container = self.check_attach(ident, options)
            replayed = 0
            if options.logs:
                replayed = self._tails.replay(container, options, client_fd)
            if options.stream:
                self._attach(container, options, client_fd, initial, replayed)
        finally:
            os.close(client_fd)

    def _attach(
        self, container: Container, options: AttachOptions, fd: int, initial: bytes, since: int
    ) -> None:
        client = protocol.Client(
            stdin=options.stdin and container.config.open_stdin,
            stdout=options.stdout,
            stderr=options.stderr,
            multiplexed=options.multiplexed,
            detach_keys=options.detach_keys,
            initial=initial,
            head=options.head,
            since_ns=since,
        )
        self._events.container("attach", container)
        with self._registry.locked(container.id):
            if container.id not in self._runs.live:
                os.write(fd, client.head)  # now: who waits for it is to start the container
                client = msgspec.structs.replace(client, head=b"")
                self._runs.attach_pending(container.id, client, os.dup(fd))
                return
        keepers.request(
            self._launcher.folder(container.id), protocol.Attach(client=client), protocol.Done, [fd]
        )

    def logs(self, ident: str, options: LogOptions) -> Tail:
        container = self._registry.get(ident)
        self._check(container, Event.LOGS, ident)
        return self._tails.open(container, options)

    # Files

    def changes(self, ident: str) -> Sequence[tuple[int, str]]:
        return self._files.changes(self._registry.get(ident))

    def sizes(self, ident: str) -> tuple[int, int]:
        """(bytes in the writable layer, bytes in all)."""
        return self._files.sizes(self._registry.get(ident))

    def export(self, ident: str) -> Iterator[bytes]:
        container = self._registry.get(ident)
        self._check(container, Event.EXPORT, ident)
        stream = self._files.export(container)
        self._events.container("export", container)
        return stream

    def commit(
        self,
        ident: str,
        *,
        repo: str = "",
        tag: str = "",
        comment: str = "",
        author: str = "",
        pause: bool = True,
        changes: Sequence[str] = (),
        config: ContainerConfig | None = None,
    ) -> str:
        """An image of the container as it is now; its id."""
        container = self._registry.get(ident)
        self._check(container, Event.COMMIT, ident)
        with self._at_rest(ident) if pause else nullcontext():
            image = self._files.commit(
                container,
                repo=repo,
                tag=tag,
                comment=comment,
                author=author,
                changes=changes,
                config=config,
            )
        self._events.container("commit", container, {"comment": comment, "imageID": image})
        return image

    @contextmanager
    def _at_rest(self, ident: str) -> Iterator[None]:
        """Frozen meanwhile, if it runs; as it may end before or after, that is no error."""
        try:
            self.pause(ident)
        except errors.PinnaceError:
            yield
            return
        try:
            yield
        finally:
            with suppress(errors.PinnaceError):
                self.unpause(ident)

    @staticmethod
    def _check(container: Container, event: Event, ident: str) -> None:
        lifecycle.next(container.state.status, event, ident=ident, id=container.id)
