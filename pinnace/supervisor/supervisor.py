"""One container's keeper: has it made, holds its streams, waits for its end, writes it down.

It is the parent of the container's processes and outlives the daemon: any daemon connects to
`supervisor.sock` in the container's folder and finds what this one left. Before Run it is a
prepared shell in the daemon's pool, and goes with its control channel.

Rule: nothing here waits for anybody. What takes long, or much memory, is a `maker`'s work.
"""

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from pinnace.linux import cgroup, failpoint, process
from pinnace.runtime.sync import Channel, Closed, close_fds
from pinnace.supervisor import logs, maker, protocol
from pinnace.supervisor.loop import IN, Loop
from pinnace.supervisor.maker import Maker
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


class Supervisor:
    def __init__(self, control: Channel) -> None:
        self.loop = Loop()
        self.control = control
        self.maker: Maker | None = None
        self.makers = 0
        self.request: protocol.RunHead | None = None
        self.cgroup_path = ""
        self.streams: Streams | None = None
        self.main: Running | None = None
        self.own_processes = True
        self.started_at = 0
        self.ended = False
        self.execs: dict[str, Running] = {}
        self.exec_codes: dict[str, int] = {}
        self.subscribers: list[Channel] = []
        self.folder_fd = -1
        self.mount_namespace_fd = -1
        self.listener: socket.socket | None = None

    def run(self) -> None:
        process.adopt_orphans()
        children_fd = process.notice_children()
        self.loop.watch(children_fd, IN, lambda _: self._children_ended(children_fd))
        self._serve(self.control)
        try:
            self.loop.run()
        finally:
            self._clear()

    def _children_ended(self, children_fd: int) -> None:
        os.read(children_fd, 4096)
        self._reap_strangers()

    def _reap_strangers(self) -> None:
        """Reap what nobody else waits for: failed execs, orphans of the host's pid namespace.

        A pid namespace does not end while one of its processes is left as a zombie. Not with a
        maker at work: what it leaves to us is not known before its answer.
        """
        if self.makers:
            return
        living = [self.main, *self.execs.values()]
        process.reap_strangers({each.pid for each in living if each and each.exit is None})

    def _serve(self, channel: Channel) -> None:
        self.loop.watch(channel.fileno(), IN, lambda _: self._request(channel))

    def _request(self, channel: Channel) -> None:
        try:
            frame, fds = channel.receive_frame()
            self._handle(channel, frame, fds)
        except Closed:
            self._hung_up(channel)
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            self._refuse(channel, maker.failed(error))

    def _handle(self, channel: Channel, frame: bytes, fds: list[int]) -> None:
        head = protocol.heads.decode(frame)
        if head.type in ("Prepare", "Run"):
            self.cgroup_path = head.cgroup_path
            making = self._prepare if head.type == "Prepare" else self._run
            making(channel, frame, fds)
            return
        handlers: dict[str, Callable[[Channel, Any, list[int]], None]] = {
            "Go": self._go,
            "Subscribe": self._subscribe,
            "Exec": self._exec,
            "ExecStatus": self._exec_status,
            "Attach": self._attach,
            "Resize": self._resize,
        }
        handlers[head.type](channel, protocol.small_requests.decode(frame), fds)

    def _refuse(self, channel: Channel, failed: protocol.Failed) -> None:
        try:
            channel.send(failed)
        except Closed:
            self._hung_up(channel)
        if self.main is None:
            self.loop.stopped = True  # a container that did not start has no keeper

    def _hung_up(self, channel: Channel) -> None:
        self.loop.forget(channel.fileno())
        if channel is self.control and self.main is None and self.request is None:
            self.loop.stopped = True  # who hung up may wait for our end: it comes when all is clear
            return
        channel.close()
        if channel in self.subscribers:
            self.subscribers.remove(channel)

    # Starting

    def _prepare(self, channel: Channel, frame: bytes, fds: list[int]) -> None:
        self._start_maker(channel).channel.send_frame(frame)

    def _start_maker(self, channel: Channel) -> Maker:
        """A maker whose answers go to channel."""
        self.maker = made = maker.fork(lambda theirs: maker.ContainerMaker(theirs).work(), [])
        self.makers += 1
        self.loop.watch(made.channel.fileno(), IN, lambda _: self._answered(made, channel))
        return made

    def _run(self, channel: Channel, frame: bytes, fds: list[int]) -> None:
        self.request = request = protocol.run_heads.decode(frame)
        process.set_title(f"pinnace:supervisor {request.id[:12]}")
        self.folder_fd = os.open(request.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.streams = streams = Streams(
            self.loop,
            tty=request.tty,
            stdin_once=request.stdin_once,
            log=request.log,
            ended=self._output_ended,
            detached=lambda: self._publish(protocol.Detached()),
        )
        for fd, client in zip(fds, request.clients, strict=True):
            streams.attach(fd, client)
        stdio = [] if request.tty else streams.open_pipes(stdin=request.open_stdin)
        try:
            (self.maker or self._start_maker(channel)).channel.send_frame(frame, stdio)
        finally:
            close_fds(stdio)

    def _go(self, channel: Channel, request: protocol.Go, fds: list[int]) -> None:
        assert self.maker is not None
        self.maker.channel.send(request)

    def _answered(self, made: Maker, channel: Channel) -> None:
        """The maker has something to say; it is the asker's to know."""
        answer, fds = _answer(made)
        if not isinstance(answer, protocol.Launched):
            try:
                channel.send(answer, fds)
            except Closed:
                self._hung_up(channel)
            close_fds(fds)
        if isinstance(answer, protocol.Prepared | protocol.Ready):
            return
        self.loop.forget(made.channel.fileno())
        self.maker = None
        if isinstance(answer, protocol.Launched):
            self._launched(channel, answer, fds)
        made.reap()
        self._answered_for()
        if self.main is None:
            self.loop.stopped = True

    def _answered_for(self) -> None:
        """A maker has gone, and what it has made is among what is waited for."""
        self.makers -= 1
        self._reap_strangers()

    def _launched(self, channel: Channel, answer: protocol.Launched, fds: list[int]) -> None:
        assert self.streams is not None
        self.started_at = time.time_ns()
        self.own_processes = answer.own_processes
        self.mount_namespace_fd = fds[1]
        self.main = main = Running(answer.pid, fds[0], self.streams)
        if fds[2:]:
            self.streams.use_terminal(fds[2])
        self._listen()
        failpoint.hit("supervisor-started")
        self.loop.watch(main.pidfd, IN, lambda _: self._exited(main))
        main.streams.begin()
        started = protocol.Started(
            pid=main.pid, started_at=self.started_at, warnings=answer.warnings
        )
        try:
            channel.send(started, [main.pidfd])
        except Closed:
            self._hung_up(channel)  # the daemon is gone: the next one will find us
            return
        if channel is self.control:
            self.subscribers.append(channel)

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # By the folder's fd: an address has room for 107 bytes, a path may be longer (unix(7)).
        listener.bind(f"/proc/self/fd/{self.folder_fd}/{_SOCKET}")
        listener.listen(1024)
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
        status = protocol.Status(
            version=protocol.VERSION,
            pid=self.main.pid,
            started_at=self.started_at,
            execs={ident: running.pid for ident, running in self.execs.items()},
        )
        channel.send(status, [self.main.pidfd])
        self.subscribers.append(channel)

    def _target(self, exec_id: str) -> Running | None:
        return self.execs.get(exec_id) if exec_id else self.main

    def _resize(self, channel: Channel, request: protocol.Resize, fds: list[int]) -> None:
        if (target := self._target(request.exec_id)) is not None:
            target.streams.resize(request.height, request.width)
        channel.send(protocol.Done())

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
        if not client.since_ns or self.request is None:
            return b""
        log = self.request.log
        reader = logs.Reader(
            log.driver,
            log.path,
            log.options,
            stdout=client.stdout,
            stderr=client.stderr,
            since_ns=client.since_ns + 1,
            multiplexed=client.multiplexed,
        )
        with reader:
            return reader.read()

    # Execs

    def _exec(self, channel: Channel, request: protocol.Exec, fds: list[int]) -> None:
        assert self.main is not None and self.request is not None
        streams = Streams(
            self.loop,
            tty=request.process.terminal,
            ended=lambda: self._exec_ended(request.id),
            detached=lambda: self._publish(protocol.Detached(exec_id=request.id)),
        )
        stdio: list[int] = []
        if not request.process.terminal:
            stdio = streams.open_pipes(stdin=request.open_stdin)
        place = maker.Place(self.request, self.main.pid, self.main.pidfd)
        made = maker.fork(
            lambda theirs: maker.execute(theirs, place, request, stdio),
            [*stdio, self.main.pidfd],
        )
        self.makers += 1
        close_fds(stdio)
        self.loop.watch(
            made.channel.fileno(),
            IN,
            lambda _: self._exec_answered(made, channel, request, streams, fds),
        )

    def _exec_answered(
        self,
        made: Maker,
        channel: Channel,
        request: protocol.Exec,
        streams: Streams,
        clients: list[int],
    ) -> None:
        answer, fds = _answer(made)
        self.loop.forget(made.channel.fileno())
        made.reap()
        if not isinstance(answer, protocol.Launched):
            self._answered_for()
            close_fds(clients)
            streams.drain()
            self._reply(channel, answer)
            return
        running = Running(answer.pid, fds[0], streams)
        if fds[1:]:
            streams.use_terminal(fds[1])
        self.execs[request.id] = running
        self._answered_for()
        if request.client is not None:
            streams.attach(clients[0], request.client)
        self.loop.watch(running.pidfd, IN, lambda _: self._exec_exited(request.id))
        self._reply(channel, protocol.Started(pid=running.pid, started_at=time.time_ns()))
        streams.begin()

    def _reply(self, channel: Channel, message: protocol.Message) -> None:
        try:
            channel.send(message)
        except Closed:
            self._hung_up(channel)

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
        self._reap_strangers()
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
        self._reap_strangers()
        if not self.own_processes:
            cgroup.at(self.cgroup_path).kill()  # no pid namespace has ended its other processes
        main.streams.drain()
        if not main.streams.outputs:
            self._output_ended()

    def _output_ended(self) -> None:
        main = self.main
        if main is None or main.exit is None or self.ended:
            return
        self.ended = True
        record = protocol.Exited(
            code=main.exit.code,
            finished_at=time.time_ns(),
            oom_killed=cgroup.at(self.cgroup_path).oom_kills() > 0,
        )
        # Before anybody hears of the exit and starts it anew.
        assert self.request is not None
        maker.end(self.request)
        main.streams.finish()
        self._write_exit(record)
        failpoint.hit("supervisor-exit-written")
        self._publish(record)
        self._stop_listening()
        self._await_clients(main.streams, time.monotonic() + _CLIENT_PATIENCE)

    def _write_exit(self, record: protocol.Exited) -> None:
        def below(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=self.folder_fd)

        with open(f".{_EXIT}", "wb", opener=below) as file:
            file.write(msgspec.json.encode(record))
        os.rename(f".{_EXIT}", _EXIT, src_dir_fd=self.folder_fd, dst_dir_fd=self.folder_fd)

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
        """Leave nothing: a maker clears up when its channel ends; a container is ended here."""
        if self.maker is not None:
            self.maker.reap()
        if self.ended:
            return
        if self.main is not None:
            process.send_signal(self.main.pidfd, signal.SIGKILL)
        if self.cgroup_path:
            group = cgroup.at(self.cgroup_path)
            group.kill()
            group.remove()


def _answer(made: Maker) -> tuple[protocol.Reply, list[int]]:
    try:
        frame, fds = made.channel.receive_frame()
    except Closed:
        return protocol.Failed(message="the maker of the process died", step="maker"), []
    return protocol.maker_answers.decode(frame), fds
