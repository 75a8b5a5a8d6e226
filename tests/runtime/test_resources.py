from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.linux.cgroup_files import Discarded, Step, Write
from pinnace.oci import spec
from pinnace.runtime import resources
from pinnace.runtime.resources import update

MIB = 1 << 20


def words(steps: Iterable[Step]) -> list[str]:
    """Steps as text: `file=value`, the other file after a bar, or the warning."""
    return [_word(step) for step in steps]


def _word(step: Step) -> str:
    match step:
        case Discarded():
            return step.warning
        case Write():
            assert step.file.startswith(f"{step.controller}.")
            other = f" | {_word(step.otherwise)}" if step.otherwise else ""
            return f"{step.file}={step.value}{other}"
        case _:
            return "filter"


def memory(version: int, **limits: int | bool) -> list[str]:
    given_limits = spec.LinuxMemory(**limits)  # type: ignore[arg-type]
    return words(update(spec.LinuxResources(memory=given_limits), version))


def cpu(version: int, **limits: int | str) -> list[str]:
    given_limits = spec.LinuxCPU(**limits)  # type: ignore[arg-type]
    return words(update(spec.LinuxResources(cpu=given_limits), version))


def test_nothing_asked_for_is_nothing_to_do() -> None:
    nothing = spec.LinuxResources(
        memory=spec.LinuxMemory(), cpu=spec.LinuxCPU(), pids=spec.LinuxPids(),
        block_io=spec.LinuxBlockIO(), network=spec.LinuxNetwork(),
    )  # fmt: skip

    for version in (1, 2):
        assert update(nothing, version) == []
        assert update(spec.LinuxResources(), version) == []


def test_a_new_cgroup_gets_device_rules_whatever_is_asked_for() -> None:
    assert words(resources.plan(spec.LinuxResources(), 2)) == ["filter"]
    assert words(resources.plan(spec.LinuxResources(), 1))[0] == "devices.deny=a"


def test_an_update_keeps_the_device_rules_unless_it_brings_some() -> None:
    rules = [spec.DeviceRule(allow=True, access="rwm")]

    assert words(update(spec.LinuxResources(devices=rules), 2)) == ["filter"]


@pytest.mark.parametrize(
    ("limits", "v1", "v2"),
    [
        (
            {"limit": 100, "swap": 300},
            ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=300"],
            ["memory.swap.max=200", "memory.max=100"],
        ),
        (
            {"limit": 100, "swap": 100},
            ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=100"],
            ["memory.swap.max=0", "memory.max=100"],
        ),
        (
            {"limit": 100, "swap": -1},
            ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=-1"],
            ["memory.swap.max=max", "memory.max=100"],
        ),
        ({"limit": 100}, ["memory.limit_in_bytes=100"], ["memory.max=100"]),
        (
            {"limit": -1},
            ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
            ["memory.swap.max=max", "memory.max=max"],
        ),
        ({"reservation": 50}, ["memory.soft_limit_in_bytes=50"], ["memory.low=50"]),
        ({"kernel": 50}, [resources.NO_KERNEL_MEMORY], [resources.NO_KERNEL_MEMORY]),
        ({"kernel_tcp": 50}, [resources.NO_KERNEL_MEMORY], [resources.NO_KERNEL_MEMORY]),
        ({"swappiness": 0}, ["memory.swappiness=0"], [resources.NO_SWAPPINESS]),
        ({"swappiness": -1}, [], []),
        ({"swappiness": (1 << 64) - 1}, [], []),
        (
            {"disable_oom_killer": True},
            ["memory.oom_control=1"],
            [resources.NO_OOM_CONTROL],
        ),
        ({"disable_oom_killer": False}, [], []),
    ],
    ids=str,
)
def test_memory(limits: dict[str, int | bool], v1: list[str], v2: list[str]) -> None:
    assert memory(1, **limits) == v1
    assert memory(2, **limits) == v2


def test_swap_without_accounting_is_a_warning_only_where_something_is_lost() -> None:
    def absent(**limits: int) -> str | None:
        step = update(spec.LinuxResources(memory=spec.LinuxMemory(**limits)), 2)[0]
        assert isinstance(step, Write)
        return step.absent

    assert absent(limit=100, swap=100) == ""
    assert absent(limit=100, swap=-1) == ""
    assert absent(limit=100, swap=200) == resources.NO_SWAP


