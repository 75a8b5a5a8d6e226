"""Processes in namespaces that exist already: by an intermediate process that joins them.

Only the children of a process get into a pid or time namespace that it joined; the child becomes
ours, not the intermediate's (CLONE_PARENT).
"""

import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from pinnace.linux import cgroup, process, syscall
from pinnace.oci import spec
from pinnace.runtime.sync import Failure, StartFailed, close_fds, receive_fds


def clone_within(
    flags: int,
    child: Callable[[], NoReturn],
    *,
    joined: Mapping[str, str],
    time_offsets: Mapping[str, spec.TimeOffset] | None,
) -> tuple[int, int]:
    """(pid, pidfd) of a child in the namespaces at the paths that `joined` has by kind.

    With time_offsets, which may be empty, it is in a new time namespace.
    """
    fds = [(name, os.open(path, os.O_RDONLY | os.O_CLOEXEC)) for name, path in joined.items()]

    def join() -> None:
        if time_offsets is not None:
            # Before others are joined: its offsets are written below the /proc that we know.
            syscall.unshare(syscall.CLONE_NEWTIME)
            _set_time_offsets(time_offsets)
        _join(fds)

    try:
        return clone_sibling(join, flags, child)
    finally:
        close_fds([fd for _, fd in fds])


def _join(namespaces: Sequence[tuple[str, int]]) -> None:
    """Enter them: some are the host's to enter, others that of the user namespace beside them."""
    late = []
    for name, fd in namespaces:
        try:
            if name != "user":
                syscall.setns(fd, process.NAMESPACES[name])
        except PermissionError:
            late.append((name, fd))
    for name, fd in [*(each for each in namespaces if each[0] == "user"), *late]:
        syscall.setns(fd, process.NAMESPACES[name])


def _set_time_offsets(offsets: Mapping[str, spec.TimeOffset]) -> None:
    lines = [f"{clock} {offset.secs} {offset.nanosecs}\n"
             for clock, offset in offsets.items()]  # fmt: skip
    if lines:
        process.write_file("/proc/self/timens_offsets", "".join(lines).encode())


def clone_sibling(
    join: Callable[[], None],
    flags: int,
    child: Callable[[], NoReturn],
    *,
    group: cgroup.Cgroup | None = None,
) -> tuple[int, int]:
    """(pid, pidfd) of a child of ours that was cloned after join() in an intermediate.

    With a group the intermediate is put into it first, and the child is born there.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    cgroup_fd = group.open() if group is not None else None
    _, between_fd = process.clone(cgroup_fd=cgroup_fd)
    if between_fd < 0:
        _intermediate(theirs, join, flags, child)
    theirs.close()
    try:
        if group is not None and cgroup_fd is None:
            group.add(_pid_of(between_fd))
        ours.send(b"go")
        answer, fds = receive_fds(ours, 4096)
    finally:
        ours.close()
        process.wait(between_fd)
        os.close(between_fd)
        if cgroup_fd is not None:
            os.close(cgroup_fd)
    if not fds:
        number, text = struct.unpack_from("=i", answer or bytes(4))[0], answer[4:].decode()
        raise StartFailed(Failure("namespaces", number, text or "could not join the namespaces"))
    return struct.unpack("=i", answer)[0], fds[0]


def clone_after(
    join: Callable[[], None], child: Callable[[], NoReturn], group: cgroup.Cgroup | None
) -> tuple[int, int]:
    if group is not None:
        group.add(os.getpid())
    process.hide_from_tracers()
    join()
    pid, pidfd = process.clone()
    if pid == 0:
        child()
    return pid, pidfd


def _pid_of(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
        for line in file:
            if line.startswith(b"Pid:"):
                return int(line.split()[1])
    raise ProcessLookupError


def _intermediate(
    channel: socket.socket, join: Callable[[], None], flags: int, child: Callable[[], NoReturn]
) -> NoReturn:
    try:
        process.hide_from_tracers()
        channel.recv(2)
        join()
        pid, pidfd = process.clone(flags, sibling=True)
        if pid == 0:
            child()
        socket.send_fds(channel, [struct.pack("=i", pid)], [pidfd])
    except OSError as error:
        channel.send(struct.pack("=i", error.errno or 0) + str(error.strerror).encode())
    finally:
        os._exit(0)
