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
from pinnace.supervisor.streams import Pipes, Streams
from pinnace.supervisor.streams import pipes as make_pipes

_EXIT = "exit.json"
_CODES_KEPT = 1024  # exit codes of finished execs that can still be asked for
_CLIENT_PATIENCE = 10.0  # seconds that clients have to take what is left after the exit


def main(control: Channel) -> NoReturn:
    """Have one container made, as the daemon says on control, and keep it; never returns."""
    code = 1
    try:
        process.adopt_orphans()
        made = maker.fork(
            lambda keeper: maker.ContainerMaker(keeper, control).work(), [control.fileno()]
        )
        control.close()
        kept, fds = _await(made)
        Supervisor(kept, fds).run()
        code = 0
    except Closed:
        code = 0  # there is nothing to keep
    finally:
        os._exit(code)


def _await(made: Maker) -> tuple[protocol.Kept, list[int]]:
    """What the maker leaves us; raises Closed when it has made nothing, or died over it."""
    try:
        frame, fds = made.channel.receive_frame()
    except Closed:
        frame, fds = b"", []
    if not made.reap():
        close_fds(fds)  # with its control channel: the daemon hears that nothing was made
        _end_orphans()
        raise Closed
    return protocol.keepings.decode(frame), fds


def _end_orphans() -> None:
    """A maker that was killed leaves its processes to us; its cgroup the daemon removes."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        children = [int(word) for word in file.read().split()]
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class Running:
    """A process of the container, with its streams."""

    def __init__(self, pid: int, pidfd: int, streams: Streams) -> None:
        self.pid, self.pidfd, self.streams = pid, pidfd, streams
        self.exit: process.Exit | None = None


class Supervisor:
    def __init__(self, kept: protocol.Kept, fds: list[int]) -> None:
        control, self.folder_fd, pidfd, self.mount_namespace_fd, listener, *rest = fds
        self.loop = Loop()
        self.kept = kept
        self.control = Channel(socket.socket(fileno=control))
        self.listener: socket.socket | None = socket.socket(fileno=listener)
        self.subscribers = [self.control]
        self.execs: dict[str, Running] = {}
        self.exec_codes: dict[str, int] = {}
        self.makers = 0
        self.ended = False
        streams = Streams(
            self.loop,
            tty=kept.tty,
            stdin_once=kept.stdin_once,
            log=kept.log,
            ended=self._output_ended,
            detached=lambda: self._publish(protocol.Detached()),
        )
        self.main = Running(kept.pid, pidfd, streams)
        ours = len(rest) - len(kept.clients)
        streams.take(rest[:ours])
        for fd, client in zip(rest[ours:], kept.clients, strict=True):
            streams.attach(fd, client)

    def run(self) -> None:
        process.set_title(f"pinnace:supervisor {self.kept.id[:12]}")
        self._serve(self.control)
        if self.listener is not None:
            self.loop.watch(self.listener.fileno(), IN, lambda _: self._accept())
        children_fd = process.notice_children()
        self.loop.watch(children_fd, IN, lambda _: self._children_ended(children_fd))
        self.loop.watch(self.main.pidfd, IN, lambda _: self._exited())
        self.main.streams.begin()
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
        process.reap_strangers({each.pid for each in living if each.exit is None})

    def _serve(self, channel: Channel) -> None:
        self.loop.watch(channel.fileno(), IN, lambda _: self._request(channel))

    def _request(self, channel: Channel) -> None:
        try:
            frame, fds = channel.receive_frame()
            self._handle(channel, protocol.small_requests.decode(frame), fds)
        except Closed:
            self._hung_up(channel)
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            self._reply(channel, maker.failed(error))

    def _handle(self, channel: Channel, request: protocol.SmallRequest, fds: list[int]) -> None:
        handlers: dict[type, Callable[[Channel, Any, list[int]], None]] = {
            protocol.Subscribe: self._subscribe,
            protocol.Exec: self._exec,
            protocol.ExecStatus: self._exec_status,
            protocol.Attach: self._attach,
            protocol.Resize: self._resize,
        }
        handlers[type(request)](channel, request, fds)

    def _hung_up(self, channel: Channel) -> None:
        self.loop.forget(channel.fileno())
        channel.close()
        if channel in self.subscribers:
            self.subscribers.remove(channel)

    def _accept(self) -> None:
        if self.listener is None:
            return
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(True)
        self._serve(Channel(connection))

    # Serving a running container

    def _subscribe(self, channel: Channel, request: protocol.Subscribe, fds: list[int]) -> None:
        status = protocol.Status(
            version=protocol.VERSION,
            pid=self.main.pid,
            started_at=self.kept.started_at,
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
        if not client.since_ns:
            return b""
        log = self.kept.log
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
        streams = Streams(
            self.loop,
            tty=request.process.terminal,
            ended=lambda: self._exec_ended(request.id),
            detached=lambda: self._publish(protocol.Detached(exec_id=request.id)),
        )
        pipes = Pipes([], [])
        if not request.process.terminal:
            pipes = make_pipes(stdin=request.open_stdin)
            streams.take(pipes.ours)
        place = maker.Place(self.kept, self.main.pidfd)
        made = maker.fork(
            lambda theirs: maker.execute(theirs, place, request, pipes.theirs),
            [*pipes.theirs, self.main.pidfd],
        )
        self.makers += 1
        close_fds(pipes.theirs)
        self.loop.watch(
            made.channel.fileno(),
            IN,
            lambda _: self._exec_answered(made, channel, request, streams, fds),
        )

    def _answered_for(self) -> None:
        """A maker has gone, and what it has made is among what is waited for."""
        self.makers -= 1
        self._reap_strangers()

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
            streams.take(fds[1:])
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

    def _exited(self) -> None:
        main = self.main
        self.loop.forget(main.pidfd)
        main.exit = process.wait(main.pidfd)
        self._reap_strangers()
        if not self.kept.own_processes:
            cgroup.at(
                self.kept.cgroup_path
            ).kill()  # no pid namespace has ended its other processes
        main.streams.drain()
        if not main.streams.outputs:
            self._output_ended()

    def _output_ended(self) -> None:
        main = self.main
        if main.exit is None or self.ended:
            return
        self.ended = True
        record = protocol.Exited(
            code=main.exit.code,
            finished_at=time.time_ns(),
            oom_killed=cgroup.at(self.kept.cgroup_path).oom_kills() > 0,
        )
        # Before anybody hears of the exit and starts it anew.
        maker.end(self.kept)
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
                os.unlink(protocol.SOCKET, dir_fd=self.folder_fd)
            except FileNotFoundError:
                pass  # the container was removed as soon as it had ended

    def _clear(self) -> None:
        """Only when something went wrong here: nobody would be left to keep the container."""
        if not self.ended:
            process.send_signal(self.main.pidfd, signal.SIGKILL)
            cgroup.end(self.kept.cgroup_path)


def _answer(made: Maker) -> tuple[protocol.Launched | protocol.Failed, list[int]]:
    try:
        frame, fds = made.channel.receive_frame()
    except Closed:
        return protocol.Failed(message="the maker of the process died", step="maker"), []
    return protocol.exec_answers.decode(frame), fds
