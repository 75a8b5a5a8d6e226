"""The limits and the devices of a container's specification (pure)."""

import re
from collections.abc import Sequence
from typing import Final

from pinnace import errors
from pinnace.engine.documents import (
    DeviceRequest,
    HostConfig,
    Resources,
    ThrottleDevice,
)
from pinnace.engine.facts import HostFacts
from pinnace.oci import spec

PIDS_LIMIT: Final = 4096
_CPU_PERIOD: Final = 100_000  # microseconds; what the kernel starts with

# Files are limited as systemd does since v240, and no core is dumped where nobody collects it.
RLIMITS: Final = (("nofile", 1024, 524288), ("core", 0, -1))
_UNLIMITED: Final = 2**64 - 1

_RULE: Final = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")

_ALLOWED: Final = ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))
DEFAULT_RULES: Final = (
    spec.DeviceRule(allow=False, access="rwm"),
    *(
        spec.DeviceRule(allow=True, type="c", major=major, minor=minor, access="rwm")
        for major, minor in _ALLOWED
    ),
    spec.DeviceRule(allow=False, type="c", major=10, minor=229, access="rwm"),  # fuse
)


def resources(host: HostConfig, facts: HostFacts) -> spec.LinuxResources:
    limits = limits_of(host, facts)
    return spec.LinuxResources(
        devices=device_rules(host, facts),
        memory=limits.memory,
        cpu=limits.cpu,
        pids=limits.pids or spec.LinuxPids(limit=PIDS_LIMIT),
        block_io=limits.block_io,
    )


def limits_of(wanted: Resources, facts: HostFacts) -> spec.LinuxResources:
    """Just the limits, as for an update; what is not mentioned is None."""
    return spec.LinuxResources(
        memory=_memory(wanted),
        cpu=_cpu(wanted),
        pids=_pids(wanted),
        block_io=_block_io(wanted, facts),
    )


def _memory(wanted: Resources) -> spec.LinuxMemory | None:
    memory = spec.LinuxMemory(
        limit=wanted.memory if wanted.memory > 0 else None,
        reservation=wanted.memory_reservation if wanted.memory_reservation > 0 else None,
        # -1 is "as much as there is"; Docker leaves it out, and so memsw unlimited.
        swap=wanted.memory_swap if wanted.memory_swap > 0 else None,
        swappiness=wanted.memory_swappiness,
        disable_oom_killer=wanted.oom_kill_disable,
        kernel=wanted.kernel_memory or None,
        kernel_tcp=wanted.kernel_memory_tcp or None,
    )
    return None if memory == spec.LinuxMemory() else memory


def _cpu(wanted: Resources) -> spec.LinuxCPU | None:
    period = wanted.cpu_period or None
    quota = wanted.cpu_quota or None
    if wanted.nano_cpus > 0:
        period = period or _CPU_PERIOD
        quota = quota or wanted.nano_cpus * _CPU_PERIOD // 10**9
    if wanted.cpu_shares < 0:
        raise errors.Failed(
            f"invalid CPU shares ({wanted.cpu_shares}): value must be a positive integer"
        )
    cpu = spec.LinuxCPU(
        shares=wanted.cpu_shares or None,
        period=period,
        quota=quota,
        realtime_period=wanted.cpu_realtime_period or None,
        realtime_runtime=wanted.cpu_realtime_runtime or None,
        cpus=wanted.cpuset_cpus,
        mems=wanted.cpuset_mems,
    )
    return None if cpu == spec.LinuxCPU() else cpu


def _pids(wanted: Resources) -> spec.LinuxPids | None:
    if not wanted.pids_limit:
        return None
    return spec.LinuxPids(limit=max(wanted.pids_limit, -1))


