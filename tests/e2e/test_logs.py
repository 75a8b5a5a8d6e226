"""What a container wrote: kept, selected, followed, rotated, byte for byte."""

import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bench.wire import Client, frames, query
from tests.harness.deadline import until
from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root

STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")


def driver(name: str, **options: str) -> dict[str, object]:
    return {"LogConfig": {"Type": name, "Config": options}}


def finished(engine: Engine, script: str, **host: object) -> str:
    """Id of a container that has run this script to its end."""
    ident = engine.start("sh", "-c", script, HostConfig=host)
    engine.wait(ident)
    return ident


DRIVERS = pytest.mark.parametrize("name", ["json-file", "local"])


@DRIVERS
def test_streams_are_kept_apart_and_in_order(engine: Engine, name: str) -> None:
    script = "echo one; sleep 0.05; echo two >&2; sleep 0.05; echo three"
    ident = finished(engine, script, **driver(name))

    raw = engine.ok("GET", f"/containers/{ident}/logs?stdout=1&stderr=1").body

    assert list(frames(raw)) == [(1, b"one\n"), (2, b"two\n"), (1, b"three\n")]
    assert engine.output(ident, stderr=False) == "one\nthree\n"
    assert engine.output(ident, stdout=False) == "two\n"


@DRIVERS
@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("2", "9\n10\n"),
        ("0", ""),
        ("all", None),
        ("100", None),
        ("-1", None),
        ("x", None),
        ("10", None),
        ("1", "10\n"),
    ],
)
def test_tail(engine: Engine, name: str, tail: str, expected: str | None) -> None:
    ident = finished(engine, "seq 10", **driver(name))
    everything = "".join(f"{n}\n" for n in range(1, 11))

    assert engine.output(ident, tail=tail) == (everything if expected is None else expected)


@DRIVERS
def test_timestamps_are_nanoseconds_of_utc(engine: Engine, name: str) -> None:
    ident = finished(engine, "echo one; echo two", **driver(name))

    lines = engine.output(ident, timestamps=True).splitlines()

    assert [STAMP.sub("", line) for line in lines] == ["one", "two"]
    seen = datetime.fromisoformat(lines[0].split(".")[0]).replace(tzinfo=UTC)
    assert abs(time.time() - seen.timestamp()) < 60


@DRIVERS
def test_since_and_until_select_by_time(engine: Engine, name: str) -> None:
    ident = finished(engine, "echo one; sleep 0.3; echo two; sleep 0.3; echo three", **driver(name))
    stamps = [line.split(" ")[0] for line in engine.output(ident, timestamps=True).splitlines()]
    first, second, third = (seconds(stamp) for stamp in stamps)

    assert engine.output(ident, since=second) == "two\nthree\n"
    assert engine.output(ident, until=second) == "one\ntwo\n"
    assert engine.output(ident, since=second, until=second) == "two\n"
    assert engine.output(ident, since=str(int(float(third)) + 2)) == ""
    assert engine.output(ident, since=first, tail=1) == "three\n"


