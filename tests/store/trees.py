"""Trees of files, made and compared; archives made by tools that are not ours."""

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Look = tuple[Any, ...]


def look(root: Path) -> dict[str, Look]:
    """Everything that can be said about the files below a folder, hard links included."""
    found: dict[str, Look] = {}
    inodes: dict[int, str] = {}
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            relative = os.path.relpath(path, root)
            first = inodes.setdefault(status.st_ino, relative)
            found[relative] = (
                stat.filemode(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns,
                status.st_rdev,
                first,
                _content(path, status),
                tuple(_attributes(path)),
            )
    return found


def _content(path: str, status: os.stat_result) -> str | bytes | None:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    return Path(path).read_bytes() if stat.S_ISREG(status.st_mode) else None


def _attributes(path: str) -> Iterable[tuple[str, bytes]]:
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        yield name, os.getxattr(path, name, follow_symlinks=False)


def make_everything(root: Path) -> None:
    """One of each kind of file, with owners, odd modes, exact times, odd names."""
    (root / "d").mkdir()
    (root / "d/sub").mkdir()
    (root / "d/empty").write_bytes(b"")
    (root / "d/small").write_bytes(b"hello")
    (root / "d/sub/large").write_bytes(os.urandom(300_000))
    (root / ("long-" * 40)).write_bytes(b"long name")
    (root / ("l" * 90)).mkdir()
    (root / ("l" * 90) / ("m" * 90)).write_bytes(b"long path")
    (root / "ünï\udcff.txt").write_bytes(b"not even utf-8")
    (root / "line\nbreak").write_bytes(b"x")
    (root / "setuid").write_bytes(b"s")
    (root / "locked").mkdir()
    (root / "locked/inside").write_bytes(b"y")
    (root / "sticky").mkdir()
    (root / "shared").mkdir()
    (root / "shared/file").write_bytes(b"z")
    os.symlink("d/small", root / "link")
    os.symlink("/nowhere/" + "x" * 150, root / "dangling")
    os.link(root / "d/small", root / "hard")
    os.mkfifo(root / "fifo", 0o640)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 200))
    with (root / "sparse").open("wb") as file:
        file.seek(5_000_000)
        file.write(b"end")
    os.setxattr(root / "d/small", "user.note", b"any\nthing\0")
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.chown(path, number * 1000, number * 999, follow_symlinks=False)
    os.chmod(root / "setuid", 0o6755)
    os.chmod(root / "locked", 0o000)
    os.chmod(root / "sticky", 0o1777)
    os.chmod(root / "shared", 0o2775)
    # libcap's format, version 2: cap_net_raw, effective.
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(root / "d/sub/large", "security.capability", capability)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        time = 1_600_000_000_123_456_789 + number * 1_000_000_007
        os.utime(path, ns=(time, time), follow_symlinks=False)


def gnu_tar(root: Path, *options: str) -> bytes:
    """Attributes are kept unless options choose a format that has no room for them."""
    xattrs = [] if "--format=gnu" in options else ["--xattrs", "--xattrs-include=*"]
    command = ["tar", "-C", str(root), *xattrs, *options, "-cf", "-", "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


def gnu_untar(archive: bytes, root: Path) -> None:
    command = ["tar", "-C", str(root), "--xattrs", "--xattrs-include=*", "-xpf", "-"]
    subprocess.run(command, check=True, input=archive, capture_output=True)


def entry(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member for `archive`; fields are TarInfo's, and pax for its pax headers."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.pax_headers = fields.pop("pax", {})
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def folder(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.DIRTYPE, mode=fields.pop("mode", 0o755), **fields)


def symlink(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.SYMTYPE, linkname=to)


def hardlink(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.LNKTYPE, linkname=to)


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as file:
        for info, data in entries:
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
