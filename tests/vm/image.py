"""The microVM's disk and first root: this machine's interpreter, busybox and the checkout."""

import gzip
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.harness import rootfs
from tests.vm.packages import Kernel

CHECKOUT = Path(__file__).resolve().parents[2]
PARTS = ("bench", "pinnace", "scripts", "tests", "pyproject.toml", "README.md")
HERE = Path(__file__).parent
SIZE = "3G"  # sparse

# In the order in which they are loaded: the disk and what it stands on.
FIRST_MODULES = (
    "virtio_ring", "virtio", "virtio_mmio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev",
    "virtio_pci", "virtio_blk",
)  # fmt: skip
_NEWC_FIELDS = 13


def root(work: Path, kernel: Kernel, arguments: list[str]) -> Path:
    """An ext4 image; made anew each time, since the checkout changes."""
    tree = work / "root"
    shutil.rmtree(tree, ignore_errors=True)
    for folder in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp"):
        (tree / folder).mkdir(parents=True)
    for folder in ("bin", "lib", "lib64", "sbin"):
        # Links between libraries suppose that these are links where they are on this machine.
        (tree / "usr" / folder).mkdir(parents=True)
        (tree / folder).symlink_to(f"usr/{folder}")
    (tree / "tmp").chmod(0o1777)
    (tree / "etc/passwd").write_text(rootfs.PASSWD)
    (tree / "etc/group").write_text(rootfs.GROUP)
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tree / "etc/arguments").write_text("".join(f"{word}\n" for word in arguments))
    _install_busybox(tree)
    _copy_python(tree)
    for part in PARTS:
        _copy(CHECKOUT / part, tree)
    if docker := shutil.which("docker"):
        _copy(Path(docker), tree)
    _copy_modules(tree, kernel)
    _install_init(tree)
    image = work / "root.ext4"
    image.unlink(missing_ok=True)
    options = ["-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", str(tree)]
    subprocess.run(["mke2fs", *options, str(image), SIZE], check=True)
    shutil.rmtree(tree)
    return image


def initramfs(work: Path, kernel: Kernel) -> Path:
    """Just enough to load the disk's driver and go on from the disk."""
    script = ["#!/busybox sh", "/busybox mount -t devtmpfs dev /dev"]
    entries = [("busybox", 0o100755, Path(rootfs.busybox()).read_bytes())]
    for name in FIRST_MODULES:
        for path in kernel.modules.rglob(f"{name}.ko"):
            entries.append((path.name, 0o100644, path.read_bytes()))
            script.append(f"/busybox insmod /{path.name}")
    script += [
        "while [ ! -b /dev/vda ]; do /busybox sleep 0.01; done",
        "/busybox mount -t ext4 /dev/vda /root",
        "exec /busybox switch_root /root /sbin/init",
    ]
    entries.append(("init", 0o100755, "\n".join([*script, ""]).encode()))
    entries += [(name, 0o040755, b"") for name in ("dev", "root")]
    target = work / "initramfs"
    target.write_bytes(gzip.compress(b"".join(_newc(entries)), 1))
    return target


def _newc(entries: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """cpio's format "newc" (kernel, Documentation/driver-api/early-userspace/buffer-format)."""
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        assert len(fields) == _NEWC_FIELDS
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        yield head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def _install_busybox(tree: Path) -> None:
    program = rootfs.busybox()
    shutil.copy2(program, tree / "bin/busybox")
    listed = subprocess.run([program, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    for applet in listed.stdout.split():
        if applet != "busybox":
            (tree / "bin" / applet).symlink_to("busybox")


def _install_init(tree: Path) -> None:
    text = (HERE / "init.sh").read_text()
    text = text.replace("@CHECKOUT@", str(CHECKOUT)).replace("@PYTHON@", sys.executable)
    init = tree / "sbin/init"
    init.write_text(text)
    init.chmod(0o755)


def _copy_python(tree: Path) -> None:
    """The interpreter with its standard library, the environment around it, and libraries."""
    _copy(Path(sys.prefix), tree, ("mypy", "mypyc", "ruff"))
    program = Path(sys.executable)
    while program.is_symlink():
        _copy(program, tree)
        program = program.parent / program.readlink()
    _copy(program, tree)
    skipped = ("site-packages", "dist-packages", "test", "idlelib", "tkinter")
    _copy(Path(sysconfig.get_path("stdlib")), tree, skipped)
    objects = [program, *tree.rglob("*.so"), *tree.rglob("*.so.*")]
    for library in sorted({path for each in objects for path in _libraries(each)}):
        _copy(library, tree)
        if library.is_symlink():
            _copy(library.resolve(), tree)


def _libraries(program: Path) -> list[Path]:
    shown = subprocess.run(
        ["ldd", str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False,
    ).stdout  # fmt: skip
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", shown)]


def _copy_modules(tree: Path, kernel: Kernel) -> None:
    target = tree / "lib" / "modules" / kernel.version
    shutil.copytree(kernel.modules, target, dirs_exist_ok=True, copy_function=_link)


def _copy(source: Path, tree: Path, skipped: Iterable[str] = ()) -> None:
    """To the same path below tree; with the compiled modules, which cost an emulated machine
    minutes."""
    target = tree / source.relative_to("/")
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        ignored = shutil.ignore_patterns(*skipped)
        shutil.copytree(source, target, symlinks=True, ignore=ignored, copy_function=_link)
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    """A hard link where that is possible: the tree is only read."""
    if not stat.S_ISREG(os.lstat(source).st_mode):
        shutil.copy2(source, target, follow_symlinks=False)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
