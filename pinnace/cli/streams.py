"""Bytes between the user and a process that is attached to: one loop, no thread.

    terminal or pipe → stdin ─────→ connection → the process
    stdout, stderr ←── frames ──── connection ← its output (frames unless it has a terminal)
    signals ──→ resize, or passed on to the process

Rule 1: never wait to send while there is something to receive; a process that echoes
(`cat big | run -i cat`) would wait for us and we for it.
Rule 2: the terminal is restored before anything else is done once the conversation is over.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself takes 3 ms for its enums
import _socket
import os
import select
import time

from pinnace.cli import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pinnace.cli.connection import Connection

_READ = 1 << 16
_HEADER = 8
_TARGETS = {0: terminal.STDOUT, 1: terminal.STDOUT, 2: terminal.STDERR}
_SYSTEM_ERROR = 3
_RESIZE_TRIES = 10

# What is passed on to a container; SIGWINCH is not: to some servers it means "stop".
PROXIED: dict[int, str] = {
    _signal.SIGHUP: "HUP",
    _signal.SIGINT: "INT",
    _signal.SIGQUIT: "QUIT",
    _signal.SIGABRT: "ABRT",
    _signal.SIGUSR1: "USR1",
    _signal.SIGUSR2: "USR2",
    _signal.SIGALRM: "ALRM",
    _signal.SIGTERM: "TERM",
    _signal.SIGCONT: "CONT",
    _signal.SIGTSTP: "TSTP",
    _signal.SIGVTALRM: "VTALRM",
    _signal.SIGPROF: "PROF",
    _signal.SIGIO: "IO",
}
_DEADLY = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


class SystemFailure(Exception):
    """The daemon says in the stream that it can't go on."""


class Demultiplexer:
    """Frames of a header (stream, length) and a payload → pieces for stdout and stderr."""

    __slots__ = ("_header", "_left", "_stream")

    def __init__(self) -> None:
        self._header = b""
        self._stream = 1
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(file descriptor, bytes) for all of `data`; half a frame is passed on at once too."""
        position = 0
        while position < len(data):
            if self._left == 0:
                missing = _HEADER - len(self._header)
                self._header += data[position : position + missing]
                position += missing
                if len(self._header) < _HEADER:
                    return
                self._stream = self._header[0]
                self._left = int.from_bytes(self._header[4:], "big")
                self._header = b""
                continue
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            if self._stream == _SYSTEM_ERROR:
                raise SystemFailure(
                    f"error from daemon in stream: {piece.decode('utf-8', 'replace')}"
                )
            if self._stream not in _TARGETS:
                raise SystemFailure(f"Unrecognized stream: {self._stream}")
            yield _TARGETS[self._stream], piece


def copy_out(chunks: Iterator[bytes], *, multiplexed: bool) -> None:
    """A body that is a container's output, to the user."""
    if not multiplexed:
        for chunk in chunks:
            terminal.write(chunk)
        return
    frames = Demultiplexer()
    for chunk in chunks:
        for fd, piece in frames.feed(chunk):
            terminal.write(piece, fd)


class Signals:
    """Signals as bytes on a pipe, while the block lasts."""

    def __init__(self, numbers: Iterator[int] | tuple[int, ...] | list[int]) -> None:
        self._numbers = list(numbers)
        self._before: list[tuple[int, object]] = []
        self._fds = (-1, -1)

    @property
    def fd(self) -> int:
        return self._fds[0]

    def __enter__(self) -> Signals:
        self._fds = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.set_wakeup_fd(self._fds[1])
        for number in self._numbers:
            self._before.append((number, _signal.getsignal(number)))
            _signal.signal(number, _nothing)
        return self

    def __exit__(self, *_: object) -> None:
        _signal.set_wakeup_fd(-1)
        for number, handler in self._before:
            _signal.signal(number, handler)
        for fd in self._fds:
            os.close(fd)

    def pending(self) -> bytes:
        try:
            return os.read(self.fd, 64)
        except BlockingIOError:
            return b""


def _nothing(_number: int, _frame: object) -> None:
    """The wakeup pipe has the news already."""


