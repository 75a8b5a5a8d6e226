"""A root file system as a stack of folders: what the store gives and the runtime mounts."""

import os
from collections.abc import Iterable
from typing import Literal

import msgspec

from pinnace.linux import mount

OPAQUE = "trusted.overlay.opaque"

# Of overlayfs. Marks of these features in a layer are not obeyed (an image could show other files
# than its tar has), and none are made: what the upper layer holds is what a commit packs.
OPTIONS = (("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"))

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


class Masks(msgspec.Struct, frozen=True):
    """A layer to be made in a tmpfs above the last of `Layers.lowers`, since it can't be on
    the same file system: overlayfs refuses a lower folder below another one."""

    entries: list[Entry]


class Layers(msgspec.Struct, frozen=True):
    """What to mount. Absolute paths of folders; lowers are top first; a view has no upper.

    With masks: the last lower is a folder of the host. Directly above it belongs a layer made
    from `masks.entries`.
    """

    lowers: list[str]
    upper: str
    work: str
    volatile: bool = False
    masks: Masks | None = None


def mounted(wanted: Masks) -> int:
    """The layer that `wanted` describes, as a detached tmpfs of its own."""
    options = [mount.Option("mode", "755"), mount.Option("size", "1m")]
    fd = mount.filesystem("tmpfs", options)
    make(wanted.entries, fd)
    return fd


def make(entries: Iterable[Entry], root_fd: int) -> None:
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
        _mark_opaque(path, root_fd)


def _mark_opaque(path: str, root_fd: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        os.setxattr(fd, OPAQUE, b"y")
    finally:
        os.close(fd)
