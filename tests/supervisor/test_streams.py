"""A process's streams with a pipe for the process and a socket pair for each client."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pinnace.supervisor import frames
from pinnace.supervisor.loop import Loop
from pinnace.supervisor.protocol import Client, Log
from pinnace.supervisor.streams import Streams, pipes


class Stage:
    """Streams with a process's ends of its pipes, and a loop that is run by hand."""

    def __init__(self, *, stdin: bool = False, log: Log | None = None) -> None:
        self.loop = Loop()
        self.ended = False
        made = pipes(stdin=stdin)
        self.stdin, self.stdout, self.stderr = made.theirs
        self.streams = Streams(self.loop, tty=False, log=log, ended=self._end)
        self.streams.take(made.ours)

    def _end(self) -> None:
        self.ended = True

    def client(self, **wanted: bool) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(5)
        self.streams.attach(theirs.detach(), Client(stdout=True, stderr=True, **wanted))
        return ours

    def run(self, done: Callable[[], bool], rounds: int = 500) -> None:
        """Run the loop until done; a step that never comes ends it too."""
        for _ in range(rounds):
            if done():
                return
            self.loop.stopped = False
            self.loop.after(0.01, lambda: setattr(self.loop, "stopped", True))
            self.loop.run()
        raise AssertionError("it did not come to that")

    def exit(self) -> None:
        os.close(self.stdout)
        os.close(self.stderr)
        self.run(lambda: self.ended)
        self.streams.finish()


def received(client: socket.socket) -> bytes:
    data = b""
    client.setblocking(False)
    try:
        while piece := client.recv(1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_output_is_framed_by_stream() -> None:
    stage = Stage()
    client = stage.client()
    stage.streams.begin()

    os.write(stage.stdout, b"out\n")
    stage.run(lambda: not stage.streams.clients[0].pending)
    os.write(stage.stderr, b"err\n")
    stage.exit()

    pieces = frames.Demux().feed(received(client))
    assert pieces == [("stdout", b"out\n"), ("stderr", b"err\n")]


def test_each_client_gets_all() -> None:
    stage = Stage()
    clients = [stage.client(multiplexed=False) for _ in range(3)]
    stage.streams.begin()

    os.write(stage.stdout, b"same\n")
    stage.exit()

    assert [received(client) for client in clients] == [b"same\n"] * 3


def test_a_client_s_half_close_ends_the_input_and_not_the_output() -> None:
    stage = Stage(stdin=True)
    client = stage.client(stdin=True, multiplexed=False)
    stage.streams.begin()

    client.sendall(b"input")
    client.shutdown(socket.SHUT_WR)
    stage.run(lambda: stage.streams.input_fd < 0)
    os.write(stage.stdout, b"answer")
    stage.exit()

    assert os.read(stage.stdin, 100) == b"input"
    assert os.read(stage.stdin, 100) == b""
    assert received(client) == b"answer"


def test_a_client_that_does_not_read_makes_the_process_wait_and_loses_nothing() -> None:
    stage = Stage()
    client = stage.client(multiplexed=False)
    stage.streams.begin()
    os.set_blocking(stage.stdout, False)
    written = 0

    def blocked() -> bool:
        nonlocal written
        try:
            written += os.write(stage.stdout, b"x" * 65536)
        except BlockingIOError:
            return len(stage.streams.clients[0].pending) > 1 << 20
        return False

    stage.run(blocked)
    assert written < 16 << 20  # it was held back, and what we hold is bounded
    got = 0

    def drained() -> bool:
        nonlocal got
        got += len(received(client))
        return got == written

    stage.run(drained)
    stage.exit()


def test_a_client_that_goes_away_lets_the_process_go_on() -> None:
    stage = Stage()
    stage.client().close()
    stage.streams.begin()

    os.write(stage.stdout, b"x" * 1000)
    stage.run(lambda: not stage.streams.clients)
    os.write(stage.stdout, b"more")
    stage.exit()


def test_the_head_comes_before_all_else() -> None:
    stage = Stage()
    ours, theirs = socket.socketpair()
    os.write(stage.stdout, b"first words")
    stage.streams.attach(theirs.detach(), Client(stdout=True, multiplexed=False, head=b"HEAD\n"))
    stage.streams.begin()
    stage.exit()

    assert received(ours) == b"HEAD\nfirst words"


def test_a_silent_process_has_no_log_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    silent = Stage(log=Log("json-file", {}, str(path)))
    silent.streams.begin()
    silent.exit()
    assert not path.exists()

    talks = Stage(log=Log("json-file", {}, str(path)))
    talks.streams.begin()
    os.write(talks.stdout, b"no end of line")
    talks.exit()
    assert '"no end of line"' in path.read_text()


@pytest.mark.parametrize("size", [1, 65536, 3 << 20])
def test_what_is_in_the_pipe_at_the_end_is_taken(size: int) -> None:
    stage = Stage()
    client = stage.client(multiplexed=False)
    stage.streams.begin()
    got = b""
    os.set_blocking(stage.stdout, False)
    left = memoryview(bytes(size))

    def written() -> bool:
        nonlocal left, got
        got += received(client)
        try:
            left = left[os.write(stage.stdout, left[:65536]) :] if left else left
        except BlockingIOError:
            pass
        return not left

    stage.run(written)
    os.close(stage.stdout)
    os.close(stage.stderr)
    stage.streams.drain()
    stage.streams.finish()
    stage.run(lambda: not stage.streams.clients)
    got += received(client)

    assert len(got) == size
