"""The one ctypes module: prototypes, numbers, errno → OSError.

Every function here is one system call, takes plain integers, bytes and file descriptors, and
raises OSError(errno, strerror, path). Names and arguments are those of the man pages, section 2.
"""

import ctypes
import os
import platform
from collections.abc import Callable, Iterable
from ctypes import c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from typing import Any

MACHINE = platform.machine()

_libc = ctypes.CDLL(None, use_errno=True)
# Keeps the GIL during the call: between fork and exec there must be no second thread to take it.
_libc_with_gil = ctypes.PyDLL(None, use_errno=True)

# Numbers from 424 on are the same on every architecture; the older ones are not.
_NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {"pivot_root": 155, "seccomp": 317, "capget": 125, "capset": 126, "bpf": 321,
               "keyctl": 250, "ioprio_set": 251, "sched_setattr": 314,
               "rt_sigaction": 13},
    "aarch64": {"pivot_root": 41, "seccomp": 277, "capget": 90, "capset": 91, "bpf": 280,
                "keyctl": 219, "ioprio_set": 30, "sched_setattr": 274,
                "rt_sigaction": 134},
}  # fmt: skip
_COMMON = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "clone3": 435, "close_range": 436, "openat2": 437, "mount_setattr": 442,
}  # fmt: skip

Path = str | bytes


def number(name: str) -> int:
    """The number of a system call on this machine."""
    return _COMMON.get(name) or _NUMBERS[MACHINE][name]


def check(result: int, what: str, path: Path | None = None) -> int:
    """Return result, or raise the OSError that errno tells of; `what` names the call."""
    if result >= 0:
        return result
    code = ctypes.get_errno()
    where = os.fsdecode(path) if path else None
    raise (
        OSError(code, os.strerror(code), where)
        if where
        else OSError(code, f"{what}: {os.strerror(code)}")
    )


def _function(name: str, *argtypes: Any, restype: Any = c_int) -> Callable[..., int]:
    function = _libc[name]
    function.argtypes = argtypes
    function.restype = restype
    return function


def _syscall(name: str, *argtypes: Any) -> Callable[..., int]:
    """A function object of its own for each call, so that argument types are set once."""
    function = _libc["syscall"]
    function.argtypes = (c_long, *argtypes)
    function.restype = c_long
    sysno = _COMMON.get(name) or _NUMBERS.get(MACHINE, {}).get(name, -1)

    def call(*args: Any) -> int:
        return function(sysno, *args)  # type: ignore[no-any-return]

    return call


def _bytes(value: Path | None) -> bytes | None:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


# mount(2) and the file-descriptor based mount API

