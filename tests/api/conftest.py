"""A server of the test's own, over the fake engine, and a client that sees every byte."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.api import http, server
from tests.api.client import Client
from tests.api.fake_engine import FakeEngine

LIMITS = http.Limits(head_seconds=0.2, body_stall_seconds=0.3, linger_seconds=0.2)


class Running:
    """An engine served on a unix socket."""

    def __init__(self, path: Path, limits: http.Limits | None = None) -> None:
        self.engine = FakeEngine()
        self.path = str(path)
        self.listener = server.listen(f"unix://{path}")
        self.server = server.Server(self.engine, [self.listener], limits)
        ready = threading.Event()
        self.thread = threading.Thread(target=self.server.run, args=(ready.set,), daemon=True)
        self.thread.start()
        assert ready.wait(10)

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def client(self) -> Client:
        return Client(self.path)

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "s")
    yield running
    running.stop()


@pytest.fixture
def hasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server without patience."""
    monkeypatch.setattr(server, "EXPIRY_SECONDS", 0.05)
    running = Running(tmp_path / "s", LIMITS)
    yield running
    running.stop()


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with running.client() as client:
        yield client
