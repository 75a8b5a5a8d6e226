from pathlib import Path

from pinnace.linux import cgroup, cgroup_support
from pinnace.linux.cgroup import Hierarchy
from pinnace.linux.cgroup_support import Cpuset, Support


def version_one(root: Path, *files: str) -> cgroup.System:
    names = dict.fromkeys(file.partition(".")[0] for file in files)
    for name in names:
        (root / name).mkdir()
    for file in files:
        (root / file.partition(".")[0] / file).write_text("0-1\n")
    return cgroup.system([Hierarchy(f"{root}/{name}", (name,), False) for name in names])


def version_two(root: Path, *controllers: str) -> cgroup.System:
    return cgroup.system([Hierarchy(str(root), controllers, True)])


def test_version_one_offers_what_has_a_file(tmp_path: Path) -> None:
    system = version_one(
        tmp_path,
        "memory.soft_limit_in_bytes",
        "memory.oom_control",
        "cpu.shares",
        "pids.current",
        "blkio.throttle.read_bps_device",
        "cpuset.cpus",
    )

    assert cgroup_support.support(system) == Support(
        memory=True,
        reservation=True,
        oom_kill_disable=True,
        cpu_shares=True,
        pids=True,
        cpuset=True,
    )
    assert cgroup_support.cpuset(system) == Cpuset("0-1", "")


def test_version_one_throttles_when_all_four_files_are_there(tmp_path: Path) -> None:
    words = ("read_bps", "write_bps", "read_iops", "write_iops")

    system = version_one(tmp_path, *(f"blkio.throttle.{word}_device" for word in words))

    assert cgroup_support.support(system) == Support(blkio_throttle=True)
    assert cgroup_support.cpuset(system) == Cpuset()


def test_version_two_offers_what_its_controllers_have(tmp_path: Path) -> None:
    system = version_two(tmp_path, "cpu", "io", "memory", "pids", "cpuset")
    for name in ("cpus", "mems"):
        (tmp_path / f"cpuset.{name}.effective").write_text("0\n")

    assert cgroup_support.support(system) == Support(
        memory=True,
        swap=True,
        reservation=True,
        pids=True,
        cpu_shares=True,
        cpu_cfs=True,
        cpuset=True,
        blkio_weight=True,
        blkio_weight_device=True,
        blkio_throttle=True,
    )
    assert cgroup_support.cpuset(system) == Cpuset("0", "0")


def test_version_two_without_controllers_offers_nothing(tmp_path: Path) -> None:
    assert cgroup_support.support(version_two(tmp_path)) == Support()


def test_swap_is_what_any_cgroup_with_memory_says(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "memory.max").touch()
    assert not cgroup_support.support(version_two(tmp_path, "memory")).swap

    (tmp_path / "user" / "memory.swap.max").touch()
    assert cgroup_support.support(version_two(tmp_path, "memory")).swap
