"""Limits → what to write into which control file, for either version of cgroups; pure.

The conversions to version 2 are those of runc and crun, so that a container weighs the same
whoever runs it. The warnings are Docker's, where it has them.
Source: runtime-spec, config-linux.md, "Control groups"; the kernel's cgroup-v2.rst, cgroup-v1/.
"""

import math
from collections.abc import Callable, Iterator

from pinnace import errors
from pinnace.linux.cgroup_files import Discarded, Step, Write
from pinnace.oci import spec
from pinnace.runtime import devices

_NO = "Your kernel does not support "
_GONE = " or the cgroup is not mounted. "
NO_MEMORY = f"{_NO}memory limit capabilities{_GONE}Limitation discarded."
NO_SWAP = f"{_NO}swap limit capabilities{_GONE}Memory limited without swap."
NO_RESERVATION = f"{_NO}memory soft limit capabilities{_GONE}Limitation discarded."
NO_KERNEL_MEMORY = f"{_NO}kernel memory limit capabilities{_GONE}Limitation discarded."
NO_SWAPPINESS = f"{_NO}memory swappiness capabilities{_GONE}Memory swappiness discarded."
NO_OOM_CONTROL = f"{_NO}OomKillDisable. OomKillDisable discarded."
NO_SHARES = f"{_NO}CPU shares{_GONE}Shares discarded."
NO_CFS = f"{_NO}CPU CFS scheduler. CPU period/quota discarded."
NO_REALTIME = f"{_NO}CPU real-time scheduler{_GONE}CPU real-time period/runtime discarded."
NO_IDLE = f"{_NO}idle CPU groups{_GONE}CPU idle discarded."
NO_CPUSET = f"{_NO}cpuset{_GONE}Cpuset discarded."
NO_PIDS = f"{_NO}PIDs limit capabilities{_GONE}PIDs limit discarded."
NO_WEIGHT = f"{_NO}Block I/O weight{_GONE}Weight discarded."
NO_WEIGHT_DEVICE = f"{_NO}Block I/O weight_device{_GONE}Weight-device discarded."
NO_HUGETLB = f"{_NO}hugetlb limits{_GONE}Hugepage limit discarded."
NO_RDMA = f"{_NO}RDMA limits{_GONE}RDMA limit discarded."
NO_NETWORK = f"{_NO}network classes and priorities{_GONE}Network setting discarded."


def _no_throttle(unit: str, operation: str) -> str:
    io = "Block I/O" if unit == "BPS" else "Block"
    return f"{_NO}{unit} {io} {operation} limit{_GONE}Block I/O {unit} {operation} limit discarded."


# name in v1's files, key in v2's io.max, warning
_THROTTLES = (
    ("read_bps", "rbps", _no_throttle("BPS", "read")),
    ("write_bps", "wbps", _no_throttle("BPS", "write")),
    ("read_iops", "riops", _no_throttle("IOPS", "read")),
    ("write_iops", "wiops", _no_throttle("IOPS", "write")),
)


def plan(resources: spec.LinuxResources, version: int) -> list[Step]:
    """Everything for a new cgroup. Without device rules only the default devices are allowed."""
    return [*devices.plan(resources.devices, version), *_limits(resources, version)]


def update(resources: spec.LinuxResources, version: int) -> list[Step]:
    """What changes in a cgroup that is in use; what resources doesn't name stays as it is."""
    if resources.devices:
        return plan(resources, version)
    return list(_limits(resources, version))


def _limits(resources: spec.LinuxResources, version: int) -> Iterator[Step]:
    if version == 1 and resources.unified:
        raise errors.Invalid("invalid configuration: cannot use unified on cgroup v1")
    for part in _PARTS_V2 if version == 2 else _PARTS_V1:
        yield from part(resources)


def _write(file: str, value: int | str, absent: str | None = None, *, again: bool = False) -> Write:
    return Write(file.partition(".")[0], file, str(value), absent, again)


# memory