@pytest.mark.parametrize(
    ("limit", "both", "text"),
    [
        (0, 100, "unable to set swap limit without memory limit"),
        (100, 50, "memory\\+swap limit should be >= memory limit"),
        (-2, 50, "invalid memory value: -2"),
    ],
)
def test_swap_that_makes_no_sense_is_refused(limit: int, both: int, text: str) -> None:
    with pytest.raises(errors.Invalid, match=text):
        memory(2, limit=limit, swap=both)


def test_swappiness_is_a_percentage() -> None:
    with pytest.raises(errors.Invalid, match="invalid memory swappiness value: 101"):
        memory(1, swappiness=101)


@pytest.mark.parametrize(
    ("limits", "v1", "v2"),
    [
        ({"shares": 1024}, ["cpu.shares=1024"], ["cpu.weight=100"]),
        (
            {"quota": 5000, "period": 10000, "burst": 100},
            ["cpu.cfs_period_us=10000", "cpu.cfs_burst_us=100", "cpu.cfs_quota_us=5000"],
            ["cpu.max.burst=100", "cpu.max=5000 10000"],
        ),
        ({"quota": 5000}, ["cpu.cfs_quota_us=5000"], ["cpu.max=5000"]),
        ({"quota": -1}, ["cpu.cfs_quota_us=-1"], ["cpu.max=max"]),
        ({"period": 10000}, ["cpu.cfs_period_us=10000"], ["cpu.max=max 10000"]),
        (
            {"realtime_period": 10, "realtime_runtime": 5},
            ["cpu.rt_period_us=10", "cpu.rt_runtime_us=5"],
            [resources.NO_REALTIME],
        ),
        ({"idle": 1}, ["cpu.idle=1"], ["cpu.idle=1"]),
        (
            {"cpus": "0-1", "mems": "0"},
            ["cpuset.cpus=0-1", "cpuset.mems=0"],
            ["cpuset.cpus=0-1", "cpuset.mems=0"],
        ),
    ],
    ids=str,
)
def test_cpu(limits: dict[str, int | str], v1: list[str], v2: list[str]) -> None:
    assert cpu(1, **limits) == v1
    assert cpu(2, **limits) == v2


def test_shares_outside_of_version_ones_range_are_refused_there() -> None:
    with pytest.raises(errors.Invalid, match="the minimum allowed cpu-shares is 2"):
        cpu(1, shares=1)
    with pytest.raises(errors.Invalid, match="the maximum allowed cpu-shares is 262144"):
        cpu(1, shares=262145)
    assert cpu(2, shares=1) == ["cpu.weight=1"]


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(1, 1), (2, 1), (3, 2), (512, 59), (1024, 100), (2048, 174), (262143, 10000), (262144, 10000)],
)
def test_shares_become_a_weight(shares: int, weight: int) -> None:
    assert resources.weight_of_shares(shares) == weight


@given(st.integers(0, 1 << 20))
def test_more_shares_never_weigh_less(shares: int) -> None:
    weight = resources.weight_of_shares(shares)

    assert 1 <= weight <= resources.weight_of_shares(shares + 1) <= 10000


@pytest.mark.parametrize(
    ("limit", "value"), [(100, "100"), (-1, "max"), (0, "1")], ids=["some", "unlimited", "none"]
)
def test_processes(limit: int, value: str) -> None:
    limits = spec.LinuxResources(pids=spec.LinuxPids(limit=limit))

    assert words(update(limits, 1)) == words(update(limits, 2)) == [f"pids.max={value}"]


IO = spec.LinuxBlockIO(
    weight=500,
    leaf_weight=20,
    weight_device=[
        spec.WeightDevice(major=8, minor=0, weight=10, leaf_weight=11),
        spec.WeightDevice(major=8, minor=16),
    ],
    throttle_read_bps_device=[spec.ThrottleDevice(major=8, minor=0, rate=1000)],
    throttle_write_bps_device=[spec.ThrottleDevice(major=8, minor=0, rate=2000)],
    throttle_read_iops_device=[spec.ThrottleDevice(major=8, minor=16, rate=30)],
    throttle_write_iops_device=[spec.ThrottleDevice(major=8, minor=16, rate=0)],
)


