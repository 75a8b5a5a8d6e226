"""What the kernel holds for one engine: processes, mounts, cgroups, namespaces, descriptors.

Other engines run beside ours while tests run, so everything is attributed: a process by the mark
in its environment or by its cgroup, the rest by path or by the processes that hold it.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.harness.deadline import until

CGROUPS = Path("/sys/fs/cgroup")


class Held(NamedTuple):
    """Everything that one engine holds in the kernel at a moment, as comparable names."""

    processes: Counter[str]
    mounts: Counter[str]
    cgroups: Counter[str]
    links: Counter[str]
    namespaces: Counter[str]
    files: Counter[str]

    def beyond(self, before: "Held") -> dict[str, list[str]]:
        """What is held now and was not before; empty when nothing leaked."""
        more = {
            kind: sorted((now - then).elements())
            for kind, now, then in zip(self._fields, self, before, strict=True)
        }
        return {kind: names for kind, names in more.items() if names}


def held(mark: str, cgroup_parent: str, folder: Path) -> Held:
    pids = processes_of(mark, cgroup_parent)
    return Held(
        processes=_counted(title(pid) for pid in pids),
        mounts=_counted(mounts_below(folder)),
        cgroups=_counted(cgroups_of(cgroup_parent)),
        links=_counted(links()),
        namespaces=_counted(namespaces(pids)),
        files=_counted(name for pid in pids for name in descriptors(pid)),
    )


# What is kept ready for the next container has an id already, which differs from look to look.
IDENT = re.compile(r"\b[0-9a-f]{12,64}\b")


def _counted(names: Iterable[str]) -> Counter[str]:
    return Counter(IDENT.sub("ID", name) for name in names)


def _numbered(paths: Iterable[str]) -> Iterator[str]:
    """Cgroups by where they are and how many: those of prepared shells come and go by name."""
    beside: Counter[str] = Counter()
    for path in paths:
        parent = os.path.dirname(path)
        beside[parent] += 1
        yield f"{parent}/#{beside[parent]}"


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def processes_of(mark: str, cgroup_parent: str) -> list[int]:
    """Every process of one engine and of its containers."""
    return [pid for pid in processes() if _belongs(pid, mark.encode(), cgroup_parent.encode())]


def _belongs(pid: int, mark: bytes, cgroup_parent: bytes) -> bool:
    if pid == os.getpid():
        return False
    return mark in read(pid, "environ") or cgroup_parent in read(pid, "cgroup")


def read(pid: int, name: str) -> bytes:
    """A file of /proc/PID; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def title(pid: int) -> str:
    words = read(pid, "cmdline").replace(b"\0", b" ").strip() or read(pid, "comm").strip()
    return words.decode(errors="replace")[:120]


def children(pid: int) -> list[int]:
    return [int(word) for word in read(pid, f"task/{pid}/children").split()]


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def mounts_below(folder: Path) -> Iterator[str]:
    """Mount points in our namespace below the engine's folder."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            point = line.split()[4]
            if point.startswith(f"{folder}/"):
                yield point


def cgroups_of(parent: str) -> Iterator[str]:
    """Every cgroup below the engine's parent, in every hierarchy."""
    name = parent.strip("/")
    for root in [CGROUPS, *(path for path in CGROUPS.glob("*") if path.is_dir())]:
        top = root / name
        if top.is_dir():
            yield from (str(path) for path in top.rglob("*") if path.is_dir())


def links() -> list[str]:
    """Network links of the host, without those that a Docker beside us makes."""
    foreign = ("veth", "docker", "br-", "tmp")
    return [name for name in os.listdir("/sys/class/net") if not name.startswith(foreign)]


def namespaces(pids: Iterable[int]) -> Iterator[str]:
    """Network namespaces, named by rank and not by number: held by a process or a descriptor."""
    found = set()
    for pid in pids:
        found.add(_link(f"/proc/{pid}/ns/net"))
        found.update(name for name in targets(pid) if name.startswith("net:["))
    for rank, _ in enumerate(sorted(found - {"", _link("/proc/self/ns/net")})):
        yield f"netns {rank}"


def descriptors(pid: int) -> Iterator[str]:
    """What a process has open, by kind: numbers of sockets, pipes and namespaces left out.

    Each of the daemon's threads opens the database for itself, when it first needs it.
    """
    who = title(pid)
    for target in targets(pid):
        if ".db" in target:
            continue
        yield f"{who}: {target.split('[')[0] if ':[' in target else target}"


def targets(pid: int) -> list[str]:
    folder = f"/proc/{pid}/fd"
    try:
        return [_link(f"{folder}/{name}") for name in os.listdir(folder)]
    except OSError:
        return []


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def pss(pid: int, field: str = "Pss") -> int:
    """Proportional (or another kind of) memory of a process, in KiB."""
    for line in read(pid, "smaps_rollup").splitlines():
        name, _, value = line.partition(b":")
        if name.decode() == field:
            return int(value.split()[0])
    return 0


def private(pid: int) -> int:
    """Memory that would be free without this process, in KiB."""
    return pss(pid, "Private_Dirty") + pss(pid, "Private_Clean")


def kill(pids: Iterable[int]) -> None:
    """End these processes and see them gone."""
    pids = list(pids)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    until(lambda: all(gone(pid) for pid in pids), f"the end of {pids}")


def gone(pid: int) -> bool:
    """Ended: no such process, or a zombie that its parent has yet to reap."""
    status = read(pid, "stat")
    return not status or status.rpartition(b")")[2].split()[0] in (b"Z", b"X")


def remove_cgroups(parent: str) -> None:
    for path in sorted(cgroups_of(parent), key=len, reverse=True):
        _rmdir(path)
    for root in [CGROUPS, *CGROUPS.glob("*")]:
        _rmdir(str(root / parent.strip("/")))


def _rmdir(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        return


def unmount_below(folder: Path) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    detach = 2
    for point in sorted(mounts_below(folder), key=len, reverse=True):
        libc.umount2(os.fsencode(point), detach)
