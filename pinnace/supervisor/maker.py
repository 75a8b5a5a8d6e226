"""The short-lived processes that make containers and execs for a supervisor.

Making touches most of the interpreter's memory, and a forked process pays for every page that it
touches. So the supervisor, which stays, has it done by children that go: what they have made is
the supervisor's when they end well, since it is the reaper of its descendants.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import msgspec

from pinnace.linux import cgroup, failpoint, process
from pinnace.oci import spec
from pinnace.runtime import container
from pinnace.runtime.binary import Binary
from pinnace.runtime.container import Entry, Setting, StartFailed
from pinnace.runtime.runtime import Process, Runtime
from pinnace.runtime.sync import Channel, Closed, close_fds
from pinnace.supervisor import protocol, streams


class Maker(NamedTuple):
    """A maker, as its supervisor holds it."""

    channel: Channel
    pidfd: int

    def reap(self) -> bool:
        """Wait for its end; whether it ended well, so that what it has left is ours."""
        self.channel.close()
        end = process.wait(self.pidfd)
        os.close(self.pidfd)
        return end is not None and end.code == 0


def fork(job: Callable[[Channel], None], keep: list[int]) -> Maker:
    """Run job in a child that has its channel and the fds in keep; its failure is told."""
    ours, theirs = Channel.pair()
    pid, pidfd = process.clone()
    if pid == 0:
        process.close_all_but([theirs.fileno(), *keep])
        process.unnotice_children()
        _work(job, theirs)
    theirs.close()
    return Maker(ours, pidfd)


def _work(job: Callable[[Channel], None], channel: Channel) -> NoReturn:
    code = 1
    try:
        job(channel)
        code = 0
    except Closed:
        pass  # nobody is left to be told; the job has cleared up
    except BaseException as error:  # noqa: BLE001 (an edge: whatever it is, it is told)
        _tell(channel, failed(error))
    finally:
        os._exit(code)


def _tell(channel: Channel, message: protocol.Failed) -> None:
    try:
        channel.send(message)
    except (Closed, OSError):
        pass


def failed(error: BaseException) -> protocol.Failed:
    match error:
        case StartFailed():
            told = error.failure
            return protocol.Failed(message=told.message, step=told.step, errno=told.errno)
        case OSError():
            where = f" {error.filename}" if error.filename else ""
            text = (error.strerror or str(error)).lower() + where
            return protocol.Failed(message=text, step="supervisor", errno=error.errno or 0)
        case _:
            return protocol.Failed(message=f"{type(error).__name__}: {error}", step="supervisor")


class ContainerMaker:
    """Makes one container: hears Prepare (perhaps) and Run from the daemon, on `control`.

    The supervisor gets all that it needs of it, as one Kept, and keeps it when we end well.
    """

    def __init__(self, keeper: Channel, control: Channel) -> None:
        self.keeper = keeper
        self.control = control
        self.made: Runtime | None = None

    def work(self) -> None:
        process.set_title("pinnace:maker")
        try:
            request, fds = self._next()
            if isinstance(request, protocol.Prepare):
                self.made = container.prepare(request.preparation)
                self.control.send(protocol.Prepared(pid=self.made.pid))
                request, fds = self._next()
            assert isinstance(request, protocol.Run)
            self._run(request, fds)
        except BaseException as error:
            # All is cleared up before anybody is told: the next try may want the same names.
            if self.made is not None:
                self.made.delete()
            if not isinstance(error, Closed):
                _tell(self.control, failed(error))
            raise

    def _next(self) -> tuple[protocol.Prepare | protocol.Run, list[int]]:
        frame, fds = self.control.receive_frame()
        return protocol.makings.decode(frame), fds

    def _run(self, request: protocol.Run, clients: list[int]) -> None:
        if self.made is None:
            assert request.preparation is not None
            self.made = _make(request, request.preparation)
        made = self.made
        with open(f"{request.folder}/config.json", "rb") as file:
            wanted = spec.decode(file.read())
        pipes = streams.Pipes([], []) if request.tty else streams.pipes(stdin=request.open_stdin)
        console, warnings = self._set_up(request, wanted, pipes.theirs)
        ours = pipes.ours if console is None else [console]
        self._hooks(request, wanted)
        failpoint.hit("supervisor-set-up")
        if request.hold:
            self.control.send(protocol.Ready(pid=made.pid, warnings=warnings), [made.pidfd])
            self.control.receive_frame()
        folder_fd = os.open(request.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # Holding the mount namespace keeps the exit from waiting for overlayfs to sync. Now: once
        # the program runs it may be gone at any time.
        namespace_fd = process.namespace_fd(made.pid, "mount")
        warnings += made.start(wanted.process or spec.Process())

        kept = _kept(request, made, len(clients))
        listener = listen(folder_fd)
        first = [self.control.fileno(), folder_fd, made.pidfd, namespace_fd, listener.fileno()]
        self.keeper.send(kept, [*first, *ours, *clients])
        failpoint.hit("supervisor-started")
        if wanted.hooks is not None:
            state = self._state(request, "running", made)
            container.run_hooks(wanted.hooks.poststart, "poststart", state)
        started = protocol.Started(pid=made.pid, started_at=kept.started_at, warnings=warnings)
        try:
            self.control.send(started, [made.pidfd])
        except Closed:
            pass  # the daemon is gone; the next one finds it with the supervisor

    def _set_up(
        self, request: protocol.Run, wanted: spec.Spec, stdio: list[int]
    ) -> tuple[int | None, list[str]]:
        assert self.made is not None
        owner = self.made.owner
        if owner.uid:
            for fd in stdio[0 if request.open_stdin else 1 :]:
                os.fchown(fd, owner.uid, owner.gid)  # so that /dev/stdout can be opened anew
        setting = Setting(
            spec=wanted,
            root=request.root,
            stdio=stdio,
            seccomp=request.seccomp,
            user=request.user,
            groups=request.groups,
            reaper=request.reaper,
            state=msgspec.json.encode(self._state(request, "creating", self.made)),
        )
        try:
            return self.made.set_up(setting)
        finally:
            close_fds(stdio)

    def _hooks(self, request: protocol.Run, wanted: spec.Spec) -> None:
        if wanted.hooks is not None and self.made is not None:
            state = self._state(request, "creating", self.made)
            container.run_hooks(wanted.hooks.prestart, "prestart", state)
            container.run_hooks(wanted.hooks.create_runtime, "createRuntime", state)

    @staticmethod
    def _state(request: protocol.Run, status: str, made: Runtime) -> spec.State:
        return spec.State(
            oci_version="1.2.0",
            id=request.id,
            status=status,
            pid=made.pid,
            bundle=request.folder,
        )


def _kept(request: protocol.Run, made: Runtime, clients: int) -> protocol.Kept:
    return protocol.Kept(
        id=request.id,
        folder=request.folder,
        cgroup_path=request.cgroup_path,
        runtime=request.runtime,
        log=request.log,
        tty=request.tty,
        open_stdin=request.open_stdin,
        stdin_once=request.stdin_once,
        own_processes=made.own_processes(),
        pid=made.pid,
        started_at=time.time_ns(),
        clients=request.clients[:clients],
    )


def listen(folder_fd: int) -> socket.socket:
    """Where daemons of later find the supervisor."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # By the folder's fd: an address has room for 107 bytes, a path may be longer (unix(7)).
    listener.bind(f"/proc/self/fd/{folder_fd}/{protocol.SOCKET}")
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def _make(request: protocol.Run, preparation: container.Preparation) -> Runtime:
    if request.runtime:
        return Binary(request.runtime, request.id, request.folder, request.cgroup_path)
    return container.prepare(preparation)


