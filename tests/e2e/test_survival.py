"""The daemon dies; containers, their output and their exit codes don't."""

import os
import signal

import pytest

from tests.conftest import expect_nothing_beyond, held, settled
from tests.harness import kernel
from tests.harness.daemon import Daemon
from tests.harness.deadline import until
from tests.harness.engine import Engine, Shared
from tests.harness.streams import attach, execute

pytestmark = [pytest.mark.root, pytest.mark.ours]


def supervisor_of(engine: Engine, ident: str) -> int:
    pid = engine.inspect(ident)["State"]["Pid"]
    return int(kernel.read(pid, "stat").rpartition(b")")[2].split()[1])


def zygote_of(daemon: Daemon) -> int:
    """The daemon's child that is not a supervisor: the one that is there without containers."""
    [zygote] = kernel.children(daemon.pid)
    return zygote


def test_a_container_and_its_output_outlive_a_killed_daemon(
    own_engine: Engine, daemon: Daemon
) -> None:
    ident = own_engine.start("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; usleep 2000; done")
    pid = own_engine.inspect(ident)["State"]["Pid"]
    until(lambda: own_engine.output(ident), "output")

    daemon.kill()
    assert not kernel.gone(pid)
    daemon.start()

    state = own_engine.inspect(ident)["State"]
    assert (state["Status"], state["Pid"]) == ("running", pid)
    own_engine.ok("POST", f"/containers/{ident}/kill")
    assert own_engine.wait(ident) == 137
    lines = own_engine.output(ident).split()
    assert lines == [str(n) for n in range(1, len(lines) + 1)]


def test_an_exit_while_no_daemon_runs_is_recorded(
    own_engine: Engine, daemon: Daemon, shared: Shared
) -> None:
    script = "while [ ! -e /shared/go ]; do usleep 1000; done; echo last; exit 23"
    binds = {"Binds": [f"{shared.there}:/shared"]}
    ident = own_engine.start("sh", "-c", script, HostConfig=binds)
    pid = own_engine.inspect(ident)["State"]["Pid"]
    daemon.kill()

    (shared.here / "go").touch()
    until(lambda: kernel.gone(pid), "its exit")
    daemon.start()

    state = own_engine.inspect(ident)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 23)
    assert own_engine.output(ident) == "last\n"


def test_an_adopted_container_obeys(own_engine: Engine, daemon: Daemon) -> None:
    ident = own_engine.start(OpenStdin=True)
    daemon.kill()
    daemon.start()

    with own_engine.client() as api:
        made, running = execute(api, ident, "sh", "-c", "echo inside; exit 4")
        with running:
            assert running.streams() == {1: b"inside\n"}
        assert api.ok("GET", f"/exec/{made}/json").json()["ExitCode"] == 4
    own_engine.ok("POST", f"/containers/{ident}/pause")
    own_engine.ok("POST", f"/containers/{ident}/unpause")
    own_engine.ok("POST", f"/containers/{ident}/stop")

    assert own_engine.inspect(ident)["State"]["ExitCode"] == 0


def test_stdin_of_an_adopted_container(own_engine: Engine, daemon: Daemon) -> None:
    ident = own_engine.start("sh", "-c", "read x; echo got $x", OpenStdin=True)
    daemon.kill()
    daemon.start()

    with own_engine.client() as api, attach(api, ident, stdin=True) as attached:
        attached.send(b"it\n")
        assert attached.streams() == {1: b"got it\n"}


def test_an_attached_client_goes_on_without_the_daemon(own_engine: Engine, daemon: Daemon) -> None:
    ident = own_engine.create("cat", OpenStdin=True)
    with own_engine.client() as api, attach(api, ident, stdin=True) as attached:
        own_engine.ok("POST", f"/containers/{ident}/start")
        attached.send(b"before\n")
        attached.expect(b"before\n")

        daemon.kill()
        attached.send(b"after\n")
        attached.expect(b"after\n")

    daemon.start()


def test_a_paused_container_is_still_paused(own_engine: Engine, daemon: Daemon) -> None:
    ident = own_engine.start()
    own_engine.ok("POST", f"/containers/{ident}/pause")
    daemon.kill()
    daemon.start()

    assert own_engine.inspect(ident)["State"]["Status"] == "paused"
    own_engine.ok("POST", f"/containers/{ident}/unpause")


