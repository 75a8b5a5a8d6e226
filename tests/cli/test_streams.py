"""Attached processes: the real program on a real terminal, with a daemon of our own."""

import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.cli import streams
from tests.cli import fakes
from tests.cli.fakes import CONTAINER_ID, Answer, FakeDaemon, Request

Start = Callable[..., FakeDaemon]
_PATH = f"/containers/{CONTAINER_ID}"
DEADLINE = 20.0


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20)), max_size=8)


@given(FRAMES, st.integers(1, 30))
def test_frames_arrive_whole_whatever_the_pieces(
    frames: list[tuple[int, bytes]], size: int
) -> None:
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    demultiplexer = streams.Demultiplexer()
    found = {1: b"", 2: b""}

    for start in range(0, len(data), size):
        for fd, piece in demultiplexer.feed(data[start : start + size]):
            found[fd] += piece

    for stream in (1, 2):
        assert found[stream] == b"".join(payload for s, payload in frames if s == stream)


def test_an_error_in_the_stream_is_raised() -> None:
    with pytest.raises(streams.SystemFailure, match="error from daemon in stream: gone"):
        list(streams.Demultiplexer().feed(frame(3, b"gone")))
    with pytest.raises(streams.SystemFailure, match="Unrecognized stream: 9"):
        list(streams.Demultiplexer().feed(frame(9, b"x")))


class Container:
    """A container as the API shows it; `talk` is its process, `status` how it ends."""

    def __init__(
        self, talk: Callable[[socket.socket], None], *, tty: bool, status: int = 0
    ) -> None:
        self._talk = talk
        self._tty = tty
        self._status = status
        self.started = threading.Event()
        self.over = threading.Event()
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Answer | None:
        path = request.path.partition("?")[0]
        self.asked.append(f"{request.method} {request.path}")
        if path == "/containers/create":
            return fakes.document({"Id": CONTAINER_ID, "Warnings": []}, 201)
        if path == f"{_PATH}/attach":
            return Answer(101, conversation=self._converse)
        if path == f"{_PATH}/start":
            self.started.set()
            return Answer(204)
        if path == f"{_PATH}/wait":
            return Answer(200, conversation=self._wait)
        if path in (f"{_PATH}/resize", f"{_PATH}/kill"):
            return Answer(200)
        return None

    def _wait(self, connection: socket.socket, _: bytes) -> None:
        self.over.wait(DEADLINE)
        body = json.dumps({"StatusCode": self._status}).encode()
        connection.sendall(body)

    def _converse(self, connection: socket.socket, _: bytes) -> None:
        self.started.wait(DEADLINE)
        try:
            self._talk(connection)
        finally:
            self.over.set()

    def says_only(self, text: bytes) -> None:
        """The process says this and then waits for its end."""

        def talk(connection: socket.socket) -> None:
            connection.sendall(frame(1, text))
            self.over.wait(DEADLINE)

        self._talk = talk

    def was_asked(self, what: str) -> None:
        end = time.monotonic() + DEADLINE
        while not any(what in each for each in self.asked):
            assert time.monotonic() < end, f"{what} is not in {self.asked}"
            self.over.wait(0.02)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pinnace.cli", *words]


def environment(fake: FakeDaemon) -> dict[str, str]:
    return {**os.environ, "DOCKER_HOST": fake.host, "HOME": "/nonexistent"}


def finished(
    words: list[str], fake: FakeDaemon, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*words),
        env=environment(fake),
        input=stdin,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )


def test_output_is_parted_and_the_status_is_the_containers(daemon: Start) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(frame(1, b"out\n") + frame(2, b"err\n") + frame(1, b"more\n"))

    fake = daemon(Container(talk, tty=False, status=7))

    done = finished(["run", "image"], fake)

    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\nmore\n", b"err\n")


