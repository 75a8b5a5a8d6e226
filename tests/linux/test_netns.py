"""Acting inside another network namespace."""

import os

import pytest

from pinnace.linux import netns

pytestmark = pytest.mark.root


def own():
    return os.stat("/proc/thread-self/ns/net").st_ino


def test_only_the_visit_is_elsewhere():
    before = own()
    fd = netns.create()
    try:
        assert netns.inside(fd, own) == os.fstat(fd).st_ino != before
        assert own() == before
    finally:
        os.close(fd)


def test_what_is_raised_inside_comes_out():
    fd = netns.create()
    try:
        with pytest.raises(ZeroDivisionError):
            netns.inside(fd, lambda: 1 // 0)
        with pytest.raises(FileNotFoundError, match="no/such"):
            netns.inside(fd, lambda: netns.set_sysctl("no/such", "1"))
    finally:
        os.close(fd)


def test_what_is_no_namespace_is_refused():
    with pytest.raises(OSError, match="setns"):
        netns.inside(os.open("/dev/null", os.O_RDONLY), lambda: None)
