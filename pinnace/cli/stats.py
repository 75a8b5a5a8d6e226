"""`stats`: what containers use, once or as it changes."""

from __future__ import annotations

import select
import time

from pinnace.cli import document, format, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError, Unreachable
from pinnace.cli.ps import TABLE_FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pinnace.cli.client import Response
    from pinnace.cli.invocation import Invocation

    Sample = dict[str, Any]

_PERIOD = 0.5
_HEADERS = {
    "Container": "CONTAINER",
    "Name": "NAME",
    "ID": "CONTAINER ID",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")


def stats(invocation: Invocation) -> None:
    if invocation["no-stream"]:
        _once(invocation)
        return
    Watch(invocation).run()


def _once(invocation: Invocation) -> None:
    names = invocation.operands or _listed(invocation)
    # Each takes a second or two, since the daemon samples twice: all at the same time.
    pendings = [
        invocation.new_client().begin("GET", f"/containers/{name}/stats", {"stream": "0"})
        for name in names
    ]
    rows, errors = [], []
    for name, pending in zip(names, pendings, strict=True):
        try:
            rows.append(_row(name, pending.finish().json()))
        except DaemonError as error:
            if invocation.operands:
                errors.append(str(error))
    if errors:
        raise Failure("\n".join(errors))
    terminal.write(_rendered(invocation, rows))


def _listed(invocation: Invocation) -> list[str]:
    rows = invocation.client.get("/containers/json", {"all": invocation["all"]})
    return [row["Id"][:12] for row in rows]


def _rendered(invocation: Invocation, rows: Sequence[Sample]) -> str:
    layout = invocation["format"] or invocation.config.text("statsFormat")
    return format.render(layout, rows, _view(whole=invocation["no-trunc"]))


class Watch:
    """Open streams of samples, one for each container, and the last sample of each."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._named = bool(invocation.operands)
        self._streams: dict[int, tuple[str, Response]] = {}
        self._pending: dict[str, bytes] = {}
        self._rows: dict[str, Sample] = {}
        self._events: Response | None = None

    def run(self) -> None:
        """Until it is interrupted, or all of the named containers are gone."""
        if not self._named:
            # Subscribed before they are listed, so that none is missed in between.
            filters = {"type": {"container": True}}
            query = {"filters": filters}
            client = self._invocation.new_client()
            self._events = client.request("GET", "/events", query)
        for name in self._invocation.operands or _listed(self._invocation):
            self._open(name)
        due = time.monotonic()
        while self._streams or not self._named:
            self._read(max(0.0, due - time.monotonic()))
            if time.monotonic() >= due:
                self._draw()
                due += _PERIOD

    def _open(self, name: str) -> None:
        if name in self._pending:
            return
        client = self._invocation.new_client()
        try:
            response = client.request("GET", f"/containers/{name}/stats", {"stream": "1"})
        except DaemonError as error:
            if self._named:
                raise Failure(str(error)) from None
            return  # it ended before we could look
        self._streams[response.fileno()] = name, response
        self._pending[name] = b""
        self._rows[name] = {}

    def _close(self, fd: int) -> None:
        name, _ = self._streams.pop(fd)
        self._pending.pop(name)
        self._rows.pop(name)

    def _read(self, wait: float) -> None:
        poll = select.poll()
        for fd in self._streams:
            poll.register(fd, select.POLLIN)
        if self._events is not None:
            poll.register(self._events.fileno(), select.POLLIN)
        for fd, _ in poll.poll(int(wait * 1000)):
            if fd in self._streams:
                self._sampled(fd)
            elif self._events is not None:
                self._happened(self._events)

    def _sampled(self, fd: int) -> None:
        name, response = self._streams[fd]
        try:
            data = response.next_ready()
        except Unreachable:
            data = b""
        if not data:
            self._close(fd)
            return
        complete, _, rest = (self._pending[name] + data).rpartition(b"\n")
        self._pending[name] = rest
        samples, _ = document.decode_all(complete.decode("utf-8", "replace"))
        if samples:
            self._rows[name] = _row(name, samples[-1])

    def _happened(self, events: Response) -> None:
        data = events.next_ready()
        if not data:
            raise Failure()  # the daemon is gone
        for event in document.decode_all(data.decode("utf-8", "replace"))[0]:
            name = event["Actor"]["ID"][:12]
            wanted = ("start", "create") if self._invocation["all"] else ("start",)
            if event["Action"] in wanted:
                self._open(name)
            elif event["Action"] == "die" and not self._invocation["all"]:
                for fd in [fd for fd, (known, _) in self._streams.items() if known == name]:
                    self._close(fd)

    def _draw(self) -> None:
        rows = [row or _row(name, {}) for name, row in self._rows.items()]
        text = _rendered(self._invocation, rows)
        # From the top, each line wiped behind, all below wiped: nothing flickers.
        terminal.write("\x1b[H" + text.replace("\n", "\x1b[K\n") + "\x1b[J")


def _row(name: str, sample: Sample) -> Sample:
    """The figures of one sample; `Valid` is False while there are none."""
    memory = sample.get("memory_stats") or {}
    limit = memory.get("limit", 0)
    used = _memory(memory)
    networks = (sample.get("networks") or {}).values()
    read, written = _block_io(sample.get("blkio_stats") or {})
    return {
        "Container": name,
        "Name": sample.get("name", "")[1:],
        "ID": sample.get("id", ""),
        "Valid": bool(sample.get("id")),
        "CPU": _cpu_percent(sample),
        "Memory": used,
        "Limit": limit,
        "MemoryPercent": used / limit * 100 if limit else 0.0,
        "Received": sum(each.get("rx_bytes", 0) for each in networks),
        "Sent": sum(each.get("tx_bytes", 0) for each in networks),
        "Read": read,
        "Written": written,
        "Processes": (sample.get("pids_stats") or {}).get("current", 0),
    }


def _cpu_percent(sample: Sample) -> float:
    """Of one processor; two busy ones are 200 %."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    usage = (now.get("cpu_usage") or {}).get("total_usage", 0)
    usage -= (before.get("cpu_usage") or {}).get("total_usage", 0)
    system = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ())
    return usage / system * count * 100.0 if usage > 0 and system > 0 else 0.0


