"""A file or a folder → a tar stream, piece by piece.

Files are opened relative to their folder and without following links, so that what is swapped
for a link while we walk is refused, not read.
"""

from __future__ import annotations

import os
import stat
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 18
_BLOCK = 512
_CAPABILITY = "security.capability"


def pack(folder: str, entry: str, name: str) -> Iterator[bytes]:
    """`entry` of `folder` and all below it, under the name `name` in the archive."""
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _Packer().walk(folder_fd, entry, name)
    finally:
        os.close(folder_fd)
    yield bytes(_BLOCK * 2)


class _Packer:
    def __init__(self) -> None:
        self._linked: dict[tuple[int, int], str] = {}

    def walk(self, folder_fd: int, entry: str, name: str) -> Iterator[bytes]:
        status = os.stat(entry, dir_fd=folder_fd, follow_symlinks=False)
        if stat.S_ISSOCK(status.st_mode):
            return  # archives can't hold them, and Docker leaves them out too
        info = _info(name, status)
        if stat.S_ISREG(status.st_mode):
            yield from self._file(folder_fd, entry, info, status)
        elif stat.S_ISDIR(status.st_mode):
            info.type, info.name = tarfile.DIRTYPE, name.rstrip("/") + "/"
            yield _header(info)
            fd = os.open(entry, _flags(os.O_DIRECTORY), dir_fd=folder_fd)
            try:
                for child in sorted(os.listdir(fd)):
                    yield from self.walk(fd, child, f"{name.rstrip('/')}/{child}")
            finally:
                os.close(fd)
        else:
            _special(info, status, folder_fd, entry)
            yield _header(info)

    def _file(
        self, folder_fd: int, entry: str, info: tarfile.TarInfo, status: os.stat_result
    ) -> Iterator[bytes]:
        if status.st_nlink > 1:
            known = self._linked.setdefault((status.st_dev, status.st_ino), info.name)
            if known != info.name:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, known, 0
                yield _header(info)
                return
        fd = os.open(entry, _flags(os.O_NONBLOCK), dir_fd=folder_fd)
        try:
            try:
                capability = os.getxattr(fd, _CAPABILITY)
                info.pax_headers = {
                    f"SCHILY.xattr.{_CAPABILITY}": capability.decode("utf-8", "surrogateescape")
                }
            except OSError:
                pass  # it has none, or the filesystem keeps none
            yield _header(info)
            yield from _content(fd, info.size)
        finally:
            os.close(fd)


def _flags(more: int) -> int:
    return os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | more


def _info(name: str, status: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = int(status.st_mtime)
    info.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return info


def _special(info: tarfile.TarInfo, status: os.stat_result, folder_fd: int, entry: str) -> None:
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry, dir_fd=folder_fd)
    elif stat.S_ISFIFO(mode):
        info.type = tarfile.FIFOTYPE
    else:
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(fd: int, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, whatever happens to the file meanwhile: the header has said so."""
    left = size
    while left:
        data = os.read(fd, min(left, _PIECE)) or bytes(min(left, _PIECE))
        left -= len(data)
        yield data
    if size % _BLOCK:
        yield bytes(_BLOCK - size % _BLOCK)
