"""Layer archives ↔ folders of snapshots: apply, diff, changes, export.

apply    a layer's tar into the folder of an active snapshot
diff     the folder of a snapshot as a layer's tar
changes  what a container has done to its image, in the manner of `docker diff`
export   a whole root file system as a tar
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from pinnace import errors
from pinnace.store import extract, merged, pack


class Kind(IntEnum):
    """The API's numbers; `docker diff` prints C, A and D."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


class Change(NamedTuple):
    kind: Kind
    path: str


def apply(chunks: Iterable[bytes], folder: str, lowers: Sequence[str] = ()) -> None:
    """Unpack an uncompressed layer; raises tar.Malformed for a bad one. Reads it to its end."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with merged.Directory.open(lowers) as below:
            extract.extract(chunks, fd, below=below)
    finally:
        os.close(fd)


def diff(upper: str) -> Iterator[bytes]:
    """The layer in a folder; the same folder gives the same bytes."""
    with merged.Directory.open([upper]) as root:
        yield from pack.pack(root, layer=True)


def export(layers: Sequence[str]) -> Iterator[bytes]:
    """The root file system that the layers make, without what is mounted in it."""
    with merged.Directory.open(layers) as root:
        yield from pack.pack(root)


def changes(upper: str, lowers: Sequence[str]) -> list[Change]:
    """In the order of paths; a deleted folder stands for what was in it."""
    with merged.Directory.open([upper]) as new, merged.Directory.open(lowers) as old:
        return sorted(_Comparison().run(new, old), key=lambda change: change.path.split("/"))


class _Level(NamedTuple):
    """A folder that is being compared, and how many changes there were before."""

    new: merged.Directory
    old: merged.Directory
    path: str
    entries: Iterator[tuple[str, os.stat_result]]
    before: os.stat_result | None
    after: os.stat_result | None
    known: int


class _Comparison:
    """Depth first, with a stack of its own: a tree may be deeper than Python recurses."""

    def __init__(self) -> None:
        self._found: list[Change] = []
        self._levels: list[_Level] = []

    def run(self, new: merged.Directory, old: merged.Directory) -> list[Change]:
        self._enter(new, old, "", None, None)
        try:
            while self._levels:
                level = self._levels[-1]
                for name, status in level.entries:
                    if self._compare(level, name, status):
                        break
                else:
                    self._leave()
        finally:
            for level in self._levels[1:]:
                level.new.close()
                level.old.close()
        return self._found

    def _enter(
        self,
        new: merged.Directory,
        old: merged.Directory,
        path: str,
        before: os.stat_result | None,
        after: os.stat_result | None,
    ) -> None:
        entries = self._entries(new, old, path)
        self._levels.append(_Level(new, old, path, entries, before, after, len(self._found)))
        if len(self._levels) > merged.DEPTH_LIMIT:
            raise errors.Failed("folders are nested too deep to be compared")

    def _entries(
        self, new: merged.Directory, old: merged.Directory, path: str
    ) -> Iterator[tuple[str, os.stat_result]]:
        entries = new.entries(whiteouts=True)
        if new.opaque():
            present = {name for name, _ in entries}
            hidden = [name for name, _ in old.entries() if name not in present]
            self._found += [Change(Kind.DELETED, f"{path}/{name}") for name in hidden]
        yield from entries

    def _leave(self) -> None:
        """With all that is inside, it is known whether the folder itself is changed."""
        level = self._levels.pop()
        if level.after is None:
            return  # the root
        level.new.close()
        level.old.close()
        if level.before is None:
            self._found.append(Change(Kind.ADDED, level.path))
        elif len(self._found) > level.known or _differs(level.before, level.after):
            self._found.append(Change(Kind.MODIFIED, level.path))

    def _compare(self, level: _Level, name: str, status: os.stat_result) -> bool:
        """Note what changed about an entry; true if it is a folder, which is entered."""
        before, path = level.old.stat(name), f"{level.path}/{name}"
        if merged.is_whiteout(status):
            if before is not None:
                self._found.append(Change(Kind.DELETED, path))
        elif stat.S_ISDIR(status.st_mode):
            self._enter(level.new.enter(name), level.old.enter(name), path, before, status)
            return True
        elif before is None:
            self._found.append(Change(Kind.ADDED, path))
        elif _differs(before, status):
            self._found.append(Change(Kind.MODIFIED, path))
        return False


def _differs(before: os.stat_result, after: os.stat_result) -> bool:
    """Docker's idea: a folder's size and time say nothing; times of whole seconds come out of
    archives and equal any time within that second."""
    if (before.st_mode, before.st_uid, before.st_gid, before.st_rdev) != (
        after.st_mode,
        after.st_uid,
        after.st_gid,
        after.st_rdev,
    ):
        return True
    if stat.S_ISDIR(after.st_mode):
        return False
    return before.st_size != after.st_size or not _same_time(before.st_mtime_ns, after.st_mtime_ns)


def _same_time(a: int, b: int) -> bool:
    second = 1_000_000_000
    return a == b or (a // second == b // second and (a % second == 0 or b % second == 0))