def _block_io(wanted: Resources, facts: HostFacts) -> spec.LinuxBlockIO | None:
    def throttles(limits: Sequence[ThrottleDevice]) -> list[spec.ThrottleDevice]:
        return [
            spec.ThrottleDevice(major=major, minor=minor, rate=limit.rate)
            for limit in limits
            for major, minor in [facts.numbers[limit.path]]
        ]

    block_io = spec.LinuxBlockIO(
        weight=wanted.blkio_weight or None,
        weight_device=[
            spec.WeightDevice(major=major, minor=minor, weight=device.weight)
            for device in wanted.blkio_weight_device
            for major, minor in [facts.numbers[device.path]]
        ],
        throttle_read_bps_device=throttles(wanted.blkio_device_read_bps),
        throttle_write_bps_device=throttles(wanted.blkio_device_write_bps),
        throttle_read_iops_device=throttles(wanted.blkio_device_read_iops),
        throttle_write_iops_device=throttles(wanted.blkio_device_write_iops),
    )
    return None if block_io == spec.LinuxBlockIO() else block_io


def rlimits(host: HostConfig) -> list[spec.Rlimit]:
    wanted = {name: (soft, hard) for name, soft, hard in RLIMITS}
    wanted |= {limit.name: (limit.soft, limit.hard) for limit in host.ulimits}
    return [
        spec.Rlimit(type=f"RLIMIT_{name.upper()}", soft=_amount(soft), hard=_amount(hard))
        for name, (soft, hard) in sorted(wanted.items())
    ]


def _amount(value: int) -> int:
    return _UNLIMITED if value < 0 else value


# Devices


def devices(host: HostConfig, facts: HostFacts) -> list[spec.Device]:
    """The nodes beside the default ones; raises errors.Failed for one that is not there."""
    if any(host.device_requests):
        raise no_driver(host.device_requests[0])
    found = list(facts.host_devices) if host.privileged else []
    for mapping in host.devices:
        target = mapping.path_in_container or mapping.path_on_host
        if host.privileged and target == mapping.path_on_host:
            continue  # it is among the host's devices
        found += [
            _placed(device, mapping.path_on_host, target)
            for device in _at(mapping.path_on_host, facts)
        ]
    return found


def device_rules(host: HostConfig, facts: HostFacts) -> list[spec.DeviceRule]:
    if host.privileged:
        return [*DEFAULT_RULES, spec.DeviceRule(allow=True, access="rwm")]
    rules = list(DEFAULT_RULES)
    for mapping in host.devices:
        rules += [
            spec.DeviceRule(
                allow=True,
                type=device.type,
                major=device.major,
                minor=device.minor,
                access=mapping.cgroup_permissions,
            )
            for device in _at(mapping.path_on_host, facts)
        ]
    return rules + [parse_rule(rule) for rule in host.device_cgroup_rules]


def parse_rule(text: str) -> spec.DeviceRule:
    match = _RULE.fullmatch(text)
    if match is None:
        raise errors.Invalid(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = match.groups()
    return spec.DeviceRule(
        allow=True,
        type=kind,
        major=None if major == "*" else int(major),
        minor=None if minor == "*" else int(minor),
        access=access,
    )


def no_driver(request: DeviceRequest) -> errors.PinnaceError:
    """There are no device drivers here (`--gpus`), so every request meets none."""
    sets = " ".join("[" + " ".join(names) + "]" for names in request.capabilities)
    return errors.Failed(
        f'could not select device driver "{request.driver}" with capabilities: [{sets}]'
    )


def _at(path: str, facts: HostFacts) -> list[spec.Device]:
    found = facts.devices.get(path, [])
    if not found:
        raise errors.Failed(
            f'error gathering device information while adding custom device "{path}": '
            "no such file or directory"
        )
    return found


def _placed(device: spec.Device, root: str, target: str) -> spec.Device:
    """The device under its name in the container; those of a folder keep their names in it."""
    below = device.path.removeprefix(root) if device.path.startswith(root + "/") else ""
    return spec.Device(
        path=target + below,
        type=device.type,
        major=device.major,
        minor=device.minor,
        file_mode=device.file_mode,
        uid=device.uid,
        gid=device.gid,
    )
