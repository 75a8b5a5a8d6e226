"""What Docker says of limits: refusals, and warnings about what the kernel doesn't have (pure)."""

from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec

from pinnace import errors
from pinnace.engine.documents import Resources, Ulimit
from pinnace.engine.facts import Machine, Support

R = TypeVar("R", bound=Resources)

MINIMUM_MEMORY: Final = 6 << 20
_CPUSET_MAXIMUM: Final = 8192

ULIMITS: Final = frozenset({
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
    "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
})  # fmt: skip


def check(wanted: R, machine: Machine, *, update: bool = False) -> tuple[R, list[str]]:
    """The limits as they can be had, and the warnings about those that can't."""
    wanted = _normalized(wanted)
    wanted, warnings = _discarded(wanted, machine.support)
    for problem in _problems(wanted, machine, update=update):
        raise errors.Invalid(problem)
    if wanted.oom_kill_disable and not wanted.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    return wanted, warnings


def _normalized(wanted: R) -> R:
    """0 pids is "not said" (Docker's client sends it always), -1 swappiness the kernel's own."""
    pids, swappiness = wanted.pids_limit, wanted.memory_swappiness
    if pids == 0:
        pids = None
    elif pids is not None and pids < 0:
        pids = -1
    return msgspec.structs.replace(
        wanted,
        pids_limit=pids,
        memory_swappiness=None if swappiness == -1 else swappiness,
        kernel_memory=0,  # gone from the API with 1.42, and from the kernel with 5.16
    )


def _discarded(wanted: R, support: Support) -> tuple[R, list[str]]:
    """Without what the kernel has no control group for."""
    changes: dict[str, object] = {}
    warnings: list[str] = []
    for unsupported, fields, warning in _unsupported(wanted, support):
        if unsupported:
            warnings.append(warning)
            changes |= fields
    if wanted.oom_kill_disable is False and not support.oom_kill_disable:
        changes["oom_kill_disable"] = None
    return msgspec.structs.replace(wanted, **changes), warnings


_NO: Final = "Your kernel does not support "
_MISSING: Final = " or the cgroup is not mounted. "


def _unsupported(
    wanted: Resources, support: Support
) -> Iterator[tuple[bool, dict[str, object], str]]:
    memory = wanted.memory > 0
    yield (
        memory and not support.memory,
        {"memory": 0, "memory_swap": -1},
        f"{_NO}memory limit capabilities{_MISSING}Limitation discarded.",
    )
    yield (
        memory and support.memory and wanted.memory_swap != -1 and not support.swap,
        {"memory_swap": -1},
        f"{_NO}swap limit capabilities{_MISSING}Memory limited without swap.",
    )
    yield (
        wanted.memory_swappiness is not None and not support.swappiness,
        {"memory_swappiness": None},
        f"{_NO}memory swappiness capabilities{_MISSING}Memory swappiness discarded.",
    )
    yield (
        wanted.memory_reservation > 0 and not support.reservation,
        {"memory_reservation": 0},
        f"{_NO}memory soft limit capabilities{_MISSING}Limitation discarded.",
    )
    yield (
        bool(wanted.oom_kill_disable) and not support.oom_kill_disable,
        {"oom_kill_disable": None},
        f"{_NO}OomKillDisable. OomKillDisable discarded.",
    )
    yield (
        bool(wanted.pids_limit) and not support.pids,
        {"pids_limit": None},
        f"{_NO}PIDs limit capabilities{_MISSING}PIDs limit discarded.",
    )
    yield (
        wanted.cpu_shares > 0 and not support.cpu_shares,
        {"cpu_shares": 0},
        f"{_NO}CPU shares{_MISSING}Shares discarded.",
    )
    yield (
        bool(wanted.cpu_period or wanted.cpu_quota) and not support.cpu_cfs,
        {"cpu_period": 0, "cpu_quota": 0},
        f"{_NO}CPU CFS scheduler. CPU period/quota discarded.",
    )
    yield (
        wanted.cpu_percent > 0,
        {"cpu_percent": 0},
        "linux does not support CPU percent. Percent discarded.",
    )
    yield (
        bool(wanted.cpuset_cpus or wanted.cpuset_mems) and not support.cpuset,
        {"cpuset_cpus": "", "cpuset_mems": ""},
        f"{_NO}cpuset{_MISSING}Cpuset discarded.",
    )
    yield from _unsupported_io(wanted, support)


def _unsupported_io(
    wanted: Resources, support: Support
) -> Iterator[tuple[bool, dict[str, object], str]]:
    yield (
        wanted.blkio_weight > 0 and not support.blkio_weight,
        {"blkio_weight": 0},
        f"{_NO}Block I/O weight{_MISSING}Weight discarded.",
    )
    yield (
        bool(wanted.blkio_weight_device) and not support.blkio_weight_device,
        {"blkio_weight_device": []},
        f"{_NO}Block I/O weight_device{_MISSING}Weight-device discarded.",
    )
    for field, what, limit in (
        ("blkio_device_read_bps", "BPS Block I/O read limit", "Block I/O BPS read limit"),
        ("blkio_device_write_bps", "BPS Block I/O write limit", "Block I/O BPS write limit"),
        ("blkio_device_read_iops", "IOPS Block read limit", "Block I/O IOPS read limit"),
        ("blkio_device_write_iops", "IOPS Block write limit", "Block I/O IOPS write limit"),
    ):
        given = bool(getattr(wanted, field)) and not support.blkio_throttle
        yield given, {field: []}, f"{_NO}{what}{_MISSING}{limit} discarded."