def test_a_process_that_echoes_does_not_wait_for_us(daemon: Start) -> None:
    def talk(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            connection.sendall(frame(1, data))

    payload = os.urandom(3_000_000)
    fake = daemon(Container(talk, tty=False))

    done = finished(["run", "-i", "image", "cat"], fake, payload)

    assert done.returncode == 0
    assert done.stdout == payload


def test_the_order_is_attach_wait_start(daemon: Start) -> None:
    container = Container(lambda connection: None, tty=False)

    finished(["run", "--rm", "image"], daemon(container))

    asked = [each.partition("?")[0].rpartition("/")[2] for each in container.asked]
    assert asked == ["create", "attach", "wait", "start"]
    assert f"POST {_PATH}/wait?condition=removed" in container.asked


def test_input_that_is_not_wanted_is_not_read(daemon: Start) -> None:
    received = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(frame(1, b"x"))
        connection.shutdown(socket.SHUT_WR)
        received.append(connection.recv(10))

    done = finished(["run", "image"], daemon(Container(talk, tty=False)), b"unread")

    assert done.stdout == b"x"
    assert received == [b""]


def test_only_standard_error_is_asked_for(daemon: Start) -> None:
    container = Container(lambda c: c.sendall(frame(2, b"e")), tty=False)

    done = finished(["run", "-a", "stderr", "image"], daemon(container))

    assert (done.stdout, done.stderr) == (b"", b"e")
    attach = next(each for each in container.asked if "/attach" in each)
    assert attach.endswith("stream=1&stderr=1")


def test_a_container_that_does_not_start_says_why(daemon: Start) -> None:
    def responder(request: Request) -> Answer | None:
        if request.path == f"{_PATH}/start":
            container.over.set()
            return fakes.refusal(400, 'exec: "nope": executable file not found in $PATH')
        return container(request)

    container = Container(lambda connection: None, tty=False)
    container.started.set()

    done = finished(["run", "image", "nope"], daemon(responder))

    assert done.returncode == 127
    assert done.stderr.decode() == (
        'pinnace: Error response from daemon: exec: "nope": executable file not found in $PATH'
        "\n\nRun 'pinnace run --help' for more information\n"
    )


def test_a_terminal_is_needed_where_one_is_asked_for(daemon: Start) -> None:
    done = finished(["run", "-it", "image"], daemon(fakes.creating))

    assert done.returncode == 1
    assert done.stderr == b"the input device is not a TTY\n"


@pytest.fixture
def terminal() -> Iterator[Callable[..., "Session"]]:
    sessions: list[Session] = []

    def start(fake: FakeDaemon, *words: str) -> Session:
        sessions.append(Session(fake, words))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


class Session:
    """Our program on a terminal of its own, 24 by 80."""

    def __init__(self, fake: FakeDaemon, words: tuple[str, ...]) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            command(*words),
            env=environment(fake),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def read_until(self, text: bytes) -> bytes:
        seen = b""
        end = time.monotonic() + DEADLINE
        while text not in seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} did not come: {seen!r}"
            seen += os.read(self.master, 4096)
        return seen

    def end(self) -> int:
        status = self.process.wait(DEADLINE)
        assert termios.tcgetattr(self.slave) == self.before
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def shell(connection: socket.socket) -> None:
    """Echoes in capitals what is typed, until `q`."""
    connection.sendall(b"ready")
    while (data := connection.recv(100)) and b"q" not in data:
        connection.sendall(data.upper())


def test_keys_arrive_as_they_are_typed(daemon: Start, terminal: Callable[..., Session]) -> None:
    fake = daemon(Container(shell, tty=True, status=3))
    session = terminal(fake, "run", "-it", "image")

    session.read_until(b"ready")
    session.type(b"a\x03\r")  # ctrl-c is a key as any other
    assert session.read_until(b"\r") == b"A\x03\r"
    session.type(b"q")

    assert session.end() == 3


