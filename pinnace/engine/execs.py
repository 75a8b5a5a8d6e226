"""Further processes in running containers (`docker exec`)."""

import os
import secrets
import threading

from pinnace import errors
from pinnace.engine import (
    bundle,
    bundle_resources,
    failures,
    keepers,
    lifecycle,
    seccomp_profile,
    security,
    validate,
)
from pinnace.engine.documents import Container, ExecConfig, ExecRecord
from pinnace.engine.events import Events
from pinnace.engine.facts import Machine
from pinnace.engine.keepers import KeeperFailed
from pinnace.engine.launcher import Launcher
from pinnace.engine.lifecycle import Event
from pinnace.engine.registry import Registry
from pinnace.oci import spec
from pinnace.supervisor import detach, protocol

_KEPT = 4096  # records of finished ones that can still be inspected
_PATIENCE = 10.0  # seconds until an exec must have started


class Execs:
    """Records live as long as the daemon and their container: Docker keeps them no longer."""

    def __init__(
        self, registry: Registry, launcher: Launcher, machine: Machine, events: Events
    ) -> None:
        self._registry = registry
        self._launcher = launcher
        self._machine = machine
        self._events = events
        self._lock = threading.Lock()
        self._started = threading.Condition()
        self._records: dict[str, ExecRecord] = {}

    def create(self, ident: str, config: ExecConfig) -> str:
        container = self._registry.get(ident)
        self._check_running(container, ident)
        validate.exec_config(config)
        detach_keys = detach.parse(config.detach_keys)
        record = ExecRecord(
            id=secrets.token_hex(32),
            container_id=container.id,
            config=config,
            open_stdin=config.attach_stdin,
            open_stdout=config.attach_stdout,
            open_stderr=config.attach_stderr,
            detach_keys=detach_keys,
        )
        with self._lock:
            self._records[record.id] = record
            self._forget_oldest()
        container.exec_ids = [*container.exec_ids, record.id]
        container.version += 1
        self._publish("exec_create: " + " ".join(config.cmd), container, record)
        return record.id

    def _forget_oldest(self) -> None:
        finished = [key for key, record in self._records.items() if record.can_remove]
        for key in finished[: max(0, len(finished) - _KEPT)]:
            del self._records[key]

    @staticmethod
    def _check_running(container: Container, ident: str) -> None:
        lifecycle.next(container.state.status, Event.EXEC, ident=ident, id=container.id)

    def inspect(self, exec_id: str) -> ExecRecord:
        record = self._known(exec_id)
        if record.running and record.pid:
            self._catch_up(record)
        return record

    def _known(self, exec_id: str) -> ExecRecord:
        record = self._records.get(exec_id)
        if record is None:
            raise errors.NotFound(f"No such exec instance: {exec_id}")
        return record

    def _catch_up(self, record: ExecRecord) -> None:
        """A client sees the end of the streams before we hear of the exit: ask for it."""
        folder = self._launcher.folder(record.container_id)
        message = protocol.ExecStatus(id=record.id)
        try:
            answer = keepers.request(folder, message, protocol.Message)
        except (errors.Unavailable, KeeperFailed):
            return  # its container has ended, and the monitor will tell
        if isinstance(answer, protocol.ExecExited):
            self.exited(record.id, answer.code)

    def check(self, exec_id: str) -> ExecRecord:
        """The record of an exec that may be started now."""
        record = self._known(exec_id)
        if record.exit_code is not None:
            raise errors.Conflict(f"Error: Exec command {exec_id} has already run")
        if record.running:
            raise errors.Conflict(f"Error: Exec command {exec_id} is already running")
        container = self._registry.get(record.container_id)
        self._check_running(container, record.container_id)
        return record

    def start(
        self,
        exec_id: str,
        *,
        detach: bool,
        tty: bool,
        console_size: tuple[int, int] | None,
        client_fd: int | None,
        initial: bytes,
    ) -> None:
        """Run it; from then on the client's connection is the supervisor's."""
        try:
            record = self.check(exec_id)
            record.running = True
            container = self._registry.get(record.container_id)
            client = None if detach else _client(record.config, initial, multiplexed=not tty)
            request = self._request(record, container, console_size, client)
            self._publish("exec_start: " + " ".join(record.config.cmd), container, record)
            fds = [client_fd] if client_fd is not None and request.client else []
            self._execute(record, container, request, fds)
        finally:
            if client_fd is not None:
                os.close(client_fd)

    def _execute(
        self, record: ExecRecord, container: Container, request: protocol.Exec, fds: list[int]
    ) -> None:
        folder = self._launcher.folder(container.id)
        try:
            started = keepers.request(folder, request, protocol.Started, fds)
        except KeeperFailed as error:
            raise self._failed(record, error) from error
        except errors.PinnaceError:
            record.running, record.exit_code, record.can_remove = False, 128, True
            raise
        with self._started:
            record.pid = started.pid
            self._started.notify_all()

    def _failed(self, record: ExecRecord, error: KeeperFailed) -> errors.PinnaceError:
        record.running, record.can_remove = False, True
        record.exit_code, told = failures.of_exec(error)
        return told

    def _request(
        self,
        record: ExecRecord,
        container: Container,
        console_size: tuple[int, int] | None,
        client: protocol.Client | None,
    ) -> protocol.Exec:
        config = record.config
        process = exec_process(container, config, console_size, self._machine)
        return protocol.Exec(
            id=record.id,
            process=process,
            seccomp=self._seccomp(container, config, process),
            user=config.user or container.config.user,
            groups=list(container.host_config.group_add),
            open_stdin=config.attach_stdin,
            client=client,
        )

    def _seccomp(
        self, container: Container, config: ExecConfig, process: spec.Process
    ) -> bytes | None:
        options = security.parse(container.host_config.security_opt)
        if config.privileged or container.host_config.privileged:
            return None
        granted = process.capabilities.bounding if process.capabilities else []
        return seccomp_profile.program(granted, options.seccomp)

    def resize(self, exec_id: str, height: int, width: int) -> None:
        record = self._known(exec_id)
        with self._started:
            # A client is told of the start before it has been made.
            if not self._started.wait_for(lambda: record.pid or record.can_remove, _PATIENCE):
                raise errors.Failed("timeout waiting for exec session ready")
        if not record.running:
            raise errors.Conflict(f"Exec {exec_id} is not running")
        message = protocol.Resize(exec_id=exec_id, height=height, width=width)
        keepers.request(self._launcher.folder(record.container_id), message, protocol.Done)

    def exited(self, exec_id: str, code: int) -> None:
        """The monitor has heard of its end."""
        record = self._records.get(exec_id)
        if record is None or record.can_remove:
            return
        record.exit_code, record.running, record.can_remove = code, False, True
        try:
            container = self._registry.get(record.container_id)
        except errors.NotFound:
            return
        container.exec_ids = [other for other in container.exec_ids if other != exec_id]
        container.version += 1
        self._publish("exec_die", container, record, {"exitCode": str(code)})

    def container_exited(self, container: Container) -> None:
        """Its execs have ended with it."""
        for ident in container.exec_ids:
            record = self._records.get(ident)
            if record is not None and record.running:
                record.running, record.can_remove = False, True
                record.exit_code = 137 if record.exit_code is None else record.exit_code
        container.exec_ids = []

    def _publish(
        self,
        action: str,
        container: Container,
        record: ExecRecord,
        more: dict[str, str] | None = None,
    ) -> None:
        self._events.container(action, container, {"execID": record.id, **(more or {})})


