"""Pseudo-terminals: the pair's ends by fd, their size."""

import fcntl
import os
import struct
import termios

_TIOCGPTPEER = 0x5441
_TIOCSPTLCK = 0x40045431


def open_pair(master: int) -> tuple[int, int]:
    """(master, slave) from an opened ptmx.

    The slave is opened through the master (TIOCGPTPEER), so no path in a container decides
    what it is (CVE-2025-52565).
    """
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    return master, fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def set_size(fd: int, height: int, width: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def take_control(slave_fd: int) -> None:
    """Make the terminal the controlling one of the session that the caller leads."""
    fcntl.ioctl(slave_fd, termios.TIOCSCTTY, 0)
