import errno
import os
import resource
import signal
import time

import pytest

from pinnace.linux import mount, process, syscall
from tests.linux import child


def sleeper() -> tuple[int, int]:
    pid, pidfd = process.clone()
    if pid == 0:
        signal.pause()
    return pid, pidfd


def end(pidfd: int) -> process.Exit | None:
    process.send_signal(pidfd, signal.SIGKILL)
    ended = process.wait(pidfd)
    os.close(pidfd)
    return ended


def test_an_exit_code_is_as_a_shell_counts() -> None:
    pid, pidfd = process.clone()
    if pid == 0:
        os._exit(3)

    assert process.wait(pidfd) == process.Exit(3, 0)
    os.close(pidfd)


def test_an_end_by_a_signal_is_128_and_its_number() -> None:
    _, pidfd = sleeper()

    assert end(pidfd) == process.Exit(137, signal.SIGKILL)


def test_a_living_process_is_not_waited_for_unless_asked() -> None:
    _, pidfd = sleeper()

    assert process.wait(pidfd, block=False) is None
    assert process.alive(pidfd)
    end(pidfd)


def test_a_process_that_is_gone_takes_no_signal() -> None:
    _, pidfd = process.fork(lambda: None)
    process.wait(pidfd)

    assert not process.send_signal(pidfd, signal.SIGTERM)
    assert not process.alive(pidfd)
    os.close(pidfd)


def test_a_child_that_raises_exits_with_1() -> None:
    _, pidfd = process.fork(lambda: os.close(-1))

    assert process.wait(pidfd) == process.Exit(1, 0)
    os.close(pidfd)


def test_an_end_is_awaited_no_longer_than_asked() -> None:
    _, pidfd = sleeper()

    before = time.monotonic()
    assert not process.await_exit(pidfd, 0.01)
    assert time.monotonic() - before < 5
    process.send_signal(pidfd, signal.SIGKILL)
    assert process.await_exit(pidfd, 30)
    end(pidfd)


def test_a_start_time_tells_processes_apart() -> None:
    pid, pidfd = sleeper()

    assert process.start_time(pid) >= process.start_time(os.getpid()) > 0
    end(pidfd)


def test_a_sibling_is_a_child_of_our_parent() -> None:
    def clone_sibling() -> tuple[int, int]:
        pid, _ = process.clone(sibling=True)
        if pid == 0:
            os._exit(11)
        return pid, os.getpid()

    sibling, _ = child.call(clone_sibling)

    _, status = os.waitpid(sibling, 0)
    assert os.waitstatus_to_exitcode(status) == 11


def test_a_spawned_program_has_the_descriptors_from_three_on() -> None:
    reader, writer = os.pipe()
    extra = os.open("/dev/null", os.O_RDONLY)

    script = "echo given >&4"
    pid = process.spawn(["/bin/sh", "-c", script], [extra, writer], {})
    os.close(writer)

    assert os.read(reader, 100) == b"given\n"
    assert os.waitpid(pid, 0)[1] == 0
    for fd in (reader, extra):
        os.close(fd)


def test_all_descriptors_but_some_are_closed() -> None:
    def survivors() -> list[int]:
        opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(6)]
        process.close_all_but([opened[1], opened[4], *_pipes()])
        return [opened.index(fd) for fd in opened if os.path.exists(f"/proc/self/fd/{fd}")]

    assert child.call(survivors) == [1, 4]


def _pipes() -> list[int]:
    """What child.call answers by."""
    links = ((fd, f"/proc/self/fd/{fd}") for fd in range(3, 100))
    return [fd for fd, p in links if os.path.lexists(p) and os.readlink(p).startswith("pipe:")]


@pytest.mark.parametrize("refused", [False, True], ids=["close_range", "one-by-one"])
def test_descriptors_are_marked_to_close_on_exec(refused: bool) -> None:
    def inheritable() -> bool:
        fd = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(fd, True)
        if refused:
            process._close_on_exec_each(3)
        else:
            process.close_on_exec_from(3)
        return os.get_inheritable(fd)

    assert child.call(inheritable) is False


def test_a_limit_is_set_and_read_back() -> None:
    def limit() -> tuple[str | None, tuple[int, int]]:
        told = process.set_rlimit(os.getpid(), "RLIMIT_NOFILE", 100, 200)
        return told, resource.getrlimit(resource.RLIMIT_NOFILE)

    assert child.call(limit) == (None, (100, 200))


def test_a_limit_beyond_the_hosts_is_clamped_with_a_warning() -> None:
    def limit() -> tuple[str | None, tuple[int, int]]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        syscall.capset(0, 0, 0)
        told = process.set_rlimit(os.getpid(), "RLIMIT_NOFILE", 64, 128)
        return told, resource.getrlimit(resource.RLIMIT_NOFILE)

    told, limits = child.call(limit)

    assert told == "RLIMIT_NOFILE 64:128 was lowered to the host's limit of 64"
    assert limits == (64, 64)


def test_limits_have_the_kernels_numbers() -> None:
    for name, number in process.RLIMITS.items():
        assert getattr(resource, name, number) == number
    assert process.RLIMITS["RLIMIT_LOCKS"] == 10


def test_control_files_are_written_in_one_piece(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "control")
    with pytest.raises(FileNotFoundError):
        process.write_file(path, b"1")
    open(path, "w").close()

    process.write_file(path, b"12")

    with open(path) as file:
        assert file.read() == "12"


@pytest.mark.root
def test_an_identity_is_taken_on_with_its_groups() -> None:
    def become() -> tuple[object, ...]:
        process.become(1000, 1001, [5, 6])
        return os.getresuid(), os.getresgid(), sorted(os.getgroups())

    expected = ((1000,) * 3, (1001,) * 3, [5, 6])
    assert child.call(become) == expected


@pytest.mark.root
def test_files_are_made_as_another_user_with_our_rights(tmp_path: os.PathLike[str]) -> None:
    os.chmod(tmp_path, 0o700)
    inside, after = os.path.join(tmp_path, "inside"), os.path.join(tmp_path, "after")

    def make() -> None:
        with process.file_identity(1000, 1001):
            open(inside, "w").close()
        open(after, "w").close()

    child.call(make)

    assert [(os.stat(p).st_uid, os.stat(p).st_gid) for p in (inside, after)] == [
        (1000, 1001),
        (0, 0),
    ]


@pytest.mark.root
def test_a_user_namespaces_ids_are_mapped() -> None:
    pid, pidfd = process.clone(process.NAMESPACES["user"])
    if pid == 0:
        signal.pause()
    maps = [process.IDMap(0, 100000, 65536)]

    process.write_id_maps(pid, maps, maps)

    with open(f"/proc/{pid}/uid_map") as file:
        assert file.read().split() == ["0", "100000", "65536"]
    with pytest.raises(OSError) as raised:
        process.write_id_maps(pid, maps, maps)
    assert raised.value.errno == errno.EPERM and raised.value.filename == f"/proc/{pid}/uid_map"
    end(pidfd)


def test_every_namespace_of_the_specification_is_known() -> None:
    assert set(process.NAMESPACES) == set(process.PROC_NAMES)
    for name in process.NAMESPACES:
        os.close(process.namespace_fd(os.getpid(), name))


def test_where_the_title_goes_is_not_asked_of_a_containers_proc() -> None:
    def titled() -> bool:
        process.find_title()
        syscall.unshare(syscall.CLONE_NEWNS)
        mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
        mount.attach_at(mount.filesystem("tmpfs"), "/proc")
        process.set_title("renamed")
        return os.path.exists("/proc/self")

    assert child.call(titled) is False
