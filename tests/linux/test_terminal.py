import array
import fcntl
import os
import termios

import pytest

from pinnace.linux import terminal
from tests.linux import child


@pytest.fixture
def pair() -> tuple[int, int]:
    return terminal.open_pair(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))


def test_what_one_end_writes_the_other_reads(pair: tuple[int, int]) -> None:
    master, slave = pair
    assert os.isatty(slave)

    os.write(slave, b"out\n")
    os.write(master, b"in\n")

    assert os.read(master, 5) == b"out\r\n"
    assert os.read(slave, 3) == b"in\n"


def test_the_slave_closes_on_exec(pair: tuple[int, int]) -> None:
    assert not os.get_inheritable(pair[1])


def test_the_size_is_seen_at_the_other_end(pair: tuple[int, int]) -> None:
    master, slave = pair

    terminal.set_size(master, 24, 81)

    size = array.array("H", [0] * 4)
    fcntl.ioctl(slave, termios.TIOCGWINSZ, size)
    assert list(size[:2]) == [24, 81]


def test_a_session_takes_control_of_a_terminal(pair: tuple[int, int]) -> None:
    def control() -> int:
        os.setsid()
        terminal.take_control(pair[1])
        return os.tcgetpgrp(pair[1]) - os.getpid()

    assert child.call(control) == 0
