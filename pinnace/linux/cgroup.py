"""Control groups of either version behind one protocol, addressed from the hierarchies' roots.

Rule: a path is absolute, below the mount points, and never the root itself: what is killed,
frozen and removed here must not be the machine.
"""

import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pinnace.linux import cgroup_files, cgroup_stats, mount
from pinnace.linux.cgroup_files import UNLIMITED, DeviceFilter, Discarded, Step, Write
from pinnace.linux.cgroup_stats import Cpu, HostCpu, Io, IoEntry, Memory, Pids
from pinnace.linux.cgroup_v1 import V1
from pinnace.linux.cgroup_v2 import V2

__all__ = [
    "UNLIMITED",
    "V1",
    "V2",
    "Cgroup",
    "Cpu",
    "DeviceFilter",
    "Discarded",
    "Hierarchy",
    "HostCpu",
    "Io",
    "IoEntry",
    "Memory",
    "Pids",
    "Step",
    "System",
    "Write",
    "at",
    "detect",
    "end",
    "host_cpu",
    "normal",
    "system",
    "warm",
]

_FLAGS = {"rw", "ro", "none", "noprefix", "clone_children", "xattr", "cpuset_v2_mode",
          "favordynmods"}  # fmt: skip


class Cgroup(Protocol):
    """One cgroup, in every hierarchy that is mounted. All raise OSError with the path."""

    path: str

    def create(self) -> None:
        """Make it, empty and without limits, with the parents it needs; nothing stays on failure.

        One that exists is replaced, or EBUSY when it has processes.
        """

    def open(self) -> int | None:
        """A descriptor to clone into, which the caller closes; None: `add` the process."""

    def add(self, pid: int) -> None:
        """Move a process in. On v1 the first move after an idle time takes ~10 ms (see `warm`)."""

    def write(self, steps: Sequence[Step]) -> list[str]:
        """Set limits in their order; returns warnings for those that can't be had here.

        A value that the kernel refuses is an error; those before it stay written.
        """

    def read(self, name: str) -> str:
        """The text of a control file, `memory.stat`."""

    def memory(self) -> Memory | None:
        """None, here and below: the controller is not there. The cgroup gone is an error."""

    def cpu(self) -> Cpu | None: ...
    def pids(self) -> Pids | None: ...
    def io(self) -> Io | None: ...

    def oom_kills(self) -> int:
        """How many of its processes the OOM killer has killed so far."""

    def watch_oom(self) -> int | None:
        """A descriptor that becomes readable when memory may have run out; the caller closes it.

        Read it empty, then ask `oom_kills`. None without the memory controller.
        """

    @property
    def frozen(self) -> bool: ...

    def freeze(self, *, timeout: float = 10) -> None:
        """Returns when every process stands still; thawed again if that takes too long."""

    def thaw(self) -> None: ...

    def processes(self) -> list[int]:
        """Those of the cgroups below it too; none when it is gone."""

    def kill(self, number: int = signal.SIGKILL, *, timeout: float = 10) -> None:
        """Send a signal to every process; with SIGKILL, return when none is left.

        It works on a frozen cgroup, and does nothing when it is gone.
        """

    def remove(self, *, timeout: float = 1) -> None:
        """Remove it and those below; idempotent. EBUSY when processes stay that long."""


class Hierarchy(NamedTuple):
    """`controllers` as mount options name them, "name=systemd" being one; v2: what it offers."""

    target: str
    controllers: tuple[str, ...]
    unified: bool

    @property
    def name(self) -> str:
        """What its folder is called: "cpu,cpuacct", "systemd", "unified"."""
        return "unified" if self.unified else os.path.basename(self.target)

    @property
    def options(self) -> tuple[str, ...]:
        """What mounts it once more."""
        if self.unified:
            return ()
        # A hierarchy that has a name only must be told that it has no controller.
        named = not any(map(_is_controller, self.controllers))
        return ("none", *self.controllers) if named else self.controllers


class System(NamedTuple):
    """How this machine has mounted its cgroups.

    `version` is 1 as soon as one controller is with a v1 hierarchy, as Docker and systemd see it.
    `controllers` is where v1's are mounted, named hierarchies among them as "name=systemd".
    """

    hierarchies: tuple[Hierarchy, ...]
    version: int
    controllers: dict[str, str]
    unified: Hierarchy | None


