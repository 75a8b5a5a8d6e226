"""What a supervisor asks of a runtime: ours (`container`), or another one (`binary`)."""

from typing import Protocol

from pinnace.linux import cgroup
from pinnace.oci import spec
from pinnace.runtime import sources
from pinnace.runtime.container import Entered, Entry, Setting


class Process(Protocol):
    """A further process in a container; before `start` it has not been executed."""

    pid: int
    pidfd: int
    console: int | None

    def start(self, wanted: spec.Process) -> list[str]:
        """Execute it; warnings about limits. Raises StartFailed."""


class Runtime(Protocol):
    """One container. After set_up it has a process; after start that runs the program."""

    pid: int
    pidfd: int
    cgroup: cgroup.Cgroup | None
    owner: sources.Owner

    def set_up(self, setting: Setting) -> tuple[int | None, list[str]]:
        """(the console's master if it has a terminal, warnings). Raises StartFailed, OSError."""

    def start(self, wanted: spec.Process) -> list[str]:
        """Execute the program; warnings about limits. Raises StartFailed."""

    def enter(self, entry: Entry) -> Process:
        """A further process in the same namespaces. Raises StartFailed, OSError."""

    def own_processes(self) -> bool:
        """Whether the end of the first process is that of all others."""

    def delete(self) -> None:
        """End what still runs and leave nothing; at any time, idempotent."""


__all__ = ["Entered", "Process", "Runtime"]
