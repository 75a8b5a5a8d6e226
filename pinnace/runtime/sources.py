"""The mounts that the parent makes, as detached mounts: the root, bind mounts, the device folder.

With a user namespace they are id-mapped (`idmaps`).
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pinnace.linux import mount, process
from pinnace.linux.mount import Option
from pinnace.oci import spec
from pinnace.runtime import idmaps, layers, rootfs, staging
from pinnace.runtime.idmaps import Owner, idmappable
from pinnace.runtime.layers import Layers, Masks

__all__ = ["Owner", "idmappable"]


def overlay(stack: Layers, owner: Owner) -> int:
    """The root mount over the layers, by fds: no path of the host shows in the container.

    overlayfs acts on the layers as who created it, so it is created with the file-system ids
    of the container's root (kernel, Documentation/filesystems/overlayfs.rst).
    """
    global _by_fds
    if not _by_fds:
        return staging.overlay(stack, owner)
    opened: list[int] = []
    try:
        chosen = _layer_options(stack, owner, opened)
        context = mount.open_context("overlay", chosen, source="overlay")
        opened.append(context)
        with process.file_identity(owner.uid, owner.gid):
            return mount.create(context)
    except OSError as error:
        unknown = error.errno in (errno.EINVAL, errno.EOPNOTSUPP)
        if not unknown or mount.takes_fds("overlay", "lowerdir+"):
            raise
    finally:
        for fd in opened:
            os.close(fd)
    _by_fds = False
    return staging.overlay(stack, owner)


_by_fds = True  # until the kernel is found to be older than that (6.13)


def _layer_options(stack: Layers, owner: Owner, opened: list[int]) -> list[Option]:
    trees = _Trees(owner, opened)
    chosen = [Option(key, value) for key, value in layers.OPTIONS]
    # All folders below one clone: 120 layers cost 1.6 ms so, 6.2 ms with a clone each.
    lowers = [trees.open(path) for path in stack.lowers]
    if stack.masks is not None:
        opened.append(fd := masks(stack.masks, owner))
        lowers.insert(-1, fd)
    chosen += [Option("lowerdir+", fd) for fd in lowers]
    if stack.upper:
        chosen.append(Option("upperdir", trees.open(stack.upper)))
        chosen.append(Option("workdir", trees.open(stack.work)))
        if stack.volatile:
            chosen.append(Option("volatile"))
    return chosen


class _Trees:
    """Clones of the folders that layers are in, one for each parent of a snapshot's folder."""

    def __init__(self, owner: Owner, opened: list[int]) -> None:
        self._owner = owner
        self._opened = opened
        self._clones: dict[str, int] = {}

    def open(self, path: str) -> int:
        top = os.path.dirname(os.path.dirname(path)) or "/"
        if top not in self._clones:
            self._clones[top] = self._clone(top)
        relative = os.path.relpath(path, top)
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        fd = os.open(relative, flags, dir_fd=self._clones[top])
        self._opened.append(fd)
        return fd

    def _clone(self, top: str) -> int:
        fd = idmaps.clone(top, self._owner)
        self._opened.append(fd)
        return fd


def masks(wanted: Masks, owner: Owner) -> int:
    """The layer that `wanted` describes, on a tmpfs of its own."""
    fd = layers.mounted(wanted)
    idmaps.give(fd, owner)
    return fd


@contextmanager
def _parent(root_fd: int, path: str) -> Iterator[tuple[int, str]]:
    """The folder of path below root_fd, made where missing, and the last name."""
    parent, _, name = path.strip("/").rpartition("/")
    parent_fd = mount.make_in_root(root_fd, parent or "/", directory=True)
    try:
        yield parent_fd, name
    finally:
        os.close(parent_fd)


def folder(path: str, owner: Owner) -> int:
    """A bundle's root folder as the root mount (with what is mounted below it)."""
    fd = idmaps.clone(path, owner, recursive=True)
    # A clone of a shared mount is its peer: what is mounted in it would show on the host.
    mount.set_attributes(fd, propagation=mount.MS_PRIVATE, recursive=True)
    return fd


def bind(entry: spec.Mount, owner: Owner) -> int:
    """The detached mount of a bind entry, with its attributes and propagation set."""
    wanted = rootfs.options(entry.options)
    fd = idmaps.clone(entry.source, owner, recursive=wanted.recursive)
    try:
        rootfs.adjust(fd, wanted)
        if not wanted.propagation:
            # As runc has it: what the host mounts there shows in the container, not the reverse.
            mount.set_attributes(fd, propagation=mount.MS_SLAVE, recursive=wanted.recursive)
    except BaseException:
        os.close(fd)
        raise
    return fd


# config-linux.md, "Default Devices", and Docker's links beside them.
DEFAULT_DEVICES = (
    ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("tty", 5, 0), ("random", 1, 8),
    ("urandom", 1, 9),
)  # fmt: skip
DEFAULT_LINKS = (
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
)  # fmt: skip
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def device_folder(entry: spec.Mount, devices: Sequence[spec.Device], owner: Owner) -> int:
    """A tmpfs with real nodes, made by the host's root and then mapped to the container's."""
    wanted = rootfs.options(entry.options)
    fd = mount.filesystem("tmpfs", wanted.data, attributes=wanted.set, source="tmpfs")
    try:
        populate(fd, devices)
        idmaps.give(fd, owner)
    except BaseException:
        os.close(fd)
        raise
    return fd


def populate(folder_fd: int, devices: Sequence[spec.Device]) -> None:
    """Default nodes and links, then the specification's devices (their paths begin with /dev)."""
    asked = {device.path for device in devices}
    for name, major, minor in DEFAULT_DEVICES:
        if f"/dev/{name}" not in asked:
            entry = spec.Device(path=f"/dev/{name}", type="c", major=major, minor=minor)
            node(folder_fd, entry)
    for device in devices:
        if device.path.startswith("/dev/"):
            node(folder_fd, device)
    for name, target in DEFAULT_LINKS:
        try:
            os.symlink(target, name, dir_fd=folder_fd)
        except FileExistsError:
            pass


def devices_in_root(root_fd: int, devices: Sequence[spec.Device], *, defaults: bool) -> None:
    """Devices in the root file system itself, as the caller's file identity."""
    if defaults:
        dev_fd = mount.make_in_root(root_fd, "/dev", directory=True)
        try:
            populate(dev_fd, devices)
        finally:
            os.close(dev_fd)
    for device in devices:
        if not device.path.startswith("/dev/"):
            node(root_fd, device, base="")


def node(folder_fd: int, device: spec.Device, base: str = "/dev") -> None:
    mode = 0o666 if device.file_mode is None else stat.S_IMODE(device.file_mode)
    number = os.makedev(device.major, device.minor)
    with _parent(folder_fd, device.path.removeprefix(base)) as (parent_fd, name):
        try:
            os.mknod(name, _KINDS[device.type] | mode, number, dir_fd=parent_fd)
        except FileExistsError:
            return
        os.chmod(name, mode, dir_fd=parent_fd)  # whatever our umask is
        if device.uid or device.gid:
            os.chown(name, device.uid or 0, device.gid or 0, dir_fd=parent_fd)
