"""Debian's packages of qemu and of a kernel, unpacked into a folder."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

KERNEL = "linux-image-cloud-amd64"


class Kernel(NamedTuple):
    image: Path
    modules: Path
    version: str


class Qemu(NamedTuple):
    program: Path
    libraries: str
    firmware: Path | None


def kernel(work: Path) -> Kernel:
    given = os.environ.get("PINNACE_VM_KERNEL")
    folder = Path(given) if given else work / "kernel"
    if not given and not folder.exists():
        # The name says no version: what it depends on is the package that has the kernel.
        _unpack([_newest_dependency(KERNEL)], work / "kernel.new", dependencies=False)
        (work / "kernel.new").rename(folder)
    image = max((folder / "boot").glob("vmlinuz-*"))
    version = image.name.removeprefix("vmlinuz-")
    return Kernel(image, folder / "lib" / "modules" / version, version)


def qemu(work: Path) -> Qemu:
    found = os.environ.get("PINNACE_VM_QEMU") or shutil.which("qemu-system-x86_64")
    if found:
        return Qemu(Path(found), "", None)
    folder = work / "qemu"
    if not folder.exists():
        _unpack(["qemu-system-x86", "seabios"], work / "qemu.new", dependencies=True)
        (work / "qemu.new").rename(folder)
    return Qemu(
        folder / "usr/bin/qemu-system-x86_64",
        f"{folder}/usr/lib/x86_64-linux-gnu:{folder}/lib/x86_64-linux-gnu",
        folder / "usr/share/seabios",
    )


def _newest_dependency(name: str) -> str:
    shown = _output("apt-cache", "depends", "--no-recommends", "--no-suggests", name)
    found = re.search(r"Depends: (linux-image-\S+)", shown)
    assert found, f"{name} depends on no kernel: {shown}"
    return found[1]


def _unpack(names: list[str], folder: Path, *, dependencies: bool) -> None:
    """With dependencies: those that this machine has not installed."""
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    if dependencies:
        options = ["--download-only", "--no-install-recommends", "--yes", "--reinstall"]
        place = ["-o", f"Dir::Cache::archives={archives}"]
        subprocess.run(["apt-get", "install", *options, *place, *names], check=True)
    else:
        subprocess.run(["apt-get", "download", *names], cwd=archives, check=True)
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True)
    shutil.rmtree(archives)


def _output(*words: str) -> str:
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
