"""What is v1's own; what both versions do is in tests/contracts/test_cgroup.py."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.linux import cgroup
from pinnace.linux.cgroup import V1, DeviceFilter, Io, IoEntry, Memory, Write

TOP = f"/pinnace-test-{os.getpid()}-v1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cpu,cpuacct", "memory", "blkio", "pids"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def group(root: Path) -> V1:
    """A cgroup in plain folders, with controllers of which two are mounted together."""
    together = f"{root}/cpu,cpuacct"
    mounts = {"cpu": together, "cpuacct": together}
    mounts |= {name: f"{root}/{name}" for name in ("memory", "blkio", "pids")}
    return V1(mounts, "/docker/abc")


def fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_controllers_mounted_together_share_a_folder(root: Path, group: V1) -> None:
    group.create()

    made = sorted(str(path.relative_to(root)) for path in root.glob("*/docker/abc"))
    assert made == ["blkio/docker/abc", "cpu,cpuacct/docker/abc", "memory/docker/abc",
                    "pids/docker/abc"]  # fmt: skip
    group.remove()
    assert not list(root.glob("*/docker/abc"))


def test_nothing_stays_when_one_folder_cannot_be_made(root: Path, group: V1) -> None:
    (root / "pids" / "docker").touch()

    with pytest.raises(OSError):
        group.create()

    assert not list(root.glob("*/docker/abc"))


def test_limits_go_to_their_controllers(root: Path, group: V1) -> None:
    group.create()
    folder = root / "cpu,cpuacct/docker/abc"
    fill(folder, cpu__shares="")

    warnings = group.write([Write("cpu", "cpu.shares", "5"), Write("rdma", "rdma.max", "x", "no")])

    assert warnings == ["no"]
    assert (folder / "cpu.shares").read_text() == "5"


def test_a_device_filter_is_version_twos(group: V1) -> None:
    with pytest.raises(OSError, match="device filters need cgroup v2"):
        group.write([DeviceFilter(b"")])


def test_a_limit_below_the_use_says_how_much_that_is(
    root: Path, group: V1, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create()
    fill(
        root / "memory/docker/abc",
        memory__usage_in_bytes="7",
        memory__max_usage_in_bytes="9",
        memory__limit_in_bytes="99",
        memory__failcnt="1",
        memory__stat="cache 3\n",
    )

    def busy(fd: int, data: bytes) -> int:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "write", busy)

    with pytest.raises(OSError) as caught:
        group.write([Write("memory", "memory.limit_in_bytes", "5", "no", again=True)])

    expected = "unable to set memory limit (current usage: 7, peak usage: 9)"
    assert caught.value.strerror == expected
    assert caught.value.errno == errno.EBUSY


def test_memory_is_read(root: Path, group: V1) -> None:
    group.create()
    fill(
        root / "memory/docker/abc",
        memory__usage_in_bytes="7\n",
        memory__max_usage_in_bytes="9\n",
        memory__limit_in_bytes="9223372036854771712\n",
        memory__failcnt="1\n",
        memory__stat="cache 3\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    )

    assert group.memory() == Memory(7, 9, 9223372036854771712, 1, {"cache": 3})
    assert group.oom_kills() == 2
    assert group.read("memory.failcnt") == "1\n"


def test_block_io_comes_from_the_throttle_where_the_scheduler_counts_nothing(
    root: Path, group: V1
) -> None:
    group.create()
    folder = root / "blkio/docker/abc"
    fill(
        folder,
        blkio__io_serviced_recursive="Total 0\n",
        blkio__throttle__io_service_bytes_recursive="8:0 Read 5\nTotal 5\n",
        blkio__throttle__io_serviced_recursive="8:0 Read 1\nTotal 1\n",
    )
    assert group.io() == Io((IoEntry(8, 0, "Read", 5),), (IoEntry(8, 0, "Read", 1),))

    fill(folder, blkio__io_serviced_recursive="8:0 Read 2\n", blkio__sectors_recursive="8:0 16\n")
    assert group.io() == Io(serviced=(IoEntry(8, 0, "Read", 2),), sectors=(IoEntry(8, 0, "", 16),))


def test_what_no_mounted_controller_knows_is_none() -> None:
    bare = V1({}, "/docker/abc")

    assert bare.memory() is None
    assert bare.cpu() is None
    assert bare.pids() is None
    assert bare.io() is None
    assert bare.watch_oom() is None
    assert bare.oom_kills() == 0
    with pytest.raises(FileNotFoundError):
        bare.read("memory.stat")


@pytest.fixture
def cpuset() -> Iterator[str]:
    if os.geteuid() != 0 or "cpuset" not in cgroup.detect().controllers:
        pytest.skip("no v1 cpuset here")
    root = cgroup.detect().controllers["cpuset"]
    yield root
    V1({"cpuset": root}, TOP).remove()


@pytest.mark.root
def test_cpus_and_memory_nodes_come_from_the_parents(cpuset: str) -> None:
    """Twice: the first child is filled by us, the second by the kernel."""
    with open(f"{cpuset}/cpuset.cpus") as file:
        whole = file.read()

    for name in ("first", "second"):
        child = V1({"cpuset": cpuset}, f"{TOP}/a/{name}")
        child.create()

        assert child.read("cpuset.cpus") == whole
        assert child.read("cpuset.mems").strip()


@pytest.mark.root
def test_a_parents_own_cpus_are_kept_and_inherited(cpuset: str) -> None:
    parent = V1({"cpuset": cpuset}, f"{TOP}/b")
    parent.create()
    parent.write([Write("cpuset", "cpuset.cpus", "0")])

    child = V1({"cpuset": cpuset}, f"{TOP}/b/child")
    child.create()

    assert child.read("cpuset.cpus") == "0\n"