def test_the_size_is_told_at_the_start_and_when_it_changes(
    daemon: Start, terminal: Callable[..., Session]
) -> None:
    container = Container(shell, tty=True)
    session = terminal(daemon(container), "run", "-it", "image")

    session.read_until(b"ready")
    container.was_asked("resize?h=24&w=80")
    session.resize(30, 100)
    container.was_asked("resize?h=30&w=100")
    session.type(b"q")

    assert session.end() == 0


def test_the_user_may_leave(daemon: Start, terminal: Callable[..., Session]) -> None:
    container = Container(shell, tty=True, status=9)
    session = terminal(daemon(container), "run", "-it", "image")

    session.read_until(b"ready")
    session.type(b"\x10\x11")

    assert session.end() == 0  # not the container's: it runs on


def test_other_keys_can_be_chosen(daemon: Start, terminal: Callable[..., Session]) -> None:
    session = terminal(
        daemon(Container(shell, tty=True)), "run", "-it", "--detach-keys", "x,y", "image"
    )

    session.read_until(b"ready")
    session.type(b"\x10\x11x")
    session.read_until(b"\x10\x11")
    session.type(b"y")

    assert session.end() == 0


def test_signals_are_passed_on(daemon: Start, terminal: Callable[..., Session]) -> None:
    container = Container(shell, tty=False)
    container.says_only(b"ready")
    session = terminal(daemon(container), "run", "image")

    session.read_until(b"ready")
    session.process.send_signal(signal.SIGTERM)
    container.was_asked("kill?signal=TERM")
    session.type(b"\x03")  # the terminal is not raw: ctrl-c is a signal
    container.was_asked("kill?signal=INT")
    container.over.set()

    assert session.end() == 0


def test_signals_are_ours_where_we_are_told_so(
    daemon: Start, terminal: Callable[..., Session]
) -> None:
    container = Container(lambda c: None, tty=False)
    container.says_only(b"ready")
    session = terminal(daemon(container), "run", "--sig-proxy=false", "image")

    session.read_until(b"ready")
    session.process.send_signal(signal.SIGTERM)

    assert session.end() == -signal.SIGTERM
    container.over.set()


def executing(talk: Callable[[socket.socket], None]) -> fakes.Responder:
    def respond(request: Request) -> Answer | None:
        answers = {
            "GET /containers/web/json": fakes.document({"Id": CONTAINER_ID}),
            "POST /containers/web/exec": fakes.document({"Id": "e1"}, 201),
            "POST /exec/e1/start": Answer(101, conversation=lambda c, _: talk(c)),
            "GET /exec/e1/json": fakes.document({"ExitCode": 5}),
        }
        found = answers.get(f"{request.method} {request.path}")
        return found or (Answer(200) if "resize" in request.path else None)

    return respond


def test_exec_has_the_status_of_its_process(daemon: Start) -> None:
    done = finished(["exec", "web", "ls"], daemon(executing(lambda c: c.sendall(frame(1, b"x")))))

    assert (done.returncode, done.stdout) == (5, b"x")


def test_exec_on_a_terminal_is_restored_when_we_are_ended(
    daemon: Start, terminal: Callable[..., Session]
) -> None:
    session = terminal(daemon(executing(shell)), "exec", "-it", "web", "sh")

    session.read_until(b"ready")
    session.process.send_signal(signal.SIGTERM)

    assert session.end() == 128 + signal.SIGTERM


def test_leaving_exec_is_an_error_as_dockers(
    daemon: Start, terminal: Callable[..., Session]
) -> None:
    session = terminal(daemon(executing(shell)), "exec", "-it", "web", "sh")

    session.read_until(b"ready")
    session.type(b"\x10\x11")

    session.read_until(b"read escape sequence")
    assert session.end() == 1


def test_a_reader_that_has_gone_ends_us_quietly(daemon: Start) -> None:
    def talk(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(frame(1, b"y\n" * 1000))
        except OSError:
            pass

    fake = daemon(Container(talk, tty=False))
    process = subprocess.Popen(
        command("run", "image"),
        env=environment(fake),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()

    assert process.wait(DEADLINE) == -signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()