def _memory_v1(resources: spec.LinuxResources) -> Iterator[Step]:
    memory = resources.memory
    if memory is None:
        return
    limit, swap = memory.limit or 0, memory.swap or 0
    if limit:
        # The limit may never be above that of memory and swap together: when both are raised,
        # the kernel takes this one only after the other.
        yield _write("memory.limit_in_bytes", limit, NO_MEMORY, again=True)
    if swap:
        yield _write("memory.memsw.limit_in_bytes", swap, NO_SWAP, again=True)
    elif limit == -1:
        yield _write("memory.memsw.limit_in_bytes", -1, "")
    if memory.reservation:
        yield _write("memory.soft_limit_in_bytes", memory.reservation, NO_RESERVATION)
    yield from _kernel_memory(memory)
    if (swappiness := _swappiness(memory)) is not None:
        yield _write("memory.swappiness", swappiness, NO_SWAPPINESS)
    if memory.disable_oom_killer:
        yield _write("memory.oom_control", 1, NO_OOM_CONTROL)


def _memory_v2(resources: spec.LinuxResources) -> Iterator[Step]:
    memory = resources.memory
    if memory is None:
        return
    swap = swap_alone(memory.limit or 0, memory.swap or 0)
    if swap is not None:
        # Where swap is not accounted there is nothing to forbid, and nothing to set free.
        absent = "" if swap in (0, -1) else NO_SWAP
        yield _write("memory.swap.max", _or_max(swap), absent)
    if memory.limit:
        yield _write("memory.max", _or_max(memory.limit), NO_MEMORY)
    if memory.reservation:
        yield _write("memory.low", _or_max(memory.reservation), NO_RESERVATION)
    yield from _kernel_memory(memory)
    if _swappiness(memory) is not None:
        yield Discarded(NO_SWAPPINESS)
    if memory.disable_oom_killer:
        yield Discarded(NO_OOM_CONTROL)


def _kernel_memory(memory: spec.LinuxMemory) -> Iterator[Step]:
    """No kernel since 5.16 limits it, and runc passes over it."""
    if (memory.kernel or 0) > 0 or (memory.kernel_tcp or 0) > 0:
        yield Discarded(NO_KERNEL_MEMORY)


def _swappiness(memory: spec.LinuxMemory) -> int | None:
    value = memory.swappiness
    if value is None or value in (-1, (1 << 64) - 1):  # Docker's -1, through Go's uint64
        return None
    if not 0 <= value <= 100:
        raise errors.Invalid(f"invalid memory swappiness value: {value} (valid range is 0-100)")
    return value


def swap_alone(limit: int, both: int) -> int | None:
    """v2's limit of swap, from that of memory and that of memory and swap together.

    -1 is unlimited; 0 stands for unset in what comes in, None in what goes out.
    """
    if both == 0:
        return -1 if limit == -1 else None
    if both == -1 or limit == -1:
        return both
    if limit == 0:
        raise errors.Invalid("unable to set swap limit without memory limit")
    if limit < 0:
        raise errors.Invalid(f"invalid memory value: {limit}")
    if both < limit:
        raise errors.Invalid("memory+swap limit should be >= memory limit")
    return both - limit


def _or_max(value: int) -> str:
    return "max" if value == -1 else str(value)


# CPU


def _cpu_v1(resources: spec.LinuxResources) -> Iterator[Step]:
    cpu = resources.cpu
    if cpu is None:
        return
    if cpu.shares:
        yield _write("cpu.shares", _checked_shares(cpu.shares), NO_SHARES, again=True)
    # Period, burst and quota are checked against each other and the parent's at every write.
    if cpu.period:
        yield _write("cpu.cfs_period_us", cpu.period, NO_CFS, again=True)
    if cpu.burst is not None:
        yield _write("cpu.cfs_burst_us", cpu.burst, NO_CFS, again=True)
    if cpu.quota:
        yield _write("cpu.cfs_quota_us", cpu.quota, NO_CFS, again=True)
    if cpu.realtime_period:
        yield _write("cpu.rt_period_us", cpu.realtime_period, NO_REALTIME, again=True)
    if cpu.realtime_runtime:
        yield _write("cpu.rt_runtime_us", cpu.realtime_runtime, NO_REALTIME, again=True)
    if cpu.idle is not None:
        yield _write("cpu.idle", cpu.idle, NO_IDLE)
    yield from _cpuset(cpu)


