"""The columns that `ps` knows, by the names for `-o`: their headers, values and texts (pure).

Names, headers and formats are those of procps-ng 4.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from pinnace.engine.ps_process import Process

Value: TypeAlias = int | float | str


class Column(NamedTuple):
    """`value` is what is sorted and selected by. Texts that are longer than `width` are cut and
    end with `mark`; 0 is no limit."""

    header: str
    value: Callable[[Process], Value]
    text: Callable[[Value], str] = str
    width: int = 0
    mark: str = ""


UNLIMITED: Final = 1 << 20


def cell(column: Column, process: Process, width: int = 0) -> str:
    """`width` takes the place of the column's own, if it has one.

    Blanks are joined, as Docker does by taking the lines of ps apart and together again.
    """
    text = " ".join(filter(None, column.text(column.value(process)).split(" ")))
    width = column.width and (width or column.width)
    if width and len(text) > width:
        return text[: width - len(column.mark)] + column.mark
    return text


# Texts


def tenths(value: Value) -> str:
    number = int(value)
    return str(number // 10) if number > 999 else f"{number // 10}.{number % 10}"


def clock(value: Value) -> str:
    """[days-]hours:minutes:seconds"""
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}-' if days else ''}{hours:02}:{minutes:02}:{seconds:02}"


def elapsed(value: Value) -> str:
    """[[days-]hours:]minutes:seconds"""
    text = clock(value)
    return text.removeprefix("00:") if int(value) < 3600 else text


def minutes(value: Value) -> str:
    return f"{int(value) // 60}:{int(value) % 60:02}"


def _date(value: Value, form: str) -> str:
    return time.strftime(form, time.localtime(float(value)))


def _year(value: Value) -> str:
    return _date(value, "%a %b %d %H:%M:%S %Y")


def _hex(value: Value) -> str:
    return str(value).zfill(16)


# Values


def _field(number: int) -> Callable[[Process], Value]:
    return lambda process: process.stat(number)


def _status(name: str) -> Callable[[Process], Value]:
    return lambda process: process.status.get(name, "0")


def _id(kind: str, which: int) -> Callable[[Process], Value]:
    return lambda process: process.id(kind, which)


def _name(kind: str, which: int) -> Callable[[Process], Value]:
    return lambda process: process.ids.name(kind, process.id(kind, which))


def _namespace(name: str) -> Callable[[Process], Value]:
    """The inode in `net:[4026531840]`."""
    return lambda process: process.link(f"ns/{name}").partition("[")[2].rstrip("]") or "-"


def _stime(process: Process) -> Value:
    """The time today, the day this year, else the year."""
    now, then = time.localtime(process.host.now), time.localtime(process.started)
    if now.tm_year != then.tm_year:
        return _date(process.started, "%Y")
    return _date(process.started, "%b%d" if now.tm_yday != then.tm_yday else "%H:%M")


def _start(clock: str) -> Callable[[Process], Value]:
    """The time in the first day, then the day."""
    return lambda process: _date(process.started, clock if process.age < 86400 else "%b %d")


def tty(number: int) -> str:
    """The name of a terminal by its device number, guessed: the container's are not ours."""
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if 136 <= major <= 143:
        return f"pts/{minor + (major - 136) * 256}"
    if major == 4:
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"
    return {(5, 0): "tty", (5, 1): "console"}.get((major, minor), "?")


def _stat(process: Process) -> Value:
    nice = process.stat(19)
    return "".join(
        (
            process.state,
            "<" if nice < 0 else "N" if nice > 0 else "",
            "L" if process.status.get("VmLck", "0 kB") != "0 kB" else "",
            "s" if process.stat(6) == process.pid else "",
            "l" if process.stat(20) > 1 else "",
            "+" if process.stat(8) == process.stat(5) else "",
        )
    )


