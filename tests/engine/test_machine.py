"""The host as one value."""

import os

import pytest

from pinnace.engine import machine


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("6.12.0-1-amd64", (6, 12)),
        ("5.19.0", (5, 19)),
        ("6.18-rc1", (6, 18)),
        ("7", (7, 0)),
        ("strange", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_a_kernel_s_release_as_numbers(text: str, numbers: tuple[int, int]) -> None:
    assert machine.release(text) == numbers


def test_memory_is_told_in_bytes() -> None:
    text = "MemTotal:       24684084 kB\nMemFree:        23000000 kB\n"

    assert machine.memory_total(text) == 24684084 * 1024
    assert machine.memory_total("") == 0


def test_this_host() -> None:
    host = machine.read()

    assert (host.kernel, host.hostname) == (os.uname().release, os.uname().nodename)
    assert host.cpus == len(os.sched_getaffinity(0))
    assert host.cpu_list
    assert host.memory_nodes
    assert host.memory_total > 1 << 20
    assert host.cgroup_version in (1, 2)
    assert all(os.path.isdir(path) for path in host.thermal_paths)