def seconds(stamp: str) -> str:
    """A log's time as the API takes it: seconds and nanoseconds since 1970."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())}.{fraction}"


@DRIVERS
def test_follow_gives_old_and_new_lines_and_ends(engine: Engine, name: str) -> None:
    ident = engine.start(
        "sh", "-c", "echo old; read x; echo new; exit 3", OpenStdin=True, HostConfig=driver(name)
    )
    until(lambda: "old" in engine.output(ident), "the first line in the log")
    seen: list[bytes] = []

    with engine.client().stream(
        f"/containers/{ident}/logs" + query(stdout=True, follow=True)
    ) as stream:
        chunks = iter(stream)
        seen.append(next(chunks))
        connection, _, _ = engine.client().hijack(f"/containers/{ident}/attach?stream=1&stdin=1")
        with connection:
            connection.sendall(b"\n")
            seen += chunks

    assert [data for _, data in frames(b"".join(seen))] == [b"old\n", b"new\n"]


@DRIVERS
def test_follow_from_the_end_gives_new_lines_only(engine: Engine, name: str) -> None:
    script = "echo old; while read x; do echo new; done"
    ident = engine.start("sh", "-c", script, OpenStdin=True, HostConfig=driver(name))
    until(lambda: "old" in engine.output(ident), "the old line")
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.extend(follow(engine, ident, tail=0)))
    reader.start()

    connection, _, _ = engine.client().hijack(f"/containers/{ident}/attach?stream=1&stdin=1")
    with connection:
        until(lambda: connection.send(b"\n") and seen, "a new line in the reader")
    engine.ok("POST", f"/containers/{ident}/kill")
    reader.join(20)

    assert {data for _, data in frames(b"".join(seen))} == {b"new\n"}


def follow(engine: Engine, ident: str, **parameters: object) -> Iterator[bytes]:
    path = f"/containers/{ident}/logs" + query(stdout=True, follow=True, **parameters)
    with engine.client().stream(path) as stream:
        yield from stream


@DRIVERS
def test_every_byte_is_kept_by_the_local_driver(engine: Engine, name: str) -> None:
    script = r"printf 'a\0b\377\200\n'; printf '\303\251\n'"
    ident = finished(engine, script, **driver(name))

    raw = b"".join(
        d for _, d in frames(engine.ok("GET", f"/containers/{ident}/logs?stdout=1").body)
    )

    # JSON can't hold bytes that are no UTF-8: Docker's json-file puts U+FFFD for them.
    lost = b"a\0b" + "��".encode() + b"\n"
    assert raw == (b"a\0b\377\200\n" if name == "local" else lost) + "é\n".encode()


@DRIVERS
def test_a_line_without_an_end_is_kept(engine: Engine, name: str) -> None:
    assert engine.output(finished(engine, "printf unfinished", **driver(name))) == "unfinished"


@DRIVERS
def test_long_lines_are_whole(engine: Engine, name: str) -> None:
    length = 16384 * 3 + 5
    ident = finished(
        engine, f"head -c {length} /dev/zero | tr '\\0' x; echo; echo next", **driver(name)
    )

    assert engine.output(ident) == "x" * length + "\nnext\n"


@DRIVERS
def test_tail_counts_a_long_line_once_or_by_its_parts(engine: Engine, name: str) -> None:
    ident = finished(
        engine, "head -c 40000 /dev/zero | tr '\\0' x; echo; echo last", **driver(name)
    )

    assert engine.output(ident, tail=1) == "last\n"


@DRIVERS
def test_empty_lines_are_lines(engine: Engine, name: str) -> None:
    assert engine.output(finished(engine, "echo; echo; echo x", **driver(name))) == "\n\nx\n"


def test_a_terminal_s_log_has_no_frames(engine: Engine) -> None:
    assert engine.finish_terminal("sh", "-c", "echo out; echo err >&2") == (0, "out\r\nerr\r\n")


def test_details_are_labels_and_environment_of_the_options(engine: Engine) -> None:
    options = {"labels": "color", "env": "SHAPE"}
    ident = engine.start(
        "echo",
        "x",
        Env=["SHAPE=round"],
        Labels={"color": "blue"},
        HostConfig=driver("json-file", **options),
    )
    engine.wait(ident)

    assert engine.output(ident, details=True) == "SHAPE=round,color=blue x\n"


def test_the_none_driver_keeps_nothing_and_says_so(engine: Engine) -> None:
    ident = finished(engine, "echo x", **driver("none"))

    answer = engine.request("GET", f"/containers/{ident}/logs?stdout=1")

    assert answer.status == 501
    assert answer.message == "configured logging driver does not support reading"


def test_rotation_keeps_the_newest_lines(engine: Engine) -> None:
    ident = finished(
        engine, "seq 100000", **driver("json-file", **{"max-size": "100k", "max-file": "3"})
    )

    lines = engine.output(ident).split()

    assert lines[-1] == "100000"
    assert lines == [str(n) for n in range(100001 - len(lines), 100001)]
    assert 1000 < len(lines) < 10000


def test_following_survives_rotation(engine: Engine) -> None:
    script = "read x; for i in $(seq 20); do seq 2000; sleep 0.02; done"
    rotated = driver("json-file", **{"max-size": "1m", "max-file": "100"})
    ident = engine.start("sh", "-c", script, OpenStdin=True, HostConfig=rotated)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.extend(follow(engine, ident)))
    reader.start()

    connection, _, _ = engine.client().hijack(f"/containers/{ident}/attach?stream=1&stdin=1")
    with connection:
        connection.sendall(b"\n")
        reader.join(60)

    lines = b"".join(data for _, data in frames(b"".join(seen))).split()
    assert len(lines) == 40000


@DRIVERS
def test_the_log_outlives_restarts(engine: Engine, name: str) -> None:
    ident = finished(engine, "echo again", **driver(name))
    engine.ok("POST", f"/containers/{ident}/start")
    engine.wait(ident)

    assert engine.output(ident) == "again\nagain\n"


def test_logs_of_a_created_container_are_empty(engine: Engine) -> None:
    assert engine.output(engine.create("true")) == ""


def test_the_content_type_says_how_it_is_framed(engine: Engine, api: Client) -> None:
    plain, terminal = finished(engine, "echo x"), engine.start("true", Tty=True)
    engine.wait(terminal)

    kinds = [
        api.ok("GET", f"/containers/{i}/logs?stdout=1").headers["content-type"]
        for i in (plain, terminal)
    ]

    assert kinds == [
        "application/vnd.docker.multiplexed-stream",
        "application/vnd.docker.raw-stream",
    ]


@pytest.mark.docker
def test_follow_by_the_command_line(docker: Docker, engine: Engine) -> None:
    ident = engine.start("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; echo e >&2")

    result = docker("logs", "-f", ident)

    assert result == (0, "1\n2\n3\n", "e\n")


@pytest.mark.docker
def test_since_a_duration_by_the_command_line(docker: Docker, engine: Engine) -> None:
    ident = finished(engine, "echo x")

    assert docker.ok("logs", "--since", "1h", ident) == "x"
    assert docker.ok("logs", "--until", "1h", ident) == ""
