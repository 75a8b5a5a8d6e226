"""What is shown to people: aligned tables, sizes and times in Docker's words, chosen fields."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


class View:
    """How one kind of row is shown: its fields by name, their headers, the columns of the table."""

    __slots__ = ("columns", "fields", "headers", "kind")

    def __init__(
        self,
        kind: str,
        fields: Mapping[str, Callable[..., Any]],
        headers: Mapping[str, str],
        columns: Sequence[str],
    ) -> None:
        self.kind = kind
        self.fields = fields
        self.headers = headers
        self.columns = columns


def render(layout: str, rows: Iterable[Any], view: View) -> str:
    """All rows as `layout` wants them: empty or `table`, `table TEMPLATE`, `json` or a template."""
    if layout in ("", "table"):
        lines = [[view.headers[name] for name in view.columns]]
        lines += [[str(view.fields[name](row)) for name in view.columns] for row in rows]
        return align("\t".join(cells) for cells in lines)
    from pinnace.cli import template

    return template.render_rows(layout, rows, view)


def quiet(rows: Iterable[Any], field: Callable[[Any], Any]) -> str:
    return "".join(f"{field(row)}\n" for row in rows)


def align(lines: Iterable[str], *, least: int = 10, padding: int = 3) -> str:
    """Cells between tabs become columns, as Go's tabwriter makes them.

    A column is a run of lines that have a cell there which a tab ends; the last cell of a line
    belongs to no column.
    """
    table = [line.split("\t") for line in lines]
    widths: list[list[int]] = [[] for _ in table]
    for column in range(max((len(cells) for cells in table), default=0) - 1):
        start = 0
        while start < len(table):
            end = start
            widest = least
            while end < len(table) and column < len(table[end]) - 1:
                widest = max(widest, columns_of(table[end][column]) + padding)
                end += 1
            for line in range(start, end):
                widths[line].append(widest)
            start = max(end, start + 1)
    out = []
    for cells, sizes in zip(table, widths, strict=True):
        padded = [
            cell + " " * (size - columns_of(cell)) for cell, size in zip(cells, sizes, strict=False)
        ]
        out.append("".join(padded) + cells[-1] + "\n")
    return "".join(out)


def columns_of(text: str) -> int:
    """How many columns a terminal uses for `text`."""
    if text.isascii():
        return len(text)
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def ellipsis(text: str, room: int) -> str:
    """At most `room` columns, the last of them a sign that something is missing."""
    if columns_of(text) <= room:
        return text
    kept, used = [], 0
    for char in text:
        used += columns_of(char)
        if used > room - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


def short_id(ident: str) -> str:
    """The first twelve digits, without the name of the algorithm."""
    return ident.rpartition(":")[2][:12]


def size(count: float, digits: int = 4) -> str:
    """'1.98MB': powers of a thousand."""
    return _scaled(count, 1000.0, _DECIMAL, digits)


def binary_size(count: float) -> str:
    """'23.54GiB': powers of 1024."""
    return _scaled(count, 1024.0, _BINARY, 4)


def _scaled(count: float, base: float, units: Sequence[str], digits: int) -> str:
    index = 0
    while count >= base and index < len(units) - 1:
        count /= base
        index += 1
    return f"{general(count, digits)}{units[index]}"


def general(value: float, digits: int) -> str:
    """Go's %.*g, which writes the exponent as C does: with two digits at least."""
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """'About an hour', '3 weeks': as long as Docker says it is."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 60:
        texts = {0: "Less than a second", 1: "1 second"}
        return texts.get(max(whole, 0), f"{whole} seconds")
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, divisor, name in ((336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months")):
        if hours < limit:
            return f"{hours // divisor} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def ago(timestamp: float) -> str:
    return duration(now() - timestamp) + " ago"


def now() -> float:
    return time.time()


def local_time(timestamp: int) -> str:
    """'2025-11-23 17:40:01 +0000 UTC', as Go prints a time."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(timestamp))


def parse_time(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0 if it is empty or Go's zero time."""
    # By hand: strptime imports the regular expressions, the locales and the calendar.
    if not text or text.startswith("0001-"):
        return 0.0
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    seconds = float(((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
    rest = text[19:]
    if rest.startswith("."):
        digits = len(rest) - len(rest[1:].lstrip("0123456789"))
        seconds += float("0" + rest[:digits])
        rest = rest[digits:]
    if rest[:1] in ("+", "-"):
        offset = int(rest[1:3]) * 3600 + int(rest[4:6]) * 60
        seconds += -offset if rest[0] == "+" else offset
    return seconds


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; years begin in March, so that the odd day is the last one."""
    year -= month <= 2
    month = (month + 9) % 12
    leap = year // 4 - year // 100 + year // 400
    return 365 * year + leap + (153 * month + 2) // 5 + day - 1 - 719468


def labels(found: Mapping[str, str] | None) -> str:
    """'a=1,b=2', in the order of the names."""
    return ",".join(sorted(f"{key}={value}" for key, value in (found or {}).items()))


def yes(flag: bool) -> str:
    return "true" if flag else "false"
