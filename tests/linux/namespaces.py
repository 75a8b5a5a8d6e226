"""Network namespaces that a test makes for itself: they are gone with their fds."""

import os
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from pinnace.linux import netlink, netns

R = TypeVar("R")


class Namespace:
    """A network namespace with a netlink socket in it."""

    def __init__(self) -> None:
        self.fd = netns.create()
        self.netlink = self.inside(netlink.Socket)
        self.inside(lambda: netlink.set_link_up(netlink.LOOPBACK))

    def inside(self, action: Callable[[], R]) -> R:
        return netns.inside(self.fd, action)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        made = self.inside(lambda: socket.socket(family, kind))
        made.settimeout(5)
        return made

    def close(self) -> None:
        self.netlink.close()
        os.close(self.fd)


@pytest.fixture
def namespaces() -> Iterator[Callable[[], Namespace]]:
    """Makes namespaces; closes them all."""
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace())
        return made[-1]

    yield make
    for each in made:
        each.close()