def test_block_io_of_version_one() -> None:
    assert words(update(spec.LinuxResources(block_io=IO), 1)) == [
        "blkio.weight=500 | blkio.bfq.weight=500",
        "blkio.leaf_weight=20",
        "blkio.weight_device=8:0 10 | blkio.bfq.weight_device=8:0 10",
        "blkio.leaf_weight_device=8:0 11",
        "blkio.throttle.read_bps_device=8:0 1000",
        "blkio.throttle.write_bps_device=8:0 2000",
        "blkio.throttle.read_iops_device=8:16 30",
        "blkio.throttle.write_iops_device=8:16 0",
    ]


def test_block_io_of_version_two() -> None:
    assert words(update(spec.LinuxResources(block_io=IO), 2)) == [
        "io.bfq.weight=500 | io.weight=4950",
        "io.bfq.weight=8:0 10 | io.weight=8:0 1",
        "io.max=8:0 rbps=1000 wbps=2000",
        "io.max=8:16 riops=30 wiops=max",
    ]


def test_weights_keep_their_ends() -> None:
    assert (resources.io_weight(10), resources.io_weight(1000)) == (1, 10000)


def test_dockers_words_for_throttles() -> None:
    steps = update(spec.LinuxResources(block_io=IO), 1)
    warnings = [step.absent for step in steps if isinstance(step, Write)]

    assert warnings[-4:] == [
        "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. "
        "Block I/O BPS read limit discarded.",
        "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. "
        "Block I/O BPS write limit discarded.",
        "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. "
        "Block I/O IOPS read limit discarded.",
        "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. "
        "Block I/O IOPS write limit discarded.",
    ]


def test_huge_pages() -> None:
    limits = spec.LinuxResources(hugepage_limits=[spec.HugepageLimit(page_size="2MB", limit=7)])

    assert words(update(limits, 1)) == [
        "hugetlb.2MB.limit_in_bytes=7",
        "hugetlb.2MB.rsvd.limit_in_bytes=7",
    ]
    assert words(update(limits, 2)) == ["hugetlb.2MB.max=7", "hugetlb.2MB.rsvd.max=7"]


def test_a_page_size_that_is_a_path_is_refused() -> None:
    limits = spec.LinuxResources(hugepage_limits=[spec.HugepageLimit(page_size="x/../../y")])

    with pytest.raises(errors.Invalid, match="invalid hugepage size"):
        update(limits, 1)


def test_rdma() -> None:
    rdma = {"mlx5_0": spec.Rdma(hca_handles=3, hca_objects=10000), "mlx5_1": spec.Rdma()}
    limits = spec.LinuxResources(rdma=rdma)

    assert words(update(limits, 2)) == ["rdma.max=mlx5_0 hca_handle=3 hca_object=10000"]


def test_network_classes_are_version_ones() -> None:
    priorities = [spec.InterfacePriority(name="eth0", priority=5)]
    limits = spec.LinuxResources(network=spec.LinuxNetwork(class_id=9, priorities=priorities))

    assert words(update(limits, 1)) == ["net_cls.classid=9", "net_prio.ifpriomap=eth0 5"]
    assert words(update(limits, 2)) == [resources.NO_NETWORK]


def test_files_by_their_own_names_come_last_and_line_by_line() -> None:
    limits = spec.LinuxResources(
        unified={"io.max": "8:0 rbps=1\n8:16 rbps=2", "memory.high": "5"},
        pids=spec.LinuxPids(limit=1),
    )

    steps = update(limits, 2)

    assert words(steps) == [
        "pids.max=1",
        "io.max=8:0 rbps=1",
        "io.max=8:16 rbps=2",
        "memory.high=5",
    ]
    assert all(step.absent is None for step in steps[1:] if isinstance(step, Write))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("../x.y", r'unified resource "\.\./x\.y" must be a file name \(no slashes\)'),
        ("memory", 'unified resource "memory" must be in the form CONTROLLER.PARAMETER'),
        (".x", "must be in the form CONTROLLER.PARAMETER"),
    ],
)
def test_unified_names_that_are_no_control_files_are_refused(file: str, text: str) -> None:
    with pytest.raises(errors.Invalid, match=text):
        update(spec.LinuxResources(unified={file: "1"}), 2)


def test_unified_is_version_twos() -> None:
    with pytest.raises(errors.Invalid, match="cannot use unified on cgroup v1"):
        update(spec.LinuxResources(unified={"memory.high": "5"}), 1)
