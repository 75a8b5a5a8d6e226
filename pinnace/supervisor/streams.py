"""The standard streams of one process: pipes or a terminal, its log, its attached clients.

Nothing is lost and nothing grows: what a client has not taken is held up to a bound, then
the process waits, as it would in a shell's pipeline; a client that goes away is dropped.
"""

import fcntl
import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from pinnace.linux import terminal
from pinnace.supervisor import detach, frames, logs
from pinnace.supervisor.logs import LogDriver
from pinnace.supervisor.loop import ERR, HUP, IN, OUT, Loop
from pinnace.supervisor.protocol import Client, Log

_CHUNK = 256 << 10
_HIGH, _LOW = 1 << 20, 256 << 10  # bytes held for a slow client before, and after, we wait
_F_SETPIPE_SZ, _PIPE_SIZE = 1031, 1 << 20
_FULL_PIPE = 64 << 10


class Pipes(NamedTuple):
    """stdin, stdout and stderr: the process's ends, to be closed once it has them, and ours."""

    theirs: list[int]
    ours: list[int]


def pipes(*, stdin: bool) -> Pipes:
    """Without stdin the process reads /dev/null, and ours are the other two only."""
    theirs, ours = [], []
    if stdin:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        theirs.append(read_fd)
        ours.append(write_fd)
    else:
        theirs.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    for _ in ("stdout", "stderr"):
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        theirs.append(write_fd)
        ours.append(read_fd)
    return Pipes(theirs, ours)


class Attached:
    """A client's connection, which is ours alone now."""

    def __init__(self, loop: Loop, fd: int, wanted: Client, streams: "Streams") -> None:
        self.loop = loop
        self.wanted = wanted
        self.streams = streams
        self.socket = socket.socket(fileno=fd)
        self.socket.setblocking(False)
        self.pending = bytearray()
        self.reading = False
        self.closing = False
        keys = detach.parse(wanted.detach_keys) if streams.tty else b""
        self.detach = detach.Watch(keys) if keys else None
        if wanted.initial:
            self._typed(wanted.initial)
        self.resume()

    def wants(self, stream: str) -> bool:
        return self.wanted.stdout if stream == "stdout" else self.wanted.stderr

    def send(self, stream: str, data: bytes) -> None:
        if self.wanted.multiplexed:
            data = frames.mux(stream, data)
        if self.pending:
            self.pending += data
        else:
            sent = self._try_send(data)
            if sent < len(data):
                self.pending += memoryview(data)[sent:]
                self.resume()

    def _try_send(self, data: "bytes | bytearray") -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.streams.drop(self)
            return len(data)

    def resume(self) -> None:
        """Watch for what is of interest now."""
        if self.socket.fileno() < 0:
            return
        self.reading = self.wanted.stdin and self.streams.accepts_input()
        events = (IN if self.reading else 0) | (OUT if self.pending else 0)
        self.loop.watch(self.socket.fileno(), events, self._ready)

    def _ready(self, events: int) -> None:
        if events & OUT and self.pending:
            del self.pending[: self._try_send(self.pending)]
            if len(self.pending) <= _LOW:
                self.streams.flow()
            if not self.pending:
                self._written()
        if events & IN and self.reading:
            self._read()
        elif events & (HUP | ERR):
            self.streams.drop(self)

    def _written(self) -> None:
        if self.closing:
            self.streams.drop(self)
        else:
            self.resume()

    def _read(self) -> None:
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._typed(data)
        else:
            # The client's half-close ends the process's input; its output goes on.
            self.wanted = Client(stdout=self.wanted.stdout, stderr=self.wanted.stderr,
                                 multiplexed=self.wanted.multiplexed)  # fmt: skip
            self.streams.input_ended()
            if self.socket.fileno() >= 0:
                self.resume()

    def _typed(self, data: bytes) -> None:
        left = False
        if self.detach is not None:
            data, left = self.detach.feed(data)
        if data:
            self.streams.write_input(data)
        if left:
            self.streams.detached(self)

    def finish(self) -> None:
        """Close once everything is sent."""
        self.closing = True
        if not self.pending:
            self.streams.drop(self)