def _memory_tenths(process: Process) -> Value:
    return min(999, process.rss * 1024 * 1000 // process.host.memory)


def _code(process: Process) -> int:
    """Bytes of the program's text."""
    return max(0, process.stat(27) - process.stat(26))


_POLICIES: Final = {0: "TS", 1: "FF", 2: "RR", 3: "B", 4: "ISO", 5: "IDL", 6: "DLN"}


def _policy(process: Process) -> Value:
    return _POLICIES.get(process.stat(41), "?")


def _groups(process: Process) -> Value:
    return ",".join(process.ids.name("gid", number) for number in process.groups) or "-"


def _cgroups(process: Process) -> Value:
    lines = process.read("cgroup").splitlines()
    return ",".join(line for line in lines if not line.endswith(":/")) or "-"


def _wchan(process: Process) -> Value:
    found = process.read("wchan").strip("\0\n")
    return "-" if found in ("", "0") else found


def _label(process: Process) -> Value:
    return process.read("attr/current").strip("\0\n") or "-"


_PID: Final = Column("PID", lambda process: process.pid)
_TID: Final = Column("LWP", lambda process: process.tid)
_COMM: Final = Column("COMMAND", lambda process: process.comm)
_ARGS: Final = Column("COMMAND", lambda process: process.args)
_CPU: Final = Column("%CPU", lambda process: process.cpu_tenths, tenths)
_MEM: Final = Column("%MEM", _memory_tenths, tenths)
_RSS: Final = Column("RSS", lambda process: process.rss)
_VSZ: Final = Column("VSZ", lambda process: process.stat(23) // 1024)
_TTY: Final = Column("TT", lambda process: tty(process.stat(7)))
_TIME: Final = Column("TIME", lambda process: process.cpu_seconds, clock)
_NICE: Final = Column("NI", _field(19))
_PRIORITY: Final = Column("PRI", lambda process: 60 + process.stat(18))
_SID: Final = Column("SID", _field(6))
_PGID: Final = Column("PGID", _field(5))
_STATE: Final = Column("S", lambda process: process.state)
_FLAGS: Final = Column("F", lambda process: process.stat(9) >> 6 & 7)
_CLASS: Final = Column("CLS", _policy)
_SHARE: Final = Column("C", lambda process: min(99, process.cpu_tenths // 10))
_STIME: Final = Column("STIME", _stime)
_WCHAN: Final = Column("WCHAN", _wchan, width=6)
_NLWP: Final = Column("NLWP", _field(20))
_LABEL: Final = Column("LABEL", _label)

_NAME_WIDTH: Final = 8


def _names() -> dict[str, Column]:
    """User and group, each real, effective, saved and the file system's, by number and name."""
    columns = {}
    for kind, word in (("uid", "user"), ("gid", "group")):
        for which, prefixes in enumerate((("r",), ("", "e"), ("s", "sv"), ("f", "fs"))):
            for prefix in prefixes:
                number, name = prefix + kind, prefix + word
                columns[number] = Column(number.upper(), _id(kind, which))
                columns[name] = Column(
                    name.upper(), _name(kind, which), width=_NAME_WIDTH, mark="+"
                )
    return columns


COLUMNS: Final[dict[str, Column]] = {
    **_names(),
    "uname": Column("USER", _name("uid", 1), width=_NAME_WIDTH, mark="+"),
    "uid_hack": Column("UID", _name("uid", 1), width=_NAME_WIDTH, mark="+"),
    "supgid": Column("SUPGID", lambda process: ",".join(map(str, process.groups)) or "-"),
    "supgrp": Column("SUPGRP", _groups),
    "pid": _PID,
    "tgid": _PID._replace(header="TGID"),
    "ppid": Column("PPID", _field(4)),
    "lwp": _TID,
    "tid": _TID._replace(header="TID"),
    "spid": _TID._replace(header="SPID"),
    "pgid": _PGID,
    "pgrp": _PGID._replace(header="PGRP"),
    "sid": _SID,
    "sess": _SID._replace(header="SESS"),
    "session": _SID._replace(header="SESS"),
    "tpgid": Column("TPGID", _field(8)),
    "comm": _COMM,
    "ucomm": _COMM,
    "ucmd": _COMM._replace(header="CMD"),
    "fname": _COMM._replace(value=lambda process: process.comm[:8]),
    "args": _ARGS,
    "command": _ARGS,
    "cmd": _ARGS._replace(header="CMD"),
    "exe": Column("EXE", lambda process: process.link("exe")),
    "%cpu": _CPU,
    "pcpu": _CPU,
    "c": _SHARE,
    "util": _SHARE,
    "cp": Column("CP", lambda process: min(999, process.cpu_tenths)),
    "%mem": _MEM,
    "pmem": _MEM,
    "vsz": _VSZ,
    "vsize": _VSZ,
    "rss": _RSS,
    "rssize": _RSS,
    "rsz": _RSS._replace(header="RSZ"),
    "sz": Column("SZ", lambda process: process.stat(23) // process.host.page),
    "trs": Column("TRS", lambda process: _code(process) // 1024),
    "drs": Column("DRS", lambda process: max(0, process.stat(23) - _code(process)) // 1024),
    "stat": Column("STAT", _stat),
    "s": _STATE,
    "state": _STATE,
    "f": _FLAGS,
    "flag": _FLAGS,
    "flags": _FLAGS,
    "tt": _TTY,
    "tty": _TTY,
    "tname": _TTY._replace(header="TTY"),
    "tty4": _TTY._replace(header="TTY"),
    "tty8": _TTY._replace(header="TTY"),
    "longtname": _TTY._replace(header="TTY"),
    "time": _TIME,
    "cputime": _TIME,
    "atime": _TIME,
    "bsdtime": _TIME._replace(text=minutes),
    "times": _TIME._replace(text=str),
    "cputimes": _TIME._replace(text=str),
    "etime": Column("ELAPSED", lambda process: int(process.age), elapsed),
    "etimes": Column("ELAPSED", lambda process: int(process.age)),
    "stime": _STIME,
    "start_time": _STIME._replace(header="START"),
    "start": Column("STARTED", _start("%H:%M:%S")),
    "bsdstart": Column("START", _start("%H:%M")),
    "lstart": Column("STARTED", lambda process: process.started, _year),
    "nice": _NICE,
    "ni": _NICE,
    "priority": Column("PRI", _field(18)),
    "pri": Column("PRI", lambda process: 39 - process.stat(18)),
    "opri": _PRIORITY,
    "intpri": _PRIORITY,
    "rtprio": Column("RTPRIO", lambda process: process.stat(40) or "-"),
    "cls": _CLASS,
    "class": _CLASS,
    "policy": _CLASS._replace(header="POL"),
    "sched": Column("SCH", _field(41)),
    "psr": Column("PSR", _field(39)),
    "cpuid": Column("CPUID", _field(39)),
    "nlwp": _NLWP,
    "thcount": _NLWP._replace(header="THCNT"),
    "wchan": _WCHAN,
    "wname": _WCHAN,
    "min_flt": Column("MINFL", _field(10)),
    "minflt": Column("MINFLT", _field(10)),
    "maj_flt": Column("MAJFL", _field(12)),
    "majflt": Column("MAJFLT", _field(12)),
    "pagein": Column("PAGEIN", _field(12)),
    "pending": Column("PENDING", _status("ShdPnd"), _hex),
    "blocked": Column("BLOCKED", _status("SigBlk"), _hex),
    "ignored": Column("IGNORED", _status("SigIgn"), _hex),
    "caught": Column("CAUGHT", _status("SigCgt"), _hex),
    "addr": Column("ADDR", lambda process: "-"),
    "cgroup": Column("CGROUP", _cgroups),
    "label": _LABEL,
    "context": _LABEL._replace(header="CONTEXT"),
    "oom": Column("OOM", lambda process: int(process.read("oom_score") or 0)),
    "oomadj": Column("OOMADJ", lambda process: int(process.read("oom_score_adj") or 0)),
    "ipcns": Column("IPCNS", _namespace("ipc")),
    "mntns": Column("MNTNS", _namespace("mnt")),
    "netns": Column("NETNS", _namespace("net")),
    "pidns": Column("PIDNS", _namespace("pid")),
    "userns": Column("USERNS", _namespace("user")),
    "utsns": Column("UTSNS", _namespace("uts")),
    "cgroupns": Column("CGROUPNS", _namespace("cgroup")),
    "timens": Column("TIMENS", _namespace("time")),
}

COMMANDS: Final = frozenset({"args", "command", "cmd", "comm", "ucomm", "ucmd", "fname"})

# When threads are listed below their process, its line has no value for the first of these, and
# their lines have none for the second.
OF_THREADS: Final = frozenset({
    "lwp", "tid", "spid", "stat", "s", "state", "pri", "priority", "opri", "intpri", "rtprio",
    "nice", "ni", "psr", "cpuid", "wchan", "wname", "cls", "class", "policy", "sched",
})  # fmt: skip
_OF_BOTH: Final = frozenset({
    *_names(), "uname", "uid_hack", "c", "util", "cp", "%cpu", "pcpu", "time", "cputime", "atime",
    "bsdtime", "times", "cputimes", "etime", "etimes", "stime", "start_time", "start", "bsdstart",
    "lstart", "f", "flag", "flags", "min_flt", "minflt", "maj_flt", "majflt", "label", "context",
})  # fmt: skip
OF_PROCESSES: Final = frozenset(COLUMNS) - OF_THREADS - _OF_BOTH
