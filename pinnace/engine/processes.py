"""What `docker top` shows: the container's processes as the host's `ps` would list them.

No ps is run, there may be none: /proc is read and rendered as procps-ng does. The users are the
container's own, although its processes have ids of a private range (`ps_process.Ids`).
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from pinnace import errors
from pinnace.engine import ps_options, ps_process
from pinnace.engine.ps_columns import (
    COLUMNS,
    COMMANDS,
    OF_PROCESSES,
    OF_THREADS,
    UNLIMITED,
    Value,
    cell,
)
from pinnace.engine.ps_options import Chosen, Listing, Threads
from pinnace.engine.ps_process import Process

_RENAMED: Final = re.compile(r"\s+([^\s]*)=\s*(PID[^\s]*)", re.ASCII)


def table(
    pids: Sequence[int], ps_args: str, *, proc: str = "/proc"
) -> tuple[list[str], list[list[str]]]:
    """(titles, rows) for these processes; those that have ended meanwhile are left out."""
    listing = options(ps_args)
    host, ids = ps_process.host(), ps_process.ids_of(pids, proc)
    found = []
    for pid in pids:
        try:
            found.append(Process(f"{proc}/{pid}", pid, host, ids))
        except (OSError, ValueError):
            continue
    chosen = _ordered([each for each in found if _selected(each, listing)], listing)
    return [column.header for column in listing.columns], [
        row for process, depth in chosen for row in _rows(process, depth, listing, proc)
    ]


def options(ps_args: str) -> Listing:
    """What `ps_args` ask for; refused in the words of Docker, or of ps as Docker repeats them."""
    for name, header in _RENAMED.findall(ps_args):
        if name != "pid":
            raise errors.Invalid(f'specifying "{name}={header}" is not allowed')
    try:
        # At each blank: an argument that is empty is none that ps knows.
        listing = ps_options.parse((ps_args or "-ef").split(" "))
    except ps_options.Refused as refused:
        raise errors.Invalid(f"ps: error: {refused}") from None
    if not listing.headers or "PID" not in [column.header for column in listing.columns]:
        raise errors.Invalid("Couldn't find PID field in ps output")
    return listing


def _selected(process: Process, listing: Listing) -> bool:
    if listing.running and process.state not in "RD":
        return False
    if not listing.selection:
        return True
    selected = any(COLUMNS[name].value(process) in values for name, values in listing.selection)
    return selected != listing.inverted


def _ordered(found: list[Process], listing: Listing) -> list[tuple[Process, int]]:
    """In the kernel's order, or sorted, or as a forest; with the depth in the latter."""
    for key in reversed(listing.sort):
        found.sort(key=lambda each: _sortable(each, key.name), reverse=key.descending)
    if not listing.forest:
        return [(process, 0) for process in found]
    return list(_forest(found))


def _sortable(process: Process, name: str) -> tuple[bool, float, str]:
    value: Value = COLUMNS[name].value(process)
    return (True, 0, value) if isinstance(value, str) else (False, value, "")


def _forest(found: list[Process]) -> Iterator[tuple[Process, int]]:
    """Children after their parent; parents that are not listed count as one level, too."""
    below: dict[int, list[Process]] = {}
    known = {process.pid for process in found}
    for process in found:
        parent = process.stat(4)
        below.setdefault(parent if parent in known - {process.pid} else 0, []).append(process)
    left = [(process, 1) for process in reversed(below.pop(0, []))]
    while left:
        process, depth = left.pop()
        yield process, depth
        left += [(child, depth + 1) for child in reversed(below.pop(process.pid, []))]


def _rows(process: Process, depth: int, listing: Listing, proc: str) -> Iterator[list[str]]:
    match listing.threads:
        case Threads.NONE:
            yield _line(process, depth, listing.columns)
        case Threads.ROWS:
            for thread in _threads(process, proc):
                yield _line(thread, depth, listing.columns)
        case Threads.BELOW:
            yield _line(process, depth, listing.columns, hidden=OF_THREADS)
            for thread in _threads(process, proc):
                yield _line(thread, depth, listing.columns, hidden=OF_PROCESSES)


def _line(
    process: Process, depth: int, columns: list[Chosen], *, hidden: frozenset[str] = frozenset()
) -> list[str]:
    cells = [
        "-" if column.name in hidden else _cell(process, column, depth) for column in columns[:-1]
    ]
    last = columns[-1]
    return [
        *cells,
        "-" if last.name in hidden else _cell(process, last._replace(width=UNLIMITED), depth),
    ]


def _cell(process: Process, column: Chosen, depth: int) -> str:
    text = cell(COLUMNS[column.name], process, column.width)
    # The indentation is lost where Docker takes the lines apart.
    return f"\\_ {text}" if depth and column.name in COMMANDS else text


def _threads(process: Process, proc: str) -> Iterator[Process]:
    folder = f"{proc}/{process.pid}/task"
    try:
        names = sorted(os.listdir(folder), key=int)
    except OSError:
        return
    for name in names:
        try:
            yield Process(f"{folder}/{name}", process.pid, process.host, process.ids)
        except (OSError, ValueError):
            continue
