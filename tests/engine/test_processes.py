"""`docker top`, on a /proc of the tests' own and beside the real ps."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.engine import processes
from tests.engine.fake_proc import PRIVATE, FakeProc

BASE = 0x70000000


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def top(proc: FakeProc, args: str, *pids: int) -> list[list[str]]:
    return processes.table(pids, args, proc=proc.root)[1]


def test_the_default(proc: FakeProc) -> None:
    proc.add(7, uid=BASE, maps=PRIVATE)

    titles, rows = processes.table([7], "", proc=proc.root)

    assert titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [row[:4] + row[5:] for row in rows] == [
        ["root", "7", "1", "0", "?", "00:00:00", "sleep 100"]
    ]


def test_what_has_ended_is_left_out(proc: FakeProc) -> None:
    proc.add(7)

    assert top(proc, "-o pid", 6, 7, 8) == [["7"]]


def test_the_order_is_that_of_the_cgroup_unless_sorted(proc: FakeProc) -> None:
    for pid, rss in ((9, 10), (7, 30), (8, 20)):
        proc.add(pid, rss=rss, comm="b" if pid == 8 else "a")

    assert top(proc, "-o pid", 9, 7, 8) == [["9"], ["7"], ["8"]]
    assert top(proc, "-eo pid --sort=-rss", 9, 7, 8) == [["7"], ["8"], ["9"]]
    assert top(proc, "-eo pid --sort comm,-pid", 9, 7, 8) == [["9"], ["7"], ["8"]]


def test_selections_are_within_the_container(proc: FakeProc) -> None:
    proc.add(7, comm="sh", uid=BASE, maps=PRIVATE)
    proc.add(8, comm="sleep", uid=BASE + 1000, maps=PRIVATE, state="R")

    assert top(proc, "-C sh -o pid", 7, 8) == [["7"]]
    assert top(proc, "-u 1000 -o pid", 7, 8) == [["8"]]
    assert top(proc, "-u 1000 -N -o pid", 7, 8) == [["7"]]
    assert top(proc, "-C sh -p 8 -o pid", 7, 8) == [["7"], ["8"]]
    assert top(proc, "r -o pid", 7, 8) == [["8"]]


def test_a_forest(proc: FakeProc) -> None:
    proc.add(7, parent=1)
    proc.add(8, parent=1)
    proc.add(9, parent=7)

    assert top(proc, "axf -o pid,comm", 7, 8, 9) == [
        ["7", "\\_ sleep"],
        ["9", "\\_ sleep"],
        ["8", "\\_ sleep"],
    ]


def test_threads(proc: FakeProc) -> None:
    proc.add(7, threads=2)
    proc.add(7, tid=7, threads=2)
    proc.add(7, tid=12, threads=2, comm="worker", state="R")

    assert top(proc, "-eL -o pid,lwp,comm", 7) == [["7", "7", "sleep"], ["7", "12", "worker"]]
    assert top(proc, "-em -o pid,s,time,comm", 7) == [
        ["7", "-", "00:00:00", "sleep"],
        ["-", "S", "00:00:00", "-"],
        ["-", "R", "00:00:00", "-"],
    ]


def test_blanks_in_a_column_stay_in_it(proc: FakeProc) -> None:
    proc.add(7, cmdline=b"sh\0-c\0a   b\0")

    assert top(proc, "-o args,pid", 7) == [["sh -c a b", "7"]]


def test_the_last_column_is_never_cut(proc: FakeProc) -> None:
    proc.add(7, uid=1234567890)

    assert top(proc, "-o user,pid", 7) == [["1234567+", "7"]]
    assert top(proc, "-o pid,user", 7) == [["7", "1234567890"]]


# What Docker 28.5.2 answers.
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("-eo user,comm", "Couldn't find PID field in ps output"),
        ("-eo pid=PPP,comm", "Couldn't find PID field in ps output"),
        ("h", "Couldn't find PID field in ps output"),
        ("--help", "Couldn't find PID field in ps output"),
        ("-eo x=PID", 'specifying "x=PID" is not allowed'),
        ("-e -o xx=PID", 'specifying "xx=PID" is not allowed'),
        ("-o nosuch", 'ps: error: unknown user-defined format specifier "nosuch"'),
        ("-Q", "ps: error: unsupported SysV option"),
    ],
)
def test_refusals(args: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        processes.table([1], args)

    assert refused.value.message == message


def test_a_pid_may_be_called_so() -> None:
    assert processes.options("-eo comm -o pid=PID").columns[1].header == "PID"


@pytest.fixture
def child() -> Iterator[int]:
    if shutil.which("ps") is None:
        pytest.skip("there is no ps here to compare with")
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize(
    "args",
    [
        "-ef",
        "aux",
        "-el",
        "-fj",
        "-eo pid,ppid,pgid,sid,tty,user,group,nice,pri,nlwp,s,stat,vsz,args",
        "-eo pid,lstart",
        "-eo pid,etime,time,cls,cgroup",
    ],
)
def test_the_same_as_ps(child: int, args: str) -> None:
    command = ["ps", *args.split(" "), "-ww", f"-q{child}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]

    titles, rows = processes.table([child], args)

    assert titles == lines[0]
    ours = " ".join(rows[0]).split()
    # Ages may have gone on by a second between the two.
    assert [a for a, b in zip(ours, lines[1], strict=True) if a != b and ":" not in a] == []
