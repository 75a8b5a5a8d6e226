"""A process read from /proc: whose it is, and what may be shown of it."""

from pathlib import Path

import pytest

from pinnace.engine import ps_process
from pinnace.engine.ps_process import Host, Ids, Process
from tests.engine.fake_proc import PRIVATE, WHOLE, FakeProc

BASE = 0x70000000
HOST = Host(now=2000.5, uptime=1000.5, memory=1 << 30, page=4096)


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def read(proc: FakeProc, pid: int = 7, maps: str = "") -> Process:
    return Process(f"{proc.root}/{pid}", pid, HOST, Ids(maps, maps))


def test_a_name_may_have_blanks_and_brackets(proc: FakeProc) -> None:
    proc.add(7, comm="a) S (b")

    found = read(proc)

    assert (found.comm, found.state, found.stat(4)) == ("a) S (b", "S", 1)


def test_users_are_the_container_s(proc: FakeProc) -> None:
    proc.add(7, uid=BASE + 1000, gid=BASE + 65535, groups=f"{BASE} {BASE + 5} 65536 9")

    found = read(proc, maps=PRIVATE)

    assert (found.id("uid", 1), found.id("gid", 0)) == (1000, 65535)
    assert found.groups == [0, 5, 65536, 9]


def test_names_are_the_host_s_where_it_has_some() -> None:
    ids = Ids()

    assert ids.name("uid", 0) == "root"
    assert ids.name("gid", 0) == "root"
    assert ids.name("uid", 4_000_000_000) == "4000000000"


def test_the_mapping_is_the_container_s_not_that_of_a_namespace_inside(proc: FakeProc) -> None:
    nested = f"0 {BASE + 1000} 1\n"
    proc.add(7, maps=nested)
    proc.add(8, maps=PRIVATE)

    ids = ps_process.ids_of([7, 8, 99], proc.root)

    assert ids.own("uid", BASE + 1000) == 1000


def test_without_a_process_there_is_no_mapping(proc: FakeProc) -> None:
    assert ps_process.ids_of([], proc.root).own("uid", 5) == 5


def test_times(proc: FakeProc) -> None:
    proc.add(7, start=50_050, ticks=12_500)

    found = read(proc)

    assert found.age == 500
    assert found.cpu_seconds == 125
    assert found.cpu_tenths == 250
    assert found.started == 1500.5


def test_a_process_of_this_moment_has_used_nothing(proc: FakeProc) -> None:
    proc.add(7, start=100_050, ticks=1)

    assert read(proc).cpu_tenths == 0


@pytest.mark.parametrize(
    ("cmdline", "state", "shown"),
    [
        (b"sh\0-c\0a  b\0", "S", "sh -c a  b"),
        (b"", "S", "[sleep]"),
        (b"", "Z", "[sleep] <defunct>"),
        (b"a\nb\tc\x1b[1m\x7f\0", "S", "a b?c?[1m?"),
        ("é\0".encode() + b"\xff\0", "S", "é ?"),
    ],
    ids=["blanks", "none", "zombie", "control characters", "not UTF-8"],
)
def test_command_lines(proc: FakeProc, cmdline: bytes, state: str, shown: str) -> None:
    proc.add(7, cmdline=cmdline, state=state)

    assert read(proc).args == shown


def test_what_is_gone_raises_and_what_is_not_there_is_empty(proc: FakeProc) -> None:
    proc.add(7)
    found = read(proc)

    assert found.read("wchan") == ""
    assert found.link("exe") == "-"
    with pytest.raises(FileNotFoundError):
        read(proc, pid=8)


def test_a_process_of_the_host_keeps_its_ids(proc: FakeProc) -> None:
    proc.add(7, uid=BASE + 1)

    assert read(proc, maps=WHOLE).id("uid", 1) == BASE + 1
