from pathlib import Path

import pytest

from pinnace.oci.spec import Hook
from pinnace.runtime import hooks
from pinnace.runtime.launch import LaunchError


def shell(script: str, **more: int) -> Hook:
    return Hook(path="/bin/sh", args=["sh", "-c", script], env=["PATH=/bin:/usr/bin"], **more)


def test_a_hook_reads_the_state(tmp_path: Path) -> None:
    hooks.run([shell(f"cat >{tmp_path}/state")], "prestart", b'{"id": "x"}')

    assert (tmp_path / "state").read_bytes() == b'{"id": "x"}'


def test_a_hook_need_not_read_a_large_state(tmp_path: Path) -> None:
    hooks.run([shell("exit 0")], "prestart", b"x" * (1 << 20))


def test_a_hooks_environment_is_its_own(tmp_path: Path) -> None:
    hook = Hook(path="/bin/sh", args=["sh", "-c", f"echo $A$HOME >{tmp_path}/e"], env=["A=1"])

    hooks.run([hook], "prestart", b"")

    assert (tmp_path / "e").read_text() == "1\n"


def test_the_first_failure_ends_them(tmp_path: Path) -> None:
    failing = [shell("true"), shell("echo why; exit 4"), shell(f"touch {tmp_path}/never")]

    with pytest.raises(
        LaunchError, match="error running prestart hook #1: exit status 4, output: why"
    ):
        hooks.run(failing, "prestart", b"")

    assert not (tmp_path / "never").exists()


def test_attempts_go_on_and_tell(tmp_path: Path) -> None:
    told = hooks.attempt([shell("exit 4"), shell(f"touch {tmp_path}/yes")], "poststop", b"")

    assert told == ["error running poststop hook #0: exit status 4"]
    assert (tmp_path / "yes").exists()


def test_a_signal_is_a_failure() -> None:
    with pytest.raises(LaunchError, match="signal: Killed"):
        hooks.run([shell("kill -9 $$")], "prestart", b"")


def test_a_hook_that_takes_too_long_is_killed() -> None:
    with pytest.raises(LaunchError, match="hook ran past specified timeout of 1s"):
        hooks.run([shell("exec sleep 1000", timeout=1)], "prestart", b"")


def test_a_hook_that_is_not_there() -> None:
    with pytest.raises(LaunchError, match="fork/exec /no/where: no such file or directory"):
        hooks.run([Hook(path="/no/where")], "prestart", b"")


def test_hooks_get_no_other_descriptors(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w"):
        hooks.run([shell(f"ls /proc/self/fd >{tmp_path}/fds")], "prestart", b"")

    # 3 is the folder that ls reads
    assert (tmp_path / "fds").read_text().split() == ["0", "1", "2", "3"]
