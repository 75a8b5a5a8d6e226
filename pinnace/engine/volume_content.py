"""What is in a volume: the image's files on its first use, its size, a folder below it.

Rule: nothing is followed out of where it belongs. The image is read through its layers by
`store.merged`, links resolved here inside it; the volume is written below its fd.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pinnace import errors
from pinnace.engine.documents import MountPoint
from pinnace.linux import mount
from pinnace.store import merged, trees
from pinnace.store.merged import Directory

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS: Final = 40
_CHUNK: Final = 1 << 20
# A label of the host's is not for the volume, and overlayfs's own marks mean nothing there.
_ATTRIBUTES: Final = ("user.", "security.capability", "system.posix_acl_")


def copy_up(layers: Sequence[str], path: str, target: str) -> None:
    """Fill an empty folder with what the layers (top first) have at path, if they have it.

    The folder becomes like the image's: owner, mode, times. A folder that has anything in it
    stays as it is. Raises errors.Failed when the image has a file there.
    """
    target_fd = os.open(target, _FOLDER | os.O_NOFOLLOW)
    try:
        with os.scandir(target_fd) as entries:
            if next(entries, None) is not None:
                return
        with Directory.open(layers) as root:
            source = _find(layers, root, path)
            if source is None:
                return
            with source:
                _copy_folder(source, target_fd)
    finally:
        os.close(target_fd)


def _find(layers: Sequence[str], root: Directory, path: str) -> Directory | None:
    """The image's folder at path, its links resolved inside the image; None if it has none."""
    done: list[str] = []
    pending = [name for name in path.split("/") if name]
    links = 0
    while pending:
        name = pending.pop(0)
        if name == ".":
            continue
        if name == "..":
            done = done[:-1]
            continue
        status = root.find("/".join([*done, name]))
        if status is None:
            return None
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return None
            link = _readlink(layers, done, name)
            done = [] if link.startswith("/") else done
            pending = [part for part in link.split("/") if part] + pending
            continue
        if not stat.S_ISDIR(status.st_mode):
            raise errors.Failed(f"cannot mount volume over existing file, file exists {path}")
        done.append(name)
    return _enter(layers, done)


def _enter(layers: Sequence[str], names: Sequence[str]) -> Directory:
    here = Directory.open(layers)
    for name in names:
        with here:
            here = here.enter(name)
    return here


def _readlink(layers: Sequence[str], names: Sequence[str], name: str) -> str:
    with _enter(layers, names) as folder:
        return folder.readlink(name)


def _copy_folder(source: Directory, target_fd: int) -> None:
    status = source.stat()
    if status is None:
        return
    links: dict[tuple[int, int], str] = {}
    for name, entry in source.entries():
        _copy_entry(source, name, entry, target_fd, links)
    _dress(target_fd, source.attributes(), status)


def _copy_entry(
    source: Directory,
    name: str,
    entry: os.stat_result,
    target_fd: int,
    links: dict[tuple[int, int], str],
) -> None:
    """Hard links are kept among the names of one folder."""
    kind = stat.S_IFMT(entry.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=target_fd)
        below_fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=target_fd)
        try:
            with source.enter(name) as below:
                _copy_folder(below, below_fd)
        finally:
            os.close(below_fd)
        return
    first = links.setdefault((entry.st_dev, entry.st_ino), name)
    if first != name:
        os.link(first, name, src_dir_fd=target_fd, dst_dir_fd=target_fd)
    elif kind == stat.S_IFREG:
        _copy_file(source, name, entry, target_fd)
    elif kind == stat.S_IFLNK:
        os.symlink(source.readlink(name), name, dir_fd=target_fd)
        os.chown(name, entry.st_uid, entry.st_gid, dir_fd=target_fd, follow_symlinks=False)
    elif kind != stat.S_IFSOCK:  # a socket without its server is of no use
        os.mknod(name, entry.st_mode, entry.st_rdev, dir_fd=target_fd)
        os.chown(name, entry.st_uid, entry.st_gid, dir_fd=target_fd, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(entry.st_mode), dir_fd=target_fd)


def _copy_file(source: Directory, name: str, entry: os.stat_result, target_fd: int) -> None:
    source_fd = source.open_file(name)
    if source_fd is None:
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file_fd = os.open(name, flags, 0o600, dir_fd=target_fd)
        try:
            while os.sendfile(file_fd, source_fd, None, _CHUNK):
                pass
            _dress(file_fd, merged.attributes(source_fd), entry)
        finally:
            os.close(file_fd)
    finally:
        os.close(source_fd)


def _dress(fd: int, attributes: Sequence[tuple[str, bytes]], status: os.stat_result) -> None:
    """Owner before mode and capabilities: chown(2) takes both away."""
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    for name, value in attributes:
        if name.startswith(_ATTRIBUTES) and not name.startswith("user.overlay."):
            os.setxattr(fd, name, value)
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def size(path: str) -> int:
    """The bytes of the files below path; what vanishes meanwhile counts as nothing."""
    return trees.measure(path).size


@contextmanager
def pinned(points: Iterable[MountPoint]) -> Iterator[dict[str, str]]:
    """By destination, where the parts of volumes (`Subpath`) are to be mounted from.

    The paths lead to open fds of this process (I2), so they hold for others that may look into
    it, and as long as the context does: until the supervisor has made its mounts.
    """
    fds: list[int] = []
    try:
        sources: dict[str, str] = {}
        for point in points:
            options = point.mount.volume_options if point.mount else None
            if point.type == "volume" and options and options.subpath:
                fds.append(open_subpath(point.source, options.subpath))
                sources[point.destination] = f"/proc/{os.getpid()}/fd/{fds[-1]}"
        yield sources
    finally:
        for fd in fds:
            os.close(fd)


def open_subpath(path: str, subpath: str) -> int:
    """An O_PATH fd of what is below a volume.

    The kernel resolves it with the volume as the root, so that no link leads out of it.
    """
    volume_fd = os.open(path, _FOLDER)
    try:
        return mount.open_in_root(volume_fd, subpath, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise errors.Failed(f"failed to mount subpath {subpath}: {reason}") from None
    finally:
        os.close(volume_fd)
