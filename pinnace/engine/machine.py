"""Reads this host's facts.Machine: what it is, and what its kernel offers.

Rule: nothing is run and nothing is changed; what can't be read is not there.
"""

import os
from typing import Final

from pinnace.engine.facts import THERMAL, Machine, Support
from pinnace.linux import capabilities, cgroup, cgroup_support

# The oldest kernels with what id-mapped layers and recursive attributes of mounts need:
# mount_setattr(2) is of 5.12, overlayfs takes id-mapped layers from 5.19 on.
_MOUNT_SETATTR: Final = (5, 12)
_IDMAPPED_OVERLAY: Final = (5, 19)
# Without one of these a container's id maps can't be written (user_namespaces(7)).
_MAPPERS: Final = frozenset({"CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID"})
_WHOLE_RANGE: Final = ["0", "0", str(2**32 - 1)]


def read() -> Machine:
    """Raises OSError on a host without control groups: nothing can be contained there."""
    host = os.uname()
    groups = cgroup.detect()
    cpuset = cgroup_support.cpuset(groups)
    own = capabilities.available()
    kernel = release(host.release)
    return Machine(
        architecture=host.machine,
        kernel=host.release,
        hostname=host.nodename,
        cpus=len(os.sched_getaffinity(0)),
        cpu_list=cpuset.cpus or _text("/sys/devices/system/cpu/online"),
        memory_nodes=cpuset.mems or _text("/sys/devices/system/node/online") or "0",
        memory_total=memory_total(_text("/proc/meminfo")),
        cgroup_version=groups.version,
        support=Support(**cgroup_support.support(groups)._asdict()),
        capabilities=own,
        # Only there with CONFIG_SECCOMP_FILTER.
        seccomp=os.path.exists("/proc/sys/kernel/seccomp/actions_avail"),
        apparmor=_text("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        user_namespaces=kernel >= _IDMAPPED_OVERLAY and _user_namespaces(own),
        recursive_readonly=kernel >= _MOUNT_SETATTR,
        ping_group_range=os.path.exists("/proc/sys/net/ipv4/ping_group_range"),
        unprivileged_ports=os.path.exists("/proc/sys/net/ipv4/ip_unprivileged_port_start"),
        thermal_paths=_thermal_paths(),
        ip_forwarding=_text("/proc/sys/net/ipv4/ip_forward") == "1",
    )


def _text(path: str) -> str:
    """What is in a small file of the kernel; nothing if it is not there."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def release(text: str) -> tuple[int, int]:
    """`6.12.0-1-amd64` → (6, 12); what is not understood counts as very old."""
    parts = text.split(".")
    major, minor = parts[0], parts[1] if len(parts) > 1 else ""
    digits = minor[: next((i for i, c in enumerate(minor) if not c.isdigit()), len(minor))]
    return (int(major), int(digits or 0)) if major.isdigit() else (0, 0)


def memory_total(meminfo: str) -> int:
    """Bytes, from /proc/meminfo."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _user_namespaces(own: list[str]) -> bool:
    """Whether every container can have its own: a namespace of ours has too few ids to give."""
    return (
        os.path.exists("/proc/self/ns/user")
        and _text("/proc/sys/user/max_user_namespaces") != "0"
        and _MAPPERS.issubset(own)
        and all(_text(f"/proc/self/{kind}_map").split() == _WHOLE_RANGE for kind in ("uid", "gid"))
    )


def _thermal_paths() -> list[str]:
    """Docker masks those of all CPUs that have one: they tell of other tenants' load."""
    paths = (THERMAL.format(number) for number in range(os.cpu_count() or 1))
    return [path for path in paths if os.path.exists(path)]
