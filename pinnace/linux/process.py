"""Processes and their namespaces: clone, wait, join, identity maps, limits.

Rule: `clone` may be called only where there is one thread; the callers are the zygote, the
supervisor, init, and the runtime's command line, never the daemon.
"""

import fcntl
import os
import resource
import select
import signal
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from pinnace.linux import syscall
from pinnace.linux.syscall import (
    CLONE_INTO_CGROUP,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_PARENT,
)

# The runtime specification's names of namespaces (config-linux.md, "Namespaces").
NAMESPACES = {
    "user": CLONE_NEWUSER,
    "mount": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
# Their names below /proc/PID/ns.
PROC_NAMES = {"user": "user", "mount": "mnt", "pid": "pid", "network": "net", "ipc": "ipc",
              "uts": "uts", "cgroup": "cgroup", "time": "time"}  # fmt: skip

# RLIMIT_*, by the specification's names (getrlimit(2)); Python's module lacks some.
RLIMITS = {
    "RLIMIT_" + name: number
    for number, name in enumerate((
        "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS",
        "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
    ))
}  # fmt: skip

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


class IDMap(NamedTuple):
    """`size` ids from `inside` on are those from `outside` on in the parent namespace."""

    inside: int
    outside: int
    size: int


def clone(
    flags: int = 0, *, cgroup_fd: int | None = None, sibling: bool = False
) -> tuple[int, int]:
    """(pid, pidfd) in the parent, (0, -1) in the child; flags are CLONE_NEW*.

    A sibling is a child of the caller's parent (CLONE_PARENT); clone3(2) wants no exit signal
    with it, it inherits the caller's.
    """
    exit_signal = signal.SIGCHLD
    if sibling:
        flags, exit_signal = flags | CLONE_PARENT, 0  # type: ignore[assignment]
    if cgroup_fd is not None:
        flags |= CLONE_INTO_CGROUP
    return syscall.clone3(flags, exit_signal, cgroup_fd or 0)


def fork(child: Callable[[], None]) -> tuple[int, int]:
    """Run child in a new process that exits with 0, or 1 when it raises; (pid, pidfd)."""
    pid, pidfd = clone()
    if pid == 0:
        try:
            child()
            os._exit(0)
        finally:
            os._exit(1)
    return pid, pidfd


def plain_fork() -> int:
    """fork(2) by the C library, as seccomp filters allow it: Docker's forbids clone3(2)."""
    return os.fork()


class Exit(NamedTuple):
    """How a process ended: `code` as a shell counts, 128 + N for signal N."""

    code: int
    signal: int


def wait(pidfd: int, *, block: bool = True) -> Exit | None:
    """Reap the child that pidfd refers to; None while it lives and block is false."""
    flags = os.WEXITED | (0 if block else os.WNOHANG)
    info = os.waitid(os.P_PIDFD, pidfd, flags)
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return Exit(info.si_status, 0)
    return Exit(128 + info.si_status, info.si_status)


def alive(pidfd: int) -> bool:
    """Whether the process (not necessarily a child) has not exited yet."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


def send_signal(pidfd: int, number: int) -> bool:
    """False if the process is gone."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def start_time(pid: int) -> int:
    """Clock ticks since boot at which pid started: with the pid it names a process for good."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b") ")[2].split()[19])


def namespace_fd(pid: int, name: str) -> int:
    return os.open(f"/proc/{pid}/ns/{PROC_NAMES[name]}", os.O_RDONLY | os.O_CLOEXEC)


def write_id_maps(pid: int, uids: Sequence[IDMap], gids: Sequence[IDMap]) -> None:
    """user_namespaces(7): each map is written once, in one write."""
    for name, maps in (("uid_map", uids), ("gid_map", gids)):
        data = "".join(f"{m.inside} {m.outside} {m.size}\n" for m in maps)
        write_file(f"/proc/{pid}/{name}", data.encode())


def write_file(path: str, data: bytes, *, dirfd: int | None = None) -> None:
    """One write(2) to an existing file, as control files want it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=dirfd)
    try:
        os.write(fd, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def become(uid: int, gid: int, groups: Sequence[int] = ()) -> None:
    """Take on an identity in the present user namespace: groups first, then gid, then uid."""
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


class file_identity:  # noqa: N801 (a context manager, read as a verb)
    """Act on files as uid:gid for a while, with all capabilities for files kept.

    setfsuid(2) drops those capabilities from the effective set; they are raised again from
    the permitted one. Only for single-threaded callers.
    """

    def __init__(self, uid: int, gid: int) -> None:
        self.ids = uid, gid

    def __enter__(self) -> None:
        syscall.setfsids(*self.ids)
        self._raise()

    def __exit__(self, *_: object) -> None:
        syscall.setfsids(os.geteuid(), os.getegid())
        self._raise()

    @staticmethod
    def _raise() -> None:
        _, permitted, inheritable = syscall.capget()
        syscall.capset(permitted, permitted, inheritable)


def clamp_rlimit(name: str, soft: int, hard: int) -> tuple[int, int]:
    """The limits as low as this process could set them for itself, or lower."""
    _, ceiling = resource.getrlimit(getattr(resource, name))
    soft, hard = (min(_rlim(v), _rlim(ceiling), key=_as_unsigned) for v in (soft, hard))
    return _as_unsigned(soft), _as_unsigned(hard)


def set_rlimit(pid: int, name: str, soft: int, hard: int) -> str | None:
    """Set a limit of pid, clamped to what the host lets us have; then a warning is told.

    Raising a hard limit takes CAP_SYS_RESOURCE in the initial user namespace.
    """
    kind = RLIMITS[name]
    wanted = (_rlim(soft), _rlim(hard))
    try:
        resource.prlimit(pid, kind, wanted)
        return None
    except (PermissionError, ValueError):
        _, ceiling = resource.prlimit(pid, kind)
    clamped = tuple(min(v, _rlim(ceiling), key=_as_unsigned) for v in wanted)
    resource.prlimit(pid, kind, (clamped[0], clamped[1]))
    return f"{name} {soft}:{hard} was lowered to the host's limit of {ceiling}"


def _rlim(value: int) -> int:
    return resource.RLIM_INFINITY if value in (-1, 0xFFFFFFFFFFFFFFFF) else value


def _as_unsigned(value: int) -> int:
    return value & 0xFFFFFFFFFFFFFFFF


def set_oom_score_adj(pid: int, value: int) -> str | None:
    """A warning instead where lowering it takes a CAP_SYS_RESOURCE that the host withholds."""
    try:
        write_file(f"/proc/{pid}/oom_score_adj", str(value).encode())
    except PermissionError:
        return f"oom_score_adj {value} is not permitted on this host and was left as it is"
    return None


def notice_children() -> int:
    """An fd that is readable when a child has ended (signalfd(2)); SIGCHLD is blocked for it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    return syscall.signalfd({signal.SIGCHLD}, os.O_CLOEXEC | os.O_NONBLOCK)


def unnotice_children() -> None:
    """In a forked process, what notice_children() has changed."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def reap_strangers(known: Collection[int]) -> None:
    """Reap the children that have ended, up to the first whose pid is known: it is waited for."""
    flags = os.WEXITED | os.WNOHANG
    try:
        while (info := os.waitid(os.P_ALL, 0, flags | os.WNOWAIT)) is not None:
            if info.si_pid in known:
                return
            os.waitid(os.P_PID, info.si_pid, flags)
    except ChildProcessError:
        pass


def adopt_orphans() -> None:
    """Become the reaper of descendants whose parents exit (PR_SET_CHILD_SUBREAPER)."""
    syscall.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    syscall.prctl(_PR_SET_PDEATHSIG, number)


def hide_from_tracers() -> None:
    """PR_SET_DUMPABLE 0: no ptrace and no /proc/PID/{exe,fd,mem} for others until execve."""
    syscall.prctl(_PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    syscall.prctl(_PR_SET_NO_NEW_PRIVS, 1)


class _Arguments(NamedTuple):
    start: int
    end: int


_arguments: _Arguments | None = None  # found once: a forked process has its maker's


def set_title(title: str) -> None:
    """What ps and top show: the name (15 bytes), and the arguments, which are overwritten.

    A process that a container can see must not tell how the host started it.
    """
    place = find_title()
    syscall.prctl_name(title.encode())
    room = place.end - place.start
    syscall.overwrite(place.start, title.encode()[: room - 1].ljust(room, b"\0"))


def find_title() -> _Arguments:
    """proc_pid_stat(5): fields 48 and 49 are where the arguments are in memory.

    To be called while /proc is the host's (I3): a container's could have us write anywhere.
    """
    global _arguments
    if _arguments is None:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        _arguments = _Arguments(int(fields[45]), int(fields[46]))
    return _arguments


def close_on_exec_from(first: int) -> None:
    try:
        syscall.close_range(first, 0xFFFFFFFF, syscall.CLOSE_RANGE_CLOEXEC)
    except PermissionError:
        _close_on_exec_each(first)


def _close_on_exec_each(first: int) -> None:
    """For seccomp filters that are older than close_range(2) (5.9) and refuse it."""
    for fd in range(first, 1024):
        try:
            os.set_inheritable(fd, False)
        except OSError:
            pass


def close_all_but(keep: Sequence[int]) -> None:
    """Close every fd from 3 on that is not in keep."""
    start = 3
    for fd in sorted({*keep, 1 << 20}):
        if start < fd:
            _close_range(start, fd - 1)
        start = max(start, fd + 1)


def _close_range(first: int, last: int) -> None:
    try:
        syscall.close_range(first, last)
    except PermissionError:  # an older seccomp filter, as in _close_on_exec_each
        os.closerange(first, min(last, 1024) + 1)


def run(argv: Sequence[str], env: dict[str, str], stdio: Sequence[int]) -> int:
    """Execute a program with these three fds and wait for it; its exit code as a shell counts.

    For single-threaded callers.
    """

    def child() -> None:
        for target, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in stdio]):
            os.dup2(fd, target)
        close_on_exec_from(3)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(argv[0], list(argv), env)

    _, pidfd = fork(child)
    ended = wait(pidfd)
    os.close(pidfd)
    return ended.code if ended else 0


def spawn(argv: Sequence[str], inherited: Sequence[int], env: dict[str, str]) -> int:
    """Execute a program in a session of its own, with `inherited` as its fds from 3 on; its pid.

    posix_spawn(3) is safe where there are threads. Signals are as if nobody had blocked or
    ignored any: what a shell has ignored for us ("&", nohup) is not for our descendants.
    """
    # First out of the way of the targets, then into place: a target may be one of them.
    above = [os.dup(fd) for fd in inherited]
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3 + len(inherited)) for fd in above]
    try:
        actions = [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(high)]
        return os.posix_spawn(
            argv[0],
            list(argv),
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=signal.valid_signals(),
        )
    finally:
        for fd in (*above, *high):
            os.close(fd)


def restore_hidden_signals() -> None:
    """32 and 33, the C library's own: its posix_spawn(3) ignores them, which execve keeps."""
    for number in (32, 33):
        syscall.default_action(number)


def await_exit(pidfd: int, seconds: float) -> bool:
    """Wait for the end of any process, a child or not; False if it still lives then."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
