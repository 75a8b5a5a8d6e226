"""A log as a client reads it: Docker's answers, a naive model, and logs that grow meanwhile."""

import base64
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.supervisor import frames
from pinnace.supervisor.logs import LogDriver, Reader, open_driver
from pinnace.supervisor.logs_selection import stamp_of
from tests.harness.deadline import Deadline, until
from tests.supervisor.golden_logs import GOLDEN, load

DRIVERS = ["json-file", "local"]
ROTATING = {"max-size": "400", "max-file": "80"}


def everything(reader: Reader, limit: int = 1 << 20) -> bytes:
    """What a reader that does not follow, or is finished, still has."""
    pieces = []
    with reader:
        while not reader.done:
            pieces.append(reader.read(limit))
            assert len(pieces[-1]) <= limit
        assert reader.read() == b""
    return b"".join(pieces)


# Docker's answers


def nanoseconds(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 10**9 + int(f"{fraction:0<9}")


def options_of(query: str) -> dict[str, Any]:
    values = {name: value[0] for name, value in parse_qs(query).items()}
    tail = values.get("tail", "all")
    return {
        **{name: name in values for name in ("stdout", "stderr", "timestamps", "details")},
        **{f"{name}_ns": nanoseconds(values.get(name, "0")) for name in ("since", "until")},
        "tail": int(tail) if tail.lstrip("-").isdigit() else -1,
    }


ANSWERS = [
    pytest.param(name, case["query"], base64.b64decode(case["answer"]), id=f"{name}-{number}")
    for name in ("plain", "attrs", "tty")
    for number, case in enumerate(msgspec.json.decode(load(f"read/{name}-answers.json")))
]


@pytest.mark.parametrize(("name", "query", "answer"), ANSWERS)
def test_a_query_is_answered_as_docker_does(name: str, query: str, answer: bytes) -> None:
    path = str(GOLDEN / f"read/{name}.json")

    reader = Reader("json-file", path, {}, multiplexed=name != "tty", **options_of(query))

    assert everything(reader) == answer


@pytest.mark.parametrize("name", ["one-file", "four-files", "three-files-compressed"])
def test_the_files_of_a_rotated_log_are_one_log(name: str) -> None:
    options = {"max-size": "1k", "max-file": "4"}
    path = str(GOLDEN / "rotated" / name / "log")

    lines = everything(Reader("json-file", path, options, multiplexed=False)).splitlines()

    first = {"one-file": 101, "four-files": 41, "three-files-compressed": 91}[name]
    assert lines == [b"line number %d of the rotation" % n for n in range(first, 121)]


# A naive model


class Entry(NamedTuple):
    stream: str
    time_ns: int
    line: bytes


class Query(NamedTuple):
    stdout: bool
    stderr: bool
    since_ns: int
    until_ns: int
    tail: int
    timestamps: bool
    multiplexed: bool


def model(entries: list[Entry], query: Query) -> bytes:
    if query.tail >= 0:
        entries = entries[max(len(entries) - query.tail, 0) :]
    while entries and entries[0].time_ns < query.since_ns:
        entries = entries[1:]
    shown = b""
    for stream, time_ns, line in entries:
        if query.until_ns and time_ns > query.until_ns:
            break
        if (query.stdout if stream == "stdout" else query.stderr) is False:
            continue
        text = stamp_of(time_ns).encode() + b" " + line if query.timestamps else line
        shown += frames.mux(stream, text) if query.multiplexed else text
    return shown


TEXT = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=30)
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.sampled_from(["stdout", "stderr"]),
        st.integers(10, 20),  # clocks go back, and many entries have one time
        TEXT.map(lambda text: f"{text}\n".encode()),
    ),
    max_size=25,
)
QUERIES = st.builds(
    Query,
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 9, 12, 15, 25]),
    st.sampled_from([0, 9, 12, 15, 25]),
    st.sampled_from([-1, 0, 1, 2, 3, 7, 20, 100]),
    st.booleans(),
    st.booleans(),
)


