"""The json-file format against what Docker wrote for the same output."""

import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.supervisor import logs_json
from pinnace.supervisor.logs_json import Encoder, Format, escape, stamp
from pinnace.supervisor.logs_lines import Lines
from pinnace.supervisor.logs_selection import Selection
from tests.supervisor.golden_logs import load, without_times
from tests.supervisor.tricky_inputs import INPUTS

FORMAT = Format()


def encoded(data: bytes, read_size: int) -> bytes:
    encoder, lines = Encoder({}), Lines()
    runs = []
    for position in range(0, len(data), read_size):
        runs += lines.feed(data[position : position + read_size], 1)
    runs += lines.flush(1)
    return b"".join(encoder.encode("stdout", *run) for run in runs)


@pytest.mark.parametrize("read_size", [1 << 20, 4096, 1001])
@pytest.mark.parametrize("name", INPUTS)
def test_the_file_is_byte_for_byte_what_docker_writes(name: str, read_size: int) -> None:
    expected = without_times(load(f"written/{name}.json"))

    assert without_times(encoded(INPUTS[name], read_size)) == expected


def test_attributes_stand_where_docker_puts_them() -> None:
    attributes = {"zed": "<ü>", "com.example.a": "x y&z", "COLOUR": "red/blue"}
    attributes["tag"] = "busybox/golden-logs/docker"

    line = Encoder(attributes).encode("stdout", b"one\n", 1)

    assert without_times(line) == without_times(load("read/attrs.json").splitlines(True)[0])


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_000_000_120, "1970-01-01T00:00:01.00000012Z"),
        (951827696000000000, "2000-02-29T12:34:56Z"),
    ],
)
def test_times_are_written_as_go_does(time_ns: int, text: str) -> None:
    assert stamp(time_ns) == text


@given(st.text())
def test_what_is_utf8_comes_back_from_any_json_decoder(text: str) -> None:
    inside = escape(text.encode("utf-8", "surrogatepass").replace(b"\n", b" "))

    shown = json.loads(b'"' + inside + b'"')

    assert shown == text.replace("\n", " ").encode("utf-8", "surrogatepass").decode(
        "utf-8", "replace"
    )


@given(st.binary())
def test_each_byte_that_is_not_utf8_becomes_one_replacement(data: bytes) -> None:
    data = data.replace(b"\n", b" ")

    shown = msgspec.json.decode(b'"' + escape(data) + b'"', type=str)

    assert shown == "".join(
        "\ufffd" if "\udc80" <= c <= "\udcff" else c
        for c in data.decode("utf-8", "surrogateescape")
    )


LOG = encoded(b"".join(b"line %d\n" % i for i in range(100)), 1 << 20)


@given(st.integers(1, len(LOG) - 1))
def test_a_cut_takes_as_few_entries_as_fill_the_room(room: int) -> None:
    head, tail = FORMAT.cut(LOG, room)

    assert head + tail == LOG
    assert head.endswith(b"\n")
    assert len(head) >= room > len(head[: head.rfind(b"\n", 0, -1) + 1])


@given(st.integers(0, len(LOG)), st.integers(0, 120))
def test_the_tail_is_found_from_behind(size: int, entries: int) -> None:
    lines = LOG[: LOG.rfind(b"\n", 0, size) + 1].splitlines(True)
    wanted = lines[max(len(lines) - entries, 0) :]
    before = b"".join(lines[: len(lines) - len(wanted)])

    fd = os.memfd_create("log")
    os.write(fd, LOG)
    try:
        place = FORMAT.tail(fd, size, entries)
    finally:
        os.close(fd)

    assert place == (len(before), 0, len(wanted))


def test_the_tail_is_found_over_many_blocks(tmp_path: Path) -> None:
    line = b'{"log":"' + b"x" * 50_000 + b'\\n","stream":"stdout","time":"1970-01-01T00:00:00Z"}\n'
    (tmp_path / "log").write_bytes(line * 30)
    fd = os.open(tmp_path / "log", os.O_RDONLY)

    assert FORMAT.tail(fd, len(line) * 30, 7) == (len(line) * 23, 0, 7)
    assert FORMAT.tail(fd, len(line) * 30, 31) == (0, 0, 30)
    os.close(fd)


@given(st.integers(0, 100))
def test_skipping_leaves_the_later_entries(entries: int) -> None:
    assert FORMAT.skip(LOG, entries) == b"".join(LOG.splitlines(True)[entries:])


RAW = {"stdout": True, "stderr": True, "multiplexed": False}


@pytest.mark.parametrize("options", [{}, {"timestamps": True}, {"since_ns": 1}, {"details": True}])
def test_damaged_entries_are_stepped_over(options: dict[str, bool | int]) -> None:
    good = Encoder({}).encode("stdout", b"good\n", 10)
    torn = Encoder({}).encode("stdout", b'to{"log":"rn\n', 10)[:-20]
    damaged = [torn + good, b"\n", torn + b"\n", b"\0\0\0" + good, b"not json\n", b"[]\n", b'"x"\n']
    damaged.append(b'{"log":1,"stream":"stdout","time":"1970-01-01T00:00:00Z"}\n')

    shown = FORMAT.render(b"".join(damaged) + good, Selection(**RAW, **options))

    assert shown.count(b"good\n") == 3
    assert shown.count(b"\n") == 3


def test_an_entry_without_its_time_is_shown_only_where_time_does_not_matter() -> None:
    entry = b'{"log":"x\\n","stream":"stdout","time":"soon"}\n'

    assert FORMAT.render(entry, Selection(**RAW)) == b"x\n"
    assert FORMAT.render(entry, Selection(**RAW, timestamps=True)) == b""


def test_bytes_that_are_not_utf8_are_replaced_as_go_does() -> None:
    entry = b'{"log":"a\xff","stream":"stdout","time":"1970-01-01T00:00:00Z"}\n'

    assert FORMAT.render(entry, Selection(**RAW)) == "a\ufffd".encode()


def test_unknown_streams_are_not_shown() -> None:
    entry = b'{"log":"x\\n","stream":"stdin","time":"1970-01-01T00:00:00Z"}\n'

    assert FORMAT.render(entry, Selection(**RAW)) == b""


def test_entries_of_other_engines_may_have_their_keys_in_any_order() -> None:
    entry = b'{ "time":"1970-01-01T00:00:00Z", "more":[1], "stream":"stdout", "log":"x\\n" }\n'

    assert FORMAT.render(entry, Selection(**RAW)) == b"x\n"


def test_a_torn_end_is_closed_off() -> None:
    fd = os.memfd_create("log")
    try:
        assert FORMAT.mend(fd, 0) == b""
        os.write(fd, LOG)
        assert FORMAT.mend(fd, len(LOG)) == b""
        os.write(fd, b'{"log":"to')
        assert FORMAT.mend(fd, len(LOG) + 10) == b"\n"
    finally:
        os.close(fd)


def test_attributes_are_escaped_as_go_does() -> None:
    text = logs_json.attributes_json({"b": '"<\u2028>', "a": "\t&"})

    assert text == rb'{"a":"\t\u0026","b":"\"\u003c\u2028\u003e"}'
