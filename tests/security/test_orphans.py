"""Processes that nobody waits for do not keep a container from ending."""

import pytest

from tests.harness import kernel
from tests.harness.deadline import until
from tests.harness.engine import Engine
from tests.harness.streams import execute

pytestmark = [pytest.mark.root, pytest.mark.ours]


def supervisor_of(engine: Engine, ident: str) -> int:
    pid = engine.inspect(ident)["State"]["Pid"]
    return int(kernel.read(pid, "stat").rpartition(b")")[2].split()[1])


def test_a_container_with_failed_execs_can_be_killed(engine: Engine) -> None:
    ident = engine.start()
    for _ in range(3):
        with engine.client() as client:
            _, streams = execute(client, ident, "/etc/passwd")
            with streams:
                streams.rest()

    assert len(kernel.children(supervisor_of(engine, ident))) == 1
    engine.ok("POST", f"/containers/{ident}/kill")

    assert engine.wait(ident) == 137


def test_orphans_of_the_hosts_pid_namespace_leave_no_zombies(engine: Engine) -> None:
    ident = engine.start(
        "sh", "-c", "(true &) ; (sleep 0.1 &) ; while :; do sleep 1000; done",
        HostConfig={"PidMode": "host"},
    )  # fmt: skip

    until(lambda: len(kernel.children(supervisor_of(engine, ident))) == 1, "the orphans' end")

    assert engine.inspect(ident)["State"]["Running"]