class Conversation:
    """One attached process and the user; `run` returns when there is nothing left to carry."""

    def __init__(
        self,
        connection: Connection,
        *,
        tty: bool,
        stdin: bool,
        output: bool,
        keys: bytes = terminal.DEFAULT_DETACH_KEYS,
        resize: Callable[[int, int], bool] | None = None,
        proxy: Callable[[str], None] | None = None,
        until: int = -1,
    ) -> None:
        self._connection = connection
        self._tty = tty
        self._output = output
        self._stdin = stdin
        self._scanner = terminal.DetachScanner(keys if tty else b"")
        self._frames = Demultiplexer()
        self._resize = resize
        self._proxy = proxy
        self._until = until  # readable: the process is over, and no output is awaited
        self._outgoing = b""
        self._sending_open = True
        self._receiving = True
        self._tries = 0
        self._resize_at = 0.0
        self._raw = terminal.Raw()
        self.detached = False
        self.killed_by = 0

    def run(self, after: Callable[[], None] | None = None) -> None:
        """`after` is called once the terminal and the signals are in our hands: to start it."""
        raw = self._tty and self._stdin
        watched = [_signal.SIGWINCH] if self._resize else []
        if self._proxy:
            watched += list(PROXIED)
        elif raw:
            watched += list(_DEADLY)
        with Signals(watched) as signals, self._raw if raw else _Nothing():
            if after is not None:
                after()
            if self._resize is not None:
                self._resize_at = time.monotonic()
            self._carry(signals)

    def _carry(self, signals: Signals) -> None:
        sock = self._connection.sock
        if not self._stdin:
            # Docker's client says so at once too: there will be no input.
            self._sending_open = False
            self._flush()
        if self._connection.buffer:
            self._received(self._connection.take())
        while self._unfinished():
            poll = select.poll()
            poll.register(sock.fileno(), self._wanted())
            poll.register(signals.fd, select.POLLIN)
            if self._stdin and not self._outgoing:
                poll.register(terminal.STDIN, select.POLLIN)
            if self._until >= 0 and not self._output:
                poll.register(self._until, select.POLLIN)
            for fd, events in poll.poll(self._pause()):
                if fd == signals.fd:
                    self._signalled(signals.pending())
                elif fd == terminal.STDIN:
                    self._typed()
                elif fd == self._until:
                    return
                else:
                    self._moved(events)
            self._try_resize()

    def _unfinished(self) -> bool:
        if self.detached or self.killed_by:
            return False
        if self._output:
            return self._receiving
        return self._stdin or bool(self._outgoing)

    def _wanted(self) -> int:
        wanted = select.POLLIN if self._receiving else 0
        return wanted | (select.POLLOUT if self._outgoing else 0)

    def _pause(self) -> int | None:
        if not self._resize_at:
            return None
        return max(0, int((self._resize_at - time.monotonic()) * 1000) + 1)

    def _moved(self, events: int) -> None:
        if events & select.POLLOUT:
            self._flush()
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and self._receiving:
            try:
                data = self._connection.sock.recv(_READ, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if data:
                self._received(data)
            else:
                self._receiving = False
                self._raw.restore()

    def _received(self, data: bytes) -> None:
        if self._tty:
            terminal.write(data)
            return
        for fd, piece in self._frames.feed(data):
            terminal.write(piece, fd)

    def _typed(self) -> None:
        try:
            data = os.read(terminal.STDIN, _READ)
        except OSError:  # a terminal that hung up, or no standard input at all
            data = b""
        if not data:
            self._stdin = False
            self._sending_open = False
        self._outgoing += self._scanner.feed(data)
        self.detached = self._scanner.found
        self._flush()

    def _flush(self) -> None:
        flags = _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL
        try:
            while self._outgoing:
                sent = self._connection.sock.send(self._outgoing, flags)
                self._outgoing = self._outgoing[sent:]
        except BlockingIOError:
            return
        except OSError:  # it takes no more input; its output may still come
            self._outgoing, self._stdin = b"", False
        if not self._sending_open:
            self._sending_open = True
            try:
                self._connection.sock.shutdown(_socket.SHUT_WR)
            except OSError:
                pass

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number == _signal.SIGWINCH:
                self._tries, self._resize_at = 0, time.monotonic()
            elif self._proxy and number in PROXIED:
                self._proxy(PROXIED[number])
            elif number in _DEADLY:
                self.killed_by = number

    def _try_resize(self) -> None:
        """The process may not have its terminal yet; then again, ten times, ever later."""
        if not self._resize_at or time.monotonic() < self._resize_at or self._resize is None:
            return
        rows, columns = terminal.size()
        self._tries += 1
        done = rows == columns == 0 or self._resize(rows, columns)
        if done or self._tries > _RESIZE_TRIES:
            self._resize_at = 0.0
        else:
            self._resize_at = time.monotonic() + self._tries * 0.01


class _Nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass
