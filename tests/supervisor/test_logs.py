"""Drivers as a supervisor uses them, one suite over all; what goes in comes out again."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.supervisor import frames
from pinnace.supervisor.logs import DRIVERS, Reader, open_driver

READABLE = ["json-file", "local"]


def shown(name: str, path: Path, **options: bool) -> bytes:
    with Reader(name, str(path), {}, **{"multiplexed": False, **options}) as reader:
        return b"".join(iter(reader.read, b""))


@pytest.mark.parametrize("name", DRIVERS)
def test_any_driver_takes_output_and_closes_twice(name: str, tmp_path: Path) -> None:
    driver = open_driver(name, {}, str(tmp_path / "log"))

    driver.write("stdout", b"a\nb", 1)
    driver.write("stderr", b"", 1)
    driver.flush_partial("stdout", 2)
    driver.flush_partial()
    driver.close()
    driver.close()

    assert driver.dropped_entries == 0


def test_none_makes_no_file(tmp_path: Path) -> None:
    driver = open_driver("none", {}, str(tmp_path / "log"))
    driver.write("stdout", b"a\n", 1)
    driver.close()

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_driver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match="no log driver named 'syslog' is registered"):
        open_driver("syslog", {}, str(tmp_path / "log"))


OUTPUT = {"json-file": st.text().map(str.encode), "local": st.binary()}
CHUNKS = st.lists(st.integers(0, 40), max_size=30)


@pytest.mark.parametrize("name", READABLE)
@settings(deadline=None)
@given(data=st.data(), chunks=CHUNKS)
def test_every_byte_comes_back_however_it_was_read_and_rotated(
    name: str, data: st.DataObject, chunks: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = data.draw(OUTPUT[name])
    path = tmp_path_factory.mktemp("log") / "log"
    options = {"max-size": "300", "max-file": "100", "compress": "true"}

    driver = open_driver(name, options, str(path))
    rest = output
    for size in [*chunks, len(output)]:
        driver.write("stdout", rest[:size], 1)
        rest = rest[size:]
    driver.close()

    with Reader(name, str(path), options, multiplexed=False) as reader:
        assert b"".join(iter(reader.read, b"")) == output


@pytest.mark.parametrize("name", READABLE)
@settings(deadline=None)
@given(output=st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(min_size=1))))
def test_streams_are_kept_apart(
    name: str, output: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    driver = open_driver(name, {}, str(path))
    for stream, text in output:
        driver.write(stream, text.encode(), 1)
    driver.close()

    pieces = frames.Demux().feed(shown(name, path, multiplexed=True))

    for wanted in ("stdout", "stderr"):
        assert (
            b"".join(data for stream, data in pieces if stream == wanted)
            == "".join(text for stream, text in output if stream == wanted).encode()
        )


@pytest.mark.parametrize("name", READABLE)
def test_the_streams_unfinished_lines_do_not_mix(name: str, tmp_path: Path) -> None:
    driver = open_driver(name, {}, str(tmp_path / "log"))
    driver.write("stdout", b"out", 1)
    driver.write("stderr", b"err", 1)
    driver.write("stdout", b" one\n", 2)
    driver.flush_partial("stderr", 3)
    driver.write("stdout", b"two", 4)
    driver.close()

    assert shown(name, tmp_path / "log") == b"out one\nerrtwo"
    assert shown(name, tmp_path / "log", stdout=False) == b"err"


@pytest.mark.parametrize("name", READABLE)
def test_attributes_are_shown_as_details(name: str, tmp_path: Path) -> None:
    driver = open_driver(name, {}, str(tmp_path / "log"), attributes={"tag": "a b", "env": "1"})
    driver.write("stdout", b"line\n", 1)
    driver.close()

    assert shown(name, tmp_path / "log", details=True) == b"env=1,tag=a+b line\n"


@pytest.mark.parametrize("name", READABLE)
def test_a_restarted_container_goes_on_with_its_log(name: str, tmp_path: Path) -> None:
    for text in (b"first", b"second\n"):
        driver = open_driver(name, {}, str(tmp_path / "log"))
        driver.write("stdout", text, 1)
        driver.close()

    assert shown(name, tmp_path / "log") == b"firstsecond\n"
