"""A folder tree → a tar stream: the same tree gives the same bytes.

Names in the order of their bytes, times in seconds, no user names, no access times: as Docker
writes layers (go-archive), so that an image's digest says what is in it and nothing else.
"""

import os
import stat
from collections.abc import Iterator

from pinnace import errors
from pinnace.store import merged, tar
from pinnace.store.extract import OPAQUE_MARK, WHITEOUT, kept_attribute
from pinnace.store.tar import Member

_BATCH = 256 << 10  # small pieces are joined to chunks of about this size
_CHUNK = 1 << 20


def pack(root: merged.Directory, *, layer: bool = False) -> Iterator[bytes]:
    """The tree below `root`, not root itself.

    layer: root is the folder of one layer; its overlayfs marks become whiteout members.
    """
    packer = _Packer(layer)
    yield from packer.run(root)
    yield packer.flush() + tar.END


class _Packer:
    def __init__(self, layer: bool) -> None:
        self._layer = layer
        self._batch: list[bytes] = []
        self._size = 0
        self._links: dict[tuple[int, int], bytes] = {}

    def flush(self) -> bytes:
        batch = b"".join(self._batch)
        self._batch.clear()
        self._size = 0
        return batch

    def run(self, root: merged.Directory) -> Iterator[bytes]:
        """Depth first, with a stack of our own: a tree may be deeper than Python recurses."""
        stack = [(root, b"", iter(root.entries(whiteouts=self._layer)))]
        try:
            while stack:
                folder, prefix, entries = stack[-1]
                for name, status in entries:
                    path = prefix + os.fsencode(name)
                    if stat.S_ISDIR(status.st_mode):
                        inner = folder.enter(name)
                        if len(stack) > merged.DEPTH_LIMIT:
                            inner.close()
                            raise errors.Failed("folders are nested too deep to be archived")
                        if inner:
                            self._add_folder(inner, path, status)
                            listing = iter(inner.entries(whiteouts=self._layer))
                            stack.append((inner, path + b"/", listing))
                            break
                    elif stat.S_ISREG(status.st_mode):
                        yield from self._add_file(folder, name, path, status)
                    else:
                        self._add_other(folder, name, path, status)
                    if self._size >= _BATCH:
                        yield self.flush()
                else:
                    stack.pop()
                    if stack:
                        folder.close()
        finally:
            for folder, _, _ in stack[1:]:
                folder.close()

    def _put(self, data: bytes) -> None:
        self._batch.append(data)
        self._size += len(data)

    def _add_folder(self, folder: merged.Directory, path: bytes, status: os.stat_result) -> None:
        xattrs = _kept(folder.attributes())
        member = _member(path + b"/", tar.DIRECTORY, status)
        self._put(tar.header(member._replace(xattrs=xattrs)))
        if self._layer and folder.opaque():
            self._put(_mark(path + b"/" + OPAQUE_MARK))

    def _add_file(
        self, folder: merged.Directory, name: str, path: bytes, status: os.stat_result
    ) -> Iterator[bytes]:
        if self._is_link(path, status, tar.REGULAR):
            return
        fd = folder.open_file(name)
        if fd is None:
            return  # deleted since
        try:
            status = os.fstat(fd)
            member = _member(path, tar.REGULAR, status)
            size = status.st_size
            member = member._replace(stored=size, xattrs=_kept(merged.attributes(fd)))
            self._put(tar.header(member))
            left = size
            while left:
                # A file that shrinks meanwhile goes on as zeros, one that grows is cut.
                data = os.read(fd, min(left, _CHUNK)) or bytes(min(left, _CHUNK))
                left -= len(data)
                self._put(data)
                if self._size >= _BATCH:
                    yield self.flush()
            self._put(tar.padding(size))
        finally:
            os.close(fd)

    def _add_other(
        self, folder: merged.Directory, name: str, path: bytes, status: os.stat_result
    ) -> None:
        """Links, devices, fifos, whiteouts; sockets have no place in a tar."""
        if merged.is_whiteout(status):
            prefix, _, base = path.rpartition(b"/")
            hidden = WHITEOUT + base
            self._put(_mark(prefix + b"/" + hidden if prefix else hidden))
            return
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None or self._is_link(path, status, kind):
            return
        member = _member(path, kind, status)
        if kind == tar.SYMLINK:
            member = member._replace(mode=0o777, link=os.fsencode(folder.readlink(name)))
        elif kind != tar.FIFO:
            rdev = status.st_rdev
            member = member._replace(major=os.major(rdev), minor=os.minor(rdev))
        self._put(tar.header(member))

    def _is_link(self, path: bytes, status: os.stat_result, kind: bytes) -> bool:
        """Was the same file written under another name? Then a link to it is all it needs."""
        if status.st_nlink < 2:
            return False
        key = (status.st_dev, status.st_ino)
        first = self._links.setdefault(key, path)
        if first is path:
            return False
        self._put(tar.header(_member(path, tar.LINK, status)._replace(link=first)))
        return True


_KINDS = {
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHAR,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}


def _member(path: bytes, kind: bytes, status: os.stat_result) -> Member:
    mode = status.st_mode & 0o7777
    return Member(path, kind, mode, status.st_uid, status.st_gid, 0, status.st_mtime_ns)


def _mark(path: bytes) -> bytes:
    """A mark has no time of its own: when something was deleted is not part of an image."""
    return tar.header(Member(path, tar.REGULAR, 0o600, 0, 0, 0, 0))


def _kept(attributes: list[tuple[str, bytes]]) -> dict[bytes, bytes]:
    pairs = ((os.fsencode(name), value) for name, value in attributes)
    return {name: value for name, value in pairs if kept_attribute(name)}
