"""The virtual machine itself: qemu by KVM, or emulated; the serial console as output."""

import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.harness.deadline import Deadline
from tests.vm.packages import Kernel, Qemu

MEMORY = os.environ.get("PINNACE_VM_MEMORY", "3G")
PROCESSORS = str(os.cpu_count() or 1)
PATIENCE = 20.0  # seconds until the guest's first word
_BEGUN = b"pinnace-vm: Linux"
_ENDED = re.compile(rb"pinnace-vm: exit status (\d+)")


class Way(NamedTuple):
    """How the guest's instructions are run; `slow` stretches the tests' deadlines."""

    machine: tuple[str, ...]
    disk: str
    slow: int


# Some hosts offer a /dev/kvm on which no unmodified kernel comes up: hence the second one.
KVM = Way(
    ("-M", "microvm", "-enable-kvm", "-cpu", "host,arch-capabilities=off"), "virtio-blk-device", 1
)
EMULATED = Way(("-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"), "virtio-blk-pci", 10)


def run(qemu: Qemu, kernel: Kernel, initramfs: Path, root: Path) -> int:
    """pytest's exit status; 1 when the machine ended without one."""
    usable = os.access("/dev/kvm", os.R_OK | os.W_OK) and not os.environ.get("PINNACE_VM_EMULATE")
    status = _boot(KVM, qemu, kernel, initramfs, root) if usable else None
    if status is None:
        status = _boot(EMULATED, qemu, kernel, initramfs, root)
    return 1 if status is None else status


def _boot(way: Way, qemu: Qemu, kernel: Kernel, initramfs: Path, root: Path) -> int | None:
    """None when the guest did not come up."""
    environment = dict(os.environ)
    if qemu.libraries:
        environment["LD_LIBRARY_PATH"] = qemu.libraries
    command = _command(way, qemu, kernel, initramfs, root)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as running:
        try:
            return _follow(running, Deadline(PATIENCE * way.slow))
        finally:
            running.kill()


def _follow(running: "subprocess.Popen[bytes]", first_word: Deadline) -> int | None:
    """Show the console until its end."""
    assert running.stdout is not None
    begun, seen, status = False, b"", None
    while begun or first_word.remaining:
        if not select.select([running.stdout], [], [], 1)[0]:
            continue
        data = os.read(running.stdout.fileno(), 1 << 16)
        if not data:
            break
        sys.stdout.buffer.write(data.replace(b"\r\n", b"\n"))
        sys.stdout.buffer.flush()
        seen = (seen + data)[-4096:]
        begun = begun or _BEGUN in seen
        if ended := _ENDED.search(seen):
            status = int(ended[1])
    if begun and status is None:
        return 1
    return status


def _command(way: Way, qemu: Qemu, kernel: Kernel, initramfs: Path, root: Path) -> list[str]:
    firmware = ["-L", str(qemu.firmware)] if qemu.firmware else []
    parameters = f"console=ttyS0 quiet panic=-1 reboot=t pinnace_slow={way.slow}"
    return [
        *(str(qemu.program), *firmware, *way.machine, "-nodefaults", "-no-user-config"),
        *("-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-m", MEMORY, "-smp", PROCESSORS),
        *("-kernel", str(kernel.image), "-initrd", str(initramfs)),
        *("-append", parameters),
        *("-drive", f"file={root},id=root,format=raw,if=none,cache=unsafe"),
        *("-device", f"{way.disk},drive=root"),
    ]
