"""Folder trees made by strangers: deleted and measured without recursion or path names."""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from pinnace.linux import syscall

_BELOW = syscall.RESOLVE_BENEATH | syscall.RESOLVE_NO_SYMLINKS | syscall.RESOLVE_NO_XDEV
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Usage(NamedTuple):
    """Bytes in files, each hard-linked file once, folders not counted, as Docker counts."""

    size: int
    inodes: int


def delete(parent_fd: int, name: str) -> Iterator[None]:
    """Delete a folder and all that is in it, yielding after every entry.

    Folders inside are first moved up into the parent: whatever depth a container has made,
    this takes two open fds, no recursion and no path that is too long. What another one
    deletes meanwhile is not missed.
    """
    names = [name]
    while names:
        name = names.pop()
        with suppress(FileNotFoundError):
            yield from _empty(parent_fd, name, names)
            os.rmdir(name, dir_fd=parent_fd)


def _empty(parent_fd: int, name: str, moved: list[str]) -> Iterator[None]:
    fd = os.open(name, _OPEN, dir_fd=parent_fd)
    try:
        with os.scandir(fd) as listing:
            entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
        for entry, folder in entries:
            with suppress(FileNotFoundError):
                if folder:
                    target = f"trash-{secrets.token_hex(8)}"
                    os.rename(entry, target, src_dir_fd=fd, dst_dir_fd=parent_fd)
                    moved.append(target)
                else:
                    os.unlink(entry, dir_fd=fd)
            yield
    finally:
        os.close(fd)


def measure(path: str) -> Usage:
    """Count what is in a folder, which may change meanwhile; not what no path name reaches.

    The kernel resolves each name below the folder and follows no link: a container that swaps
    its folders for links has nothing counted that is not its own.
    """
    try:
        root_fd = os.open(path, _OPEN)
    except OSError:
        return Usage(0, 1)
    try:
        return _measure(root_fd)
    finally:
        os.close(root_fd)


def _measure(root_fd: int) -> Usage:
    size = inodes = 0
    seen: set[int] = set()
    names = ["."]
    while names:
        inodes += 1
        name = names.pop()
        try:
            fd = syscall.openat2(root_fd, name, _OPEN, resolve=_BELOW)
        except OSError:
            continue
        try:
            with os.scandir(fd) as listing:
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        names.append(f"{name}/{entry.name}")
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if status.st_nlink > 1:
                        if status.st_ino in seen:
                            continue
                        seen.add(status.st_ino)
                    size += status.st_size
                    inodes += 1
        finally:
            os.close(fd)
    return Usage(size, inodes)
