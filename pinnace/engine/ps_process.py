"""One process or thread as /proc shows it: the raw material of `docker top`.

Ids of users are the container's own: what the kernel shows us is mapped back.
"""

import grp
import os
import pwd
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final, NamedTuple

TICKS: Final = 100  # USER_HZ, on every architecture we run on
_SPACES: Final = {0: " ", ord("\n"): " "}
_HIDDEN: Final = dict.fromkeys((*range(1, 32), *range(127, 160)), "?") | _SPACES


class Host(NamedTuple):
    """Seconds since the epoch and since the boot; bytes."""

    now: float
    uptime: float
    memory: int
    page: int


def host() -> Host:
    return Host(
        now=time.time(),
        uptime=time.clock_gettime(time.CLOCK_BOOTTIME),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        page=os.sysconf("SC_PAGE_SIZE"),
    )


class Ids:
    """A container's users and groups: host ids → its own → names, where this host has some."""

    def __init__(self, users: str = "", groups: str = "") -> None:
        self._maps = {"uid": id_map(users), "gid": id_map(groups)}
        self._names: dict[tuple[str, int], str] = {}

    def own(self, kind: str, number: int) -> int:
        for inside, outside, count in self._maps[kind]:
            if outside <= number < outside + count:
                return inside + number - outside
        return number

    def name(self, kind: str, number: int) -> str:
        """As Docker's ps does, by the host's names; a number has to do where there is none."""
        key = (kind, number)
        if key not in self._names:
            self._names[key] = _name(kind, number)
        return self._names[key]


def _name(kind: str, number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name if kind == "uid" else grp.getgrgid(number).gr_name
    except (KeyError, OverflowError):
        return str(number)


def id_map(text: str) -> list[tuple[int, int, int]]:
    """(inside, outside, count) for each line of /proc/PID/uid_map."""
    rows = (line.split() for line in text.splitlines())
    return [(int(a), int(b), int(count)) for a, b, count in rows]


def ids_of(pids: Iterable[int], proc: str) -> Ids:
    """The mapping of the container itself, not of user namespaces made inside it."""
    users = [_text(f"{proc}/{pid}/uid_map") for pid in pids]
    groups = [_text(f"{proc}/{pid}/gid_map") for pid in pids]
    return Ids(max(users, key=_extent, default=""), max(groups, key=_extent, default=""))


def _extent(text: str) -> int:
    return sum(count for _, _, count in id_map(text))


def _text(path: str) -> str:
    """Nothing for a file that is not there, or whose process is not any more."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


class Process:
    """`folder` is /proc/PID, or /proc/PID/task/TID; raises OSError when it is gone."""

    def __init__(self, folder: str, pid: int, host: Host, ids: Ids) -> None:
        self._folder = folder
        self.host = host
        self.ids = ids
        self.pid = pid
        with open(f"{folder}/stat", "rb", buffering=0) as file:
            data = file.read()
        # A command may have blanks and brackets in its name.
        start, end = data.index(b"("), data.rindex(b")")
        self.tid = int(data[:start])
        self.comm = visible(data[start + 1 : end])
        self._fields = data[end + 1 :].split()

    def stat(self, number: int) -> int:
        """A field by its number in proc_pid_stat(5)."""
        return int(self._fields[number - 3])

    @property
    def state(self) -> str:
        return self._fields[0].decode()

    @property
    def cpu_seconds(self) -> int:
        return (self.stat(14) + self.stat(15)) // TICKS

    @property
    def started(self) -> float:
        """Since the epoch; the boot's time is in whole seconds, as in /proc/stat."""
        return int(self.host.now - self.host.uptime) + self.stat(22) / TICKS

    @property
    def age(self) -> float:
        return max(0.0, self.host.uptime - self.stat(22) / TICKS)

    @property
    def cpu_tenths(self) -> int:
        """Tenths of a percent of one CPU, over its whole life."""
        used = (self.stat(14) + self.stat(15)) / TICKS
        return int(used * 1000 / self.age) if self.age > 0 else 0

    @property
    def rss(self) -> int:
        """KiB; what `stat` says of it is a guess of the kernel's."""
        return int(self.status.get("VmRSS", "0 kB").split()[0])

    @cached_property
    def status(self) -> Mapping[str, str]:
        lines = (line.partition(":") for line in self.read("status").splitlines())
        return {name: value.strip() for name, _, value in lines}

    def id(self, kind: str, which: int) -> int:
        """which: 0 real, 1 effective, 2 saved, 3 file system's."""
        words = self.status.get({"uid": "Uid", "gid": "Gid"}[kind], "").split()
        return self.ids.own(kind, int(words[which])) if words else 0

    @property
    def groups(self) -> list[int]:
        return [self.ids.own("gid", int(word)) for word in self.status.get("Groups", "").split()]

    @cached_property
    def args(self) -> str:
        """The command line; the name in brackets where there is none."""
        line = visible(self.read("cmdline").encode("utf-8", "surrogateescape")).strip(" ")
        line = line or f"[{self.comm}]"
        return f"{line} <defunct>" if self.state == "Z" else line

    def read(self, name: str) -> str:
        return _text(f"{self._folder}/{name}")

    def link(self, name: str) -> str:
        try:
            return os.readlink(f"{self._folder}/{name}")
        except OSError:
            return "-"


def visible(data: bytes) -> str:
    """What may be shown of a string that a stranger has chosen."""
    return data.decode("utf-8", "replace").replace("\ufffd", "?").translate(_HIDDEN)
