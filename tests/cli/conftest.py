"""The command line run in this process, as the console script would."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pinnace.cli import format, main
from tests.cli import fakes


class Outcome(NamedTuple):
    status: int
    stdout: str
    stderr: str


Invoke = Callable[..., Outcome]


@pytest.fixture
def invoke(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Invoke]:
    """`invoke("ps", "-a", host=daemon.host)`; no terminal, nothing on standard input."""
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    time.tzset()
    before = os.dup(0)

    def run(*words: str, host: str = "", program: str = "pinnace", stdin: bytes = b"") -> Outcome:
        source = tmp_path / "stdin"
        source.write_bytes(stdin)
        fd = os.open(source, os.O_RDONLY)
        os.dup2(fd, 0)
        os.close(fd)
        environment = {"HOME": "/nonexistent", "DOCKER_HOST": host or "unix:///nonexistent"}
        capfd.readouterr()
        with open(0, encoding="utf-8", closefd=False) as text:
            monkeypatch.setattr(sys, "stdin", text)
            status = main.run(program, words, environment)
        out, err = capfd.readouterr()
        return Outcome(status, out, err)

    yield run
    os.dup2(before, 0)
    os.close(before)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stops the clock that "2 minutes ago" is counted from."""

    def stop(moment: float) -> None:
        monkeypatch.setattr(format, "now", lambda: moment)

    return stop


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., fakes.FakeDaemon]]:
    """`daemon(responder, ...)` starts one."""
    started: list[fakes.FakeDaemon] = []

    def start(*responders: fakes.Responder, api_version: str = "1.51") -> fakes.FakeDaemon:
        # A unix socket's path has at most 107 bytes; pytest's folders are longer now and then.
        path = Path(f"/tmp/pinnace-fake-{os.getpid()}-{len(started)}.sock")
        path.unlink(missing_ok=True)
        fake = fakes.FakeDaemon(path, *responders, api_version=api_version)
        started.append(fake)
        return fake.__enter__()

    yield start
    for fake in started:
        fake.__exit__()