_mount = _function("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = _function("umount2", c_char_p, c_int)
_pivot_root = _syscall("pivot_root", c_char_p, c_char_p)
_open_tree = _syscall("open_tree", c_int, c_char_p, c_uint)
_move_mount = _syscall("move_mount", c_int, c_char_p, c_int, c_char_p, c_uint)
_fsopen = _syscall("fsopen", c_char_p, c_uint)
_fsconfig = _syscall("fsconfig", c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = _syscall("fsmount", c_int, c_uint, c_uint)
_mount_setattr = _syscall("mount_setattr", c_int, c_char_p, c_uint, c_void_p, c_ulong)
_openat2 = _syscall("openat2", c_int, c_char_p, c_void_p, c_ulong)

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd")]


class _OpenHow(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


def mount(
    source: Path | None, target: Path, fstype: Path | None, flags: int, data: Path | None
) -> None:
    args = (_bytes(source), _bytes(target), _bytes(fstype), flags, _bytes(data))
    check(_mount(*args), "mount", target)


def umount2(target: Path, flags: int = 0) -> None:
    check(_umount2(_bytes(target), flags), "umount2", target)


def pivot_root(new_root: Path, put_old: Path) -> None:
    check(_pivot_root(_bytes(new_root), _bytes(put_old)), "pivot_root", new_root)


def open_tree(dirfd: int, path: Path, flags: int) -> int:
    return check(_open_tree(dirfd, _bytes(path), flags), "open_tree", path)


def move_mount(from_fd: int, from_path: Path, to_fd: int, to_path: Path, flags: int) -> None:
    result = _move_mount(from_fd, _bytes(from_path), to_fd, _bytes(to_path), flags)
    check(result, "move_mount", to_path)


def fsopen(fstype: str, flags: int) -> int:
    return check(_fsopen(_bytes(fstype), flags), "fsopen", fstype)


def fsconfig(fd: int, command: int, key: str | None, value: Path | None, aux: int) -> None:
    check(_fsconfig(fd, command, _bytes(key), _bytes(value), aux), f"fsconfig {key or command}")


def fsmount(fd: int, flags: int, attributes: int) -> int:
    return check(_fsmount(fd, flags, attributes), "fsmount")


def mount_setattr(
    dirfd: int, path: Path, flags: int, *, set: int, clear: int, propagation: int, userns_fd: int
) -> None:
    attr = _MountAttr(set, clear, propagation, userns_fd)
    result = _mount_setattr(dirfd, _bytes(path), flags, ctypes.addressof(attr), ctypes.sizeof(attr))
    check(result, "mount_setattr", path)


RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10


def openat2(dirfd: int, path: Path, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Open path relative to dirfd; the fd is close-on-exec like those of os.open."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    args = (dirfd, _bytes(path) or b".", ctypes.addressof(how), ctypes.sizeof(how))
    while (result := _openat2(*args)) < 0 and ctypes.get_errno() == 11:
        pass  # EAGAIN: a rename raced with ".." resolution; openat2(2) says to try again
    return check(result, "openat2", path)


# processes and namespaces

CLONE_NEWTIME = 0x00000080
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

_unshare = _function("unshare", c_int)
_setns = _function("setns", c_int, c_int)
_prctl = _function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_sethostname = _function("sethostname", c_char_p, c_ulong)
_setdomainname = _function("setdomainname", c_char_p, c_ulong)
_setfsuid = _function("setfsuid", c_uint)
_setfsgid = _function("setfsgid", c_uint)
_personality = _function("personality", c_ulong)
_close_range = _syscall("close_range", c_uint, c_uint, c_uint)
_keyctl = _syscall("keyctl", c_int, c_char_p, c_long, c_long, c_long)
_ioprio_set = _syscall("ioprio_set", c_int, c_int, c_int)
_sched_setattr = _syscall("sched_setattr", c_int, c_void_p, c_uint)
_sched_setaffinity = _function("sched_setaffinity", c_int, c_ulong, c_void_p)

_clone3 = _libc_with_gil["syscall"]
_clone3.argtypes = (c_long, c_void_p, c_ulong)
_clone3.restype = c_long


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size",
            "tls", "set_tid", "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


def clone3(flags: int, exit_signal: int, cgroup_fd: int = 0) -> tuple[int, int]:
    """Fork with flags; returns (pid, pidfd) in the parent and (0, -1) in the child.

    CPython's and glibc's at-fork handlers do not run: the caller must have one thread only
    and no `threading` locks in use. That halves the cost of a fork.
    """
    pidfd = c_int(-1)
    args = _CloneArgs(
        flags=flags | CLONE_PIDFD,
        pidfd=ctypes.addressof(pidfd),
        exit_signal=exit_signal,
        cgroup=cgroup_fd,
    )
    result = _clone3(435, ctypes.addressof(args), ctypes.sizeof(args))
    check(result, "clone3")
    return result, pidfd.value if result else -1


def unshare(flags: int) -> None:
    check(_unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    check(_setns(fd, flags), "setns")


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    return check(_prctl(option, arg2, arg3, arg4, arg5), f"prctl {option}")


_name = ctypes.create_string_buffer(16)  # made once: a new array type costs memory


def prctl_name(name: bytes) -> None:
    """PR_SET_NAME: at most 15 bytes are kept."""
    _name.value = name[:15]
    check(_prctl(15, ctypes.addressof(_name), 0, 0, 0), "prctl PR_SET_NAME")


def sethostname(name: bytes) -> None:
    check(_sethostname(name, len(name)), "sethostname")


def setdomainname(name: bytes) -> None:
    check(_setdomainname(name, len(name)), "setdomainname")


def setfsids(uid: int, gid: int) -> None:
    """setfsgid(2), setfsuid(2). They report no error; the capabilities for files get dropped."""
    _setfsgid(gid)
    _setfsuid(uid)


def personality(persona: int) -> int:
    return check(_personality(persona), "personality")


CLOSE_RANGE_CLOEXEC = 4


def close_range(first: int, last: int, flags: int = 0) -> None:
    check(_close_range(first, min(last, 0xFFFFFFFF), flags), "close_range")


def keyctl_join_session(name: bytes) -> int:
    """KEYCTL_JOIN_SESSION_KEYRING: the serial of a new session keyring."""
    return check(_keyctl(1, name, 0, 0, 0), "keyctl")


def ioprio_set(which: int, who: int, priority: int) -> None:
    check(_ioprio_set(which, who, priority), "ioprio_set")


def sched_setattr(attr: bytes) -> None:
    buffer = ctypes.create_string_buffer(attr, len(attr))
    check(_sched_setattr(0, ctypes.addressof(buffer), 0), "sched_setattr")


# capabilities, seccomp, bpf

_CAP_VERSION_3 = 0x20080522
_capget = _syscall("capget", c_void_p, c_void_p)
_capset = _syscall("capset", c_void_p, c_void_p)
_seccomp = _syscall("seccomp", c_uint, c_uint, c_void_p)
_bpf = _syscall("bpf", c_int, c_void_p, c_uint)


class _SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", c_void_p)]


def capget() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) of the calling thread, as 64-bit masks."""
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    check(_capget(ctypes.addressof(header), ctypes.addressof(data)), "capget")
    low, high = data[:3], data[3:]
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def capset(effective: int, permitted: int, inheritable: int) -> None:
    masks = (effective, permitted, inheritable)
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(*(m & 0xFFFFFFFF for m in masks), *(m >> 32 for m in masks))
    check(_capset(ctypes.addressof(header), ctypes.addressof(data)), "capset")


def seccomp(operation: int, flags: int, program: bytes) -> int:
    """Install an array of struct sock_filter; returns 0, or a listener fd if flags ask."""
    buffer = ctypes.create_string_buffer(program, len(program))
    prog = _SockFprog(len(program) // 8, ctypes.addressof(buffer))
    return check(_seccomp(operation, flags, ctypes.addressof(prog)), "seccomp")


def bpf(command: int, attr: bytes) -> int:
    """bpf(2) with a ready-made union bpf_attr; buffers inside it are addressed by `address`."""
    buffer = ctypes.create_string_buffer(attr, len(attr))
    return check(_bpf(command, ctypes.addressof(buffer), len(attr)), "bpf")


def overwrite(address: int, data: bytes) -> None:
    """Replace memory of this process: for the arguments that /proc/PID/cmdline shows."""
    ctypes.memmove(address, data, len(data))


class Buffer:
    """Memory that a structure can point to: lives as long as this object."""

    def __init__(self, data: bytes | int) -> None:
        self._buffer = (
            ctypes.create_string_buffer(data)
            if isinstance(data, int)
            else ctypes.create_string_buffer(data, len(data))
        )

    @property
    def address(self) -> int:
        return ctypes.addressof(self._buffer)

    @property
    def data(self) -> bytes:
        return self._buffer.raw


# inotify

_inotify_init1 = _function("inotify_init1", c_int)
_inotify_add_watch = _function("inotify_add_watch", c_int, c_char_p, ctypes.c_uint32)
_inotify_rm_watch = _function("inotify_rm_watch", c_int, c_int)


def inotify_init1(flags: int) -> int:
    return check(_inotify_init1(flags), "inotify_init1")


def inotify_add_watch(fd: int, path: Path, mask: int) -> int:
    return check(_inotify_add_watch(fd, _bytes(path), mask), "inotify_add_watch", path)


def inotify_rm_watch(fd: int, watch: int) -> None:
    check(_inotify_rm_watch(fd, watch), "inotify_rm_watch")


_syncfs = _function("syncfs", c_int)
_eventfd = _function("eventfd", c_uint, c_int)
_signalfd = _function("signalfd", c_int, c_char_p, c_int)


def syncfs(fd: int) -> None:
    check(_syncfs(fd), "syncfs")


def eventfd(initial: int, flags: int) -> int:
    return check(_eventfd(initial, flags), "eventfd")


def signalfd(numbers: Iterable[int], flags: int) -> int:
    """The signals must be blocked already; sigset_t has 128 bytes, with signal 1 in bit 0."""
    mask = sum(1 << (number - 1) for number in numbers).to_bytes(128, "little")
    return check(_signalfd(-1, mask, flags), "signalfd")


_rt_sigaction = _syscall("rt_sigaction", c_int, c_char_p, c_void_p, ctypes.c_size_t)


def default_action(number: int) -> None:
    """rt_sigaction(2) past the C library, which has signals of its own; SIG_DFL is all zeros."""
    check(_rt_sigaction(number, bytes(32), None, 8), "rt_sigaction")
