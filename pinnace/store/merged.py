"""Layer folders, top first, looked at as the one tree that overlayfs would show.

Nothing is mounted and no link is followed: a folder of the tree is the list of the real
folders that overlayfs would merge for it (kernel, Documentation/filesystems/overlayfs.rst).
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

OPAQUE = "trusted.overlay.opaque"

# A walk through a tree holds the folders above open. Containers can nest them as deep as they
# like; names of this depth reach no program.
DEPTH_LIMIT = 1000

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(fd: int) -> bool:
    """Does the folder hide the folders of the same name below it?"""
    try:
        return os.getxattr(fd, OPAQUE) == b"y"
    except OSError:
        return False


def attributes(fd: int) -> list[tuple[str, bytes]]:
    try:
        return [(name, os.getxattr(fd, name)) for name in sorted(os.listxattr(fd))]
    except OSError:
        return []  # a file system without them


class Directory:
    """One merged folder; owns its fds."""

    def __init__(self, fds: list[int]) -> None:
        self._fds = fds

    @classmethod
    def open(cls, layers: Sequence[str]) -> "Directory":
        """The root of the tree; layers are paths of folders, top first."""
        root = cls([])
        for layer in layers:
            root._fds.append(os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return root

    def __enter__(self) -> "Directory":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def __bool__(self) -> bool:
        """Does the folder exist in any layer?"""
        return bool(self._fds)

    def stat(self, name: str = "") -> os.stat_result | None:
        """What overlayfs would show for an entry, or for the folder itself."""
        if not name:
            return os.fstat(self._fds[0]) if self._fds else None
        for fd in self._fds:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            return None if is_whiteout(status) else status
        return None

    def enter(self, name: str) -> "Directory":
        """The folder of that name; of no layer, when it is missing or not a folder."""
        child = Directory([])
        for fd in self._fds:
            try:
                below = os.open(name, _OPEN, dir_fd=fd)
            except FileNotFoundError:
                continue
            except OSError:
                break  # A file, a link or a whiteout hides what lies below it.
            child._fds.append(below)
            if is_opaque(below):
                break
        return child

    def find(self, path: str) -> os.stat_result | None:
        """`stat` for a relative path of several names."""
        *folders, name = path.split("/")
        here = self
        try:
            for folder in folders:
                below = here.enter(folder)
                if here is not self:
                    here.close()
                here = below
            return here.stat(name)
        finally:
            if here is not self:
                here.close()

    def entries(self, *, whiteouts: bool = False) -> list[tuple[str, os.stat_result]]:
        """All visible entries, in the order of their names' bytes; on request the whiteouts of
        the top layer too."""
        found: dict[str, os.stat_result] = {}
        for fd in self._fds:
            with os.scandir(fd) as listing:
                names = [entry.name for entry in listing]
            for name in names:
                if name not in found:
                    with suppress(FileNotFoundError):
                        found[name] = os.stat(name, dir_fd=fd, follow_symlinks=False)
        visible = [item for item in found.items() if whiteouts or not is_whiteout(item[1])]
        return sorted(visible, key=lambda item: os.fsencode(item[0]))

    def opaque(self) -> bool:
        return bool(self._fds) and is_opaque(self._fds[0])

    def readlink(self, name: str) -> str:
        return os.readlink(name, dir_fd=self._layer_of(name))

    def attributes(self) -> list[tuple[str, bytes]]:
        """The folder's own extended attributes."""
        return attributes(self._fds[0])

    def _layer_of(self, name: str) -> int:
        for fd in self._fds:
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=fd, follow_symlinks=False)
                return fd
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def open_file(self, name: str) -> int | None:
        """The content of a regular file for reading; None when there is none of that name."""
        for fd in self._fds:
            try:
                path_fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            except FileNotFoundError:
                continue
            try:
                if not stat.S_ISREG(os.fstat(path_fd).st_mode):
                    return None
                # What was looked at, not what has its name by now: a container could put a
                # device there, and to open one is to act on it.
                return os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                os.close(path_fd)
        return None