def _memory(memory: Sample) -> int:
    """Without the cache that the kernel would give up first."""
    usage: int = memory.get("usage", 0)
    details = memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):  # version 1 of cgroups, version 2
        cache: int = details.get(key, usage)
        if cache < usage:
            return usage - cache
    return usage


def _block_io(block: Sample) -> tuple[int, int]:
    totals = {"r": 0, "w": 0}
    for entry in block.get("io_service_bytes_recursive") or ():
        kind = entry.get("op", "")[:1].lower()
        if kind in totals:
            totals[kind] += entry["value"]
    return totals["r"], totals["w"]


def _view(*, whole: bool) -> format.View:
    fields: dict[str, Callable[..., Any]] = {
        "Container": lambda row: row["Container"],
        "Name": lambda row: row["Name"] or "--",
        "ID": lambda row: row["ID"] if whole else row["ID"][:12],
        "CPUPerc": lambda row: f"{row['CPU']:.2f}%" if row["Valid"] else "--",
        "MemUsage": _usage,
        "MemPerc": lambda row: f"{row['MemoryPercent']:.2f}%" if row["Valid"] else "--",
        "NetIO": lambda row: _pair(row, "Received", "Sent"),
        "BlockIO": lambda row: _pair(row, "Read", "Written"),
        "PIDs": lambda row: str(row["Processes"]) if row["Valid"] else "--",
    }
    return format.View("*container.statsContext", fields, _HEADERS, _COLUMNS)


def _usage(row: Sample) -> str:
    if not row["Valid"]:
        return "-- / --"
    return f"{format.binary_size(row['Memory'])} / {format.binary_size(row['Limit'])}"


def _pair(row: Sample, one: str, other: str) -> str:
    if not row["Valid"]:
        return "--"
    return f"{format.size(row[one], 3)} / {format.size(row[other], 3)}"


STATS = Command(
    "stats",
    "[OPTIONS] [CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
    stats,
    (
        Option("all", "bool", "Show all containers (default shows just running)", short="a"),
        Option("format", "string", TABLE_FORMAT_HELP),
        Option("no-stream", "bool", "Disable streaming stats and only pull the first result"),
        Option("no-trunc", "bool", "Do not truncate output"),
    ),
    at_most=MANY,
    aliases=("container stats", "stats"),
)