def system(hierarchies: Sequence[Hierarchy]) -> System:
    controllers = {
        name: hierarchy.target
        for hierarchy in hierarchies
        if not hierarchy.unified
        for name in hierarchy.controllers
    }
    version = 1 if any(map(_is_controller, controllers)) else 2
    unified = next((each for each in hierarchies if each.unified), None)
    return System(tuple(hierarchies), version, controllers, unified)


def _is_controller(name: str) -> bool:
    return not name.startswith("name=")


def hierarchies(mounts: Iterable[mount.MountInfo]) -> list[Hierarchy]:
    """Each mounted hierarchy once: its first mount, but one of the whole tree before others.

    What the unified one offers is not said by its mount, and left out.
    """
    chosen: dict[str, mount.MountInfo] = {}
    for each in mounts:
        if each.fstype not in ("cgroup", "cgroup2"):
            continue
        known = chosen.get(each.device)
        if known is None or (known.root != "/" and each.root == "/"):
            chosen[each.device] = each
    return [
        Hierarchy(each.target, (), True)
        if each.fstype == "cgroup2"
        else Hierarchy(each.target, _controllers(each.super_options), False)
        for each in chosen.values()
    ]


def _controllers(options: str) -> tuple[str, ...]:
    words = options.split(",")
    return tuple(w for w in words if w not in _FLAGS and ("=" not in w or w.startswith("name=")))


_system: System | None = None  # mounts of cgroups don't change while a machine is up


def detect() -> System:
    """The machine's hierarchies; looked up once."""
    global _system
    if _system is None:
        found = []
        for each in hierarchies(mount.mountinfo()):
            if each.unified:
                names = cgroup_files.read(f"{each.target}/cgroup.controllers").decode().split()
                found.append(each._replace(controllers=tuple(names)))
            else:
                found.append(each)
        if not found:
            raise OSError(errno.ENOENT, "no cgroup hierarchy is mounted")
        _system = system(found)
    return _system


def at(path: str) -> Cgroup:
    """The cgroup of that path, whether it exists or not."""
    return on(detect(), normal(path))


def end(path: str) -> None:
    """Kill what runs in the cgroup of that path and remove it; nothing if it is gone."""
    group = at(path)
    group.kill()
    group.remove()


def on(machine: System, path: str) -> Cgroup:
    unified = machine.unified
    if machine.version == 2 and unified is not None:
        return V2(unified.target, path, unified.controllers)
    return V1(machine.controllers, path, None if unified is None else unified.target)


def normal(path: str) -> str:
    """The path without needless slashes and dots; one that could leave the root is refused."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not path.startswith("/") or not parts or ".." in parts or "\0" in path:
        raise OSError(errno.EINVAL, "not a cgroup below the root", path)
    return "/" + "/".join(parts)


def host_cpu() -> HostCpu:
    return cgroup_stats.host_cpu(cgroup_files.read("/proc/stat"))


def warm() -> None:
    """Let the next `add` on v1 not wait: for some 10 ms from the end of this call.

    The first move of a process after an idle time waits for an RCU grace period (4 to 15 ms),
    whatever process and hierarchy it is. Called from a thread when a start is to be expected,
    this spends that wait early: it moves the caller to where it is.
    """
    machine = detect()
    if machine.version == 1:
        _stay(machine.controllers, cgroup_files.read("/proc/self/cgroup").decode())


def _stay(mounts: Mapping[str, str], memberships: str) -> None:
    for line in memberships.splitlines():
        _, names, path = line.split(":", 2)
        target = mounts.get(names.partition(",")[0])
        if target is None:
            continue
        try:
            cgroup_files.write(f"{target}{path}/cgroup.procs".replace("//", "/"), str(os.getpid()))
        except OSError:
            continue  # our cgroup there is not visible from this mount; another hierarchy will do
        return


def children(path: str) -> list[str]:
    """Names of the cgroups directly below path, in whatever hierarchy they are."""
    names: set[str] = set()
    for hierarchy in detect().hierarchies:
        try:
            names.update(cgroup_files.children(hierarchy.target + normal(path)))
        except FileNotFoundError:
            continue
    return sorted(names)
