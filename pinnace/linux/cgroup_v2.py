"""A cgroup of the unified hierarchy (version 2).

Also used beside version 1's hierarchies, where the unified one has no controllers but still
kills, freezes and tells when it is empty better than they do.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Iterable, Sequence

from pinnace.linux import bpf, cgroup_files, cgroup_stats, syscall
from pinnace.linux.cgroup_files import DeviceFilter, Step
from pinnace.linux.cgroup_stats import Cpu, Io, Memory, Pids

# What limits and statistics need; more would cost the processes something for nothing.
WANTED = ("cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc")

_IN_MODIFY = 0x2
_FIRST_PAUSE, _LAST_PAUSE = 0.00005, 0.01


class V2:
    """The cgroup `path` below the mount point `root`, whose controllers are `available`."""

    def __init__(self, root: str, path: str, available: Iterable[str] = ()) -> None:
        self.path = path
        self._root = root
        self.folder = root + path
        self._wanted = [name for name in WANTED if name in available]

    def create(self) -> None:
        cgroup_files.make(self.folder)
        if not self._wanted:
            return
        try:
            self._delegate()
        except OSError:
            os.rmdir(self.folder)
            raise

    def _delegate(self) -> None:
        """Switch the controllers on in every parent, from the root down."""
        if not self._missing(self.folder, "cgroup.controllers"):
            return
        parent = self._root
        for name in self.path[1:].split("/"):
            if missing := self._missing(parent, "cgroup.subtree_control"):
                self._enable(parent, missing)
            parent = f"{parent}/{name}"

    def _missing(self, folder: str, file: str) -> list[str]:
        words = cgroup_files.read(f"{folder}/{file}").decode().split()
        return [name for name in self._wanted if name not in words]

    @staticmethod
    def _enable(folder: str, names: Sequence[str]) -> None:
        control = f"{folder}/cgroup.subtree_control"
        try:
            cgroup_files.write(control, " ".join(f"+{name}" for name in names))
        except OSError:
            for name in names:
                try:
                    cgroup_files.write(control, f"+{name}")
                except OSError:
                    # One that can't be had here is missed, with a warning, when a limit needs it.
                    pass

    def _home(self) -> str:
        """The folder that takes processes.

        One with controllers switched on for its children takes none (cgroup-v2.rst, "No
        Internal Process Constraint"): when the container's own init (systemd) has moved itself
        down, those who come later join it there.
        """
        if cgroup_files.read_if_there(f"{self.folder}/cgroup.subtree_control") in (
            None,
            b"\n",
            b"",
        ):
            return self.folder
        return _populated(self.folder) or self.folder

    def open(self) -> int | None:
        """A descriptor for clone3(CLONE_INTO_CGROUP)."""
        return os.open(self._home(), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def add(self, pid: int) -> None:
        try:
            cgroup_files.write(f"{self.folder}/cgroup.procs", str(pid))
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EOPNOTSUPP):
                raise
            cgroup_files.write(f"{self._home()}/cgroup.procs", str(pid))

    def write(self, steps: Sequence[Step]) -> list[str]:
        plain = [step for step in steps if not isinstance(step, DeviceFilter)]
        for step in steps:
            if isinstance(step, DeviceFilter):
                self._filter_devices(step.program)
        return cgroup_files.perform(plain, lambda controller: self.folder)

    def _filter_devices(self, program: bytes) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            bpf.install_device_filter(fd, program)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.folder) from None
        finally:
            os.close(fd)

    def read(self, name: str) -> str:
        return cgroup_files.read(f"{self.folder}/{name}").decode()

    def _maybe(self, name: str) -> bytes | None:
        return cgroup_files.read_if_there(f"{self.folder}/{name}")

    def memory(self) -> Memory | None:
        usage = self._maybe("memory.current")
        if usage is None:
            return None
        events = cgroup_stats.table(self._maybe("memory.events") or b"")
        return Memory(
            cgroup_stats.number(usage),
            cgroup_stats.number(self._maybe("memory.peak") or b"0"),  # since 5.19
            cgroup_stats.number(self._maybe("memory.max") or b"max"),
            events.get("oom", 0),
            cgroup_stats.table(self._maybe("memory.stat") or b""),
        )

    def cpu(self) -> Cpu | None:
        stat = self._maybe("cpu.stat")
        return None if stat is None else cgroup_stats.cpu_v2(stat)

    def pids(self) -> Pids | None:
        current = self._maybe("pids.current")
        if current is None:
            return None
        return cgroup_stats.pids(current, self._maybe("pids.max") or b"max")

    def io(self) -> Io | None:
        stat = self._maybe("io.stat")
        return None if stat is None else cgroup_stats.io_v2(stat)

    def oom_kills(self) -> int:
        return cgroup_stats.table(self._maybe("memory.events") or b"").get("oom_kill", 0)

    def watch_oom(self) -> int | None:
        fd = syscall.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            syscall.inotify_add_watch(fd, f"{self.folder}/memory.events", _IN_MODIFY)
        except FileNotFoundError:
            os.close(fd)
            return None
        return fd

    @property
    def frozen(self) -> bool:
        return self._events().get("frozen", 0) == 1

    def freeze(self, *, timeout: float = 10) -> None:
        cgroup_files.write(f"{self.folder}/cgroup.freeze", "1")
        if not self._wait("frozen", 1, timeout):
            self.thaw()
            raise OSError(errno.ETIMEDOUT, "unable to freeze", self.folder)

    def thaw(self) -> None:
        cgroup_files.write(f"{self.folder}/cgroup.freeze", "0")

    def processes(self) -> list[int]:
        return cgroup_files.processes(self.folder)

    def kill(self, number: int = signal.SIGKILL, *, timeout: float = 10) -> None:
        if number != signal.SIGKILL:
            signal_each(self.processes(), number)
            return
        end = time.monotonic() + timeout
        try:
            cgroup_files.write(f"{self.folder}/cgroup.kill", "1")
        except FileNotFoundError:
            self._kill_frozen(end)
        if not self._wait("populated", 0, end - time.monotonic()):
            raise OSError(errno.ETIMEDOUT, "processes do not die", self.folder)

    def _kill_frozen(self, end: float) -> None:
        """Without cgroup.kill (before 5.14): frozen processes can't fork away from the signals."""
        while self._events().get("populated") and time.monotonic() < end:
            self.freeze(timeout=max(0.0, end - time.monotonic()))
            signal_each(self.processes(), signal.SIGKILL)
            self.thaw()
            self._wait("populated", 0, 0.05)

    def _events(self) -> dict[str, int]:
        """cgroup.events; a cgroup that is gone is empty."""
        try:
            return cgroup_stats.table(cgroup_files.read(f"{self.folder}/cgroup.events"))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            return {}

    def _wait(self, word: str, value: int, timeout: float) -> bool:
        """Until cgroup.events says `word value`, or the cgroup is gone; False when it is late.

        The kernel wakes us at changes of the file, but two within 10 ms only once and late
        (CGROUP_FILE_NOTIFY_MIN_INTV): so the first looks don't wait for that.
        """
        end, pause = time.monotonic() + timeout, _FIRST_PAUSE
        try:
            fd = os.open(f"{self.folder}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        try:
            while cgroup_stats.table(os.pread(fd, 4096, 0)).get(word, value) != value:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                if pause < _LAST_PAUSE:
                    time.sleep(pause)
                    pause *= 2
                else:
                    poll.poll(left * 1000)
            return True
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return True
        finally:
            os.close(fd)

    def remove(self, *, timeout: float = 1) -> None:
        cgroup_files.remove_all([self.folder], timeout=timeout)


def signal_each(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def _populated(folder: str) -> str | None:
    """The first folder below that has processes of its own."""
    for child in cgroup_files.children(folder):
        if found := child if cgroup_files.members(child) else _populated(child):
            return found
    return None
