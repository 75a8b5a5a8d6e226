"""Members of a tar archive → files below a folder, and nowhere else.

Rule 1 (I1): a name of the archive is resolved by the kernel below the folder's fd
(RESOLVE_IN_ROOT), up to the last part; the last part is only made, replaced or removed,
never followed.
Rule 2 (I13): only files, folders, links, devices and fifos; only harmless attributes.
Rule 3: whiteouts become what overlayfs understands; a layer's archive cannot set those
marks itself.

Docker's habits that are kept: a later member replaces an earlier one, whatever it was, except
that a folder stays a folder; the archive's root folder itself is left as it is; times before
1970 are 1970; members outside of the root are refused.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable

from pinnace.linux import syscall
from pinnace.store import merged, tar, trees
from pinnace.store.tar import Malformed, Member
from pinnace.store.tarreader import Reader

WHITEOUT = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
_WHITEOUT_META = b".wh..wh."  # what AUFS kept for itself

_OPEN_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RESOLVE = syscall.RESOLVE_IN_ROOT | syscall.RESOLVE_NO_MAGICLINKS
_OPEN_FOLDERS = 200  # fds of folders that are kept
_LAST_TIME = (1 << 63) - 1
_OUR_FAULT = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
)


def extract(
    chunks: Iterable[bytes],
    root_fd: int,
    *,
    whiteouts: bool = True,
    below: merged.Directory | None = None,
) -> None:
    """Unpack the archive. Raises Malformed for what is the archive's fault, else OSError.

    `below`: the layers under this one, for folders that the archive uses without having them.
    """
    extraction = _Extraction(root_fd, whiteouts, below)
    try:
        extraction.run(Reader(chunks))
    finally:
        extraction.close()


def kept_attribute(name: bytes) -> bool:
    return name == b"security.capability" or (
        name.startswith(b"user.") and not name.startswith(b"user.overlay.")
    )


def current_umask() -> int:
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0o777  # a kernel before 4.7: set every mode


class _Extraction:
    def __init__(self, root_fd: int, whiteouts: bool, below: merged.Directory | None) -> None:
        self._root = root_fd
        self._whiteouts = whiteouts
        self._below = below
        self._fds: dict[bytes, int] = {}
        # What is made is given its owner, mode and times at the end: special bits would be
        # inherited by what is made inside, and times would not last.
        self._folders: dict[bytes, Member] = {}
        self._hidden: set[bytes] = set()
        # The process's umask can't be changed here, since it is everybody's.
        self._needs_chmod = current_umask() | 0o7000
        self._make: dict[bytes, Callable[[int, bytes, bytes, Member], None]] = {
            tar.DIRECTORY: self._make_folder,
            tar.SYMLINK: self._make_symlink,
            tar.LINK: self._make_link,
            tar.CHAR: self._make_node,
            tar.BLOCK_DEVICE: self._make_node,
            tar.FIFO: self._make_node,
        }

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()

    def run(self, reader: Reader) -> None:
        for member in reader:
            try:
                self._add(member, reader)
            except OSError as error:
                if error.errno in _OUR_FAULT:
                    raise
                raise Malformed(f"{os.fsdecode(member.name)}: {error.strerror}") from error
        for name, member in self._folders.items():
            self._finish_folder(name, member)

    def _add(self, member: Member, reader: Reader) -> None:
        name = tar.quick_relative(member.name)
        if not name:
            return
        if not 0 <= member.uid < 0xFFFFFFFF or not 0 <= member.gid < 0xFFFFFFFF:
            raise Malformed(f"{os.fsdecode(name)}: invalid owner {member.uid}:{member.gid}")
        if len(self._fds) > _OPEN_FOLDERS:
            self.close()
        parent, _, base = name.rpartition(b"/")
        if self._whiteouts and WHITEOUT in name and self._whiteout(name, parent, base, member):
            return
        if member.type == tar.REGULAR:
            self._make_file(self._folder(parent), base, name, member, reader)
            return
        make = self._make.get(member.type)
        if make is None:
            raise Malformed(f"unhandled tar header type {member.type[0]}")
        make(self._folder(parent), base, name, member)

    # Files and the like.

    def _make_file(
        self, folder: int, base: bytes, name: bytes, member: Member, reader: Reader
    ) -> None:
        mode = member.mode
        try:
            fd = os.open(base, _OPEN_FILE, mode, dir_fd=folder)
        except FileExistsError:
            self._make_room(folder, base, name)
            fd = os.open(base, _OPEN_FILE, mode, dir_fd=folder)
        try:
            if member.segments is None:
                for piece in reader.data():
                    _write(fd, piece)
            else:
                _write_sparse(fd, member, reader)
            if member.uid or member.gid or not self._whiteouts:
                os.fchown(fd, member.uid, member.gid)
            if mode & self._needs_chmod or not self._whiteouts:
                os.fchmod(fd, mode)
            if member.xattrs:
                _set_xattrs(fd, member)
            os.utime(fd, ns=_times(member))
        finally:
            os.close(fd)

    def _make_symlink(self, folder: int, base: bytes, name: bytes, member: Member) -> None:
        if b"\0" in member.link:
            raise Malformed("a name in the archive has a zero byte")
        try:
            os.symlink(member.link, base, dir_fd=folder)
        except FileExistsError:
            self._make_room(folder, base, name)
            os.symlink(member.link, base, dir_fd=folder)
        os.chown(base, member.uid, member.gid, dir_fd=folder, follow_symlinks=False)
        os.utime(base, ns=_times(member), dir_fd=folder, follow_symlinks=False)

    def _make_link(self, folder: int, base: bytes, name: bytes, member: Member) -> None:
        source, _, source_base = tar.relative(member.link).rpartition(b"/")
        if not source_base:
            raise Malformed(f"{os.fsdecode(name)}: invalid link target")
        source_fd = self._existing_folder(source)
        try:
            os.link(
                source_base, base, src_dir_fd=source_fd, dst_dir_fd=folder, follow_symlinks=False
            )
        except FileExistsError:
            target = os.stat(source_base, dir_fd=source_fd, follow_symlinks=False)
            there = os.stat(base, dir_fd=folder, follow_symlinks=False)
            if (target.st_dev, target.st_ino) == (there.st_dev, there.st_ino):
                return
            self._make_room(folder, base, name)
            source_fd, folder = self._existing_folder(source), self._folder(_parent(name))
            os.link(
                source_base, base, src_dir_fd=source_fd, dst_dir_fd=folder, follow_symlinks=False
            )

    def _make_node(self, folder: int, base: bytes, name: bytes, member: Member) -> None:
        kind = _NODES[member.type]
        device = os.makedev(member.major, member.minor)
        try:
            os.mknod(base, kind | member.mode, device, dir_fd=folder)
        except FileExistsError:
            self._make_room(folder, base, name)
            os.mknod(base, kind | member.mode, device, dir_fd=folder)
        os.chown(base, member.uid, member.gid, dir_fd=folder, follow_symlinks=False)
        os.chmod(base, member.mode, dir_fd=folder)
        os.utime(base, ns=_times(member), dir_fd=folder, follow_symlinks=False)

    def _make_room(self, folder: int, base: bytes, name: bytes) -> None:
        """Remove what an earlier member has made at this place."""
        status = os.stat(base, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            for _ in trees.delete(folder, os.fsdecode(base)):
                pass
            self._forget(name)
        else:
            os.unlink(base, dir_fd=folder)
            if stat.S_ISLNK(status.st_mode):
                self._forget(name)

    def _forget(self, name: bytes) -> None:
        """A folder, or a link to one, is gone: nothing that was reached through it is known."""
        parent = self._fds.pop(_parent(name), None)
        self.close()
        if parent is not None:
            self._fds[_parent(name)] = parent  # still used by the caller
        inside = name + b"/"
        for known in [n for n in self._folders if n == name or n.startswith(inside)]:
            del self._folders[known]

    # Folders.

    def _make_folder(self, folder: int, base: bytes, name: bytes, member: Member) -> None:
        try:
            os.mkdir(base, 0o700, dir_fd=folder)
        except FileExistsError:
            status = os.stat(base, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                self._make_room(folder, base, name)
                os.mkdir(base, 0o700, dir_fd=folder)
                self._reveal(folder, base, name)
        self._folders[name] = member

    def _finish_folder(self, name: bytes, member: Member) -> None:
        fd = syscall.openat2(self._root, name, _OPEN_FOLDER, 0, _RESOLVE)
        try:
            os.fchown(fd, member.uid, member.gid)
            os.fchmod(fd, member.mode)
            if member.xattrs:
                _set_xattrs(fd, member)
            os.utime(fd, ns=_times(member))
        finally:
            os.close(fd)

    def _folder(self, path: bytes) -> int:
        """The fd of a folder, which is made when the archive has not mentioned it."""
        if not path:
            return self._root
        fd = self._fds.get(path)
        if fd is not None:
            return fd
        try:
            return self._existing_folder(path)
        except (FileNotFoundError, NotADirectoryError):
            self._make_folders(path)
            return self._existing_folder(path)

    def _existing_folder(self, path: bytes) -> int:
        if not path:
            return self._root
        fd = self._fds.get(path)
        if fd is None:
            flags = os.O_RDONLY | os.O_DIRECTORY
            fd = self._fds[path] = syscall.openat2(self._root, path, flags, 0, _RESOLVE)
        return fd

    def _make_folders(self, path: bytes) -> None:
        """The missing folders of a path, from the last one that exists."""
        parts = path.split(b"/")
        fd, start = self._deepest(parts)
        try:
            for end in range(start + 1, len(parts) + 1):
                inner = self._enter(fd, parts[end - 1], b"/".join(parts[:end]))
                os.close(fd)
                fd = inner
        finally:
            os.close(fd)

    def _deepest(self, parts: list[bytes]) -> tuple[int, int]:
        flags = os.O_RDONLY | os.O_DIRECTORY
        for end in range(len(parts) - 1, 0, -1):
            try:
                return syscall.openat2(self._root, b"/".join(parts[:end]), flags, 0, _RESOLVE), end
            except (FileNotFoundError, NotADirectoryError):
                continue
        return os.dup(self._root), 0

    def _enter(self, fd: int, base: bytes, name: bytes) -> int:
        """Make a folder that the archive takes for granted; it looks like the one below."""
        try:
            os.mkdir(base, 0o755, dir_fd=fd)
        except FileExistsError:
            if name not in self._hidden:
                raise
            os.unlink(base, dir_fd=fd)
            os.mkdir(base, 0o755, dir_fd=fd)
            self._reveal(fd, base, name)
        inner = os.open(base, _OPEN_FOLDER, dir_fd=fd)
        status = self._below.find(os.fsdecode(name)) if self._below else None
        if status is not None and stat.S_ISDIR(status.st_mode):
            os.fchown(inner, status.st_uid, status.st_gid)
            os.fchmod(inner, status.st_mode & 0o7777)
            self._folders.setdefault(name, _like(name, status))
        return inner

    # Whiteouts (image-spec, layer.md, "Whiteouts").

    def _whiteout(self, name: bytes, parent: bytes, base: bytes, member: Member) -> bool:
        """Was the member a mark for what lies below? Then it is made in overlayfs's way."""
        if base == OPAQUE_MARK:
            os.setxattr(self._folder(parent), merged.OPAQUE, b"y")
            return True
        if any(part.startswith(_WHITEOUT_META) for part in name.split(b"/")):
            return True
        if not base.startswith(WHITEOUT):
            return False
        base = base[len(WHITEOUT) :]
        if base in (b"", b".", b".."):
            raise Malformed(f"invalid whiteout {os.fsdecode(name)!r}")
        folder = self._folder(parent)
        try:
            os.mknod(base, stat.S_IFCHR, 0, dir_fd=folder)
        except FileExistsError:
            # The same layer has something new here; only what lies below it is gone.
            status = os.stat(base, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._make_opaque(folder, base)
            return True
        os.utime(base, ns=_times(member), dir_fd=folder, follow_symlinks=False)
        self._hidden.add(parent + b"/" + base if parent else base)
        return True

    def _reveal(self, folder: int, base: bytes, name: bytes) -> None:
        """A new folder takes the place of a whiteout: what lay below stays hidden."""
        if name in self._hidden:
            self._hidden.discard(name)
            self._make_opaque(folder, base)

    def _make_opaque(self, folder: int, base: bytes) -> None:
        fd = os.open(base, _OPEN_FOLDER, dir_fd=folder)
        try:
            os.setxattr(fd, merged.OPAQUE, b"y")
        finally:
            os.close(fd)


_NODES = {tar.CHAR: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}


def _parent(name: bytes) -> bytes:
    return name.rpartition(b"/")[0]


def _times(member: Member) -> tuple[int, int]:
    time = member.mtime if 0 <= member.mtime <= _LAST_TIME else 0
    return time, time


def _like(name: bytes, status: os.stat_result) -> Member:
    mode = status.st_mode & 0o7777
    return Member(name, tar.DIRECTORY, mode, status.st_uid, status.st_gid, 0, status.st_mtime_ns)


def _write(fd: int, data: memoryview) -> None:
    while (written := os.write(fd, data)) != len(data):
        data = data[written:]


def _write_sparse(fd: int, member: Member, reader: Reader) -> None:
    for segment in member.segments or ():
        os.lseek(fd, segment.offset, os.SEEK_SET)
        for piece in reader.data(segment.size):
            _write(fd, piece)
    os.ftruncate(fd, member.size)


def _set_xattrs(fd: int, member: Member) -> None:
    for key, value in member.xattrs.items():
        if kept_attribute(key):
            try:
                os.setxattr(fd, key, value)
            except OSError as error:
                # Not every file system has them; Docker goes on as well.
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
