"""Waiting for the end of a container, under every condition."""

import json
import threading

import pytest

from bench.wire import Client
from tests.harness.deadline import until
from tests.harness.docker import Docker
from tests.harness.engine import Engine, Shared

pytestmark = pytest.mark.root


class Waiter:
    """A client that waits; the head of the answer comes at once, its body at the end."""

    def __init__(self, engine: Engine, ident: str, condition: str) -> None:
        self.client = engine.client()
        path = f"/containers/{ident}/wait?condition={condition}"
        self.connection, self.head, self.rest = self.client.hijack(path, upgrade=False)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        while b"}" not in self.rest and (data := self.connection.recv(4096)):
            self.rest += data

    @property
    def answered(self) -> bool:
        return b"}" in self.rest

    def answer(self) -> object:
        self.thread.join(20)
        self.connection.close()
        return json.loads(self.rest[self.rest.index(b"{") : self.rest.rindex(b"}") + 1])


def test_of_a_container_that_has_ended(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "exit 5")

    assert [engine.wait(ident), engine.wait(ident, "not-running")] == [5, 5]


def test_of_a_created_container_is_answered_at_once(engine: Engine) -> None:
    assert engine.wait(engine.create("true")) == 0


def test_the_head_comes_before_the_end(engine: Engine) -> None:
    ident = engine.start()

    waiter = Waiter(engine, ident, "not-running")
    assert (waiter.head.status, waiter.answered) == (200, False)
    engine.ok("POST", f"/containers/{ident}/kill")

    assert waiter.answer() == {"StatusCode": 137}


@pytest.mark.parametrize("condition", ["not-running", "next-exit"])
def test_every_waiter_is_answered(engine: Engine, condition: str) -> None:
    ident = engine.start("sh", "-c", "read x; exit 9", OpenStdin=True)
    waiters = [Waiter(engine, ident, condition) for _ in range(10)]

    connection, _, _ = engine.client().hijack(f"/containers/{ident}/attach?stream=1&stdin=1")
    with connection:
        connection.sendall(b"\n")
        answers = [waiter.answer() for waiter in waiters]

    assert answers == [{"StatusCode": 9}] * 10


def test_next_exit_of_a_created_container_waits_for_its_start(engine: Engine) -> None:
    ident = engine.create("sh", "-c", "exit 4")
    waiter = Waiter(engine, ident, "next-exit")

    engine.ok("POST", f"/containers/{ident}/start")

    assert waiter.answer() == {"StatusCode": 4}


def test_next_exit_of_an_exited_container_is_not_the_last_one(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "exit 4")
    engine.wait(ident)
    waiter = Waiter(engine, ident, "next-exit")
    assert not waiter.answered

    engine.ok("POST", f"/containers/{ident}/start")

    assert waiter.answer() == {"StatusCode": 4}


def test_a_start_that_fails_is_no_exit(engine: Engine, shared: Shared) -> None:
    program = shared.here / "program"
    binds = {"Binds": [f"{shared.there}:/shared"]}
    ident = engine.create("/shared/program", HostConfig=binds)
    waiter = Waiter(engine, ident, "next-exit")
    assert engine.request("POST", f"/containers/{ident}/start").status == 400

    program.write_text("#!/bin/sh\nexit 4\n")
    program.chmod(0o755)
    engine.ok("POST", f"/containers/{ident}/start")

    assert waiter.answer() == {"StatusCode": 4}


def test_removed_is_answered_at_removal(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "exit 4")
    engine.wait(ident)
    waiter = Waiter(engine, ident, "removed")
    assert not waiter.answered

    engine.remove(ident)

    assert waiter.answer() == {"StatusCode": 4}


def test_removed_of_an_auto_removed_container(engine: Engine) -> None:
    ident = engine.create("sh", "-c", "exit 6", HostConfig={"AutoRemove": True})
    waiter = Waiter(engine, ident, "removed")

    engine.ok("POST", f"/containers/{ident}/start")

    assert waiter.answer() == {"StatusCode": 6}
    assert engine.request("GET", f"/containers/{ident}/json").status == 404


def test_a_created_container_that_is_removed_ends_a_wait_for_its_exit(engine: Engine) -> None:
    ident = engine.create("true")
    waiter = Waiter(engine, ident, "removed")

    engine.remove(ident)

    assert waiter.answer() == {"StatusCode": 0}


def test_a_wait_lasts_through_restarts(engine: Engine, api: Client) -> None:
    policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}
    ident = engine.start("sh", "-c", "exit 8", HostConfig=policy)

    assert engine.wait(ident) == 8
    until(lambda: engine.inspect(ident)["RestartCount"] == 2, "both retries")


def test_a_client_that_goes_away_is_forgotten(engine: Engine) -> None:
    ident = engine.start()
    waiter = Waiter(engine, ident, "not-running")
    waiter.connection.shutdown(2)
    waiter.thread.join(20)

    engine.ok("POST", f"/containers/{ident}/kill")

    assert engine.wait(ident) == 137


@pytest.mark.docker
def test_several_by_the_command_line(docker: Docker, engine: Engine) -> None:
    idents = [engine.start("sh", "-c", f"exit {code}") for code in (1, 2, 3)]

    assert docker.ok("wait", *idents) == "1\n2\n3"
