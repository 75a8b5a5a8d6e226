"""`docker stats`: what a container uses now, as the document that Docker's clients reckon with.

watch = stats.watch("web")
watch.next()            # the first one has no `precpu_stats`
...                     # a second later
watch.next()            # clients take the difference of the two
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from pinnace import errors
from pinnace.engine.documents import Container
from pinnace.engine.facts import Machine
from pinnace.engine.registry import Registry
from pinnace.linux import cgroup
from pinnace.linux.cgroup import Cgroup, Cpu, HostCpu, Io, IoEntry, Memory, Pids
from pinnace.oci import timestamp

Shown: TypeAlias = dict[str, Any]

_NEVER: Final = "0001-01-01T00:00:00Z"

# What of memory.stat Docker passes on: containerd's choice.
_OF_V1: Final = (
    "cache", "rss", "rss_huge", "mapped_file", "dirty", "writeback", "pgpgin", "pgpgout",
    "pgfault", "pgmajfault", "inactive_anon", "active_anon", "inactive_file", "active_file",
    "unevictable",
)  # fmt: skip
_V1_WORDS: Final = (
    *_OF_V1,
    "hierarchical_memory_limit",
    "hierarchical_memsw_limit",
    *(f"total_{word}" for word in _OF_V1),
)
_V2_WORDS: Final = (
    "anon", "file", "kernel_stack", "slab", "sock", "shmem", "file_mapped", "file_dirty",
    "file_writeback", "anon_thp", "inactive_anon", "active_anon", "inactive_file", "active_file",
    "unevictable", "slab_reclaimable", "slab_unreclaimable", "pgfault", "pgmajfault",
    "workingset_refault", "workingset_activate", "workingset_nodereclaim", "pgrefill", "pgscan",
    "pgsteal", "pgactivate", "pgdeactivate", "pglazyfree", "pglazyfreed", "thp_fault_alloc",
    "thp_collapse_alloc",
)  # fmt: skip
# Where in a line of /proc/net/dev each number is.
_COUNTERS: Final = {
    "rx_bytes": 0, "rx_packets": 1, "rx_errors": 2, "rx_dropped": 3,
    "tx_bytes": 8, "tx_packets": 9, "tx_errors": 10, "tx_dropped": 11,
}  # fmt: skip
# The kernel's own in every namespace, the latter as soon as a tunnel's module is loaded.
_NOT_OURS: Final = frozenset(
    {
        "lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0",
        "ip6gre0",
    }
)  # fmt: skip


class Sample(NamedTuple):
    """What was read at one moment (ns since the epoch); None: the kernel does not count that."""

    at: int
    cpu: Cpu | None
    host: HostCpu
    memory: Memory | None
    pids: Pids | None
    io: Io | None
    networks: dict[str, dict[str, int]]


class Stats:
    """`group_of` is the cgroup of a running container, Conflict of another one."""

    def __init__(
        self, registry: Registry, machine: Machine, group_of: Callable[[Container], Cgroup]
    ) -> None:
        self._registry = registry
        self._machine = machine
        self._group_of = group_of

    def once(self, ident: str) -> Shown:
        """One sample and nothing before it (`one-shot`)."""
        return self.watch(ident).next()

    def watch(self, ident: str) -> "Watch":
        return Watch(self, self._registry.get(ident))

    def exists(self, container: Container) -> bool:
        try:
            return self._registry.get(container.id) is container
        except errors.NotFound:
            return False

    def sample(self, container: Container) -> Sample | None:
        """None of a container that does not run."""
        shared = container.host_config.network_mode == "host"
        try:
            return read(self._group_of(container), 0 if shared else container.state.pid)
        except (errors.Conflict, OSError):
            return None  # it has ended, maybe between two files

    def document(
        self, container: Container, now: Sample | None, before: Sample | None = None
    ) -> Shown:
        return document(container, now, before, self._machine)


class Watch:
    """Samples of one container, each told together with the one before it.

    It goes on when the container stops, with nothing in it, and is `over` when it is removed.
    """

    def __init__(self, stats: Stats, container: Container) -> None:
        self._stats = stats
        self._container = container
        self._last: Sample | None = None

    @property
    def over(self) -> bool:
        return not self._stats.exists(self._container)

    def next(self) -> Shown:
        before, self._last = self._last, self._stats.sample(self._container)
        return self._stats.document(self._container, self._last, before)


def read(group: Cgroup, pid: int) -> Sample:
    """Raises OSError when the cgroup is gone. No networks are looked at without a pid."""
    return Sample(
        at=time.time_ns(),
        cpu=group.cpu(),
        # Right after the cgroup's own: clients divide the one by the other.
        host=cgroup.host_cpu(),
        memory=group.memory(),
        pids=group.pids(),
        io=group.io(),
        networks=interfaces(_net_dev(pid)) if pid else {},
    )


def _net_dev(pid: int) -> str:
    with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
        return file.read()


def interfaces(text: str) -> dict[str, dict[str, int]]:
    """The counters of each interface in /proc/net/dev that the container was given."""
    found = {}
    for line in text.splitlines():
        name, colon, numbers = line.partition(":")
        if colon and name.strip() not in _NOT_OURS:
            words = numbers.split()
            found[name.strip()] = {key: int(words[place]) for key, place in _COUNTERS.items()}
    return found


# The document


def document(
    container: Container, now: Sample | None, before: Sample | None, machine: Machine
) -> Shown:
    """As Docker has it for either version of cgroups; zeros where Docker leaves nothing out."""
    shown = {
        "name": f"/{container.name}",
        "id": container.id,
        "os_type": "linux",
        "read": timestamp.text(now.at) if now else _NEVER,
        "preread": timestamp.text(before.at) if before else _NEVER,
        "pids_stats": _pids(now.pids if now else None),
        "blkio_stats": _io(now.io if now else None, machine),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before),
        "memory_stats": _memory(now.memory if now else None, machine),
    }
    if now and now.networks:
        shown["networks"] = now.networks
    return shown


def _without_zeros(shown: Shown) -> Shown:
    return {name: value for name, value in shown.items() if value}


def _pids(pids: Pids | None) -> Shown:
    return _without_zeros({"current": pids.current, "limit": pids.limit}) if pids else {}


def _cpu(sample: Sample | None) -> Shown:
    cpu = (sample and sample.cpu) or Cpu(0, 0, 0)
    host = sample.host if sample else HostCpu(0, 0)
    per_cpu = {"percpu_usage": list(cpu.per_cpu)} if cpu.per_cpu else {}
    return {
        "cpu_usage": {
            "total_usage": cpu.total,
            **per_cpu,
            "usage_in_kernelmode": cpu.system,
            "usage_in_usermode": cpu.user,
        },
        **_without_zeros({"system_cpu_usage": host.total, "online_cpus": host.online}),
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_time,
        },
    }


def _memory(memory: Memory | None, machine: Machine) -> Shown:
    if memory is None:
        return {}
    unified = machine.cgroup_version == 2
    words = _V2_WORDS if unified else _V1_WORDS
    limit = memory.limit
    if machine.memory_total:
        limit = min(limit, machine.memory_total)
    return _without_zeros(
        {
            "usage": memory.usage,
            "max_usage": 0 if unified else memory.peak,  # Docker does not read v2's
            "stats": _chosen(memory.stat, words),
            "failcnt": memory.failures,
            "limit": limit,
        }
    )


def _chosen(stat: Mapping[str, int], words: Sequence[str]) -> dict[str, int]:
    return {word: stat.get(word, 0) for word in sorted(words)}


def _io(io: Io | None, machine: Machine) -> Shown:
    """v2 has only the first; null, not empty, says that the others do not exist."""
    io_v1 = io if machine.cgroup_version == 1 else None
    first = _entries(io.service_bytes) if io else None
    return {
        "io_service_bytes_recursive": first or (None if io_v1 is None else []),
        "io_serviced_recursive": _entries(io_v1.serviced) if io_v1 else None,
        "io_queue_recursive": _entries(io_v1.queued) if io_v1 else None,
        "io_service_time_recursive": _entries(io_v1.service_time) if io_v1 else None,
        "io_wait_time_recursive": _entries(io_v1.wait_time) if io_v1 else None,
        "io_merged_recursive": _entries(io_v1.merged) if io_v1 else None,
        "io_time_recursive": _entries(io_v1.time) if io_v1 else None,
        "sectors_recursive": _entries(io_v1.sectors) if io_v1 else None,
    }


def _entries(entries: Sequence[IoEntry]) -> list[Shown]:
    return [
        {"major": each.major, "minor": each.minor, "op": each.operation, "value": each.value}
        for each in entries
    ]