def _checked_shares(shares: int) -> int:
    """The kernel would silently take the nearest that it can; runc's words."""
    if shares < 2:
        raise errors.Invalid("the minimum allowed cpu-shares is 2")
    if shares > 262144:
        raise errors.Invalid("the maximum allowed cpu-shares is 262144")
    return shares


def _cpu_v2(resources: spec.LinuxResources) -> Iterator[Step]:
    cpu = resources.cpu
    if cpu is None:
        return
    if cpu.shares:
        yield _write("cpu.weight", weight_of_shares(cpu.shares), NO_SHARES, again=True)
    if cpu.burst is not None:
        yield _write("cpu.max.burst", cpu.burst, NO_CFS, again=True)
    if cpu.quota or cpu.period:
        quota = str(cpu.quota) if (cpu.quota or 0) > 0 else "max"
        # Without a period the kernel keeps the one there is: 100000 in a new cgroup.
        value = f"{quota} {cpu.period}" if cpu.period else quota
        yield _write("cpu.max", value, NO_CFS, again=True)
    if cpu.realtime_period or cpu.realtime_runtime:
        yield Discarded(NO_REALTIME)
    if cpu.idle is not None:
        yield _write("cpu.idle", cpu.idle, NO_IDLE)
    yield from _cpuset(cpu)


def _cpuset(cpu: spec.LinuxCPU) -> Iterator[Step]:
    if cpu.cpus:
        yield _write("cpuset.cpus", cpu.cpus, NO_CPUSET)
    if cpu.mems:
        yield _write("cpuset.mems", cpu.mems, NO_CPUSET)


def weight_of_shares(shares: int) -> int:
    """v1's 2..262144 as v2's 1..10000, where the defaults 1024 and 100 meet (runc since 1.3.2)."""
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


# processes


def _pids(resources: spec.LinuxResources) -> Iterator[Step]:
    limit = resources.pids.limit if resources.pids is not None else None
    if limit is not None:
        # None at all would be no container; runc, too, makes 1 of 0.
        yield _write("pids.max", "max" if limit < 0 else max(limit, 1), NO_PIDS)


# block I/O


def _blkio_v1(resources: spec.LinuxResources) -> Iterator[Step]:
    io = resources.block_io
    if io is None:
        return
    if io.weight:
        yield _bfq_else("weight", str(io.weight), NO_WEIGHT)
    if io.leaf_weight:
        yield _write("blkio.leaf_weight", io.leaf_weight, NO_WEIGHT)
    for device in io.weight_device:
        name = f"{device.major}:{device.minor}"
        if device.weight:
            yield _bfq_else("weight_device", f"{name} {device.weight}", NO_WEIGHT_DEVICE)
        if device.leaf_weight:
            value = f"{name} {device.leaf_weight}"
            yield _write("blkio.leaf_weight_device", value, NO_WEIGHT_DEVICE)
    for (file, _, absent), devices_of in zip(_THROTTLES, _throttled(io), strict=True):
        for throttle in devices_of:
            value = f"{throttle.major}:{throttle.minor} {throttle.rate}"
            yield _write(f"blkio.throttle.{file}_device", value, absent)


def _bfq_else(name: str, value: str, absent: str) -> Write:
    """CFQ had `blkio.weight`; BFQ, its heir, has a name of its own."""
    bfq = _write(f"blkio.bfq.{name}", value, absent)
    return _write(f"blkio.{name}", value, absent)._replace(otherwise=bfq)


def _throttled(io: spec.LinuxBlockIO) -> tuple[list[spec.ThrottleDevice], ...]:
    """In the order of _THROTTLES."""
    return (
        io.throttle_read_bps_device,
        io.throttle_write_bps_device,
        io.throttle_read_iops_device,
        io.throttle_write_iops_device,
    )