def test_a_policy_is_kept_by_the_next_daemon(own_engine: Engine, daemon: Daemon) -> None:
    policy = {"RestartPolicy": {"Name": "always"}}
    ident = own_engine.start(HostConfig=policy)
    pid = own_engine.inspect(ident)["State"]["Pid"]
    daemon.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: kernel.gone(pid), "its end")

    daemon.start()

    until(lambda: own_engine.inspect(ident)["State"]["Pid"] not in (0, pid), "its next start")


def test_an_auto_removed_container_that_ended_meanwhile_is_removed(
    own_engine: Engine, daemon: Daemon
) -> None:
    ident = own_engine.start(HostConfig={"AutoRemove": True})
    pid = own_engine.inspect(ident)["State"]["Pid"]
    daemon.kill()
    os.kill(pid, signal.SIGKILL)
    until(lambda: kernel.gone(pid), "its end")

    daemon.start()

    until(lambda: own_engine.request("GET", f"/containers/{ident}/json").status == 404, "removal")


def test_a_killed_supervisor_ends_its_container_with_137(own_engine: Engine) -> None:
    ident = own_engine.start()
    pid = own_engine.inspect(ident)["State"]["Pid"]

    os.kill(supervisor_of(own_engine, ident), signal.SIGKILL)

    assert own_engine.wait(ident) == 137
    until(lambda: kernel.gone(pid), "the end of its processes")


def test_a_supervisor_killed_while_no_daemon_runs(own_engine: Engine, daemon: Daemon) -> None:
    ident = own_engine.start()
    pid, supervisor = own_engine.inspect(ident)["State"]["Pid"], supervisor_of(own_engine, ident)
    daemon.kill()
    os.kill(supervisor, signal.SIGKILL)

    daemon.start()

    state = own_engine.inspect(ident)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 137)
    until(lambda: kernel.gone(pid), "the end of its processes")


def test_a_killed_zygote_is_replaced(own_engine: Engine, daemon: Daemon) -> None:
    running = own_engine.start()
    for child in kernel.children(daemon.pid):
        os.kill(child, signal.SIGKILL)

    assert own_engine.finish("echo", "again") == (0, "again\n")
    assert own_engine.inspect(running)["State"]["Running"] is True


def test_a_daemon_that_is_told_to_stop_leaves_containers_running(
    own_engine: Engine, daemon: Daemon
) -> None:
    ident = own_engine.start()
    pid = own_engine.inspect(ident)["State"]["Pid"]

    assert daemon.stop() == 0
    assert not kernel.gone(pid)
    daemon.start()

    assert own_engine.inspect(ident)["State"]["Pid"] == pid


def test_a_machine_that_was_switched_off(own_engine: Engine, daemon: Daemon) -> None:
    """All processes are gone and the runtime root is empty, as after a reboot."""
    import shutil

    plain = own_engine.start()
    always = own_engine.start(HostConfig={"RestartPolicy": {"Name": "always"}})
    daemon.kill()
    kernel.kill(kernel.processes_of(daemon.mark, daemon.cgroup_parent))
    kernel.unmount_below(daemon.exec_root)
    shutil.rmtree(daemon.exec_root)

    daemon.start()

    assert own_engine.inspect(plain)["State"]["Status"] == "exited"
    until(lambda: own_engine.inspect(always)["State"]["Running"], "its next start")


def test_ten_kills_in_the_middle_of_work_leave_nothing(own_engine: Engine, daemon: Daemon) -> None:
    own_engine.finish("true")
    before = settled(daemon)

    for number in range(10):
        own_engine.start("sh", "-c", f"exit {number}")
        daemon.kill()
        daemon.start()
    for ident in own_engine.mine():
        assert own_engine.inspect(ident)["State"]["Status"] in ("exited", "running")
    own_engine.clear()

    assert own_engine.mine() == []
    expect_nothing_beyond(daemon, before)
    assert held(daemon)


def test_a_second_daemon_on_the_same_folders_is_refused(daemon: Daemon) -> None:
    import subprocess

    from tests.harness.daemon import command

    second = subprocess.run(
        [*command(), "daemon", *daemon._arguments()], capture_output=True, timeout=30, check=False
    )

    assert second.returncode != 0
    assert daemon.client().request("GET", "/_ping").status == 200
