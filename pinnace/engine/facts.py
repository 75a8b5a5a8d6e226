"""What the host is and has, as one frozen value, so that `bundle` and `validate` stay pure.

`HostFacts.machine` is read once when the engine opens; the rest is gathered for each start,
and only as far as the container asks for it.
"""

import os
import stat
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from pinnace.engine.documents import Container
from pinnace.linux import capabilities, mount
from pinnace.oci import spec

THERMAL: Final = "/sys/devices/system/cpu/cpu{}/thermal_throttle"


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """Which limits the kernel's control groups offer; Docker's `sysinfo`."""

    memory: bool = True
    swap: bool = True
    reservation: bool = True
    oom_kill_disable: bool = False
    swappiness: bool = False
    kernel_memory: bool = False
    pids: bool = True
    cpu_shares: bool = True
    cpu_cfs: bool = True
    cpu_realtime: bool = False
    cpuset: bool = True
    blkio_weight: bool = True
    blkio_weight_device: bool = True
    blkio_throttle: bool = True


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change while the engine runs."""

    architecture: str = "x86_64"
    kernel: str = "6.12.0"
    hostname: str = ""
    cpus: int = 1
    cpu_list: str = "0"
    memory_nodes: str = "0"
    memory_total: int = 0
    cgroup_version: int = 2
    support: Support = Support()
    capabilities: list[str] = msgspec.field(default_factory=lambda: list(capabilities.NUMBERS))
    seccomp: bool = True
    apparmor: bool = False
    user_namespaces: bool = True
    recursive_readonly: bool = True
    ping_group_range: bool = True
    unprivileged_ports: bool = True
    thermal_paths: list[str] = []
    ip_forwarding: bool = True


class Donor(msgspec.Struct, frozen=True, kw_only=True):
    """A running container whose namespaces are joined."""

    pid: int
    private_users: bool = False
    shm_path: str = ""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of the host that one container's specification depends on.

    id_base is the first host id of the container's own range of 65536. devices are by the path
    on the host that `--device` names (a folder stands for the devices in it); numbers are those
    of the block devices that limits name. sources override where a mount comes from, by
    destination (subpaths and images, which only the caller can resolve safely).
    propagation holds "shared", "slave" or "private" for the bind sources that ask to share.
    """

    machine: Machine = Machine()
    id_base: int = 0
    cgroup_parent: str = "/docker"
    donors: dict[str, Donor] = {}
    shm_path: str = ""
    host_devices: list[spec.Device] = []
    devices: dict[str, list[spec.Device]] = {}
    numbers: dict[str, tuple[int, int]] = {}
    not_idmappable: list[str] = []
    propagation: dict[str, tuple[str, str]] = {}
    sources: dict[str, str] = {}


def gather(
    container: Container,
    machine: Machine,
    *,
    idmappable: Callable[[str, bool], bool],
    id_base: int = 0,
    donors: dict[str, Donor] | None = None,
    shm_path: str = "",
    sources: dict[str, str] | None = None,
    cgroup_parent: str = "/docker",
) -> HostFacts:
    """Read what this container's specification needs; most containers need nothing.

    idmappable(path, recursive) says whether a bind mount of path can be id-mapped.
    """
    host = container.host_config
    binds = [point for point in container.mounts if point.type in ("bind", "volume")]
    numbers = {
        limit.path: device_numbers(limit.path)
        for limits in (
            host.blkio_weight_device,
            host.blkio_device_read_bps,
            host.blkio_device_write_bps,
            host.blkio_device_read_iops,
            host.blkio_device_write_iops,
        )
        for limit in limits
    }
    shared = [p.source for p in binds if p.propagation.lstrip("r") in ("shared", "slave")]
    return HostFacts(
        machine=machine,
        id_base=id_base,
        cgroup_parent=cgroup_parent,
        donors=donors or {},
        shm_path=shm_path,
        host_devices=devices_below("/dev") if host.privileged else [],
        devices={d.path_on_host: devices_at(d.path_on_host) for d in host.devices},
        numbers=numbers,
        not_idmappable=_not_idmappable(container, idmappable) if id_base else [],
        propagation=propagations(shared) if shared else {},
        sources=sources or {},
    )


def _not_idmappable(container: Container, idmappable: Callable[[str, bool], bool]) -> list[str]:
    refused = []
    for point in container.mounts:
        if point.type != "bind":
            continue
        options = point.mount.bind_options if point.mount else None
        if not idmappable(point.source, not (options and options.non_recursive)):
            refused.append(point.source)
    return refused


def device_numbers(path: str) -> tuple[int, int]:
    """Raises OSError when there is no such path."""
    number = os.stat(path).st_rdev
    return os.major(number), os.minor(number)


def devices_at(path: str) -> list[spec.Device]:
    """The device at path, or, when it is a folder, those below; empty when there is none."""
    device = _device(path, follow=True)
    if device:
        return [device]
    return devices_below(path) if os.path.isdir(path) else []


# What is not a container's to have: consoles and terminals of its own, mounts of its own.
_SKIPPED: Final = frozenset(
    {"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"}
)


def devices_below(folder: str) -> list[spec.Device]:
    """All devices below a folder; links are not followed, as containerd does not."""
    found: list[spec.Device] = []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name not in _SKIPPED)
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            found += devices_below(path)
        elif device := _device(path, follow=False):
            found.append(device)
    return found


def _device(path: str, *, follow: bool) -> spec.Device | None:
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError:
        return None
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if not kind:
        return None
    return spec.Device(
        path=path,
        type=kind,
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        file_mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def propagations(paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """For each path: the mount it is on, and whether that is shared, slave or private."""
    mounts = sorted(mount.mountinfo(), key=lambda entry: len(entry.target))
    found: dict[str, tuple[str, str]] = {}
    for path in paths:
        real = os.path.realpath(path)
        on = [m for m in mounts if m.target == "/" or (real + "/").startswith(m.target + "/")][-1]
        found[path] = (on.target, _kind(on.propagation))
    return found


def _kind(tags: Iterable[str]) -> str:
    text = " ".join(tags)
    return "shared" if "shared:" in text else "slave" if "master:" in text else "private"
