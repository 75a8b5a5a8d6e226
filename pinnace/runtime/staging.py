"""Overlays on kernels that take layers by name only (before Linux 6.13).

A short-lived child attaches the id-mapped clones in a mount namespace of its own, mounts the
overlay there by names that are short and say nothing of the host, and hands back a detached
copy of the mount. The data of mount(2) are one page: 400 layers fit.
"""

import os
import socket
import struct

from pinnace.linux import mount, process, syscall
from pinnace.runtime import idmaps, layers
from pinnace.runtime.idmaps import Owner
from pinnace.runtime.layers import Layers
from pinnace.runtime.sync import receive_fds

# An ever-existing folder to build on; in the child's mount namespace nobody else looks at it.
_STAGE = "/proc"
_ROOT = "root"


def overlay(stack: Layers, owner: Owner) -> int:
    """As sources.overlay; raises OSError as it does."""
    clones: dict[str, int] = {}
    masks_fd = None
    try:
        for path in (*stack.lowers, *_upper(stack)):
            if _top(path) not in clones:
                clones[_top(path)] = idmaps.clone(_top(path), owner)
        if stack.masks is not None:
            masks_fd = layers.mounted(stack.masks)
            idmaps.give(masks_fd, owner)
        return _mounted_by_child(stack, owner, clones, masks_fd)
    finally:
        for fd in (*clones.values(), *([] if masks_fd is None else [masks_fd])):
            os.close(fd)


def _upper(stack: Layers) -> list[str]:
    return [stack.upper, stack.work] if stack.upper else []


def _top(path: str) -> str:
    """All folders below one clone: layers are at TOP/<snapshot>/fs."""
    return os.path.dirname(os.path.dirname(path)) or "/"


def _mounted_by_child(
    stack: Layers, owner: Owner, clones: dict[str, int], masks_fd: int | None
) -> int:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid, pidfd = process.clone(syscall.CLONE_NEWNS)
    if pid == 0:
        _child(theirs, stack, owner, clones, masks_fd)
    theirs.close()
    try:
        answer, fds = receive_fds(ours, 4096)
    finally:
        ours.close()
        process.wait(pidfd)
        os.close(pidfd)
    if fds:
        return fds[0]
    (number,) = struct.unpack_from("=i", answer or bytes(4))
    raise OSError(number, f"overlay: {answer[4:].decode() or 'the mounting process is gone'}")


def _child(
    channel: socket.socket,
    stack: Layers,
    owner: Owner,
    clones: dict[str, int],
    masks_fd: int | None,
) -> None:
    try:
        fd = _mount(stack, owner, clones, masks_fd)
        socket.send_fds(channel, [bytes(4)], [fd])
    except OSError as error:
        channel.send(struct.pack("=i", error.errno or 0) + str(error.strerror).encode())
    finally:
        os._exit(0)


def _mount(stack: Layers, owner: Owner, clones: dict[str, int], masks_fd: int | None) -> int:
    mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
    stage_fd = mount.filesystem("tmpfs", [mount.Option("mode", "755")])
    mount.attach_at(stage_fd, _STAGE)
    os.chdir(_STAGE)
    tops = {top: _attach(fd, f"t{number}") for number, (top, fd) in enumerate(clones.items())}

    def below(path: str) -> str:
        return f"{tops[_top(path)]}/{os.path.relpath(path, _top(path))}"

    lowers = [below(path) for path in stack.lowers]
    if masks_fd is not None:
        lowers.insert(-1, _attach(masks_fd, "m"))
    for number, lower in enumerate(lowers):
        os.symlink(lower, f"{number}")  # followed when the overlay opens it, and short
    data = [f"{key}={value}" for key, value in layers.OPTIONS]
    data += ["lowerdir=" + ":".join(map(str, range(len(lowers))))]
    if stack.upper:
        os.symlink(below(stack.upper), "u")
        os.symlink(below(stack.work), "w")
        data += [f"{key}={value}" for key, value in layers.OPTIONS]
        data += ["upperdir=u", "workdir=w", *(["volatile"] if stack.volatile else [])]
    os.mkdir(_ROOT)
    with process.file_identity(owner.uid, owner.gid):
        syscall.mount("overlay", _ROOT, "overlay", 0, ",".join(data))
    return mount.clone(_ROOT)


def _attach(fd: int, name: str) -> str:
    os.mkdir(name)
    mount.attach_at(fd, name)
    return name
