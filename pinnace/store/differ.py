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
        return sorted(_changes(new, old, ""), key=lambda change: change.path.split("/"))


def _changes(new: merged.Directory, old: merged.Directory, path: str) -> Iterator[Change]:
    entries = new.entries(whiteouts=True)
    if new.opaque():
        present = {name for name, _ in entries}
        hidden = (name for name, _ in old.entries() if name not in present)
        yield from (Change(Kind.DELETED, f"{path}/{name}") for name in hidden)
    for name, status in entries:
        before = old.stat(name)
        where = f"{path}/{name}"
        if merged.is_whiteout(status):
            if before is not None:
                yield Change(Kind.DELETED, where)
            continue
        inside: list[Change] = []
        if stat.S_ISDIR(status.st_mode):
            with new.enter(name) as below, old.enter(name) as beneath:
                inside = list(_changes(below, beneath, where))
        if before is None:
            yield Change(Kind.ADDED, where)
        elif inside or _differs(before, status):
            yield Change(Kind.MODIFIED, where)
        yield from inside


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
