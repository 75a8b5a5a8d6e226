"""A cgroup in all of version 1's hierarchies at once, and in the unified one beside them."""

import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence

from pinnace.linux import cgroup_files, cgroup_stats
from pinnace.linux.cgroup_files import DeviceFilter, Step
from pinnace.linux.cgroup_stats import Cpu, Io, IoEntry, Memory, Pids
from pinnace.linux.cgroup_v2 import V2, signal_each

# Io's fields in the words of CFQ (until Linux 5.0).
_CFQ = ("io_service_bytes", "io_serviced", "io_queued", "io_service_time", "io_wait_time",
        "io_merged", "time", "sectors")  # fmt: skip


class V1:
    """The cgroup `path` below the mount points of the controllers, some of which may be shared.

    Processes join the unified hierarchy too where it is mounted: one write there kills them all
    without a race, and freezing works on processes in every state. It costs one attach more.
    """

    def __init__(self, mounts: Mapping[str, str], path: str, unified: str | None = None) -> None:
        self.path = path
        self._folders = {controller: root + path for controller, root in mounts.items()}
        self._roots = mounts
        self._tree = V2(unified, path) if unified is not None else None
        folders = dict.fromkeys(self._folders.values())
        self._all = [*folders, self._tree.folder] if self._tree is not None else [*folders]

    def create(self) -> None:
        made: list[str] = []
        try:
            for folder in self._all:
                cgroup_files.make(folder)
                made.append(folder)
            if "cpuset" in self._folders:
                self._fill_cpuset(self._folders["cpuset"])
        except OSError:
            for folder in reversed(made):
                cgroup_files.remove(folder)
            raise

    def _fill_cpuset(self, folder: str) -> None:
        """Give a new cpuset its parent's CPUs and memory nodes: an empty one takes no process.

        With clone_children in the parent the kernel does that itself (cgroups.rst, 1.5), so
        only the first container below a parent gets past the first line.
        """
        if cgroup_files.read(f"{folder}/cpuset.cpus").strip():
            return
        parent = os.path.dirname(folder)
        if parent != self._roots["cpuset"]:
            self._fill_cpuset(parent)
            cgroup_files.write(f"{parent}/cgroup.clone_children", "1")
        for file in ("cpuset.cpus", "cpuset.mems"):
            value = cgroup_files.read(f"{parent}/{file}").decode().strip()
            cgroup_files.write(f"{folder}/{file}", value)

    def open(self) -> int | None:
        """None: clone3(CLONE_INTO_CGROUP) knows the unified hierarchy only."""
        return None

    def add(self, pid: int) -> None:
        data = b"%d" % pid
        for folder in self._all:
            fd = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, data)
            except OSError as error:
                raise OSError(error.errno, error.strerror, f"{folder}/cgroup.procs") from None
            finally:
                os.close(fd)

    def write(self, steps: Sequence[Step]) -> list[str]:
        plain = []
        for step in steps:
            if isinstance(step, DeviceFilter):
                raise OSError(errno.EOPNOTSUPP, "device filters need cgroup v2", self.path)
            plain.append(step)
        try:
            return cgroup_files.perform(plain, self._folders.get)
        except OSError as error:
            if error.errno == errno.EBUSY and str(error.filename).endswith("limit_in_bytes"):
                error.strerror = self._too_small()
            raise

    def _too_small(self) -> str:
        """EBUSY: less than what is in use and can't be reclaimed. runc's words."""
        memory = self.memory()
        if memory is None:
            return os.strerror(errno.EBUSY)
        return (
            f"unable to set memory limit (current usage: {memory.usage}, peak usage: {memory.peak})"
        )

    def _file(self, name: str) -> str:
        controller = name.partition(".")[0]
        if controller == "cgroup":
            return f"{self._all[-1]}/{name}"
        folder = self._folders.get(controller)
        if folder is None:
            raise OSError(errno.ENOENT, "no such cgroup controller", controller)
        return f"{folder}/{name}"

    def read(self, name: str) -> str:
        return cgroup_files.read(self._file(name)).decode()

    def _maybe(self, name: str) -> bytes | None:
        """None for a file or a controller that there is not."""
        if name.partition(".")[0] not in self._folders:
            return None
        return cgroup_files.read_if_there(self._file(name))

    def memory(self) -> Memory | None:
        usage = self._maybe("memory.usage_in_bytes")
        if usage is None:
            return None
        return Memory(
            cgroup_stats.number(usage),
            cgroup_stats.number(self._maybe("memory.max_usage_in_bytes") or b"0"),
            cgroup_stats.number(self._maybe("memory.limit_in_bytes") or b"max"),
            cgroup_stats.number(self._maybe("memory.failcnt") or b"0"),
            cgroup_stats.table(self._maybe("memory.stat") or b""),
        )

    def cpu(self) -> Cpu | None:
        per_cpu = self._maybe("cpuacct.usage_percpu")
        if per_cpu is None:
            return None
        stat = self._maybe("cpuacct.stat") or b""
        return cgroup_stats.cpu_v1(per_cpu, stat, self._maybe("cpu.stat"))

    def pids(self) -> Pids | None:
        current = self._maybe("pids.current")
        if current is None:
            return None
        return cgroup_stats.pids(current, self._maybe("pids.max") or b"max")

    def io(self) -> Io | None:
        if "blkio" not in self._folders:
            return None
        if self._entries("blkio.io_serviced_recursive"):
            return Io(*(self._entries(f"blkio.{word}_recursive") for word in _CFQ))
        # The block layer counts here whatever the scheduler of the disk.
        return Io(
            self._entries("blkio.throttle.io_service_bytes_recursive"),
            self._entries("blkio.throttle.io_serviced_recursive"),
        )

    def _entries(self, name: str) -> tuple[IoEntry, ...]:
        return cgroup_stats.blkio(self._maybe(name) or b"")

    def oom_kills(self) -> int:
        return cgroup_stats.table(self._maybe("memory.oom_control") or b"").get("oom_kill", 0)

    def watch_oom(self) -> int | None:
        folder = self._folders.get("memory")
        if folder is None:
            return None
        event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control_fd = os.open(f"{folder}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                cgroup_files.write(f"{folder}/cgroup.event_control", f"{event_fd} {control_fd}")
            finally:
                os.close(control_fd)
        except OSError:
            os.close(event_fd)
            raise
        return event_fd

    @property
    def frozen(self) -> bool:
        if self._tree is not None:
            return self._tree.frozen
        return (self._maybe("freezer.state") or b"").strip() == b"FROZEN"

    def freeze(self, *, timeout: float = 10) -> None:
        if self._tree is not None:
            self._tree.freeze(timeout=timeout)
            return
        state, end, tries = self._file("freezer.state"), time.monotonic() + timeout, 0
        while True:
            # Written again each time: processes born meanwhile leave it FREEZING for ever.
            cgroup_files.write(state, "FROZEN")
            if self.frozen:
                return
            if time.monotonic() >= end:
                self.thaw()
                raise OSError(errno.ETIMEDOUT, "unable to freeze", state)
            tries += 1
            if tries % 50 == 0:
                self.thaw()
            time.sleep(0.001)

    def thaw(self) -> None:
        if self._tree is not None:
            self._tree.thaw()
        else:
            cgroup_files.write(self._file("freezer.state"), "THAWED")

    def processes(self) -> list[int]:
        return cgroup_files.processes(self._all[-1])

    def kill(self, number: int = signal.SIGKILL, *, timeout: float = 10) -> None:
        if number != signal.SIGKILL:
            signal_each(self.processes(), number)
            return
        end = time.monotonic() + timeout
        if self._tree is not None:
            self._tree.kill(timeout=timeout)
        # Whatever is not in the unified hierarchy, or all when there is none.
        self._kill_each(self._all[0], end)

    def _kill_each(self, folder: str, end: float) -> None:
        """Frozen processes can't fork away from the signals; they die when thawed."""
        freezer = "freezer" in self._folders and self._tree is None
        pause = 0.0001
        while pids := cgroup_files.processes(folder):
            if time.monotonic() >= end:
                raise OSError(errno.ETIMEDOUT, "processes do not die", folder)
            if freezer:
                self.freeze(timeout=max(0.0, end - time.monotonic()))
                pids = cgroup_files.processes(folder)
            signal_each(pids, signal.SIGKILL)
            if freezer:
                self.thaw()
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def remove(self, *, timeout: float = 1) -> None:
        cgroup_files.remove_all(self._all, timeout=timeout)
