"""What is v2's own; what both versions do is in tests/contracts/test_cgroup.py."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.linux import cgroup
from pinnace.linux.cgroup import UNLIMITED, V2, Io, IoEntry, Memory, Pids, Write
from tests.linux import cgroup_roots

TOP = f"/pinnace-test-{os.getpid()}-v2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "abc").mkdir()
    return tmp_path / "abc"


@pytest.fixture
def group(folder: Path) -> V2:
    """A cgroup in a plain folder."""
    return V2(str(folder.parent), "/abc")


def fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_memory_is_read(folder: Path, group: V2) -> None:
    fill(
        folder,
        memory__current="7\n",
        memory__max="max\n",
        memory__stat="anon 3\n",
        memory__events="low 0\nhigh 0\nmax 5\noom 2\noom_kill 1\n",
    )

    assert group.memory() == Memory(7, 0, UNLIMITED, 2, {"anon": 3})
    assert group.oom_kills() == 1

    fill(folder, memory__peak="9\n", memory__max="100\n")
    assert group.memory() == Memory(7, 9, 100, 2, {"anon": 3})


def test_processes_and_block_io_are_read(folder: Path, group: V2) -> None:
    fill(folder, pids__current="3\n", pids__max="max\n", io__stat="8:0 rbytes=1 rios=2\n")

    assert group.pids() == Pids(3, 0)
    assert group.io() == Io((IoEntry(8, 0, "read", 1),), (IoEntry(8, 0, "read", 2),))


def test_what_no_controller_knows_is_none(group: V2) -> None:
    assert group.memory() is None
    assert group.cpu() is None
    assert group.pids() is None
    assert group.io() is None
    assert group.watch_oom() is None
    assert group.oom_kills() == 0


def test_limits_go_to_the_one_folder(folder: Path, group: V2) -> None:
    fill(folder, memory__max="", cpu__weight="")

    group.write([Write("memory", "memory.max", "5"), Write("cpu", "cpu.weight", "6")])

    assert (folder / "memory.max").read_text() == "5"
    assert (folder / "cpu.weight").read_text() == "6"


def test_a_change_of_the_memory_events_wakes_the_watcher(folder: Path, group: V2) -> None:
    fill(folder, memory__events="oom_kill 0\n")
    fd = group.watch_oom()
    assert fd is not None
    with pytest.raises(BlockingIOError):
        os.read(fd, 4096)

    fill(folder, memory__events="oom_kill 1\n")

    assert os.read(fd, 4096)
    os.close(fd)


class Fake:
    """A v2 tree of plain folders in which subtree_control is looked after by the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("", "docker", "docker/abc"):
            (root / name).mkdir(exist_ok=True)
            self.offer(name, controllers="", subtree="")

    def offer(self, name: str, *, controllers: str, subtree: str) -> None:
        (self.root / name / "cgroup.controllers").write_text(controllers)
        (self.root / name / "cgroup.subtree_control").write_text(subtree)

    def asked(self, name: str) -> str:
        return (self.root / name / "cgroup.subtree_control").read_text()


def test_controllers_are_switched_on_from_the_root_down(tmp_path: Path) -> None:
    tree = Fake(tmp_path)

    V2(str(tmp_path), "/docker/abc", ["memory", "cpu", "perf_event"])._delegate()

    assert tree.asked("") == tree.asked("docker") == "+cpu +memory"
    assert tree.asked("docker/abc") == ""


def test_only_what_is_missing_is_switched_on(tmp_path: Path) -> None:
    tree = Fake(tmp_path)
    tree.offer("", controllers="cpu memory", subtree="cpu memory")
    tree.offer("docker", controllers="cpu memory", subtree="cpu")

    V2(str(tmp_path), "/docker/abc", ["memory", "cpu"])._delegate()

    assert tree.asked("") == "cpu memory"
    assert tree.asked("docker").startswith("+memory")


def test_nothing_is_asked_of_the_parents_when_all_is_there(tmp_path: Path) -> None:
    tree = Fake(tmp_path)
    tree.offer("docker/abc", controllers="cpu memory", subtree="")

    V2(str(tmp_path), "/docker/abc", ["memory", "cpu"])._delegate()

    assert tree.asked("") == tree.asked("docker") == ""


@pytest.fixture
def real() -> Iterator[cgroup.Hierarchy]:
    """The kernel's unified hierarchy, if it has any controller for us to switch on."""
    unified = cgroup.detect().unified if os.geteuid() == 0 else None
    if unified is None or not unified.controllers:
        pytest.skip("no controllers in the unified hierarchy")
    with cgroup_roots.restored():
        yield unified
        top = V2(unified.target, TOP)
        top.kill()
        top.remove()


def of(real: cgroup.Hierarchy, path: str) -> V2:
    return V2(real.target, TOP + path, real.controllers)


@pytest.mark.root
def test_a_new_cgroup_has_the_controllers_of_the_root(real: cgroup.Hierarchy) -> None:
    group = of(real, "/parent/container")

    group.create()

    assert set(group._wanted) <= set(group.read("cgroup.controllers").split())
    assert group.read("cgroup.type") == "domain\n"


@pytest.mark.root
def test_those_who_come_later_go_where_the_containers_init_has_gone(
    real: cgroup.Hierarchy,
) -> None:
    """As systemd does: move down, then hand controllers on, after which only leaves take any."""
    group, scope = of(real, "/container"), of(real, "/container/init.scope")
    group.create()
    first, second = (subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(2))
    group.add(first.pid)
    os.mkdir(f"{group.folder}/empty")
    os.mkdir(scope.folder)
    scope.add(first.pid)
    with open(f"{group.folder}/cgroup.subtree_control", "w") as file:
        file.write(f"+{real.controllers[0]}")

    group.add(second.pid)
    fd = group.open()

    assert sorted(scope.processes()) == sorted([first.pid, second.pid])
    assert fd is not None
    assert os.readlink(f"/proc/self/fd/{fd}").endswith("/init.scope")
    os.close(fd)
    group.kill()
    assert [first.wait(), second.wait()] == [-9, -9]


@pytest.mark.root
def test_without_cgroup_kill_frozen_processes_are_killed_one_by_one() -> None:
    unified = cgroup.detect().unified if os.geteuid() == 0 else None
    if unified is None:
        pytest.skip("no unified hierarchy")
    group = V2(unified.target, TOP)
    group.create()
    children = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(3)]
    for child in children:
        group.add(child.pid)

    group._kill_frozen(time.monotonic() + 10)

    assert group.processes() == []
    assert [child.wait() for child in children] == [-9, -9, -9]
    group.remove()