def _io_v2(resources: spec.LinuxResources) -> Iterator[Step]:
    io = resources.block_io
    if io is None:
        return
    if io.weight:
        yield _io_weight("", io.weight, NO_WEIGHT)
    for device in io.weight_device:
        if device.weight:
            name = f"{device.major}:{device.minor} "
            yield _io_weight(name, device.weight, NO_WEIGHT_DEVICE)
    limits: dict[str, list[str]] = {}
    warnings: dict[str, str] = {}
    for (_, key, absent), devices_of in zip(_THROTTLES, _throttled(io), strict=True):
        for throttle in devices_of:
            device_name = f"{throttle.major}:{throttle.minor}"
            limits.setdefault(device_name, []).append(f"{key}={throttle.rate or 'max'}")
            warnings.setdefault(device_name, absent)
    for device_name, words in limits.items():
        yield _write("io.max", f"{device_name} {' '.join(words)}", warnings[device_name])


def _io_weight(device: str, weight: int, absent: str) -> Write:
    other = _write("io.weight", f"{device}{io_weight(weight)}", absent)
    return _write("io.bfq.weight", f"{device}{weight}", absent)._replace(otherwise=other)


def io_weight(weight: int) -> int:
    """blkio's 10..1000 as io.weight's 1..10000, in a straight line."""
    return 1 + (weight - 10) * 9999 // 990


# the rest


def _hugetlb_v1(resources: spec.LinuxResources) -> Iterator[Step]:
    yield from _hugetlb(resources, "limit_in_bytes")


def _hugetlb_v2(resources: spec.LinuxResources) -> Iterator[Step]:
    yield from _hugetlb(resources, "max")


def _hugetlb(resources: spec.LinuxResources, suffix: str) -> Iterator[Step]:
    for huge in resources.hugepage_limits:
        if not huge.page_size.isalnum():
            raise errors.Invalid(f"invalid hugepage size {huge.page_size!r}")
        yield _write(f"hugetlb.{huge.page_size}.{suffix}", huge.limit, NO_HUGETLB)
        # Reservations are counted apart since Linux 5.7.
        yield _write(f"hugetlb.{huge.page_size}.rsvd.{suffix}", huge.limit, "")


def _rdma(resources: spec.LinuxResources) -> Iterator[Step]:
    for device, limit in resources.rdma.items():
        words = [device]
        if limit.hca_handles is not None:
            words.append(f"hca_handle={limit.hca_handles}")
        if limit.hca_objects is not None:
            words.append(f"hca_object={limit.hca_objects}")
        if len(words) > 1:
            yield _write("rdma.max", " ".join(words), NO_RDMA)


def _network_v1(resources: spec.LinuxResources) -> Iterator[Step]:
    network = resources.network
    if network is None:
        return
    if network.class_id:
        yield _write("net_cls.classid", network.class_id, NO_NETWORK)
    for priority in network.priorities:
        yield _write("net_prio.ifpriomap", f"{priority.name} {priority.priority}", NO_NETWORK)


def _network_v2(resources: spec.LinuxResources) -> Iterator[Step]:
    network = resources.network
    if network is not None and (network.class_id or network.priorities):
        yield Discarded(NO_NETWORK)


def _unified(resources: spec.LinuxResources) -> Iterator[Step]:
    """Files by their own names, in v2 only; the last word after all that is derived."""
    for file, value in resources.unified.items():
        if "/" in file:
            raise errors.Invalid(f'unified resource "{file}" must be a file name (no slashes)')
        if not all(file.partition(".")):
            raise errors.Invalid(
                f'unified resource "{file}" must be in the form CONTROLLER.PARAMETER'
            )
        for line in value.splitlines() or [""]:
            yield _write(file, line)


_Part = Callable[[spec.LinuxResources], Iterator[Step]]
_PARTS_V1: tuple[_Part, ...] = (
    _memory_v1, _cpu_v1, _pids, _blkio_v1, _hugetlb_v1, _rdma, _network_v1,
)  # fmt: skip
_PARTS_V2: tuple[_Part, ...] = (
    _memory_v2, _cpu_v2, _pids, _io_v2, _hugetlb_v2, _rdma, _network_v2, _unified,
)  # fmt: skip
