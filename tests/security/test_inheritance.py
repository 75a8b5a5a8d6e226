"""Nothing of the engine's own leaks into a container's processes (invariants I4 and I21)."""

import json
import os
import signal
import stat
from collections.abc import Iterator

import pytest

from tests.harness import kernel
from tests.harness.daemon import Daemon
from tests.harness.deadline import until
from tests.harness.engine import Engine
from tests.harness.streams import attach, execute

pytestmark = [pytest.mark.root, pytest.mark.ours]

STDIO = {"0", "1", "2"}


def fds(pid: int) -> set[str]:
    return set(os.listdir(f"/proc/{pid}/fd"))


def signals(pid: int, kind: str) -> int:
    for line in kernel.read(pid, "status").decode().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1], 16)
    raise AssertionError(kind)


@pytest.mark.parametrize("init", [False, True], ids=["program", "reaper"])
def test_a_containers_first_process_holds_its_standard_streams_only(
    engine: Engine, init: bool
) -> None:
    ident = engine.create("sleep", "1000", OpenStdin=True, HostConfig={"Init": init})
    with engine.client() as client, attach(client, ident, stdin=True):
        engine.ok("POST", f"/containers/{ident}/start")
        pid = engine.inspect(ident)["State"]["Pid"]

        until(lambda: fds(pid) == STDIO, "its file descriptors, closed")
        assert [fds(child) for child in kernel.children(pid)] == [STDIO] * init


def test_an_exec_holds_its_standard_streams_only(engine: Engine) -> None:
    ident = engine.start()
    with engine.client() as client:
        name, streams = execute(client, ident, "sleep", "1000", AttachStdin=True)
        with streams:
            until(lambda: engine.get(f"/exec/{name}/json")["Pid"], "its start")
            pid = engine.get(f"/exec/{name}/json")["Pid"]

            assert fds(pid) == STDIO


@pytest.fixture
def careless_caller() -> Iterator[None]:
    """Whoever starts the daemon has ignored signals and has a mask of modes of its own."""
    before = os.umask(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    yield
    os.umask(before)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def test_what_the_daemons_caller_ignored_is_not_ignored_in_containers(
    careless_caller: None, own_engine: Engine
) -> None:
    ident = own_engine.start("sleep", "1000")
    pid = own_engine.inspect(ident)["State"]["Pid"]

    assert signals(pid, "SigIgn") == 0
    assert signals(pid, "SigBlk") == 0
    assert own_engine.finish("sh", "-c", "umask") == (0, "0022\n")


def test_only_root_gets_at_what_a_daemon_without_umask_makes(
    careless_caller: None, own_engine: Engine, daemon: Daemon
) -> None:
    own_engine.start()
    every = {str(each) for root in (daemon.data_root, daemon.exec_root) for each in (root,)}
    every |= {f"{each}/{name}" for each in every for name in os.listdir(each)}

    open_to_others = {
        path
        for path in every
        if stat.S_IMODE(os.stat(path).st_mode) & 0o007 and not path.endswith("/volumes")
    }

    assert open_to_others == set()
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o660


def test_the_reaper_lives_under_a_filter_that_knows_no_close_range(engine: Engine) -> None:
    older = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["close_range"], "action": "SCMP_ACT_ERRNO"}],
    }
    host = {"Init": True, "SecurityOpt": [f"seccomp={json.dumps(older)}"]}

    ident = engine.start("sleep", "1000", HostConfig=host)

    pid = engine.inspect(ident)["State"]["Pid"]
    until(lambda: fds(pid) == STDIO, "its file descriptors, closed")
