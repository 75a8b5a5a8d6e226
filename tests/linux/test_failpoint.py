import os
import signal
import subprocess
import sys

import pytest

from pinnace.linux import failpoint


def run_with(variable: str | None) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if k != "PINNACE_FAILPOINT"}
    if variable is not None:
        environment["PINNACE_FAILPOINT"] = variable
    program = "from pinnace.linux import failpoint; failpoint.hit('here'); print('past')"
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_the_variable_a_hit_does_nothing() -> None:
    assert run_with(None).stdout == "past\n"


def test_another_name_does_nothing() -> None:
    assert run_with("there:kill").stdout == "past\n"


def test_kill_ends_the_process_by_signal() -> None:
    assert run_with("here:kill").returncode == -signal.SIGKILL


def test_error_is_an_oserror_with_eio() -> None:
    assert "OSError: [Errno 5] failpoint" in run_with("there:kill,here:error").stderr


def test_pause_stops_the_process_until_it_is_continued() -> None:
    environment = {**os.environ, "PINNACE_FAILPOINT": "here:pause"}
    program = "from pinnace.linux import failpoint; failpoint.hit('here')"
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)

    _, status = os.waitpid(process.pid, os.WUNTRACED)
    process.send_signal(signal.SIGCONT)

    assert os.WIFSTOPPED(status)
    assert process.wait(10) == 0


def test_nothing_armed_is_none() -> None:
    assert failpoint.parse("") is None


def test_an_unknown_action_is_an_error() -> None:
    with pytest.raises(ValueError, match="action 'burn' is none of"):
        failpoint.parse("here:burn")
