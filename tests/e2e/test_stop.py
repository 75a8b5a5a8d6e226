"""Ends: stop, kill, restart; signals and patience."""

import time

import pytest

from bench.wire import Client
from tests.harness.deadline import until
from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root

TRAPS = (
    'for s in HUP INT TERM USR1 WINCH; do trap "echo got $s; exit 7" $s; done;'
    " echo up; while :; do usleep 10000; done"
)
DEAF = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1000 & wait $!; done"]


def ready(engine: Engine, *command: str, **settings: object) -> str:
    """Id of a container whose command has said that its traps are set."""
    ident = engine.start(*(command or ("sh", "-c", TRAPS)), **settings)
    until(lambda: "up" in engine.output(ident), "the traps")
    return ident


def test_stop_sends_term_and_waits(engine: Engine) -> None:
    ident = ready(engine)

    assert engine.ok("POST", f"/containers/{ident}/stop").status == 204

    state = engine.inspect(ident)["State"]
    assert (state["Status"], state["Running"], state["ExitCode"]) == ("exited", False, 7)
    assert engine.output(ident) == "up\ngot TERM\n"


def test_stop_sends_the_container_s_own_signal(engine: Engine) -> None:
    ident = ready(engine, StopSignal="SIGUSR1")
    engine.ok("POST", f"/containers/{ident}/stop")

    assert engine.output(ident) == "up\ngot USR1\n"


def test_stop_sends_the_caller_s_signal(engine: Engine) -> None:
    ident = ready(engine, StopSignal="SIGUSR1")
    engine.ok("POST", f"/containers/{ident}/stop?signal=INT")

    assert engine.output(ident) == "up\ngot INT\n"


def test_stop_kills_when_patience_ends(engine: Engine) -> None:
    ident = ready(engine, *DEAF)
    began = time.monotonic()

    engine.ok("POST", f"/containers/{ident}/stop?t=1")

    assert 0.9 < time.monotonic() - began < 8
    assert engine.wait(ident) == 137


def test_stop_without_patience_kills_at_once(engine: Engine) -> None:
    ident = ready(engine, *DEAF)

    engine.ok("POST", f"/containers/{ident}/stop?t=0")

    assert engine.wait(ident) == 137


def test_the_container_s_own_patience(engine: Engine) -> None:
    ident = ready(engine, *DEAF, StopTimeout=1)
    began = time.monotonic()

    engine.ok("POST", f"/containers/{ident}/stop")

    assert 0.9 < time.monotonic() - began < 8


def test_a_stop_that_is_waited_for_does_not_block_others(engine: Engine) -> None:
    ident = ready(engine, *DEAF)
    client = engine.client()
    connection = client.connect()
    with connection:
        connection.sendall(client._message("POST", f"/containers/{ident}/stop?t=60", None, {}))

        assert engine.inspect(ident)["State"]["Running"] is True
        engine.ok("POST", f"/containers/{ident}/kill")
        connection.settimeout(20)
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize("signal", ["HUP", "SIGHUP", "1", "sighup"])
def test_kill_sends_a_signal_by_name_or_number(engine: Engine, signal: str) -> None:
    ident = ready(engine)

    assert engine.ok("POST", f"/containers/{ident}/kill?signal={signal}").status == 204

    assert engine.wait(ident) == 7
    assert engine.output(ident) == "up\ngot HUP\n"


def test_kill_of_a_real_time_signal(engine: Engine) -> None:
    ident = ready(
        engine, "sh", "-c", "trap 'exit 3' 36; echo up; while :; do sleep 1000 & wait $!; done"
    )

    engine.ok("POST", f"/containers/{ident}/kill?signal=RTMIN%2B2")

    assert engine.wait(ident) == 3


def test_a_harmless_signal_leaves_it_running(engine: Engine) -> None:
    ident = ready(
        engine,
        "sh",
        "-c",
        "trap 'echo noted' USR1; echo up; while :; do sleep 1000 & wait $!; done",
    )

    engine.ok("POST", f"/containers/{ident}/kill?signal=USR1")

    until(lambda: "noted" in engine.output(ident), "the signal")
    assert engine.inspect(ident)["State"]["Running"] is True


def test_kill_of_a_paused_container(engine: Engine) -> None:
    ident = ready(engine)
    engine.ok("POST", f"/containers/{ident}/pause")

    engine.ok("POST", f"/containers/{ident}/kill")

    assert engine.wait(ident) == 137


def test_stop_of_a_paused_container(engine: Engine) -> None:
    ident = ready(engine)
    engine.ok("POST", f"/containers/{ident}/pause")

    engine.ok("POST", f"/containers/{ident}/stop?t=1")

    state = engine.inspect(ident)["State"]
    assert (state["Status"], state["Paused"]) == ("exited", False)


def test_a_stopped_process_still_dies(engine: Engine) -> None:
    ident = ready(engine, "sh", "-c", "echo up; sleep 1000")
    engine.ok("POST", f"/containers/{ident}/kill?signal=STOP")

    engine.ok("POST", f"/containers/{ident}/stop?t=1")

    assert engine.wait(ident) == 137


def test_children_die_with_their_container(engine: Engine) -> None:
    ident = ready(engine, "sh", "-c", "setsid sleep 4321 & sleep 4322 & echo up; wait")
    engine.ok("POST", f"/containers/{ident}/kill")
    engine.wait(ident)

    other = engine.start(HostConfig={"PidMode": "host"})
    rows = engine.get(f"/containers/{other}/top", ps_args="-e -o pid,args")["Processes"]

    assert not [row for row in rows if row[1].startswith("sleep 432")]


def test_restart_of_a_running_container(engine: Engine) -> None:
    ident = ready(engine)
    before = engine.inspect(ident)["State"]

    assert engine.ok("POST", f"/containers/{ident}/restart?t=5").status == 204

    after = engine.inspect(ident)["State"]
    assert (after["Running"], after["ExitCode"]) == (True, 0)
    assert after["Pid"] != before["Pid"]
    assert after["StartedAt"] > before["StartedAt"]
    assert engine.output(ident).startswith("up\ngot TERM\n")


def test_restart_of_one_that_does_not_run_starts_it(engine: Engine) -> None:
    created, exited = engine.create(), engine.start("sh", "-c", "[ -e /f ] && sleep 1000; touch /f")
    engine.wait(exited)

    for ident in (created, exited):
        engine.ok("POST", f"/containers/{ident}/restart")

    assert [engine.inspect(i)["State"]["Running"] for i in (created, exited)] == [True, True]


def test_files_of_the_container_outlive_its_restart(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "cat /f 2>/dev/null; echo kept >/f")
    engine.wait(ident)
    engine.ok("POST", f"/containers/{ident}/start")
    engine.wait(ident)

    assert engine.output(ident) == "kept\n"


def test_a_finished_container_says_when(engine: Engine, api: Client) -> None:
    ident = engine.start("sh", "-c", "exit 2")
    engine.wait(ident)

    state = engine.inspect(ident)["State"]

    assert state["StartedAt"] < state["FinishedAt"] < "2100"
    assert (state["Pid"], state["Dead"], state["Error"]) == (0, False, "")


@pytest.mark.docker
def test_several_at_once_by_the_command_line(docker: Docker, engine: Engine) -> None:
    idents = [engine.start() for _ in range(4)]

    assert docker.ok("stop", "-t", "5", *idents).split() == idents
    assert docker("rm", *idents).code == 0
    assert docker("rm", idents[0]).code == 1
