import os
from collections.abc import Iterator

import pytest

from pinnace.linux import bpf, cgroup
from pinnace.linux.bpf import instruction

TOP = f"/pinnace-test-{os.getpid()}-bpf"

PASS = instruction(bpf.MOVE, 0, immediate=1) + instruction(bpf.EXIT)


def test_an_instruction_is_packed_as_the_kernel_has_it() -> None:
    jump = instruction(bpf.JUMP_UNLESS_EQUAL, 4, 3, offset=-2, immediate=0x01020304)

    assert jump == bytes([0x55, 0x34, 0xFE, 0xFF, 0x04, 0x03, 0x02, 0x01])


@pytest.fixture
def folder_fd() -> Iterator[int]:
    unified = cgroup.detect().unified if os.geteuid() == 0 else None
    if unified is None:
        pytest.skip("no unified hierarchy")
    group = cgroup.V2(unified.target, TOP)
    group.create()
    fd = os.open(group.folder, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)
    group.remove()


def attached(folder_fd: int) -> int:
    fds = bpf._attached(folder_fd)
    for fd in fds:
        os.close(fd)
    return len(fds)


@pytest.mark.root
def test_a_filter_takes_the_place_of_the_last(folder_fd: int) -> None:
    assert attached(folder_fd) == 0

    for _ in range(3):
        bpf.install_device_filter(folder_fd, PASS)
        assert attached(folder_fd) == 1


@pytest.mark.root
def test_several_filters_are_replaced_by_one(folder_fd: int) -> None:
    for _ in range(2):
        fd = bpf._load(PASS)
        bpf._attach(folder_fd, fd, bpf._ALLOW_MULTI, 0)
        os.close(fd)
    assert attached(folder_fd) == 2

    bpf.install_device_filter(folder_fd, PASS)

    assert attached(folder_fd) == 1


@pytest.mark.root
def test_a_program_that_the_kernel_refuses_leaves_the_last(folder_fd: int) -> None:
    bpf.install_device_filter(folder_fd, PASS)
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(OSError):
        bpf.install_device_filter(folder_fd, instruction(bpf.EXIT))

    assert attached(folder_fd) == 1
    assert len(os.listdir("/proc/self/fd")) == before
