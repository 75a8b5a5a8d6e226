"""Mounts by file descriptor: make them detached, attach them where an fd says.

Nothing here joins a path that an image or a client chose: sources are open_tree(2) fds,
targets are O_PATH fds from `open_in_root`.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pinnace.linux import syscall
from pinnace.linux.syscall import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, Path

MS_RDONLY, MS_REC = 0x1, 0x4000
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2

MOUNT_ATTR_RDONLY = 0x00000001
MOUNT_ATTR_NOSUID = 0x00000002
MOUNT_ATTR_NODEV = 0x00000004
MOUNT_ATTR_NOEXEC = 0x00000008
MOUNT_ATTR__ATIME = 0x00000070  # a field of three bits
MOUNT_ATTR_RELATIME = 0x00000000
MOUNT_ATTR_NOATIME = 0x00000010
MOUNT_ATTR_STRICTATIME = 0x00000020
MOUNT_ATTR_NODIRATIME = 0x00000080
MOUNT_ATTR_IDMAP = 0x00100000
MOUNT_ATTR_NOSYMFOLLOW = 0x00200000

_OPEN_TREE_CLONE = 1
_F_EMPTY_PATH, _T_EMPTY_PATH = 0x04, 0x40
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_SET_FD = 0, 1, 5
_FSCONFIG_CMD_CREATE = 6
_CLOEXEC = 1


class Option(NamedTuple):
    """A file system's parameter: a flag (None), a string, or a file descriptor."""

    key: str
    value: str | int | None = None


def filesystem(
    fstype: str, options: Iterable[Option] = (), *, attributes: int = 0, source: Path | None = None
) -> int:
    """A detached mount of a new file system instance; the kernel's own words if it refuses."""
    context = open_context(fstype, options, source=source)
    try:
        return create(context, attributes=attributes)
    finally:
        os.close(context)


def open_context(fstype: str, options: Iterable[Option], *, source: Path | None = None) -> int:
    context = syscall.fsopen(fstype, _CLOEXEC)
    try:
        if source is not None:
            syscall.fsconfig(context, _FSCONFIG_SET_STRING, "source", source, 0)
        for key, value in options:
            _set_option(context, fstype, key, value)
    except BaseException:
        os.close(context)
        raise
    return context


def _set_option(context: int, fstype: str, key: str, value: str | int | None) -> None:
    try:
        if value is None:
            syscall.fsconfig(context, _FSCONFIG_SET_FLAG, key, None, 0)
        elif isinstance(value, int):
            syscall.fsconfig(context, _FSCONFIG_SET_FD, key, None, value)
        else:
            syscall.fsconfig(context, _FSCONFIG_SET_STRING, key, value, 0)
    except OSError as error:
        raise _explained(error, context, f"{fstype} option {key}") from None


def takes_fds(fstype: str, key: str) -> bool:
    """Whether the kernel's file system takes a file descriptor for this option."""
    context = syscall.fsopen(fstype, _CLOEXEC)
    folder = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        syscall.fsconfig(context, _FSCONFIG_SET_FD, key, None, folder)
    except OSError:
        return False
    finally:
        os.close(folder)
        os.close(context)
    return True


def create(context: int, *, attributes: int = 0) -> int:
    """FSCONFIG_CMD_CREATE and fsmount(2): the detached mount of a configured context."""
    try:
        syscall.fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return syscall.fsmount(context, _CLOEXEC, attributes)
    except OSError as error:
        raise _explained(error, context, "mount") from None


def _explained(error: OSError, context: int, what: str) -> OSError:
    """The error with what the file system wrote into the context's log (fsopen(2))."""
    lines = []
    try:
        while message := os.read(context, 4096):
            lines.append(message.decode(errors="replace").strip().removeprefix("e "))
    except OSError:
        pass
    text = "; ".join([error.strerror or "", *lines])
    return OSError(error.errno, f"{what}: {text}")


