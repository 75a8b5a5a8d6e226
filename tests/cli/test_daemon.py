import os
import socket
from pathlib import Path

import pytest

from pinnace.cli import daemon
from pinnace.cli.arguments import Failure
from tests.cli.conftest import Invoke


def test_a_configuration_can_be_checked(invoke: Invoke) -> None:
    done = invoke("daemon", "--validate", "--config-file", "/dev/null")

    assert done == (0, "", "configuration OK\n")


def test_operands_are_refused(invoke: Invoke) -> None:
    assert invoke("daemon", "start").stderr == "unknown command: pinnace daemon start\n"


def test_the_pid_is_in_the_file_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pid"

    with daemon.PidFile(str(path)):
        assert path.read_text() == str(os.getpid())

    assert not path.exists()


def test_a_pid_of_the_dead_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("4194304999")

    with daemon.PidFile(str(path)):
        assert path.read_text() == str(os.getpid())


def test_a_daemon_that_lives_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("1")

    with pytest.raises(Failure, match="process with PID 1 is still running"):
        daemon.PidFile(str(path)).__enter__()
    assert path.read_text() == "1"


def test_a_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)

        daemon.notify_ready()

        assert channel.recv(100) == b"READY=1"
    assert "NOTIFY_SOCKET" not in os.environ
