"""The mounts of a container: from the specification to steps (pure), and the steps' work.

The parent, root on the host, makes those mounts that need the host's names or rights
(`from_host`: bind mounts and the device folder) as detached mounts; init, inside the
container's namespaces, makes the others and attaches all of them below the root.

Rule: targets are opened below the root by the kernel (openat2, RESOLVE_IN_ROOT) and mounts
are attached to the opened fd, so that no link in an image or volume leads a mount elsewhere
(CVE-2021-30465, CVE-2019-19921, CVE-2025-31133).
"""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from pinnace.linux import cgroup, mount
from pinnace.linux.mount import Option
from pinnace.oci import spec

_ATTRIBUTES = {
    "ro": mount.MOUNT_ATTR_RDONLY,
    "nosuid": mount.MOUNT_ATTR_NOSUID,
    "nodev": mount.MOUNT_ATTR_NODEV,
    "noexec": mount.MOUNT_ATTR_NOEXEC,
    "noatime": mount.MOUNT_ATTR_NOATIME,
    "strictatime": mount.MOUNT_ATTR_STRICTATIME,
    "nodiratime": mount.MOUNT_ATTR_NODIRATIME,
    "nosymfollow": mount.MOUNT_ATTR_NOSYMFOLLOW,
}
_CLEARED = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "atime": "noatime",
    "diratime": "nodiratime", "symfollow": "nosymfollow",
}  # fmt: skip
_PROPAGATION = {
    "private": mount.MS_PRIVATE,
    "shared": mount.MS_SHARED,
    "slave": mount.MS_SLAVE,
    "unbindable": mount.MS_UNBINDABLE,
}
_IGNORED = frozenset({
    "defaults", "relatime", "norelatime", "nostrictatime", "remount", "bind", "rbind", "loud",
    "async", "noiversion", "nomand", "nolazytime", "tmpcopyup", "idmap", "ridmap", "mand",
})  # fmt: skip


class Options(NamedTuple):
    """mount(8)'s words, sorted by what mount_setattr(2) and fsconfig(2) take."""

    set: int = 0
    clear: int = 0
    set_all: int = 0
    clear_all: int = 0
    propagation: tuple[int, ...] = ()
    data: tuple[Option, ...] = ()
    bind: bool = False
    recursive: bool = False
    copy_up: bool = False


def options(words: Sequence[str]) -> Options:
    """Sort a mount's options (config.md, "Linux mount options"); unknown words are data."""
    masks = {"set": 0, "clear": 0, "set_all": 0, "clear_all": 0}
    propagation: list[int] = []
    data: list[Option] = []
    for word in words:
        plain, suffix = (word[1:], "_all") if word[:1] == "r" and _is_flag(word[1:]) else (word, "")
        if plain in _ATTRIBUTES:
            masks["set" + suffix] |= _ATTRIBUTES[plain]
            masks["clear" + suffix] &= ~_ATTRIBUTES[plain]
        elif plain in _CLEARED:
            masks["clear" + suffix] |= _ATTRIBUTES[_CLEARED[plain]]
            masks["set" + suffix] &= ~_ATTRIBUTES[_CLEARED[plain]]
        elif plain in _PROPAGATION:
            propagation.append(_PROPAGATION[plain] | (mount.MS_REC if suffix else 0))
        elif word not in _IGNORED:
            key, equals, value = word.partition("=")
            data.append(Option(key, value if equals else None))
    return Options(
        **masks,
        propagation=tuple(propagation),
        data=tuple(data),
        bind="bind" in words or "rbind" in words,
        recursive="rbind" in words,
        copy_up="tmpcopyup" in words,
    )


def words() -> list[str]:
    """All options that are not handed on to the file system."""
    attributes = [*_ATTRIBUTES, *_CLEARED, *_PROPAGATION]
    return sorted({*attributes, *(f"r{word}" for word in attributes), *_IGNORED, "bind", "rbind"})


