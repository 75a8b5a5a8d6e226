"""A tar stream from a container → files below one folder, and never outside it.

The archive is a stranger's. Rule 1: each part of a name is opened relative to the folder above
it and without following links, so a link in the archive leads nowhere. Rule 2: names are made
relative, and `..` is refused. Rule 3: nothing gets another owner, as Docker has it.
"""

from __future__ import annotations

import os
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = 1 << 18


class Refused(Exception):
    """The archive holds what must not, or can't, be put there."""


class Reader:
    """Chunks as a file that can be read; `count` is how much was."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self.count = 0

    def read(self, size: int) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        data = data[:size]
        self.count += len(data)
        return data


def unpack(reader: Reader, folder: str, rename: Callable[[str], str]) -> None:
    """Puts all that `reader` has below `folder`; `rename` is asked for each name."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    folders: list[tuple[str, tarfile.TarInfo]] = []
    try:
        with tarfile.open(fileobj=reader, mode="r|", errorlevel=2) as archive:  # type: ignore[call-overload]
            for info in archive:
                _entry(archive, info, root, rename)
                if info.isdir():
                    folders.append((rename(info.name), info))
        # Last and from the inside out: what is put into a folder changes its time.
        for name, info in reversed(folders):
            _finish_folder(root, name, info)
    except tarfile.TarError as error:
        raise Refused(f"invalid archive: {error}") from None
    finally:
        os.close(root)


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"{name} is outside of the destination")
    return parts


def _entry(
    archive: tarfile.TarFile, info: tarfile.TarInfo, root: int, rename: Callable[[str], str]
) -> None:
    parts = _parts(rename(info.name))
    if not parts:
        return  # the destination itself
    parent = _open_folder(root, parts[:-1], make=True)
    try:
        if info.isdir():
            _folder(parent, parts[-1])
        else:
            _replace(parent, parts[-1])
            _make(archive, info, parent, parts[-1], root, rename)
    finally:
        os.close(parent)


def _open_folder(root: int, parts: list[str], *, make: bool) -> int:
    fd = os.dup(root)
    for part in parts:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            try:
                inner = os.open(part, flags, dir_fd=fd)
            except FileNotFoundError:
                if not make:
                    raise
                os.mkdir(part, 0o755, dir_fd=fd)
                inner = os.open(part, flags, dir_fd=fd)
        except OSError as error:
            raise Refused(f"{'/'.join(parts)}: {error.strerror}") from None
        finally:
            os.close(fd)
        fd = inner
    return fd


def _folder(parent: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        fd = _open_folder(parent, [name], make=False)  # refuses what is no folder
        os.close(fd)


def _replace(parent: int, name: str) -> None:
    """What is there already goes, unless it is a folder."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        raise Refused(f"cannot overwrite directory {name!r} with non-directory") from None


def _make(
    archive: tarfile.TarFile,
    info: tarfile.TarInfo,
    parent: int,
    name: str,
    root: int,
    rename: Callable[[str], str],
) -> None:
    if info.isreg():
        _file(archive, info, parent, name)
    elif info.issym():
        os.symlink(info.linkname, name, dir_fd=parent)
        os.utime(name, (info.mtime, info.mtime), dir_fd=parent, follow_symlinks=False)
    elif info.islnk():
        _hard_link(info, parent, name, root, rename)
    elif info.isfifo():
        os.mkfifo(name, info.mode & 0o777, dir_fd=parent)
    elif info.isdev():
        kind = 0o020000 if info.ischr() else 0o060000
        os.mknod(name, kind | info.mode, os.makedev(info.devmajor, info.devminor), dir_fd=parent)


def _file(archive: tarfile.TarFile, info: tarfile.TarInfo, parent: int, name: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    source = archive.extractfile(info)
    fd = os.open(name, flags, 0o600, dir_fd=parent)
    try:
        while source is not None and (data := source.read(_PIECE)):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        os.fchmod(fd, info.mode)
        os.utime(fd, (info.mtime, info.mtime))
    finally:
        os.close(fd)


def _hard_link(
    info: tarfile.TarInfo, parent: int, name: str, root: int, rename: Callable[[str], str]
) -> None:
    parts = _parts(rename(info.linkname))
    there = _open_folder(root, parts[:-1], make=False)
    try:
        os.link(parts[-1], name, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(there)


def _finish_folder(root: int, name: str, info: tarfile.TarInfo) -> None:
    fd = _open_folder(root, _parts(name), make=False)
    try:
        os.fchmod(fd, info.mode)
        os.utime(fd, (info.mtime, info.mtime))
    finally:
        os.close(fd)
