"""From root in the container's namespaces to the process that was asked for.

The same code for init, exec, health checks and build steps (security invariants I4 to I7):
user and groups, capabilities, seccomp, file descriptors, environment, execve.
"""

import errno
import os
import signal
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from pinnace.linux import capabilities, process, seccomp, syscall
from pinnace.oci import spec
from pinnace.runtime import users

_PR_SET_KEEPCAPS = 8
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Wanted(NamedTuple):
    """A process as the specification has it, and what Docker leaves to be looked up inside."""

    process: spec.Process
    seccomp: bytes | None
    user: str | None
    groups: list[str]
    seccomp_flags: int = 0


class Launch(NamedTuple):
    """All that execve takes."""

    path: str
    args: list[str]
    env: dict[str, str]


class LaunchError(Exception):
    """A step that failed: (step, errno, message in runc's words)."""

    def __init__(self, step: str, number: int, message: str) -> None:
        super().__init__(message)
        self.step, self.errno, self.message = step, number, message


def identity(wanted: Wanted) -> users.Identity:
    """Who the process shall be, from the numbers given or the container's own files."""
    user = wanted.process.user
    if wanted.user is None and not wanted.groups:
        groups = tuple(user.additional_gids)
        home = "" if _variable(wanted.process.env, "HOME") else _home(user.uid)
        return users.Identity(uid=user.uid, gid=user.gid, groups=groups, home=home, name="")
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        passwd, group = users.read(root_fd, "/etc/passwd"), users.read(root_fd, "/etc/group")
    finally:
        os.close(root_fd)
    try:
        return users.resolve(wanted.user or "", passwd, group, wanted.groups)
    except ValueError as error:
        raise LaunchError("user", 0, str(error)) from None


def _home(uid: int) -> str:
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        passwd = users.read(root_fd, "/etc/passwd")
        return users.resolve(str(uid), passwd, b"", []).home
    except (OSError, ValueError):
        return "/"
    finally:
        os.close(root_fd)


def _variable(env: list[str], name: str) -> str | None:
    for entry in env:
        key, _, value = entry.partition("=")
        if key == name:
            return value
    return None


def drop(wanted: Wanted, who: users.Identity, listening: Callable[[int], None]) -> list[str]:
    """Become `who` with just the capabilities asked for, under the seccomp program.

    listening is given the fd of the seccomp listener, if the flags ask for one. Warnings.
    """
    process_spec = wanted.process
    own_stdio(who)
    if process_spec.user.umask is not None:
        os.umask(process_spec.user.umask)
    if process_spec.no_new_privileges:
        process.forbid_new_privileges()
    elif wanted.seccomp is not None:
        # Without no_new_privs seccomp(2) needs CAP_SYS_ADMIN, which is dropped next.
        _confine(wanted, listening)
    warnings = _drop_capabilities(wanted, who)
    process.hide_from_tracers()  # a change of ids may have undone it (prctl(2), PR_SET_DUMPABLE)
    if process_spec.no_new_privileges and wanted.seccomp is not None:
        # As late as can be: the filter need not allow what was done until here.
        _confine(wanted, listening)
    return warnings


def _confine(wanted: Wanted, listening: Callable[[int], None]) -> None:
    assert wanted.seccomp is not None
    listener_fd = seccomp.install(wanted.seccomp, wanted.seccomp_flags)
    if listener_fd is not None:
        listening(listener_fd)


def own_stdio(who: users.Identity) -> None:
    """Let the user reopen /dev/stdout and friends; the group of a terminal (tty) is kept."""
    for fd in (0, 1, 2):
        info = os.fstat(fd)
        if info.st_uid != who.uid and not _is_null(info):
            try:
                os.fchown(fd, who.uid, -1)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL, errno.EROFS):
                    raise


def _is_null(info: os.stat_result) -> bool:
    return info.st_rdev == os.makedev(1, 3)


def _drop_capabilities(wanted: Wanted, who: users.Identity) -> list[str]:
    sets = wanted.process.capabilities or spec.Capabilities()
    named = wanted.user is not None and who.uid != 0
    capabilities.set_bounding(capabilities.mask(sets.bounding))
    syscall.prctl(_PR_SET_KEEPCAPS, 1)
    process.become(who.uid, who.gid, who.groups)
    syscall.prctl(_PR_SET_KEEPCAPS, 0)
    if named:
        # Docker gives users other than root no capability but the bounding set.
        syscall.capset(0, 0, 0)
        return []
    inheritable = capabilities.mask(sets.inheritable)
    permitted = capabilities.mask(sets.permitted)
    effective, ambient = capabilities.mask(sets.effective), capabilities.mask(sets.ambient)
    warnings = []
    try:
        syscall.capset(effective, permitted, inheritable)
    except PermissionError:
        # What the host withholds from us we can't pass on (config.md: a warning, not an error).
        _, ours, _ = syscall.capget()
        syscall.capset(effective & ours, permitted & ours, inheritable & ours)
        ambient &= permitted & inheritable & ours
        warnings = ["capabilities that this host withholds were left out"]
    capabilities.set_ambient(ambient)
    return warnings


