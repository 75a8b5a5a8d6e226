"""Who a process runs as: Docker's `user[:group]` and the image's passwd and group files.

Rule 1: an argument that is a decimal number is an id and never looked up as a name.
Rule 2: an entry whose id is no number in range never stands for 0: where it is the one that was
asked for, it is an error (Docker takes it for root).
Rule 3: the files are the container's: small regular files, reached without leaving its root.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pinnace.linux import syscall

MAX_ID = 2**31 - 1
MAX_FILE = 4 << 20

_PASSWD, _GROUP = "no matching entries in passwd file", "no matching entries in group file"
_OUT_OF_RANGE = f"uids and gids must be in range 0-{MAX_ID}"
# As in Docker, a file that cannot be opened has no entries.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENXIO, errno.ENODEV)


class Identity(NamedTuple):
    """groups are all that setgroups(2) is to be given, the primary one first."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


class _User(NamedTuple):
    name: str
    uid: str
    gid: str
    home: str


class _Group(NamedTuple):
    name: str
    gid: str
    members: list[str]


def resolve(user: str, passwd: bytes, group: bytes, extra_groups: Sequence[str] = ()) -> Identity:
    """ValueError in Docker's words for what is not found, malformed or out of range."""
    who, _, which = user.partition(":")
    wanted = _number(who) if who else 0
    _number(which)  # out of range is told first, as Docker does
    entry = _find_user(who, wanted, passwd)
    gid = 0
    if entry is not None:
        wanted = _entry_id(entry.uid, f"user {who or wanted}", "passwd")
        if not which:
            gid = _entry_id(entry.gid, f"user {who or wanted}", "passwd")
    elif wanted is None:
        raise ValueError(f"unable to find user {who}: {_PASSWD}")
    assert wanted is not None
    memberships: list[int] = []
    if which:
        gid = _find_group(which, group)
    elif entry is not None and entry.name:
        memberships = [
            _entry_id(g.gid, f"groups for spec {entry.name}", "group")
            for g in _groups(group)
            if entry.name in g.members
        ]
    extra = [_find_group(name, group) for name in extra_groups if name]
    return Identity(
        uid=wanted,
        gid=gid,
        groups=tuple(dict.fromkeys([gid, *memberships, *extra])),
        home=_home(wanted, passwd),
        name=entry.name if entry else "",
    )


def read(root_fd: int, name: str) -> bytes:
    """A file below root_fd as the container sees it; b"" when there is no such regular file.

    Links are followed, but not out of the root and not through /proc. Raises OSError (EFBIG)
    for a file that is too large to be what it should be.
    """
    inside = syscall.RESOLVE_IN_ROOT | syscall.RESOLVE_NO_MAGICLINKS
    try:
        # First without opening: to open a FIFO waits, to open a device may act on it.
        path_fd = syscall.openat2(root_fd, name, os.O_PATH, resolve=inside)
    except OSError as error:
        if error.errno in _ABSENT:
            return b""
        raise
    try:
        regular = stat.S_ISREG(os.fstat(path_fd).st_mode)
    finally:
        os.close(path_fd)
    if not regular:
        return b""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    fd = syscall.openat2(root_fd, name, flags, resolve=inside)
    try:
        # Once more: a volume's other users may have exchanged the file meanwhile.
        return _read_regular(fd, name) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _read_regular(fd: int, name: str) -> bytes:
    content = bytearray()
    while chunk := os.read(fd, MAX_FILE + 1 - len(content)):
        content += chunk
        if len(content) > MAX_FILE:
            raise OSError(errno.EFBIG, f"file exceeds {MAX_FILE} bytes", name)
    return bytes(content)


def _number(text: str) -> int | None:
    """An id as an argument gives it, None for a name; a sign is part of a number (Go's Atoi)."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    # Longer is out of range, without a conversion that may take long (or be refused).
    value = int(digits) if len(digits.lstrip("0")) <= len(str(MAX_ID)) else MAX_ID + 1
    if value > MAX_ID or (text[0] == "-" and value):
        raise ValueError(_OUT_OF_RANGE)
    return value


def _entry_id(text: str, what: str, file: str) -> int:
    """An id as an entry gives it: digits only."""
    number = _number(text)
    if number is None or not text.isdigit():
        raise ValueError(f"unable to find {what}: malformed entry in {file} file")
    return number


def _same(text: str, number: int) -> bool:
    """Whether an entry's id is this one; a malformed one is none."""
    try:
        return text.isdigit() and _number(text) == number
    except ValueError:
        return False


def _find_user(name: str, uid: int | None, passwd: bytes) -> _User | None:
    """The first entry that fits, by id if there is one."""
    for user in _users(passwd):
        if _same(user.uid, uid) if uid is not None else user.name == name:
            return user
    return None


def _find_group(name: str, group: bytes) -> int:
    gid = _number(name)
    if gid is not None:
        return gid
    for entry in _groups(group):
        if entry.name == name:
            return _entry_id(entry.gid, f"group {name}", "group")
    raise ValueError(f"unable to find group {name}: {_GROUP}")


def _home(uid: int, passwd: bytes) -> str:
    """By id, also for a user given by name, and without an entry the root: as runc has it."""
    entry = _find_user("", uid, passwd)
    return entry.home if entry else "/"


def _users(passwd: bytes) -> Iterator[_User]:
    for line in _lines(passwd):
        fields = [*line.split(":"), *[""] * 6]
        yield _User(name=fields[0], uid=fields[2], gid=fields[3], home=fields[5])


def _groups(group: bytes) -> Iterator[_Group]:
    for line in _lines(group):
        if not line.startswith("#"):
            fields = [*line.split(":"), *[""] * 3]
            yield _Group(name=fields[0], gid=fields[2], members=fields[3].split(","))


def _lines(content: bytes) -> Iterator[str]:
    """Entries, decoded as file names are; white space around them does not count."""
    for raw in content.split(b"\n"):
        if line := raw.strip():
            yield os.fsdecode(line)