class Place(NamedTuple):
    """A running container, as far as an exec must know it."""

    run: protocol.Kept
    pidfd: int


def execute(channel: Channel, place: Place, request: protocol.Exec, stdio: list[int]) -> None:
    """Make and start a further process."""
    owner = container.owner_of(place.run.pid)
    if owner.uid:
        for fd in stdio[0 if request.open_stdin else 1 :]:
            os.fchown(fd, owner.uid, owner.gid)
    entry = Entry(request.process, stdio, request.seccomp, request.user, request.groups)
    entered: Process
    if place.run.runtime:
        made = Binary(place.run.runtime, place.run.id, place.run.folder, place.run.cgroup_path)
        entered = made.enter(entry)
    else:
        entered = container.enter(
            place.pidfd, owner, cgroup.at(place.run.cgroup_path), entry, leaving=True
        )
    try:
        warnings = entered.start(request.process)
    except StartFailed:
        process.await_exit(entered.pidfd, 5)
        raise
    fds = [entered.pidfd] if entered.console is None else [entered.pidfd, entered.console]
    channel.send(protocol.Launched(pid=entered.pid, warnings=warnings), fds)


def end(run: protocol.Kept) -> None:
    """Clear up what a container's end leaves, in the supervisor itself: it goes too."""
    if run.runtime:
        Binary(run.runtime, run.id, run.folder, run.cgroup_path).delete()
    cgroup.end(run.cgroup_path)