class Streams:
    """One process's streams; `ended` is called when all its output has been read."""

    def __init__(
        self,
        loop: Loop,
        *,
        tty: bool,
        stdin_once: bool = True,
        log: Log | None = None,
        ended: Callable[[], None] = lambda: None,
        detached: Callable[[], None] = lambda: None,
    ) -> None:
        self.loop = loop
        self.tty = tty
        self.stdin_once = stdin_once
        self._wanted_log = log
        self._log: LogDriver | None = None
        self.ended = ended
        self.on_detach = detached
        self.clients: list[Attached] = []
        self.outputs: dict[int, str] = {}
        self.input_fd = -1
        self._input = bytearray()
        self._input_closing = False
        self._grown: set[int] = set()
        self._waiting = False

    def take(self, ours: list[int]) -> None:
        """Our ends: the console's master, or [stdin,] stdout and stderr of `pipes`."""
        for fd in ours:
            os.set_blocking(fd, False)
        if self.tty:
            self.outputs[ours[0]] = "stdout"
            self.input_fd = ours[0]
            return
        *stdin, stdout, stderr = ours
        self.outputs = {stdout: "stdout", stderr: "stderr"}
        self.input_fd = stdin[0] if stdin else -1

    def begin(self) -> None:
        """Read from now on."""
        self.flow()
        self._write_pending()

    def flow(self) -> None:
        """Read output, unless a client holds too much of it already."""
        waiting = any(len(client.pending) > _HIGH for client in self.clients)
        self._waiting = waiting
        for fd in self.outputs:
            self._watch_output(fd)

    def _watch_output(self, fd: int) -> None:
        events = 0 if self._waiting else IN
        if fd == self.input_fd and self._input:
            events |= OUT
        if events:
            self.loop.watch(fd, events, lambda events: self._output_ready(fd, events))
        else:
            self.loop.forget(fd)

    def _output_ready(self, fd: int, events: int) -> None:
        if events & OUT:
            self._write_pending()
        if events & (IN | HUP | ERR) and not self._waiting:
            self._read_output(fd)

    def _read_output(self, fd: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: the last one has closed the terminal's other side
        if not data:
            self._close_output(fd)
            return
        if len(data) >= _FULL_PIPE and fd not in self._grown and not self.tty:
            self._grow(fd)
        self._distribute(self.outputs[fd], data)

    def _grow(self, fd: int) -> None:
        """A busy pipe gets more room; an idle one costs no more than it must."""
        self._grown.add(fd)
        try:
            fcntl.fcntl(fd, _F_SETPIPE_SZ, _PIPE_SIZE)
        except OSError:
            pass  # it goes on with the room it has

    def _distribute(self, stream: str, data: bytes) -> None:
        if self._wanted_log is not None:
            self._open_log(self._wanted_log).write(stream, data, time.time_ns())
        held = 0
        for client in list(self.clients):
            if client.wants(stream):
                client.send(stream, data)
                held = max(held, len(client.pending))
        if held > _HIGH:
            self.flow()

    def _open_log(self, wanted: Log) -> LogDriver:
        """Only when there is something to write: many a process never says a word."""
        if self._log is None:
            self._log = logs.open_driver(
                wanted.driver, wanted.options, wanted.path, attributes=wanted.attributes
            )
        return self._log

    def _close_output(self, fd: int) -> None:
        self.loop.forget(fd)
        stream = self.outputs.pop(fd)
        if self._log is not None:
            self._log.flush_partial(stream)
        if fd == self.input_fd:
            self.input_fd = -1
        os.close(fd)
        if not self.outputs:
            self.ended()

    def drain(self) -> None:
        """Take what is in the pipes, whoever still holds them open, and end."""
        for fd in list(self.outputs):
            while fd in self.outputs:
                try:
                    data = os.read(fd, _CHUNK)
                except BlockingIOError:
                    self._close_output(fd)
                    break
                except OSError:
                    data = b""
                if data:
                    self._distribute(self.outputs[fd], data)
                else:
                    self._close_output(fd)

    def attach(self, fd: int, wanted: Client, past: bytes = b"") -> None:
        """Hand the process's streams to a client, after `past`, which is framed for it."""
        client = Attached(self.loop, fd, wanted, self)
        self.clients.append(client)
        if wanted.head or past:
            client.pending += wanted.head + past
            client.resume()

    def drop(self, client: Attached) -> None:
        """The client is gone, or is to go."""
        if client not in self.clients:
            return
        self.clients.remove(client)
        self.loop.forget(client.socket.fileno())
        client.socket.close()
        if client.wanted.stdin:
            self.input_ended()
        self.flow()

    def detached(self, client: Attached) -> None:
        client.wanted = Client(stdout=False, stderr=False)
        client.finish()
        self.on_detach()

    def accepts_input(self) -> bool:
        return len(self._input) <= _HIGH

    def write_input(self, data: bytes) -> None:
        if self.input_fd < 0 or self._input_closing:
            return
        self._input += data
        self._write_pending()

    def _write_pending(self) -> None:
        if self.input_fd < 0:
            self._input.clear()
            return
        was_full = not self.accepts_input()
        try:
            if self._input:
                del self._input[: os.write(self.input_fd, self._input[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._close_input()  # the process has closed its end
            return
        self._watch_input()
        if was_full and self.accepts_input():
            for client in self.clients:
                client.resume()

    def _watch_input(self) -> None:
        fd = self.input_fd
        if self._input_closing and not self._input:
            self._close_input()
        elif fd in self.outputs:
            self._watch_output(fd)
        elif self._input:
            self.loop.watch(fd, OUT, lambda _: self._write_pending())
        else:
            self.loop.forget(fd)

    def input_ended(self) -> None:
        """A client has no more input: so has the process, if it takes one client's only."""
        if self.stdin_once and not self.tty and self.input_fd >= 0:
            self._input_closing = True
            self._write_pending()

    def _close_input(self) -> None:
        fd, self.input_fd = self.input_fd, -1
        self._input.clear()
        if fd >= 0 and fd not in self.outputs:
            self.loop.forget(fd)
            os.close(fd)

    def resize(self, height: int, width: int) -> None:
        if self.input_fd in self.outputs:
            terminal.set_size(self.input_fd, height, width)

    def finish(self) -> None:
        """No more output will come: flush the log and let the clients go."""
        self._close_input()
        if self._log is not None:
            self._log.close()
            self._wanted_log = self._log = None
        for client in list(self.clients):
            client.finish()

    def abandon(self) -> None:
        """Drop clients that do not take what is left for them."""
        for client in list(self.clients):
            self.drop(client)
