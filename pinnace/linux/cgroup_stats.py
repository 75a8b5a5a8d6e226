"""What a cgroup says of its use of resources, as values; parsed from both versions' files."""

from collections.abc import Iterable
from typing import NamedTuple

from pinnace.linux.cgroup_files import UNLIMITED

_TICK = 10_000_000  # nanoseconds; USER_HZ is 100 on every architecture we run on
_MICROSECOND = 1000


class Memory(NamedTuple):
    """Bytes. `limit` is UNLIMITED or v1's huge number when there is none.

    `failures` counts what Docker calls failcnt: hits of the limit (v1), OOM states (v2).
    `stat` is memory.stat, whose words differ between the versions.
    """

    usage: int
    peak: int
    limit: int
    failures: int
    stat: dict[str, int]


class Cpu(NamedTuple):
    """Nanoseconds; `per_cpu` is empty on v2."""

    total: int
    user: int
    system: int
    per_cpu: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class Pids(NamedTuple):
    """`limit` 0 is none, as Docker has it."""

    current: int
    limit: int


class IoEntry(NamedTuple):
    major: int
    minor: int
    operation: str
    value: int


class Io(NamedTuple):
    """Block I/O by device and operation; all but the first two need v1's CFQ."""

    service_bytes: tuple[IoEntry, ...] = ()
    serviced: tuple[IoEntry, ...] = ()
    queued: tuple[IoEntry, ...] = ()
    service_time: tuple[IoEntry, ...] = ()
    wait_time: tuple[IoEntry, ...] = ()
    merged: tuple[IoEntry, ...] = ()
    time: tuple[IoEntry, ...] = ()
    sectors: tuple[IoEntry, ...] = ()


class HostCpu(NamedTuple):
    """Nanoseconds that all CPUs together have spent, and how many are online."""

    total: int
    online: int


def number(data: bytes) -> int:
    text = data.strip()
    return UNLIMITED if text == b"max" else int(text)


def table(data: bytes) -> dict[str, int]:
    """Lines of a word and a number; other lines are passed over."""
    lines = (line.split() for line in data.splitlines())
    return {
        line[0].decode(): int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()
    }


def pids(current: bytes, limit: bytes) -> Pids:
    most = number(limit)
    return Pids(number(current), 0 if most == UNLIMITED else most)


def cpu_v1(per_cpu: bytes, stat: bytes, bandwidth: bytes | None) -> Cpu:
    """From cpuacct.usage_percpu, cpuacct.stat, and the cpu controller's cpu.stat."""
    each = tuple(map(int, per_cpu.split()))
    modes, throttle = table(stat), table(bandwidth or b"")
    return Cpu(
        sum(each),
        modes.get("user", 0) * _TICK,
        modes.get("system", 0) * _TICK,
        each,
        throttle.get("nr_periods", 0),
        throttle.get("nr_throttled", 0),
        throttle.get("throttled_time", 0),
    )


def cpu_v2(stat: bytes) -> Cpu:
    """From cpu.stat."""
    found = table(stat)
    return Cpu(
        found.get("usage_usec", 0) * _MICROSECOND,
        found.get("user_usec", 0) * _MICROSECOND,
        found.get("system_usec", 0) * _MICROSECOND,
        (),
        found.get("nr_periods", 0),
        found.get("nr_throttled", 0),
        found.get("throttled_usec", 0) * _MICROSECOND,
    )


def blkio(data: bytes) -> tuple[IoEntry, ...]:
    """A v1 blkio file: `8:0 Read 4096`, `8:0 17`, and a last line `Total 4096`."""
    return tuple(_blkio(line) for line in data.decode().splitlines() if ":" in line)


def _blkio(line: str) -> IoEntry:
    device, *operation, value = line.split()
    major, _, minor = device.partition(":")
    return IoEntry(int(major), int(minor), operation[0] if operation else "", int(value))


def io_v2(stat: bytes) -> Io:
    """From io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.

    Docker writes the operations of v2 small, those of v1 as the kernel does.
    """
    service_bytes: list[IoEntry] = []
    serviced: list[IoEntry] = []
    for line in stat.decode().splitlines():
        device, *items = line.split()
        # With no I/O at all some kernels print the device and nothing else.
        values = dict(_pairs(items))
        major, _, minor = device.partition(":")
        if not (major.isdigit() and minor.isdigit()):
            continue
        for target, suffix in ((service_bytes, "bytes"), (serviced, "ios")):
            for letter, operation in (("r", "read"), ("w", "write")):
                if (value := values.get(letter + suffix)) is not None:
                    target.append(IoEntry(int(major), int(minor), operation, value))
    return Io(tuple(service_bytes), tuple(serviced))


def _pairs(items: Iterable[str]) -> Iterable[tuple[str, int]]:
    for item in items:
        key, _, value = item.partition("=")
        if value.isdigit():
            yield key, int(value)


def host_cpu(stat: bytes) -> HostCpu:
    """From /proc/stat: user to softirq, as Docker adds them up."""
    total = online = 0
    for line in stat.splitlines():
        if not line.startswith(b"cpu"):
            break
        word, *ticks = line.split()
        if word == b"cpu":
            total = sum(map(int, ticks[:7])) * _TICK
        else:
            online += 1
    return HostCpu(total, online)
