"""One container's keeper: starts it, holds its streams, waits for its end, writes it down.

It is the parent of the container's processes and outlives the daemon: any daemon connects to
`supervisor.sock` in the container's folder and finds what this one left. Before Run it is a
prepared shell in the daemon's pool, and goes with its control channel.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from pinnace.linux import failpoint, process
from pinnace.oci import spec
from pinnace.runtime import container
from pinnace.runtime.binary import Binary
from pinnace.runtime.container import Entry, Setting, StartFailed
from pinnace.runtime.runtime import Runtime
from pinnace.runtime.sync import Channel, Closed, close_fds
from pinnace.supervisor import logs, protocol
from pinnace.supervisor.loop import IN, Loop
from pinnace.supervisor.streams import Streams

_SOCKET, _EXIT = "supervisor.sock", "exit.json"
_CODES_KEPT = 1024  # exit codes of finished execs that can still be asked for
_CLIENT_PATIENCE = 10.0  # seconds that clients have to take what is left after the exit


def main(control: Channel) -> NoReturn:
    """Serve one container; never returns."""
    code = 1
    try:
        Supervisor(control).run()
        code = 0
    except Closed:
        code = 0
    finally:
        os._exit(code)


class Running:
    """A process of the container, with its streams."""

    def __init__(self, pid: int, pidfd: int, streams: Streams) -> None:
        self.pid, self.pidfd, self.streams = pid, pidfd, streams
        self.exit: process.Exit | None = None


def _make(request: protocol.Run, preparation: container.Preparation) -> Runtime:
    if request.runtime:
        return Binary(request.runtime, request.id, request.folder, preparation.cgroup_path)
    return container.prepare(preparation)


class Supervisor:
    def __init__(self, control: Channel) -> None:
        self.loop = Loop()
        self.control = control
        self.made: Runtime | None = None
        self.run_request: protocol.Run | None = None
        self.spec = spec.Spec()
        self.log = protocol.Log("none")
        self.main: Running | None = None
        self.execs: dict[str, Running] = {}
        self.exec_codes: dict[str, int] = {}
        self.subscribers: list[Channel] = []
        self.folder_fd = -1
        self.mount_namespace_fd = -1
        self.started_at = 0
        self.ended = False
        self.listener: socket.socket | None = None

    def run(self) -> None:
        process.adopt_orphans()
        self._serve(self.control)
        try:
            self.loop.run()
        finally:
            self._clear()

    def _serve(self, channel: Channel) -> None:
        self.loop.watch(channel.fileno(), IN, lambda _: self._request(channel))

    def _request(self, channel: Channel) -> None:
        fds: list[int] = []
        try:
            frame, fds = channel.receive_frame()
            self._handle(channel, protocol.requests.decode(frame), fds)
        except Closed:
            self._hung_up(channel)
        except StartFailed as error:
            failure = error.failure
            self._refuse(channel, failure.message, failure.step, failure.errno)
        except OSError as error:
            text = (error.strerror or str(error)).lower()
            where = f" {error.filename}" if error.filename else ""
            self._refuse(channel, text + where, "supervisor", error.errno or 0)
        except (msgspec.MsgspecError, ValueError) as error:
            self._refuse(channel, str(error), "request", 0)

    def _refuse(self, channel: Channel, message: str, step: str, number: int) -> None:
        try:
            channel.send(protocol.Failed(message=message, step=step, errno=number))
        except Closed:
            self._hung_up(channel)
        if self.main is None:
            self.loop.stopped = True  # a container that did not start has no keeper

    def _hung_up(self, channel: Channel) -> None:
        self.loop.forget(channel.fileno())
        if channel is self.control and self.main is None:
            self.loop.stopped = True  # who hung up may wait for our end: it comes when all is clear
            return
        channel.close()
        if channel in self.subscribers:
            self.subscribers.remove(channel)

    def _handle(self, channel: Channel, request: protocol.Request, fds: list[int]) -> None:
        handlers: dict[type, Callable[[Channel, Any, list[int]], None]] = {
            protocol.Prepare: self._prepare,
            protocol.Run: self._run,
            protocol.Go: lambda channel, request, fds: self._go(channel),
            protocol.Subscribe: self._subscribe,
            protocol.Exec: self._exec,
            protocol.ExecStatus: self._exec_status,
            protocol.Attach: self._attach,
            protocol.Resize: self._resize,
        }
        handlers[type(request)](channel, request, fds)

    def _prepare(self, channel: Channel, request: protocol.Prepare, fds: list[int]) -> None:
        self.made = container.prepare(request.preparation)
        channel.send(protocol.Prepared(pid=self.made.pid))

    # Starting

    def _run(self, channel: Channel, request: protocol.Run, fds: list[int]) -> None:
        self.run_request = request
        process.set_title(f"pinnace:supervisor {request.id[:12]}")
        self.log = request.log
        if self.made is None:
            assert request.preparation is not None
            self.made = _make(request, request.preparation)
        self._open_folder(request.folder)
        with open("config.json", "rb", opener=self._open_below) as file:
            self.spec = spec.decode(file.read())
        wanted = self.spec.process or spec.Process()
        streams = Streams(
            self.loop,
            tty=wanted.terminal,
            stdin_once=request.stdin_once,
            log=logs.open_driver(
                request.log.driver,
                request.log.options,
                request.log.path,
                attributes=request.log.attributes,
            ),
            ended=self._output_ended,
            detached=lambda: self._publish(protocol.Detached()),
        )
        for fd, client in zip(fds, request.clients, strict=True):
            streams.attach(fd, client)
        warnings = self._set_up(request, wanted, streams)
        self.main = Running(self.made.pid, self.made.pidfd, streams)
        # Holding the mount namespace keeps the exit from waiting for overlayfs to sync.
        self.mount_namespace_fd = process.namespace_fd(self.made.pid, "mount")
        failpoint.hit("supervisor-set-up")
        if request.hold:
            self._listen()
            channel.send(protocol.Ready(pid=self.made.pid, warnings=warnings), [self.made.pidfd])
        else:
            self._go(channel, warnings)

    def _set_up(self, request: protocol.Run, wanted: spec.Process, streams: Streams) -> list[str]:
        assert self.made is not None
        owner = self.made.owner
        stdio: list[int] = []
        if not wanted.terminal:
            stdio = streams.open_pipes(stdin=request.open_stdin, owner=(owner.uid, owner.gid))
        setting = Setting(
            spec=self.spec,
            root=request.root,
            stdio=stdio,
            seccomp=request.seccomp,
            user=request.user,
            groups=request.groups,
            reaper=request.reaper,
            state=self._oci_state("creating"),
        )
        try:
            console, warnings = self.made.set_up(setting)
        finally:
            close_fds(stdio)
        if console is not None:
            streams.use_terminal(console)
        self._run_hooks("prestart", "createRuntime")
        return warnings

    def _go(self, channel: Channel, warnings: list[str] | None = None) -> None:
        assert self.made is not None and self.main is not None
        wanted = self.spec.process or spec.Process()
        try:
            told = self.made.start(wanted)
        except StartFailed:
            self.main = None
            raise
        self.started_at = time.time_ns()
        if self.listener is None:
            self._listen()
        failpoint.hit("supervisor-started")
        main = self.main
        self.loop.watch(main.pidfd, IN, lambda _: self._exited(main))
        main.streams.begin()
        self._run_hooks("poststart")
        started = protocol.Started(
            pid=main.pid, started_at=self.started_at, warnings=[*(warnings or []), *told]
        )
        channel.send(started, [main.pidfd])
        self._become_subscriber(channel)

    def _become_subscriber(self, channel: Channel) -> None:
        if channel is self.control and channel not in self.subscribers:
            self.subscribers.append(channel)

    def _open_folder(self, folder: str) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        self.folder_fd = os.open(folder, flags)

    def _open_below(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC, dir_fd=self.folder_fd)

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # By the folder's fd: an address has room for 107 bytes, a path may be longer (unix(7)).
        listener.bind(f"/proc/self/fd/{self.folder_fd}/{_SOCKET}")
        listener.listen(128)
        listener.setblocking(False)
        self.listener = listener
        self.loop.watch(listener.fileno(), IN, lambda _: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(True)
        self._serve(Channel(connection))

    # Serving a running container

    def _subscribe(self, channel: Channel, request: protocol.Subscribe, fds: list[int]) -> None:
        assert self.main is not None
        channel.send(self._status(), [self.main.pidfd])
        self.subscribers.append(channel)

    def _status(self) -> protocol.Status:
        assert self.main is not None
        return protocol.Status(
            version=protocol.VERSION,
            pid=self.main.pid,
            started_at=self.started_at,
            execs={ident: running.pid for ident, running in self.execs.items()},
        )

    def _target(self, exec_id: str) -> Running | None:
        return self.execs.get(exec_id) if exec_id else self.main

    def _attach(self, channel: Channel, request: protocol.Attach, fds: list[int]) -> None:
        target = self._target(request.exec_id)
        if target is None:
            close_fds(fds)
            channel.send(protocol.Failed(message="process is gone", step="attach"))
            return
        target.streams.attach(fds[0], request.client, self._past(request.client))
        channel.send(protocol.Done())

    def _past(self, client: protocol.Client) -> bytes:
        """What was logged since the client has read the log: nothing is lost in between."""
        if not client.since_ns:
            return b""
        reader = logs.Reader(
            self.log.driver,
            self.log.path,
            self.log.options,
            stdout=client.stdout,
            stderr=client.stderr,
            since_ns=client.since_ns + 1,
            multiplexed=client.multiplexed,
        )
        with reader:
            return reader.read()

    def _resize(self, channel: Channel, request: protocol.Resize, fds: list[int]) -> None:
        if (target := self._target(request.exec_id)) is not None:
            target.streams.resize(request.height, request.width)
        channel.send(protocol.Done())

    def _exec(self, channel: Channel, request: protocol.Exec, fds: list[int]) -> None:
        assert self.main is not None and self.made is not None
        wanted = request.process
        streams = Streams(
            self.loop,
            tty=wanted.terminal,
            ended=lambda: self._exec_ended(request.id),
            detached=lambda: self._publish(protocol.Detached(exec_id=request.id)),
        )
        try:
            running = self._enter(request, streams)
        except (StartFailed, OSError) as error:
            close_fds(fds)
            streams.drain()
            failure = error.failure if isinstance(error, StartFailed) else None
            message = failure.message if failure else str(error)
            step, number = (failure.step, failure.errno) if failure else ("exec", 0)
            channel.send(protocol.Failed(message=message, step=step, errno=number))
            return
        self.execs[request.id] = running
        if request.client is not None:
            streams.attach(fds[0], request.client)
        self.loop.watch(running.pidfd, IN, lambda _: self._exec_exited(request.id))
        channel.send(protocol.Started(pid=running.pid, started_at=time.time_ns()))
        streams.begin()

    def _enter(self, request: protocol.Exec, streams: Streams) -> Running:
        assert self.main is not None and self.made is not None
        owner = self.made.owner
        stdio: list[int] = []
        if not request.process.terminal:
            stdio = streams.open_pipes(stdin=request.open_stdin, owner=(owner.uid, owner.gid))
        entry = Entry(request.process, stdio, request.seccomp, request.user, request.groups)
        try:
            entered = self.made.enter(entry)
        finally:
            close_fds(stdio)
        if entered.console is not None:
            streams.use_terminal(entered.console)
        try:
            entered.start(request.process)
        except StartFailed:
            process.wait(entered.pidfd)
            os.close(entered.pidfd)
            raise
        return Running(entered.pid, entered.pidfd, streams)

    def _exec_status(self, channel: Channel, request: protocol.ExecStatus, fds: list[int]) -> None:
        ident = request.id
        running = self.execs.get(ident)
        if running is not None and running.exit is None:
            channel.send(protocol.Running(pid=running.pid))
        elif ident in self.exec_codes:
            channel.send(protocol.ExecExited(id=ident, code=self.exec_codes[ident]))
        else:
            channel.send(protocol.Failed(message="process is gone", step="exec"))

    def _exec_exited(self, ident: str) -> None:
        """Its streams go on until whatever it left in the background has closed them too."""
        running = self.execs[ident]
        self.loop.forget(running.pidfd)
        running.exit = process.wait(running.pidfd)
        os.close(running.pidfd)
        assert running.exit is not None
        self.exec_codes[ident] = running.exit.code
        if len(self.exec_codes) > _CODES_KEPT:
            del self.exec_codes[next(iter(self.exec_codes))]
        self._publish(protocol.ExecExited(id=ident, code=running.exit.code))
        if not running.streams.outputs:
            self._exec_ended(ident)

    def _exec_ended(self, ident: str) -> None:
        running = self.execs.get(ident)
        if running is None or running.exit is None:
            return
        del self.execs[ident]
        running.streams.finish()
        self.loop.after(_CLIENT_PATIENCE, running.streams.abandon)

    def _publish(self, event: protocol.Event) -> None:
        for channel in list(self.subscribers):
            try:
                channel.send(event)
            except (Closed, OSError):
                self._hung_up(channel)

    # Ending

    def _exited(self, main: Running) -> None:
        self.loop.forget(main.pidfd)
        main.exit = process.wait(main.pidfd)
        assert self.made is not None
        if not self.made.own_processes() and self.made.cgroup is not None:
            self.made.cgroup.kill()  # no pid namespace has ended its other processes
        main.streams.drain()
        if not main.streams.outputs:
            self._output_ended()

    def _output_ended(self) -> None:
        main = self.main
        if main is None or main.exit is None or self.ended:
            return
        self.ended = True
        assert self.made is not None
        group = self.made.cgroup
        record = protocol.Exited(
            code=main.exit.code,
            finished_at=time.time_ns(),
            oom_killed=group is not None and group.oom_kills() > 0,
        )
        self.made.delete()  # before anybody hears of the exit and starts it anew
        main.streams.finish()
        self._write_json(_EXIT, msgspec.json.encode(record))
        failpoint.hit("supervisor-exit-written")
        self._publish(record)
        self._run_hooks("poststop")
        self._stop_listening()
        self._await_clients(main.streams, time.monotonic() + _CLIENT_PATIENCE)

    def _await_clients(self, streams: Streams, deadline: float) -> None:
        every = [streams, *(running.streams for running in self.execs.values())]
        if time.monotonic() > deadline or not any(s.clients for s in every):
            self.loop.stopped = True
            return
        self.loop.after(0.05, lambda: self._await_clients(streams, deadline))

    def _stop_listening(self) -> None:
        if self.listener is not None:
            self.loop.forget(self.listener.fileno())
            self.listener.close()
            self.listener = None
            try:
                os.unlink(_SOCKET, dir_fd=self.folder_fd)
            except FileNotFoundError:
                pass  # the container was removed as soon as it had ended

    def _clear(self) -> None:
        """Leave nothing: the first process if it still waits, the cgroup, the namespaces."""
        if self.made is not None and not self.ended:
            self.made.delete()

    # What is written down

    def _write_json(self, name: str, data: bytes) -> None:
        with open(f".{name}", "wb", opener=self._open_below) as file:
            file.write(data)
        os.rename(f".{name}", name, src_dir_fd=self.folder_fd, dst_dir_fd=self.folder_fd)

    def _oci_state(self, status: str) -> bytes:
        request = self.run_request
        assert request is not None and self.made is not None
        state = spec.State(
            oci_version="1.2.0",
            id=request.id,
            status=status,
            pid=self.made.pid,
            bundle=request.folder,
            annotations=self.spec.annotations,
        )
        return msgspec.json.encode(state)

    def _run_hooks(self, *kinds: str) -> None:
        wanted = self.spec.hooks
        if wanted is None or self.run_request is None:
            return
        lists: dict[str, Callable[[], list[spec.Hook]]] = {
            "prestart": lambda: wanted.prestart,
            "createRuntime": lambda: wanted.create_runtime,
            "poststart": lambda: wanted.poststart,
            "poststop": lambda: wanted.poststop,
        }
        for kind in kinds:
            container.run_hooks(lists[kind](), kind, spec.State(
                oci_version="1.2.0", id=self.run_request.id, status="created",
                pid=self.made.pid if self.made else 0, bundle=self.run_request.folder,
            ))  # fmt: skip