def _problems(wanted: Resources, machine: Machine, *, update: bool) -> Iterator[str]:
    yield from _memory_problems(wanted, update=update)
    yield from _cpu_problems(wanted, machine)
    yield from _cpuset_problems(wanted.cpuset_cpus, machine.cpu_list, "cpus", "CPUs")
    yield from _cpuset_problems(wanted.cpuset_mems, machine.memory_nodes, "mems", "memory nodes")
    if wanted.blkio_weight and not 10 <= wanted.blkio_weight <= 1000:
        yield "Range of blkio weight is from 10 to 1000"
    if wanted.io_maximum_bandwidth:
        yield "invalid option: QoS maximum bandwidth configuration is not supported on linux"
    if wanted.io_maximum_iops:
        yield "invalid option: QoS maximum IOPs configuration is not supported on linux"
    yield from filter(None, map(_ulimit_problem, wanted.ulimits))


def _memory_problems(wanted: Resources, *, update: bool) -> Iterator[str]:
    memory, swap, reservation = wanted.memory, wanted.memory_swap, wanted.memory_reservation
    if memory and memory < MINIMUM_MEMORY:
        yield "Minimum memory limit allowed is 6MB"
    if memory > 0 and 0 < swap < memory:
        yield "Minimum memoryswap limit should be larger than memory limit, see usage"
    if not memory and swap > 0 and not update:
        yield "You should always set the Memory limit when using Memoryswap limit, see usage"
    if swap < -1:  # Docker takes it for "unlimited"
        yield f"Invalid value: {swap}, the memoryswap limit is -1 (unlimited), 0, or positive"
    if wanted.memory_swappiness is not None and not 0 <= wanted.memory_swappiness <= 100:
        yield (f"Invalid value: {wanted.memory_swappiness}, valid memory swappiness range is 0-100")
    if reservation and reservation < MINIMUM_MEMORY:
        yield "Minimum memory reservation allowed is 6MB"
    if 0 < memory < reservation:
        yield "Minimum memory limit can not be less than memory reservation limit, see usage"


def _cpu_problems(wanted: Resources, machine: Machine) -> Iterator[str]:
    if wanted.nano_cpus > 0 and wanted.cpu_period > 0:
        yield "Conflicting options: Nano CPUs and CPU Period cannot both be set"
    if wanted.nano_cpus > 0 and wanted.cpu_quota > 0:
        yield "Conflicting options: Nano CPUs and CPU Quota cannot both be set"
    if wanted.nano_cpus > 0 and not machine.support.cpu_cfs:
        yield (
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler "
            "or the cgroup is not mounted"
        )
    if not 0 <= wanted.nano_cpus <= machine.cpus * 10**9:
        yield (
            f"range of CPUs is from 0.01 to {machine.cpus}.00, "
            f"as there are only {machine.cpus} CPUs available"
        )
    if wanted.cpu_period and not 1000 <= wanted.cpu_period <= 1_000_000:
        yield (
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    # -1 is unlimited; Docker takes any negative number.
    if wanted.cpu_quota not in (-1, 0) and wanted.cpu_quota < 1000:
        yield "CPU cfs quota can not be less than 1ms (i.e. 1000)"
    if wanted.cpu_shares < 0:
        yield f"invalid CPU shares ({wanted.cpu_shares}): value must be a positive integer"
    yield from _realtime_problems(wanted, machine.support)


def _realtime_problems(wanted: Resources, support: Support) -> Iterator[str]:
    period, runtime = wanted.cpu_realtime_period, wanted.cpu_realtime_runtime
    if (period or runtime) and not support.cpu_realtime:
        yield "kernel does not support CPU real-time scheduler"
    if period and runtime > period:
        yield "cpu real-time runtime cannot be higher than cpu real-time period"


def _cpuset_problems(text: str, available: str, field: str, what: str) -> Iterator[str]:
    try:
        wanted = parse_list(text)
    except ValueError as error:
        yield f"Invalid value {text} for cpuset {field}: {error}"
        return
    if not wanted <= parse_list(available):
        yield f"Requested {what} are not available - requested {text}, available: {available}"


def parse_list(text: str) -> set[int]:
    """`0-3,7` → {0, 1, 2, 3, 7}; ValueError in Docker's words."""
    numbers: set[int] = set()
    for part in text.split(",") if text else []:
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (_plain(first) and _plain(last)) or int(last) < int(first):
            raise ValueError(f"invalid format: {text}")
        if int(last) > _CPUSET_MAXIMUM:
            raise ValueError(f"value of out range, maximum is {_CPUSET_MAXIMUM}")
        numbers.update(range(int(first), int(last) + 1))
    return numbers


def _plain(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _ulimit_problem(limit: Ulimit) -> str:
    if limit.name not in ULIMITS:
        return f"wrong rlimit value: RLIMIT_{limit.name.upper()}"
    if limit.hard >= 0 and not 0 <= limit.soft <= limit.hard:
        return (
            f"ulimit soft limit must be less than or equal to hard limit: "
            f"{limit.soft} > {limit.hard}"
        )
    return ""
