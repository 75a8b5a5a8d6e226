import os
import pty
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.cli import terminal


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("x,ctrl-a,y", b"x\x01y"),
    ],
)
def test_keys_have_names(text: str, keys: bytes) -> None:
    assert terminal.detach_keys(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-pp", "alt-x", "ctrl-A"])
def test_what_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown character"):
        terminal.detach_keys(text)


def test_detach_keys_are_found_over_several_reads() -> None:
    scanner = terminal.DetachScanner(b"\x10\x11")

    assert scanner.feed(b"ab\x10") == b"ab"
    assert not scanner.found
    assert scanner.feed(b"\x11rest") == b""
    assert scanner.found


def test_half_a_sequence_is_passed_on_when_it_is_none() -> None:
    scanner = terminal.DetachScanner(b"\x10\x11")

    assert scanner.feed(b"\x10x\x10\x10y") == b"\x10x\x10\x10y"
    assert not scanner.found


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_without_keys_all_is_passed_on(pieces: list[bytes]) -> None:
    scanner = terminal.DetachScanner(b"")

    assert b"".join(scanner.feed(piece) for piece in pieces) == b"".join(pieces)


@given(st.lists(st.text("ab", max_size=5), max_size=6))
def test_what_is_no_sequence_arrives_whole(pieces: list[str]) -> None:
    scanner = terminal.DetachScanner(b"xy")

    assert b"".join(scanner.feed(p.encode()) for p in pieces) == "".join(pieces).encode()


def test_raw_mode_ends_as_it_began() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)

    with terminal.Raw(slave) as raw:
        inside = termios.tcgetattr(slave)
        raw.restore()
        assert termios.tcgetattr(slave) == before

    assert not inside[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert not inside[1] & termios.OPOST
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_raw_mode_of_no_terminal_does_nothing() -> None:
    read, write = os.pipe()
    with terminal.Raw(read):
        pass
    os.close(read)
    os.close(write)


def test_no_terminal_has_no_size() -> None:
    read, write = os.pipe()
    assert terminal.size(read) == (0, 0)
    assert terminal.width(read, 80) == 80
    os.close(read)
    os.close(write)