def clone(path: Path, *, dirfd: int = AT_FDCWD, recursive: bool = False) -> int:
    """A detached copy of the mount at path (and, recursive, of those below it)."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    if not path:
        flags |= AT_EMPTY_PATH
    return syscall.open_tree(dirfd, path, flags)


def set_attributes(
    fd: int,
    set: int = 0,
    *,
    clear: int = 0,
    propagation: int = 0,
    userns_fd: int | None = None,
    recursive: bool = False,
) -> None:
    """mount_setattr(2) on the mount that fd is the root of; a userns_fd makes it id-mapped."""
    if userns_fd is not None:
        set |= MOUNT_ATTR_IDMAP
    if set & MOUNT_ATTR__ATIME or clear & MOUNT_ATTR__ATIME:
        clear |= MOUNT_ATTR__ATIME
    syscall.mount_setattr(
        fd,
        "",
        AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0),
        set=set,
        clear=clear,
        propagation=propagation,
        userns_fd=userns_fd or 0,
    )


def attach(mount_fd: int, target_fd: int) -> None:
    """Put a mount (detached or not) on the object that target_fd, an O_PATH fd, refers to."""
    syscall.move_mount(mount_fd, "", target_fd, "", _F_EMPTY_PATH | _T_EMPTY_PATH)


def attach_at(mount_fd: int, path: Path) -> None:
    """As attach, by a path that this process alone controls."""
    syscall.move_mount(mount_fd, "", AT_FDCWD, path, _F_EMPTY_PATH)


def set_propagation(path: Path, propagation: int) -> None:
    """MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE, with MS_REC for the whole tree."""
    flags = AT_RECURSIVE if propagation & MS_REC else 0
    syscall.mount_setattr(
        AT_FDCWD, path, flags, set=0, clear=0, propagation=propagation & ~MS_REC, userns_fd=0
    )


def enter_root(root_fd: int) -> None:
    """Make the mount at root_fd the root and let go of the old one (pivot_root(2), NOTES)."""
    os.fchdir(root_fd)
    syscall.pivot_root(".", ".")
    syscall.umount2(".", MNT_DETACH)
    os.chdir("/")


def change_root(root_fd: int) -> None:
    """Make the mount at root_fd, attached or not, the caller's root; others keep theirs."""
    os.fchdir(root_fd)
    os.chroot(".")
    os.chdir("/")


def open_in_root(root_fd: int, path: str, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open path as a process with its root at root_fd would, without magic links."""
    resolve = syscall.RESOLVE_IN_ROOT | syscall.RESOLVE_NO_MAGICLINKS
    return syscall.openat2(root_fd, path, flags, mode, resolve)


def make_in_root(root_fd: int, path: str, *, directory: bool, mode: int = 0o755) -> int:
    """An O_PATH fd of path below root_fd, made with its parents where it is missing.

    Each step is resolved by the kernel below root_fd: a link in the image leads to where it
    points inside the image, never out of it. A dangling link at the end is an error.
    """
    try:
        return open_in_root(root_fd, path)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    parent_fd = make_in_root(root_fd, parent or "/", directory=True, mode=mode)
    try:
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        _make_entry(parent_fd, name, directory=directory, mode=mode)
        return open_in_root(root_fd, path)
    finally:
        os.close(parent_fd)


def _make_entry(parent_fd: int, name: str, *, directory: bool, mode: int) -> None:
    try:
        if directory:
            os.mkdir(name, mode, dir_fd=parent_fd)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(name, flags, mode, dir_fd=parent_fd))
    except FileExistsError:
        pass  # another container's process was first, or it is a dangling link: the open tells


class MountInfo(NamedTuple):
    """One line of /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: str
    propagation: Sequence[str]
    fstype: str
    source: str
    super_options: str


def mountinfo(pid: int | str = "self") -> list[MountInfo]:
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [_parse(line) for line in file]


def _parse(line: str) -> MountInfo:
    left, _, right = line.rstrip("\n").partition(" - ")
    fields = left.split(" ")
    fstype, source, super_options = [*right.split(" ", 2), "", ""][:3]
    root, target = _unescape(fields[3]), _unescape(fields[4])
    return MountInfo(
        int(fields[0]), int(fields[1]), fields[2], root, target, fields[5], fields[6:],
        fstype, _unescape(source), super_options,
    )  # fmt: skip


def _unescape(text: str) -> str:
    for octal, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, plain)
    return text


def detach(path: Path) -> None:
    """Unmount what is at path, now or when nobody uses it any more."""
    syscall.umount2(path, MNT_DETACH)