@pytest.mark.parametrize("compress", ["true", "false"])
@pytest.mark.parametrize("name", DRIVERS)
@settings(deadline=None, max_examples=60)
@given(entries=ENTRIES, query=QUERIES, limit=st.sampled_from([1, 100, 1 << 20]))
def test_reading_equals_the_model(
    name: str,
    compress: str,
    entries: list[Entry],
    query: Query,
    limit: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    options = {**ROTATING, "compress": compress}
    path = str(tmp_path_factory.mktemp("logs") / "log")
    driver = open_driver(name, options, path)
    for stream, time_ns, line in entries:
        driver.write(stream, line, time_ns)
    driver.close()

    reader = Reader(name, path, options, **query._asdict())

    assert everything(reader, limit) == model(entries, query)
    shutil.rmtree(os.path.dirname(path))


def test_old_compressed_files_are_not_read_for_a_later_since(tmp_path: Path) -> None:
    options = {**ROTATING, "compress": "true"}
    driver = open_driver("json-file", options, str(tmp_path / "log"))
    for number in range(50):
        driver.write("stdout", b"line %d\n" % number, number)
    driver.close()
    for path in tmp_path.glob("log.*.gz"):
        data = bytearray(path.read_bytes())
        data[-20:] = b"x" * 20  # whoever reads it to its end gets less than there was
        path.write_bytes(data)

    reader = Reader("json-file", str(tmp_path / "log"), options, since_ns=49, multiplexed=False)

    assert everything(reader) == b"line 49\n"


# Following


class Grown(NamedTuple):
    """A log that grows under a reader's hands."""

    driver: LogDriver
    reader: Reader
    path: Path


@pytest.fixture(params=DRIVERS)
def grown(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    options = {"max-size": "2k", "max-file": "4", "compress": "true"}
    path = tmp_path / "log"
    driver = open_driver(request.param, options, str(path))
    driver.write("stdout", b"before\n", 1)
    reader = Reader(request.param, str(path), options, multiplexed=False, follow=True)
    with reader:
        yield Grown(driver, reader, path)
    driver.close()


def is_ready(reader: Reader, seconds: float = 0) -> bool:
    return bool(select.select([reader.fileno()], [], [], seconds)[0])


def test_a_follower_gets_what_was_there_and_what_comes(grown: Grown) -> None:
    assert grown.reader.read() == b"before\n"
    assert grown.reader.read() == b""

    grown.driver.write("stdout", b"after\nhalf", 1)

    assert is_ready(grown.reader, 5)
    assert grown.reader.read() == b"after\n"
    assert grown.reader.read() == b""
    assert not grown.reader.done


def test_a_follower_is_not_woken_for_nothing(grown: Grown) -> None:
    until(lambda: grown.reader.read() == b"" and not is_ready(grown.reader))

    assert not is_ready(grown.reader)


def test_a_follower_ends_when_the_container_has_and_not_before_its_last_word(
    grown: Grown,
) -> None:
    grown.reader.read()
    until(lambda: grown.reader.read() == b"" and not is_ready(grown.reader))

    grown.driver.write("stdout", b"last word", 1)
    grown.driver.close()
    grown.reader.finish()

    assert is_ready(grown.reader, 5)
    assert grown.reader.read() == b"last word"
    assert grown.reader.done
    assert grown.reader.finished
    assert grown.reader.read() == b""


def test_a_follower_reads_on_across_rotations(grown: Grown) -> None:
    assert grown.reader.read() == b"before\n"
    lines = [b"line %04d\n" % number for number in range(90)]

    for line in lines:
        grown.driver.write("stdout", line, 1)

    assert grown.path.with_name("log.1").exists() or grown.path.with_name("log.1.gz").exists()
    assert grown.reader.read() == b"".join(lines)


def test_a_follower_that_slept_while_files_were_deleted_goes_on_with_the_oldest(
    grown: Grown,
) -> None:
    assert grown.reader.read() == b"before\n"

    for number in range(2000):
        grown.driver.write("stdout", b"%d\n" % number, 1)

    seen = numbers(grown.reader.read())
    gaps = [after - before for before, after in pairwise(seen) if after != before + 1]
    assert (seen[0], seen[-1]) == (0, 1999)
    assert len(gaps) == 1


def test_a_follower_of_a_truncated_log_begins_again(grown: Grown) -> None:
    grown.driver.write("stdout", b"more\n", 1)
    assert grown.reader.read() == b"before\nmore\n"

    os.truncate(grown.path, 0)
    assert grown.reader.read() == b""
    grown.driver.write("stdout", b"new\n", 1)

    assert grown.reader.read() == b"new\n"


def test_a_follower_waits_for_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    with Reader("local", str(tmp_path / "log"), {}, multiplexed=False, follow=True) as reader:
        assert reader.read() == b""
        driver = open_driver("local", {}, str(tmp_path / "log"))
        driver.write("stdout", b"first\n", 1)

        assert is_ready(reader, 5)
        assert reader.read() == b"first\n"
        driver.close()


@pytest.mark.parametrize("tail", [0, 1])
def test_a_follower_may_begin_near_the_end(grown: Grown, tail: int) -> None:
    name = "local" if grown.path.read_bytes().startswith(b"pL") else "json-file"
    reader = Reader(name, str(grown.path), {}, tail=tail, multiplexed=False, follow=True)
    with reader:
        grown.driver.write("stdout", b"after\n", 1)

        assert reader.read() == b"before\n" * tail + b"after\n"


def test_an_entry_after_until_ends_a_follower(tmp_path: Path) -> None:
    driver = open_driver("local", {}, str(tmp_path / "log"))
    reader = Reader("local", str(tmp_path / "log"), {}, until_ns=5, multiplexed=False, follow=True)
    with reader:
        driver.write("stdout", b"in time\n", 5)
        driver.write("stdout", b"too late\n", 6)

        assert reader.read() == b"in time\n"
        assert reader.done
    driver.close()


# Bounds


@pytest.mark.parametrize("name", DRIVERS)
def test_who_does_not_follow_ends_where_the_log_ended_when_it_was_opened(
    name: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "log")
    driver = open_driver(name, {}, path)
    driver.write("stdout", b"before\n", 1)
    reader = Reader(name, path, {}, multiplexed=False)

    driver.write("stdout", b"after\n", 1)
    driver.close()

    assert everything(reader) == b"before\n"
    assert reader.fileno() == -1


def test_junk_without_end_is_not_kept_in_memory(tmp_path: Path) -> None:
    good = b'{"log":"good\\n","stream":"stdout","time":"1970-01-01T00:00:00Z"}\n'
    (tmp_path / "log").write_bytes(good + b"x" * 5_000_000 + b"\n" + good)

    with Reader("json-file", str(tmp_path / "log"), {}, multiplexed=False) as reader:
        shown = b""
        while not reader.done:
            shown += reader.read(1)
            assert len(reader._rest) <= 1 << 20

    assert shown == b"good\ngood\n"


def test_a_driver_without_a_log_says_so() -> None:
    with pytest.raises(errors.Unsupported) as caught:
        Reader("none", "", {})

    assert caught.value.message == "configured logging driver does not support reading"


def test_closing_twice_and_finishing_after_it_is_no_error(grown: Grown) -> None:
    grown.reader.close()
    grown.reader.close()
    grown.reader.finish()

    assert grown.reader.done
    assert grown.reader.read() == b""
    assert grown.reader.fileno() == -1


def test_a_reader_leaves_no_descriptor(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    options = {**ROTATING, "compress": "false"}
    driver = open_driver("json-file", options, str(tmp_path / "log"))
    for number in range(100):
        driver.write("stdout", b"line %d\n" % number, 1)
    driver.close()
    before = descriptors()

    for follow in (False, True):
        for tail in (-1, 0, 10):
            reader = Reader("json-file", str(tmp_path / "log"), options, tail=tail, follow=follow)
            reader.read(10)
            reader.close()
    with pytest.raises(FileNotFoundError):
        Reader("json-file", str(tmp_path / "missing/log"), options, follow=True)

    until(lambda: descriptors() == before)


# Another process writes and rotates

WRITER = """
import sys
from pinnace.supervisor.logs import open_driver
name, path, compress, count = sys.argv[1:]
driver = open_driver(name, {"max-size": "20k", "max-file": "300", "compress": compress}, path)
sys.stdout.write("open\\n"); sys.stdout.flush(); sys.stdin.readline()
for number in range(0, int(count), 10):
    driver.write("stdout", b"".join(b"%07d\\n" % n for n in range(number, number + 10)), number + 1)
driver.close()
"""
OPTIONS = {"max-size": "20k", "max-file": "300"}
COUNT = 30_000


def start_writer(name: str, path: Path, compress: str) -> "subprocess.Popen[bytes]":
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, name, str(path), compress, str(COUNT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout is not None and writer.stdin is not None
    assert writer.stdout.readline() == b"open\n"
    writer.stdin.write(b"go\n")
    writer.stdin.flush()
    return writer


Writer = Callable[[str, Path, str], "subprocess.Popen[bytes]"]


def numbers(shown: bytes) -> list[int]:
    return [int(line) for line in shown.split()]


@pytest.mark.parametrize("compress", ["true", "false"])
@pytest.mark.parametrize("name", DRIVERS)
def test_a_follower_loses_nothing_while_files_are_rotated(
    name: str, compress: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with start_writer(name, path, compress) as writer:
        deadline = Deadline(60)
        shown = b""
        options = {**OPTIONS, "compress": compress}
        with Reader(name, str(path), options, multiplexed=False, follow=True) as reader:
            while not reader.done:
                assert deadline.remaining
                shown += reader.read(1 << 14)
                is_ready(reader, 0.01)
                if writer.poll() is not None:
                    reader.finish()

    assert numbers(shown) == list(range(COUNT))
    assert len(list(tmp_path.iterdir())) > 10


@pytest.mark.parametrize("compress", ["true", "false"])
@pytest.mark.parametrize("name", DRIVERS)
def test_who_opens_in_the_middle_of_rotations_misses_and_repeats_nothing(
    name: str, compress: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    looks = []
    with start_writer(name, path, compress) as writer:
        options = {**OPTIONS, "compress": compress}
        while writer.poll() is None:
            for tail in (-1, 700):
                reader = Reader(name, str(path), options, multiplexed=False, tail=tail)
                looks.append((tail, numbers(everything(reader))))

    assert looks
    for tail, look in looks:
        first = look[0] if look else 0
        assert look == list(range(first, first + len(look)))
        assert first == 0 if tail < 0 else len(look) <= tail