def _is_flag(word: str) -> bool:
    return word in _ATTRIBUTES or word in _CLEARED or word in _PROPAGATION


def is_bind(entry: spec.Mount) -> bool:
    return entry.type == "bind" or "bind" in entry.options or "rbind" in entry.options


def is_device_folder(entry: spec.Mount) -> bool:
    return entry.destination.rstrip("/") == "/dev" and entry.type == "tmpfs"


def from_host(mounts: Sequence[spec.Mount]) -> list[int]:
    """Indexes of the mounts that the parent makes."""
    return [i for i, entry in enumerate(mounts) if is_bind(entry) or is_device_folder(entry)]


class Tree:
    """Where the steps work: a folder (the staging one, then the root) and the mounts at hand."""

    def __init__(
        self,
        root_fd: int,
        fds: dict[int, int],
        hierarchies: Sequence[cgroup.Hierarchy] = (),
        ask: Callable[[int], int] | None = None,
    ) -> None:
        self.root_fd = root_fd
        self.hierarchies = hierarchies
        # Without a cgroup namespace: the container's cgroup, all that it may see of the tree.
        self.cgroup_path = ""
        self._fds = fds
        self._ask = ask
        self._blank_fd = -1
        self._attached = False

    def take(self, number: int) -> int:
        """The mount that the parent made, or makes now, for mounts[number]."""
        fd = self._fds.pop(number, None)
        if fd is None:
            assert self._ask is not None
            return self._ask(number)
        return fd

    def blank(self) -> int:
        """An empty read-only tmpfs with a folder and a file, to hide things behind (I12)."""
        if self._blank_fd < 0:
            fd = mount.filesystem("tmpfs", [Option("size", "0k"), Option("mode", "755")])
            os.mkdir("folder", 0o555, dir_fd=fd)
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444, dir_fd=fd))
            self._blank_fd = fd
        return self._blank_fd

    def cover(self, name: str) -> int:
        """A mount of the blank's "folder" or "file"."""
        try:
            return mount.clone(name, dirfd=self.blank())
        except OSError as error:
            if error.errno != errno.EINVAL or self._attached:
                raise
        # Before Linux 6.15 only what is attached can be cloned. Of the host's tree, which this
        # namespace is about to leave, nobody looks at this folder any more.
        mount.attach_at(self.blank(), "/proc")
        self._attached = True
        return mount.clone(name, dirfd=self.blank())


class Step(Protocol):
    def describe(self) -> str: ...
    def perform(self, tree: Tree) -> None: ...


class Attach(NamedTuple):
    """Attach the mount that the parent made for mounts[number]."""

    target: str
    number: int

    def describe(self) -> str:
        return f"mount to {self.target}"

    def perform(self, tree: Tree) -> None:
        mount_fd = tree.take(self.number)
        try:
            directory = stat.S_ISDIR(os.fstat(mount_fd).st_mode)
            _attach(tree, mount_fd, self.target, directory=directory)
        finally:
            os.close(mount_fd)


class Create(NamedTuple):
    """Mount a new file system instance, owned by the container's user namespace."""

    target: str
    fstype: str
    source: str
    options: Options

    def describe(self) -> str:
        return f"mount {self.fstype} to {self.target}"

    def perform(self, tree: Tree) -> None:
        fd = self._filesystem(tree)
        try:
            if self.options.copy_up:
                _copy_up(tree.root_fd, self.target, fd)
            adjust(fd, self.options)
            _attach(tree, fd, self.target, directory=True)
        finally:
            os.close(fd)

    def _filesystem(self, tree: Tree) -> int:
        attributes, source = self.options.set, self.source or None
        try:
            return mount.filesystem(
                self.fstype, self.options.data, attributes=attributes, source=source
            )
        except PermissionError:
            if self.fstype != "cgroup2" or not tree.cgroup_path:
                raise
            # In a user namespace it takes a cgroup namespace of the container's own to mount it.
            fd = mount.clone(cgroup.detect().hierarchies[0].target + tree.cgroup_path)
            mount.set_attributes(fd, attributes)
            return fd


