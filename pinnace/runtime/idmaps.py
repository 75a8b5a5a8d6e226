"""Host files as a container's user namespace is to see them: id-mapped mounts, or other owners.

What is on disk keeps the ids that Docker would write, while the container sees its own
(mount_setattr(2), "ID mappings").
"""

import errno
import os
from typing import NamedTuple

from pinnace.linux import mount


class Owner(NamedTuple):
    """Who a container's root is on the host, and its user namespace (None: the host's own)."""

    uid: int = 0
    gid: int = 0
    userns_fd: int | None = None


def clone(path: str, owner: Owner, *, recursive: bool = False) -> int:
    """A detached mount of path for the owner; raises OSError(EINVAL, reason, path) where the
    file system can't: the caller may do without a user namespace."""
    fd = mount.clone(path, recursive=recursive)
    if owner.userns_fd is None:
        return fd
    try:
        mount.set_attributes(fd, userns_fd=owner.userns_fd, recursive=recursive)
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EINVAL:
            reason = "its file system has no id-mapped mounts; use --userns=host"
            raise OSError(errno.EINVAL, reason, path) from None
        raise
    return fd


def idmappable(path: str, userns_fd: int, *, recursive: bool = True) -> bool:
    """Whether path (with what is mounted below it) can be id-mapped, found out by doing it."""
    try:
        fd = mount.clone(path, recursive=recursive)
    except OSError:
        return True  # it is missing or forbidden: the mount itself will tell
    try:
        mount.set_attributes(fd, userns_fd=userns_fd, recursive=recursive)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def give(fd: int, owner: Owner) -> None:
    """Let the owner have a tmpfs that we made, with all that is in it."""
    if owner.userns_fd is None:
        return
    try:
        mount.set_attributes(fd, userns_fd=owner.userns_fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _change_owners(fd, owner)  # before Linux 6.3 tmpfs has no id-mapped mounts


def _change_owners(fd: int, owner: Owner) -> None:
    top = os.fstat(fd)
    os.chown(".", owner.uid + top.st_uid, owner.gid + top.st_gid, dir_fd=fd)
    for _, folders, files, folder_fd in os.fwalk(".", dir_fd=fd):
        for name in (*folders, *files):
            info = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            ids = owner.uid + info.st_uid, owner.gid + info.st_gid
            os.chown(name, *ids, dir_fd=folder_fd, follow_symlinks=False)
