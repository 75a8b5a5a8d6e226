import os
import signal
from collections.abc import Iterator

import pytest

from pinnace.linux import process, syscall
from pinnace.oci import spec
from pinnace.runtime import namespaces
from pinnace.runtime.sync import StartFailed

pytestmark = pytest.mark.root

KINDS = ("user", "network", "uts", "ipc")


@pytest.fixture
def donor() -> Iterator[int]:
    """A process with namespaces of its own, a user namespace among them."""
    flags = sum(process.NAMESPACES[kind] for kind in KINDS)
    pid, pidfd = process.clone(flags)
    if pid == 0:
        signal.pause()
    maps = [process.IDMap(0, 400000, 65536)]
    process.write_id_maps(pid, maps, maps)
    yield pid
    process.send_signal(pidfd, signal.SIGKILL)
    process.wait(pidfd)


def link(pid: int, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{process.PROC_NAMES[kind]}")


def wait_forever() -> None:
    signal.pause()


def within(joined: dict[str, str], offsets: dict[str, spec.TimeOffset] | None = None) -> int:
    pid, pidfd = namespaces.clone_within(0, wait_forever, joined=joined, time_offsets=offsets)  # type: ignore[arg-type]
    os.close(pidfd)
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("kinds", [KINDS, KINDS[::-1]], ids=["user-first", "user-last"])
def test_namespaces_are_joined_whatever_their_order(donor: int, kinds: tuple[str, ...]) -> None:
    pid = within({kind: f"/proc/{donor}/ns/{process.PROC_NAMES[kind]}" for kind in kinds})

    assert all(link(pid, kind) == link(donor, kind) for kind in KINDS)
    end(pid)


def test_a_hosts_namespace_is_joined_beside_a_user_namespace(donor: int) -> None:
    """What belongs to the host is entered before its rights are given up."""
    pid = within({"user": f"/proc/{donor}/ns/user", "uts": "/proc/self/ns/uts"})

    assert link(pid, "user") == link(donor, "user")
    assert link(pid, "uts") == link(os.getpid(), "uts")
    end(pid)


def test_clocks_are_set_in_a_new_time_namespace() -> None:
    pid = within({}, {"boottime": spec.TimeOffset(secs=5000)})

    assert link(pid, "time") != link(os.getpid(), "time")
    with open(f"/proc/{pid}/timens_offsets") as file:
        assert ["boottime", "5000", "0"] in [line.split() for line in file]
    end(pid)


def test_the_child_is_ours() -> None:
    pid = within({})

    with open(f"/proc/{pid}/stat") as file:
        assert int(file.read().rpartition(") ")[2].split()[1]) == os.getpid()
    end(pid)


def test_a_namespace_that_cannot_be_joined() -> None:
    def join() -> None:
        syscall.setns(os.open("/dev/null", os.O_RDONLY), 0)

    with pytest.raises(StartFailed, match="Invalid argument"):
        namespaces.clone_sibling(join, 0, wait_forever)  # type: ignore[arg-type]


def test_a_path_that_is_missing() -> None:
    with pytest.raises(FileNotFoundError):
        within({"network": "/no/where"})
