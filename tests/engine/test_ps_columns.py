"""Columns as procps-ng prints them."""

import time
from pathlib import Path
from typing import Any

import pytest

from pinnace.engine import ps_columns
from pinnace.engine.ps_columns import COLUMNS
from pinnace.engine.ps_process import Host, Ids, Process
from tests.engine.fake_proc import FakeProc

NOW = time.mktime((2026, 11, 23, 18, 0, 0, 0, 0, -1))
UPTIME = 400 * 86400.0


def shown(name: str, tmp_path: Path, *, width: int = 0, age: float = 60, **values: Any) -> str:
    start = int((UPTIME - age) * 100)
    FakeProc(tmp_path).add(7, start=start, **values)
    host = Host(now=NOW, uptime=UPTIME, memory=1 << 30, page=4096)
    process = Process(f"{tmp_path}/7", 7, host, Ids())
    return ps_columns.cell(COLUMNS[name], process, width)


@pytest.mark.parametrize(
    ("seconds", "clock", "elapsed", "minutes"),
    [
        (0, "00:00:00", "00:00", "0:00"),
        (61, "00:01:01", "01:01", "1:01"),
        (3600, "01:00:00", "01:00:00", "60:00"),
        (90061, "1-01:01:01", "1-01:01:01", "1501:01"),
    ],
)
def test_durations(seconds: int, clock: str, elapsed: str, minutes: str) -> None:
    assert ps_columns.clock(seconds) == clock
    assert ps_columns.elapsed(seconds) == elapsed
    assert ps_columns.minutes(seconds) == minutes


@pytest.mark.parametrize(("value", "text"), [(0, "0.0"), (58, "5.8"), (999, "99.9"), (1000, "100")])
def test_tenths(value: int, text: str) -> None:
    assert ps_columns.tenths(value) == text


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "?"),
        (0x8800, "pts/0"),
        (0x8903, "pts/259"),
        (0x0401, "tty1"),
        (0x0440, "ttyS0"),
        (0x0501, "console"),
    ],
)
def test_terminals(number: int, name: str) -> None:
    assert ps_columns.tty(number) == name


@pytest.mark.parametrize(
    ("age", "stime", "start", "bsdstart"),
    [
        (60, "17:59", "17:59:00", "17:59"),
        (20 * 3600, "Nov22", "22:00:00", "22:00"),
        (86400 * 3, "Nov20", "Nov 20", "Nov 20"),
        (86400 * 350, "2025", "Dec 08", "Dec 08"),
    ],
    ids=["now", "yesterday", "days", "last year"],
)
def test_starts(tmp_path: Path, age: float, stime: str, start: str, bsdstart: str) -> None:
    assert shown("stime", tmp_path / "a", age=age) == stime
    assert shown("start", tmp_path / "b", age=age) == start
    assert shown("bsdstart", tmp_path / "c", age=age) == bsdstart


def test_the_whole_date(tmp_path: Path) -> None:
    assert shown("lstart", tmp_path, age=60) == "Mon Nov 23 17:59:00 2026"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "Ss"),
        ({"nice": -5, "threads": 2}, "S<sl"),
        ({"nice": 5, "state": "Z"}, "ZNs"),
    ],
)
def test_state_and_what_goes_with_it(tmp_path: Path, values: dict[str, Any], text: str) -> None:
    assert shown("stat", tmp_path, **values) == text


def test_names_that_are_too_long_are_cut(tmp_path: Path) -> None:
    assert shown("user", tmp_path / "a", uid=1234567890) == "1234567+"
    assert shown("user", tmp_path / "b", uid=1234567890, width=20) == "1234567890"
    assert shown("pid", tmp_path / "c", width=1, comm="x") == "7"


def test_shares(tmp_path: Path) -> None:
    assert shown("pmem", tmp_path / "a", rss=512 * 1024) == "50.0"
    assert shown("pcpu", tmp_path / "b", ticks=600) == "10.0"
    assert shown("c", tmp_path / "c", ticks=600) == "10"
    assert shown("c", tmp_path / "d", ticks=600_000) == "99"


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_can_be_shown(tmp_path: Path, name: str) -> None:
    assert shown(name, tmp_path) != ""
