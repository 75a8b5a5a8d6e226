import ctypes
import errno
import os

import pytest

from pinnace.linux import syscall
from tests.linux import child


def test_a_failure_names_the_path() -> None:
    with pytest.raises(FileNotFoundError) as raised:
        syscall.openat2(syscall.AT_FDCWD, "/does/not/exist", os.O_RDONLY)

    assert raised.value.filename == "/does/not/exist"


def test_a_failure_without_a_path_names_the_call() -> None:
    ctypes.set_errno(errno.EPERM)

    with pytest.raises(PermissionError, match="frobnicate: Operation not permitted"):
        syscall.check(-1, "frobnicate")


def test_a_result_is_passed_on() -> None:
    assert syscall.check(7, "anything") == 7


def test_openat2_gives_descriptors_that_close_on_exec(tmp_path: os.PathLike[str]) -> None:
    fd = syscall.openat2(syscall.AT_FDCWD, os.fspath(tmp_path), os.O_RDONLY)

    assert not os.get_inheritable(fd)
    os.close(fd)


def test_openat2_stays_beneath(tmp_path: os.PathLike[str]) -> None:
    folder = os.open(tmp_path, os.O_PATH)

    with pytest.raises(OSError) as raised:
        syscall.openat2(folder, "..", os.O_PATH, 0, syscall.RESOLVE_BENEATH)

    assert raised.value.errno == errno.EXDEV
    os.close(folder)


def test_names_of_any_bytes_are_found(tmp_path: os.PathLike[str]) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(raw)

    for name in (raw, os.fsdecode(raw)):
        os.close(syscall.openat2(syscall.AT_FDCWD, name, os.O_PATH))


def test_clone3_returns_in_both_processes() -> None:
    pid, pidfd = syscall.clone3(0, 17)
    if pid == 0:
        os._exit(23)

    info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)

    assert info is not None and (info.si_pid, info.si_status) == (pid, 23)
    os.close(pidfd)


def test_capabilities_are_read_and_given_up() -> None:
    def drop() -> tuple[int, int, int]:
        _, permitted, _ = syscall.capget()
        syscall.capset(0, permitted, 0)
        return syscall.capget()

    effective, permitted, inheritable = child.call(drop)

    assert (effective, inheritable) == (0, 0)
    assert permitted == syscall.capget()[1]


def test_a_buffer_keeps_its_bytes() -> None:
    buffer = syscall.Buffer(b"a\0b")

    assert ctypes.string_at(buffer.address, 3) == buffer.data == b"a\0b"
