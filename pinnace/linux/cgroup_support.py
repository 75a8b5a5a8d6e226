"""Which limits this kernel's control groups offer, asked as Docker asks."""

import os
from typing import NamedTuple

from pinnace.linux import cgroup_files
from pinnace.linux.cgroup import Hierarchy, System

_THROTTLES = ("read_bps", "write_bps", "read_iops", "write_iops")


class Support(NamedTuple):
    memory: bool = False
    swap: bool = False
    reservation: bool = False
    oom_kill_disable: bool = False
    swappiness: bool = False
    kernel_memory: bool = False
    pids: bool = False
    cpu_shares: bool = False
    cpu_cfs: bool = False
    cpu_realtime: bool = False
    cpuset: bool = False
    blkio_weight: bool = False
    blkio_weight_device: bool = False
    blkio_throttle: bool = False


class Cpuset(NamedTuple):
    """What containers can be given, as lists: "0-3,7"."""

    cpus: str = ""
    mems: str = ""


def support(system: System) -> Support:
    unified = system.unified
    if system.version == 2 and unified is not None:
        return _v2(unified)
    return _v1(system.controllers)


def _v1(roots: dict[str, str]) -> Support:
    """v1: the controllers' roots have the files, weights excepted that only BFQ knows."""

    def has(file: str) -> bool:
        root = roots.get(file.partition(".")[0])
        return root is not None and os.path.exists(f"{root}/{file}")

    return Support(
        memory="memory" in roots,
        swap=has("memory.memsw.limit_in_bytes"),
        reservation=has("memory.soft_limit_in_bytes"),
        oom_kill_disable=has("memory.oom_control"),
        swappiness=has("memory.swappiness"),
        pids="pids" in roots,
        cpu_shares=has("cpu.shares"),
        cpu_cfs=has("cpu.cfs_quota_us"),
        cpu_realtime=has("cpu.rt_period_us"),
        cpuset="cpuset" in roots,
        blkio_weight=has("blkio.weight"),
        blkio_weight_device=has("blkio.weight_device"),
        blkio_throttle=all(has(f"blkio.throttle.{word}_device") for word in _THROTTLES),
    )


def _v2(unified: Hierarchy) -> Support:
    """v2: a controller has all that it ever had; swap is the kernel's choice."""
    memory, cpu, io = (name in unified.controllers for name in ("memory", "cpu", "io"))
    return Support(
        memory=memory,
        swap=memory and _swap(unified.target),
        reservation=memory,
        pids="pids" in unified.controllers,
        cpu_shares=cpu,
        cpu_cfs=cpu,
        cpuset="cpuset" in unified.controllers,
        blkio_weight=io,
        blkio_weight_device=io,
        blkio_throttle=io,
    )


def _swap(root: str) -> bool:
    """The root has no limits; any child with the memory controller shows which there are."""
    for child in (root, *cgroup_files.children(root)):
        if os.path.exists(f"{child}/memory.max"):
            return os.path.exists(f"{child}/memory.swap.max")
    return True


def cpuset(system: System) -> Cpuset:
    unified = system.unified
    if system.version == 2 and unified is not None:
        return _cpuset(unified.target, ".effective")
    root = system.controllers.get("cpuset")
    return Cpuset() if root is None else _cpuset(root, "")


def _cpuset(root: str, suffix: str) -> Cpuset:
    cpus = cgroup_files.read_if_there(f"{root}/cpuset.cpus{suffix}") or b""
    mems = cgroup_files.read_if_there(f"{root}/cpuset.mems{suffix}") or b""
    return Cpuset(cpus.decode().strip(), mems.decode().strip())