def prepare(wanted: Wanted, who: users.Identity) -> Launch:
    """Working directory and executable, as the user sees them; raises LaunchError."""
    enter_directory(wanted.process.cwd or "/")
    args = wanted.process.args
    if not args:
        raise LaunchError("exec", errno.EINVAL, "args must not be empty")
    env = environment(wanted.process.env, who)
    return Launch(find_executable(args[0], env.get("PATH", _DEFAULT_PATH)), args, env)


def enter_directory(path: str) -> None:
    try:
        os.chdir(path)
        inside = _is_inside()
    except OSError as error:
        reason = (error.strerror or "").lower()
        message = f'chdir to cwd ("{path}") set in config.json failed: {reason}'
        raise LaunchError("chdir", error.errno or 0, message) from None
    if not inside:
        message = "current working directory is outside of container mount namespace root"
        raise LaunchError("chdir", errno.EPERM, message)


def _is_inside() -> bool:
    """CVE-2024-21626: a descriptor leads out of the root, from where there is no way back to it."""
    try:
        return os.getcwd().startswith("/")
    except FileNotFoundError:
        return False


def environment(entries: list[str], who: users.Identity) -> dict[str, str]:
    """The list as a mapping, the last of equal names winning, with HOME where it is missing."""
    env = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if key and equals:
            env[key] = value
    if not env.get("HOME"):
        env["HOME"] = who.home or "/"
    return env


def find_executable(name: str, search: str) -> str:
    """What execvp would take, with the errors of Go's exec.LookPath that Docker's users know."""
    if "/" in name:
        _check_executable(name, name)
        return name
    refused = None
    for folder in search.split(":"):
        path = f"{folder or '.'}/{name}"
        try:
            _check_executable(path, name)
        except LaunchError as error:
            refused = refused or (error if error.errno == errno.EACCES else None)
            continue
        return path
    if refused:
        raise refused
    message = f'exec: "{name}": executable file not found in $PATH'
    raise LaunchError("exec", errno.ENOENT, message)


def _check_executable(path: str, name: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise LaunchError(
            "exec", error.errno or 0, f'exec: "{name}": stat {path}: {reason}'
        ) from None
    if mode & 0o170000 == 0o040000:
        message = f'exec: "{name}": is a directory: permission denied'
        raise LaunchError("exec", errno.EISDIR, message)
    # access(2) first: older filters of others know no faccessat2(2). All our ids are equal.
    if not (os.access(path, os.X_OK) or os.access(path, os.X_OK, effective_ids=True)):
        raise LaunchError("exec", errno.EACCES, f'exec: "{name}": permission denied')


def execute(launch: Launch) -> NoReturn:
    """execve with nothing left over from us: fds, signal mask and dispositions, core limit."""
    process.close_on_exec_from(3)
    # CPython ignores these two; a program expects the default.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execve(launch.path, launch.args, launch.env)
    except OSError as error:
        reason = (error.strerror or "").lower()
        message = f"exec {launch.path}: {reason}"
        raise LaunchError("exec", error.errno or 0, message) from None


def limit(rlimits: Sequence[spec.Rlimit]) -> None:
    """Last of all, since the limits count for us too; warnings have nobody to go to any more."""
    for entry in rlimits:
        process.set_rlimit(0, entry.type, entry.soft, entry.hard)


PERSONALITIES = {"LINUX": 0, "LINUX32": 8}


def set_personality(wanted: spec.Personality) -> None:
    syscall.personality(PERSONALITIES[wanted.domain])


_IOPRIO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_POLICIES = {"SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4,
             "SCHED_IDLE": 5, "SCHED_DEADLINE": 6}  # fmt: skip
_SCHED_FLAGS = {"SCHED_FLAG_RESET_ON_FORK": 1, "SCHED_FLAG_RECLAIM": 2, "SCHED_FLAG_DL_OVERRUN": 4,
                "SCHED_FLAG_KEEP_POLICY": 8, "SCHED_FLAG_KEEP_PARAMS": 16,
                "SCHED_FLAG_UTIL_CLAMP_MIN": 32, "SCHED_FLAG_UTIL_CLAMP_MAX": 64}  # fmt: skip


def set_priorities(wanted: spec.Process) -> None:
    """I/O priority and scheduling policy (config.md, "Linux Process")."""
    if (io := wanted.io_priority) is not None and io.cls:
        syscall.ioprio_set(1, 0, _IOPRIO_CLASSES[io.cls] << 13 | io.priority)
    if (policy := wanted.scheduler) is not None and policy.policy:
        flags = 0
        for name in policy.flags:
            flags |= _SCHED_FLAGS[name]
        numbers = (policy.runtime, policy.deadline, policy.period)
        attr = struct.pack(
            "=IIQiIQQQ", 48, _POLICIES[policy.policy], flags, policy.nice, policy.priority, *numbers
        )
        syscall.sched_setattr(attr)
