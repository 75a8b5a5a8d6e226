"""The layer between an image and a container: real targets for what is mounted later (I31).

Docker puts such a layer there too (moby, daemon/initlayer): links of the image at these
places are replaced by real folders and files, so they never carry a mount elsewhere.
"""

import os
import time
from collections.abc import Iterable
from typing import Literal

import msgspec

from pinnace.store import merged

DIRECTORIES = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
LINKS = {"etc/mtab": "/proc/mounts"}

Kind = Literal["directory", "opaque", "file", "symlink", "whiteout"]


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing to make in a layer; "" is the layer's root, parents come before children.

    "opaque" is a folder that hides what the layers below have in it (the extended attribute
    trusted.overlay.opaque = y), "whiteout" a device 0/0 that hides a name, "file" is empty.
    mtime (nanoseconds) is set after everything else is made.
    """

    path: str
    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: str = ""


def plan(root: merged.Directory) -> list[Entry]:
    """Folders that exist in the image keep their mode, owner and time; files are new."""
    now = time.time_ns()
    entries = [directory("", root.stat(), now)]
    entries += [directory(path, root.find(path), now) for path in DIRECTORIES]
    # 0755: as Docker 28 makes them.
    entries += [Entry(path, "file", mtime=now) for path in FILES]
    entries += [Entry(path, "symlink", mtime=now, target=to) for path, to in LINKS.items()]
    return entries


def directory(path: str, status: os.stat_result | None, now: int) -> Entry:
    """An entry that looks like the folder below, if there is one (status is not a folder's
    when the image has something else at that place)."""
    if status is None or status.st_mode & 0o170000 != 0o040000:
        return Entry(path, "directory", mtime=now)
    mode = status.st_mode & 0o7777
    return Entry(path, "directory", mode, status.st_uid, status.st_gid, status.st_mtime_ns)


def perform(entries: Iterable[Entry], root_fd: int) -> None:
    """Make the entries in a folder of our own, in which nobody else writes."""
    made = list(entries)
    for entry in made:
        _make(entry, root_fd)
    for entry in reversed(made):
        times = (entry.mtime, entry.mtime)
        os.utime(entry.path or ".", ns=times, dir_fd=root_fd, follow_symlinks=False)


def _make(entry: Entry, root_fd: int) -> None:
    path = entry.path or "."
    match entry.kind:
        case "directory" | "opaque":
            if entry.path:
                os.mkdir(path, 0o700, dir_fd=root_fd)
        case "file":
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=root_fd))
        case "symlink":
            os.symlink(entry.target, path, dir_fd=root_fd)
            os.chown(path, entry.uid, entry.gid, dir_fd=root_fd, follow_symlinks=False)
            return
        case "whiteout":
            os.mknod(path, 0o020000, 0, dir_fd=root_fd)
            return
    os.chown(path, entry.uid, entry.gid, dir_fd=root_fd)
    os.chmod(path, entry.mode, dir_fd=root_fd)
    if entry.kind == "opaque":
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
        try:
            os.setxattr(fd, merged.OPAQUE, b"y")
        finally:
            os.close(fd)