class CgroupTree(NamedTuple):
    """cgroup v1: a tmpfs with one mount for each hierarchy, as seen from our cgroup namespace."""

    target: str
    options: Options

    def describe(self) -> str:
        return f"mount cgroup to {self.target}"

    def perform(self, tree: Tree) -> None:
        size = [Option("mode", "755"), Option("size", "64k")]
        safe = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
        folder_fd = mount.filesystem("tmpfs", size, attributes=safe)
        _attach(tree, folder_fd, self.target, directory=True)
        for hierarchy in tree.hierarchies:
            self._mount(folder_fd, hierarchy, tree.cgroup_path, safe | self.options.set)
        mount.set_attributes(folder_fd, self.options.set)
        os.close(folder_fd)

    @staticmethod
    def _mount(folder_fd: int, hierarchy: cgroup.Hierarchy, path: str, attributes: int) -> None:
        if path:
            try:
                fd = mount.clone(hierarchy.target + path)
            except FileNotFoundError:
                return  # a hierarchy in which the container has no cgroup
            mount.set_attributes(fd, attributes)
        else:
            words = (word.partition("=") for word in hierarchy.options)
            data = [Option(key, value if equals else None) for key, equals, value in words]
            fstype = "cgroup2" if hierarchy.unified else "cgroup"
            fd = mount.filesystem(fstype, data, attributes=attributes)
        os.mkdir(hierarchy.name, 0o755, dir_fd=folder_fd)
        target_fd = os.open(hierarchy.name, os.O_PATH | os.O_CLOEXEC, dir_fd=folder_fd)
        mount.attach(fd, target_fd)
        os.close(target_fd)
        os.close(fd)
        for alias in hierarchy.name.split(","):
            if alias != hierarchy.name:
                os.symlink(hierarchy.name, alias, dir_fd=folder_fd)


class Mask(NamedTuple):
    """Hide a path; what does not exist needs no hiding (config-linux.md, "Masked Paths")."""

    target: str

    def describe(self) -> str:
        return f"mask {self.target}"

    def perform(self, tree: Tree) -> None:
        try:
            target_fd = mount.open_in_root(tree.root_fd, self.target)
        except (FileNotFoundError, NotADirectoryError):
            return
        directory = stat.S_ISDIR(os.fstat(target_fd).st_mode)
        fd = tree.cover("folder" if directory else "file")
        mount.set_attributes(fd, mount.MOUNT_ATTR_RDONLY)
        mount.attach(fd, target_fd)
        os.close(fd)
        os.close(target_fd)


class Freeze(NamedTuple):
    """Make a path read-only by a mount of itself (config-linux.md, "Readonly Paths")."""

    target: str

    def describe(self) -> str:
        return f"make {self.target} read-only"

    def perform(self, tree: Tree) -> None:
        try:
            target_fd = mount.open_in_root(tree.root_fd, self.target)
        except (FileNotFoundError, NotADirectoryError):
            return
        fd = mount.clone("", dirfd=target_fd, recursive=True)
        mount.set_attributes(fd, mount.MOUNT_ATTR_RDONLY)
        mount.attach(fd, target_fd)
        os.close(fd)
        os.close(target_fd)


def plan(mounts: Sequence[spec.Mount], *, cgroup_v1: bool, first: int = 0) -> list[Step]:
    """The steps for mounts[first:], in the specification's order."""
    steps: list[Step] = []
    for index, entry in enumerate(mounts):
        if index < first:
            continue
        sorted_options = options(entry.options)
        target = entry.destination
        if is_bind(entry) or is_device_folder(entry):
            steps.append(Attach(target, index))
        elif entry.type == "cgroup" and cgroup_v1:
            steps.append(CgroupTree(target, sorted_options))
        else:
            fstype = "cgroup2" if entry.type == "cgroup" else entry.type
            steps.append(Create(target, fstype, entry.source, sorted_options))
    return steps


