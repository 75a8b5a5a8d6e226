"""What `docker run` exits with, and what inspect says of it."""

import pytest

from bench.wire import Client
from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = [pytest.mark.root]


@pytest.mark.parametrize("code", [0, 1, 2, 42, 124, 125, 126, 127, 128, 137, 254, 255])
def test_run_exits_with_the_code_of_the_command(docker: Docker, image: str, code: int) -> None:
    result = docker("run", "--rm", "--network", "none", image, "sh", "-c", f"exit {code}")

    assert result.code == code


def test_every_exit_code_arrives(engine: Engine) -> None:
    script = 'for i in $(seq 0 255); do sh -c "exit $i"; [ $? = $i ] || exit 1; done'
    assert engine.finish("sh", "-c", script) == (0, "")

    codes = [engine.finish("sh", "-c", f"exit {code}")[0] for code in range(3, 256, 28)]

    assert codes == list(range(3, 256, 28))


@pytest.mark.parametrize("signal", [1, 2, 6, 9, 13, 14, 15])
def test_death_by_signal_is_128_and_the_number(engine: Engine, signal: int) -> None:
    # pid 1 takes no signal that it has no handler for: a child dies, and its code is passed on.
    code, _ = engine.finish("sh", "-c", f"sh -c 'kill -{signal} $$'; exit $?")

    assert code == 128 + signal


def test_the_kernel_kill_of_pid_1_is_137(engine: Engine) -> None:
    ident = engine.start()
    engine.ok("POST", f"/containers/{ident}/kill?signal=KILL")

    assert engine.wait(ident) == 137
    state = engine.inspect(ident)["State"]
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 137, False)


def test_missing_command_is_127(docker: Docker, image: str) -> None:
    result = docker("run", "--rm", "--network", "none", image, "no-such-command")

    assert result.code == 127
    assert 'exec: "no-such-command": executable file not found in $PATH' in result.err


def test_missing_path_is_127(docker: Docker, image: str) -> None:
    result = docker("run", "--rm", "--network", "none", image, "/no/such/file")

    assert result.code == 127
    assert 'exec: "/no/such/file": stat /no/such/file: no such file or directory' in result.err


@pytest.mark.parametrize("path", ["/etc", "/etc/passwd"])
def test_what_cannot_be_executed_is_126(docker: Docker, image: str, path: str) -> None:
    result = docker("run", "--rm", "--network", "none", image, path)

    assert result.code == 126
    assert f'exec: "{path}": ' in result.err


def test_a_refusal_of_the_daemon_is_125(docker: Docker, image: str) -> None:
    result = docker("run", "--rm", "--memory", "1k", image, "true")

    assert result.code == 125
    assert "Minimum memory limit allowed is 6MB" in result.err


def test_an_unknown_flag_is_125(docker: Docker, image: str) -> None:
    assert docker("run", "--no-such-flag", image).code == 125


def test_out_of_memory_is_137_and_said(engine: Engine) -> None:
    limit = 32 << 20
    settings = {"HostConfig": {"Memory": limit, "MemorySwap": limit, "NetworkMode": "none"}}
    ident = engine.start("sh", "-c", "tail /dev/zero", **settings)

    assert engine.wait(ident) == 137
    assert engine.inspect(ident)["State"]["OOMKilled"] is True


def test_a_failed_start_leaves_its_code_and_reason(engine: Engine, api: Client) -> None:
    ident = engine.create("no-such-command")

    answer = api.request("POST", f"/containers/{ident}/start")

    assert answer.status == 400
    state = engine.inspect(ident)["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("created", 127, 0)
    assert "executable file not found in $PATH" in state["Error"]


def test_a_run_that_cannot_start_with_rm_leaves_no_container(
    docker: Docker, engine: Engine, image: str
) -> None:
    docker("run", "--rm", "--label", engine.label, "--network", "none", image, "no-such-command")

    assert engine.mine() == []