def _client(config: ExecConfig, initial: bytes, *, multiplexed: bool) -> protocol.Client:
    """Whether there are frames is said at the start; docker-py wants them of a terminal too."""
    return protocol.Client(
        stdin=config.attach_stdin,
        stdout=config.attach_stdout,
        stderr=config.attach_stderr,
        multiplexed=multiplexed,
        detach_keys=config.detach_keys,
        initial=initial,
    )


def exec_process(
    container: Container,
    config: ExecConfig,
    console_size: tuple[int, int] | None,
    machine: Machine,
) -> spec.Process:
    """The further process as Docker makes it: the container's environment and rights, its own
    command."""
    host = container.host_config
    options = security.parse(host.security_opt)
    granted = security.capabilities_of(host, machine.capabilities)
    if config.privileged:
        granted = list(machine.capabilities)
    size = console_size or config.console_size
    with_terminal = ["TERM=xterm", *config.env] if config.tty else config.env
    return spec.Process(
        terminal=config.tty,
        console_size=spec.Box(height=size[0], width=size[1]) if config.tty and size else None,
        args=config.cmd,
        env=bundle.environment(container.config, with_terminal),
        cwd=config.working_dir or container.config.working_dir or "/",
        rlimits=bundle_resources.rlimits(host),
        capabilities=spec.Capabilities(bounding=granted, effective=granted, permitted=granted),
        no_new_privileges=options.no_new_privileges,
    )