def restrictions(masked: Sequence[str], readonly: Sequence[str]) -> list[Step]:
    return [*(Mask(path) for path in masked), *(Freeze(path) for path in readonly)]


class StepFailed(Exception):
    """Which step failed, as a sentence; the cause is the OSError."""


def perform(steps: Sequence[Step], tree: Tree) -> None:
    for step in steps:
        try:
            step.perform(tree)
        except OSError as error:
            raise StepFailed(f"{step.describe()}: {error.strerror}") from error


def _attach(tree: Tree, mount_fd: int, target: str, *, directory: bool) -> None:
    target_fd = mount.make_in_root(tree.root_fd, target, directory=directory)
    try:
        if directory != stat.S_ISDIR(os.fstat(target_fd).st_mode):
            kind = "directory onto a file" if directory else "file onto a directory"
            reason = f"{os.strerror(errno.ENOTDIR).lower()}: trying to mount a {kind}"
            raise OSError(errno.ENOTDIR, reason, target)
        mount.attach(mount_fd, target_fd)
    finally:
        os.close(target_fd)


def adjust(fd: int, wanted: Options) -> None:
    """Attributes and propagation of a detached mount, as its options say."""
    if wanted.set or wanted.clear:
        mount.set_attributes(fd, wanted.set, clear=wanted.clear)
    if wanted.set_all or wanted.clear_all:
        mount.set_attributes(fd, wanted.set_all, clear=wanted.clear_all, recursive=True)
    for kind in wanted.propagation:
        recursive = bool(kind & mount.MS_REC)
        mount.set_attributes(fd, propagation=kind & ~mount.MS_REC, recursive=recursive)


def _copy_up(root_fd: int, target: str, mount_fd: int) -> None:
    """tmpcopyup: a new tmpfs starts with what the image has at its target (files and folders)."""
    try:
        source_fd = mount.open_in_root(root_fd, target, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    top = os.fstat(source_fd)
    os.chown(".", top.st_uid, top.st_gid, dir_fd=mount_fd)
    os.chmod(".", stat.S_IMODE(top.st_mode), dir_fd=mount_fd)
    try:
        _copy_folder(source_fd, os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=mount_fd))
    finally:
        os.close(source_fd)


def _copy_folder(source_fd: int, target_fd: int) -> None:
    with os.scandir(source_fd) as entries:
        for entry in entries:
            _copy_entry(source_fd, target_fd, entry.name, entry.stat(follow_symlinks=False))
    os.close(target_fd)


def _copy_entry(source_fd: int, target_fd: int, name: str, info: os.stat_result) -> None:
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(name, dir_fd=source_fd), name, dir_fd=target_fd)
        return
    nofollow = os.O_NOFOLLOW | os.O_CLOEXEC
    if stat.S_ISDIR(info.st_mode):
        os.mkdir(name, dir_fd=target_fd)
        below_fd = os.open(name, os.O_RDONLY | nofollow, dir_fd=source_fd)
        _copy_folder(below_fd, os.open(name, os.O_RDONLY | nofollow, dir_fd=target_fd))
        os.close(below_fd)
    elif stat.S_ISREG(info.st_mode):
        source = os.open(name, os.O_RDONLY | nofollow, dir_fd=source_fd)
        target = os.open(name, os.O_WRONLY | os.O_CREAT | nofollow, 0o600, dir_fd=target_fd)
        while os.sendfile(target, source, None, 1 << 20):
            pass
        os.close(source)
        os.close(target)
    else:
        return
    os.chown(name, info.st_uid, info.st_gid, dir_fd=target_fd)
    os.chmod(name, stat.S_IMODE(info.st_mode), dir_fd=target_fd)
