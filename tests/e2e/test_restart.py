"""Restart policies: who is started again, how often, and who puts an end to it."""

import pytest

from tests.harness.deadline import until
from tests.harness.engine import Engine

pytestmark = pytest.mark.root


def policy(name: str, retries: int = 0) -> dict[str, object]:
    return {"RestartPolicy": {"Name": name, "MaximumRetryCount": retries}}


def restarted(engine: Engine, ident: str, count: int) -> bool:
    return bool(engine.inspect(ident)["RestartCount"] >= count)


def test_no_is_never(engine: Engine) -> None:
    ident = engine.start("false", HostConfig=policy("no"))
    engine.wait(ident)

    assert engine.inspect(ident)["RestartCount"] == 0


@pytest.mark.parametrize("code", [0, 1])
def test_always_restarts_whatever_the_code(engine: Engine, code: int) -> None:
    ident = engine.start("sh", "-c", f"exit {code}", HostConfig=policy("always"))

    until(lambda: restarted(engine, ident, 2), "two restarts")


def test_on_failure_gives_up_after_its_retries(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "echo try; exit 3", HostConfig=policy("on-failure", 2))

    until(lambda: engine.inspect(ident)["State"]["Status"] == "exited", "the last try")
    found = engine.inspect(ident)
    assert (found["RestartCount"], found["State"]["ExitCode"]) == (2, 3)
    assert engine.output(ident) == "try\n" * 3


def test_on_failure_leaves_a_success_alone(engine: Engine) -> None:
    ident = engine.start("true", HostConfig=policy("on-failure"))
    engine.wait(ident)

    found = engine.inspect(ident)
    assert (found["RestartCount"], found["State"]["Status"]) == (0, "exited")


@pytest.mark.parametrize("name", ["always", "unless-stopped"])
def test_a_stop_by_hand_is_an_end(engine: Engine, name: str) -> None:
    ident = engine.start(HostConfig=policy(name))

    engine.ok("POST", f"/containers/{ident}/stop?t=0")

    found = engine.inspect(ident)
    assert (found["State"]["Status"], found["RestartCount"]) == ("exited", 0)


def test_a_kill_by_hand_is_an_end(engine: Engine) -> None:
    ident = engine.start(HostConfig=policy("always"))

    engine.ok("POST", f"/containers/{ident}/kill")
    engine.wait(ident)

    until(lambda: engine.inspect(ident)["State"]["Status"] == "exited", "its end")


def test_a_restarting_container_says_so_and_can_be_stopped(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "exit 1", HostConfig=policy("always"))
    until(lambda: restarted(engine, ident, 3), "a long pause between restarts")

    state = until(lambda: (s := engine.inspect(ident)["State"])["Restarting"] and s, "restarting")
    engine.ok("POST", f"/containers/{ident}/stop")

    assert (state["Status"], state["Running"]) == ("restarting", True)
    assert engine.inspect(ident)["State"]["Status"] == "exited"


def test_a_restarting_container_can_be_removed(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "exit 1", HostConfig=policy("always"))
    until(lambda: restarted(engine, ident, 2), "a restart")

    assert engine.ok("DELETE", f"/containers/{ident}?force=1").status == 204
    assert engine.mine() == []


def test_a_policy_taken_away_ends_the_restarts(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "exit 1", HostConfig=policy("always"))
    until(lambda: restarted(engine, ident, 1), "a restart")

    engine.ok("POST", f"/containers/{ident}/update", {"RestartPolicy": {"Name": "no"}})

    until(lambda: engine.inspect(ident)["State"]["Status"] == "exited", "its end")


def test_an_exec_is_refused_while_restarting(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "exit 1", HostConfig=policy("always"))
    until(lambda: restarted(engine, ident, 3), "a long pause between restarts")
    until(lambda: engine.inspect(ident)["State"]["Restarting"], "restarting")

    answer = engine.request("POST", f"/containers/{ident}/exec", {"Cmd": ["true"]})

    assert answer.status == 409
    assert answer.message == f"Container {ident} is restarting, wait until the container is running"
