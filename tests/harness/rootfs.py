"""A root file system to test with: Debian's static busybox with a link for each applet."""

import functools
import io
import os
import shutil
import subprocess
import tarfile

FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr/bin", "var", "var/www")

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""

GROUP = """\
root:x:0:
daemon:x:1:
wheel:x:10:root
audio:x:29:operator,www-data
www-data:x:33:
operator:x:37:
users:x:100:
nogroup:x:65534:
"""


def busybox() -> str:
    """The busybox of this machine, which has to be the static one."""
    found = os.environ.get("PINNACE_TEST_BUSYBOX") or shutil.which("busybox")
    if found is None or dynamic(found):
        raise FileNotFoundError("no static busybox: apt-get install busybox-static")
    return found


def dynamic(program: str) -> bool:
    with open(program, "rb") as file:
        return b"/ld-linux" in file.read(4096)


@functools.cache
def archive() -> bytes:
    """The root file system as a tar; equal bytes on every call."""
    program = busybox()
    applets = subprocess.run(
        [program, "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in FOLDERS:
            tar.addfile(_member(folder, tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755))
        with open(program, "rb") as binary:
            member = _member("bin/busybox", tarfile.REGTYPE, 0o755)
            member.size = os.fstat(binary.fileno()).st_size
            tar.addfile(member, binary)
        for applet in sorted(set(applets) - {"busybox"}):
            tar.addfile(_member(f"bin/{applet}", tarfile.LNKTYPE, 0o755, link="bin/busybox"))
        tar.addfile(_member("usr/bin/env", tarfile.SYMTYPE, 0o777, link="/bin/env"))
        for name, text in (("etc/passwd", PASSWD), ("etc/group", GROUP)):
            member = _member(name, tarfile.REGTYPE, 0o644)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _member(name: str, kind: bytes, mode: int, *, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.mtime = kind, mode, link, 1_700_000_000
    return member
