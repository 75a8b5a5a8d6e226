"""The layer between an image and a container: real targets for what is mounted later (I31).

Docker puts such a layer there too (moby, daemon/initlayer): links of the image at these
places are replaced by real folders and files, so they never carry a mount elsewhere.
"""

import os
import time

from pinnace.runtime.layers import Entry
from pinnace.store import merged

DIRECTORIES = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
FILES = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
LINKS = {"etc/mtab": "/proc/mounts"}


def plan(root: merged.Directory) -> list[Entry]:
    """Folders that exist in the image keep their mode, owner and time; files are new."""
    now = time.time_ns()
    entries = [directory("", root.stat(), now)]
    entries += [directory(path, root.find(path), now) for path in DIRECTORIES]
    # 0755: as Docker 28 makes them.
    entries += [Entry(path, "file", mtime=now) for path in FILES]
    entries += [Entry(path, "symlink", mtime=now, target=to) for path, to in LINKS.items()]
    return entries


def directory(path: str, status: os.stat_result | None, now: int) -> Entry:
    """An entry that looks like the folder below, if there is one (status is not a folder's
    when the image has something else at that place)."""
    if status is None or status.st_mode & 0o170000 != 0o040000:
        return Entry(path, "directory", mtime=now)
    mode = status.st_mode & 0o7777
    return Entry(path, "directory", mode, status.st_uid, status.st_gid, status.st_mtime_ns)
