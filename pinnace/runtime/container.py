"""The parent's side of a container: clone, id maps, cgroup, the talk with init, exec.

Used by the supervisor and by the runtime's command line; both have one thread.

    made = prepare(preparation)          namespaces, cgroup; init waits
    console = made.set_up(...)           everything up to execve
    made.start()                         execve
"""

import os
import signal
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn, TypeVar

import msgspec

from pinnace.linux import cgroup, failpoint, process, syscall
from pinnace.linux.process import IDMap
from pinnace.oci import spec
from pinnace.runtime import hooks, init, namespaces, resources, rootfs, sources
from pinnace.runtime.launch import LaunchError
from pinnace.runtime.layers import Layers
from pinnace.runtime.sync import (
    Channel,
    Closed,
    Enter,
    Failure,
    Listening,
    Mounted,
    Prepare,
    Prepared,
    Proceed,
    Ready,
    Setup,
    Start,
    StartFailed,
    Template,
    Want,
    close_fds,
)

__all__ = ["StartFailed"]

M = TypeVar("M")

_ALL_NAMESPACES = (
    syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC
    | syscall.CLONE_NEWUTS | syscall.CLONE_NEWCGROUP
)  # fmt: skip


class Preparation(msgspec.Struct, frozen=True):
    """What has to be known to make a container's shell.

    `joined` are paths of namespaces to enter; `staged` says that the template's mounts and
    path restrictions are to be made now, ahead of the root file system.
    """

    new: list[str]
    joined: dict[str, str] = {}
    uid_maps: list[IDMap] = []
    gid_maps: list[IDMap] = []
    cgroup_path: str = ""
    template: Template = Template()
    staged: bool = False
    resources: spec.LinuxResources | None = None
    time_offsets: dict[str, spec.TimeOffset] = {}


class Setting(NamedTuple):
    """What turns a prepared shell into this container.

    `mounted` is called before init goes into the new root (OCI's prestart and createRuntime
    hooks), `listening` with the fd of a seccomp listener, which it is to pass on and not keep.
    `in_order`: the mounts' ids are in the order of the specification, at a round trip for each.
    """

    spec: spec.Spec
    root: Layers | str
    stdio: Sequence[int]
    seccomp: bytes | None = None
    user: str | None = None
    groups: Sequence[str] = ()
    reaper: bool = False
    state: bytes = b""
    listener_fd: int | None = None
    seccomp_flags: int = 0
    mounted: Callable[[], None] | None = None
    listening: Callable[[int], None] | None = None
    in_order: bool = False


class Made:
    """A container between clone and the end of its first process."""

    def __init__(
        self, preparation: Preparation, pid: int, pidfd: int, channel: Channel,
        group: cgroup.Cgroup | None,
    ) -> None:  # fmt: skip
        self.preparation = preparation
        self.pid = pid
        self.pidfd = pidfd
        self.channel = channel
        self.cgroup = group
        self.owner = owner_of(pid)

    def set_up(self, setting: Setting) -> tuple[int | None, list[str]]:
        """(console master if it has a terminal, warnings); raises StartFailed, OSError."""
        warnings = self._limit(setting.spec)
        fds = [self._root(setting.root), *setting.stdio]
        opened = fds[:1]
        first = len(self.preparation.template.mounts) if self.preparation.staged else 0
        try:
            self._make_devices(setting.spec, fds[0])
            indexes = []
            if not setting.in_order:
                indexes = [i for i in rootfs.from_host(setting.spec.mounts) if i >= first]
            for index in indexes:
                opened.append(self._mount(setting.spec, index))
            message = Setup(
                spec=setting.spec,
                mount_fds=indexes,
                staged_mounts=first,
                staged_paths=self.preparation.staged,
                seccomp=setting.seccomp,
                seccomp_flags=setting.seccomp_flags,
                user=setting.user,
                groups=list(setting.groups),
                reaper=setting.reaper,
                deferred=setting.listener_fd is not None,
                hooked=setting.mounted is not None,
                state=setting.state,
                cgroup_path=self.preparation.cgroup_path,
            )
            listener = [] if setting.listener_fd is None else [setting.listener_fd]
            self.channel.send(message, fds + opened[1:] + listener)
        except Closed:
            raise StartFailed(_vanished("setup")) from None
        finally:
            close_fds(opened)
        failpoint.hit("runtime-setup")
        ready, received = self._serve(setting)
        return (received[0] if received else None), warnings + ready.warnings

    def _serve(self, setting: Setting) -> tuple[Ready, list[int]]:
        """Do what init asks for until it is ready."""
        while True:
            message, fds = _expect(self.channel, (Ready, Want, Mounted, Listening))
            match message:
                case Ready():
                    return message, fds
                case Want():
                    fds = [self._mount(setting.spec, message.number)]
                case Mounted() if setting.mounted is not None:
                    setting.mounted()
                case Listening() if setting.listening is not None:
                    setting.listening(fds[0])
            self.channel.send(Proceed(), fds if isinstance(message, Want) else [])
            close_fds(fds)

    def start(self, wanted: spec.Process) -> list[str]:
        """Let init execute the program; returns when it has, with warnings about limits."""
        warnings, left = limit_process(self.pid, wanted)
        start_over(self.channel, left)
        self.channel.close()
        return warnings

    def enter(self, entry: "Entry") -> "Entered":
        """A further process, made up to execve; raises StartFailed."""
        return enter(self.pidfd, self.owner, self.cgroup, entry)

    def own_processes(self) -> bool:
        """Whether the end of the first process is that of all others."""
        return "pid" in self.preparation.new

    def delete(self) -> None:
        """End what still runs and leave nothing."""
        if process.alive(self.pidfd):
            process.send_signal(self.pidfd, signal.SIGKILL)
            process.wait(self.pidfd)
        if self.cgroup is not None:
            cgroup.end(self.cgroup.path)

    def _limit(self, wanted: spec.Spec) -> list[str]:
        limits = wanted.linux.resources if wanted.linux else None
        if limits is None or self.cgroup is None or limits == self.preparation.resources:
            return []
        return self.cgroup.write(resources.plan(limits, cgroup.detect().version))

    def _root(self, root: Layers | str) -> int:
        if isinstance(root, Layers):
            return sources.overlay(root, self.owner)
        return sources.folder(root, self.owner)

    def _make_devices(self, wanted: spec.Spec, root_fd: int) -> None:
        """The devices that belong to the root itself (config-linux.md, "Devices")."""
        linux = wanted.linux or spec.Linux()
        covered = any(entry.destination.rstrip("/") == "/dev" for entry in wanted.mounts)
        outside = [each for each in linux.devices if not each.path.startswith("/dev/")]
        if outside or not covered:
            with process.file_identity(self.owner.uid, self.owner.gid):
                devices = outside if covered else linux.devices
                sources.devices_in_root(root_fd, devices, defaults=not covered)

    def _mount(self, wanted: spec.Spec, index: int) -> int:
        return _host_mount(wanted.mounts[index], wanted.linux or spec.Linux(), self.owner)


def _host_mount(entry: spec.Mount, linux: spec.Linux, owner: sources.Owner) -> int:
    if rootfs.is_device_folder(entry):
        return sources.device_folder(entry, linux.devices, owner)
    return sources.bind(entry, owner)


def prepare(preparation: Preparation) -> Made:
    """Make the namespaces and the cgroup, with init waiting inside; undone if it fails."""
    group = cgroup.at(preparation.cgroup_path) if preparation.cgroup_path else None
    if group is not None:
        group.create()
    try:
        made = _clone(preparation, group)
        _prepare_inside(made)
    except BaseException:
        if group is not None:
            cgroup.end(group.path)
        raise
    return made


def _clone(preparation: Preparation, group: cgroup.Cgroup | None) -> Made:
    process.find_title()  # before a mount namespace is joined, where /proc may be a container's
    ours, theirs = Channel.pair()
    system = cgroup.detect()
    hierarchies = list(system.hierarchies) if system.version == 1 else []
    cgroup_fd = group.open() if group is not None else None
    flags = 0
    for name in preparation.new:
        # A cgroup namespace has its root where the process is: init unshares it later.
        flags |= 0 if name in ("cgroup", "time") else process.NAMESPACES[name]

    def child() -> NoReturn:
        process.close_all_but([theirs.fileno()])
        process.set_title("pinnace:init")
        init.run(theirs, hierarchies)

    time_offsets = preparation.time_offsets if "time" in preparation.new else None
    by_way = bool(preparation.joined) or time_offsets is not None
    if by_way:
        pid, pidfd = namespaces.clone_within(
            flags, child, joined=preparation.joined, time_offsets=time_offsets
        )
    else:
        pid, pidfd = process.clone(flags, cgroup_fd=cgroup_fd)
        if pid == 0:
            child()
    theirs.close()
    if cgroup_fd is not None:
        os.close(cgroup_fd)
    failpoint.hit("runtime-cloned")
    if preparation.uid_maps:
        process.write_id_maps(pid, preparation.uid_maps, preparation.gid_maps)
    if group is not None and (cgroup_fd is None or by_way):
        group.add(pid)
    return Made(preparation, pid, pidfd, ours, group)


def owner_of(pid: int) -> sources.Owner:
    """Who the container's root is outside; without maps of its own it is the host's root."""
    with open(f"/proc/{pid}/uid_map") as uids, open(f"/proc/{pid}/gid_map") as gids:
        uid, gid = _outside(uids.read()), _outside(gids.read())
    if uid is None or gid is None:
        return sources.Owner()
    return sources.Owner(uid, gid, process.namespace_fd(pid, "user"))


def _outside(id_map: str) -> int | None:
    """What id 0 is outside, or None where all ids are mapped to themselves."""
    for line in id_map.splitlines():
        inside, outside, size = map(int, line.split())
        if (inside, outside, size) == (0, 0, 0xFFFFFFFF):
            return None
        if inside == 0:
            return outside
    return 0


def _prepare_inside(made: Made) -> None:
    preparation = made.preparation
    template = preparation.template
    indexes = rootfs.from_host(template.mounts) if preparation.staged else []
    fds = [_host_mount(template.mounts[i], spec.Linux(), made.owner) for i in indexes]
    message = Prepare(
        become_root=made.owner.userns_fd is not None,
        new_cgroup_namespace="cgroup" in preparation.new,
        new_mount_namespace="mount" in preparation.new,
        new_network_namespace="network" in preparation.new,
        template=template,
        mount_fds=indexes,
        staged=preparation.staged,
    )
    try:
        made.channel.send(message, fds)
    except Closed:
        raise StartFailed(_vanished("prepare")) from None
    finally:
        close_fds(fds)
    if preparation.resources is not None and made.cgroup is not None:
        made.cgroup.write(resources.plan(preparation.resources, cgroup.detect().version))
    _expect(made.channel, (Prepared,))


def _expect(channel: Channel, kinds: tuple[type[M], ...]) -> tuple[M, list[int]]:
    try:
        message, fds = channel.receive()
    except Closed:
        raise StartFailed(_vanished(kinds[0].__name__.lower())) from None
    if isinstance(message, Failure):
        raise StartFailed(message)
    assert isinstance(message, kinds), message
    return message, fds


def start_over(channel: Channel, rlimits: Sequence[spec.Rlimit] = ()) -> None:
    """Say Start; the channel closes on execve, so silence is success. Raises StartFailed."""
    try:
        channel.send(Start(list(rlimits)))
    except Closed:
        raise StartFailed(_vanished("start")) from None
    try:
        message, _ = channel.receive()
    except Closed:
        return
    assert isinstance(message, Failure), message
    raise StartFailed(message)


def _vanished(step: str) -> Failure:
    return Failure(step, 0, "container init exited before it was ready (killed, or out of memory)")


def limit_process(pid: int, wanted: spec.Process) -> tuple[list[str], list[spec.Rlimit]]:
    """Rlimits and the OOM score, set from outside: raising them is the host root's privilege.

    (warnings, limits that are left to the process itself: those of another user's processes
    take CAP_SYS_RESOURCE, which a host may withhold).
    """
    told, left = [], []
    for limit in wanted.rlimits:
        try:
            told.append(process.set_rlimit(pid, limit.type, limit.soft, limit.hard))
        except PermissionError:
            left.append(limit)
    if wanted.oom_score_adj is not None:
        told.append(process.set_oom_score_adj(pid, wanted.oom_score_adj))
    return [warning for warning in told if warning], left


class Entered:
    """A further process in a container, made up to execve."""

    def __init__(self, pid: int, pidfd: int, channel: Channel, console: int | None) -> None:
        self.pid, self.pidfd, self.channel, self.console = pid, pidfd, channel, console

    def start(self, wanted: spec.Process) -> list[str]:
        warnings, left = limit_process(self.pid, wanted)
        start_over(self.channel, left)
        self.channel.close()
        return warnings


class Entry(NamedTuple):
    """What a further process is to be."""

    process: spec.Process
    stdio: Sequence[int]
    seccomp: bytes | None = None
    user: str | None = None
    groups: Sequence[str] = ()
    seccomp_flags: int = 0
    listening: Callable[[int], None] | None = None


def enter(
    pidfd: int,
    owner: sources.Owner,
    group: cgroup.Cgroup | None,
    entry: Entry,
    *,
    leaving: bool = False,
) -> Entered:
    """Make a process in the namespaces and the cgroup of the process that pidfd refers to.

    A caller that is leaving (it ends after this) joins them itself, which saves a fork.
    """
    ours, theirs = Channel.pair()
    flags = _ALL_NAMESPACES | (syscall.CLONE_NEWUSER if owner.userns_fd is not None else 0)

    def child() -> NoReturn:
        process.close_all_but([theirs.fileno()])
        init.enter(theirs)

    def join() -> None:
        syscall.setns(pidfd, flags)

    if leaving:
        pid, its_pidfd = namespaces.clone_after(join, child, group)
    else:
        pid, its_pidfd = namespaces.clone_sibling(join, 0, child, group=group)
    theirs.close()
    message = Enter(
        process=entry.process,
        become_root=owner.userns_fd is not None,
        seccomp=entry.seccomp,
        seccomp_flags=entry.seccomp_flags,
        user=entry.user,
        groups=list(entry.groups),
    )
    try:
        ours.send(message, list(entry.stdio))
        told, received = _expect(ours, (Ready, Listening))
        if isinstance(told, Listening):
            if entry.listening is not None:
                entry.listening(received[0])
            close_fds(received)
            ours.send(Proceed())
            _, received = _expect(ours, (Ready,))
    except Closed:
        raise StartFailed(_vanished("exec")) from None
    except StartFailed:
        process.wait(its_pidfd)
        os.close(its_pidfd)
        raise
    return Entered(pid, its_pidfd, ours, received[0] if received else None)


def run_hooks(entries: Sequence[spec.Hook], kind: str, state: spec.State) -> None:
    """Raises StartFailed when one fails."""
    try:
        hooks.run(entries, kind, msgspec.json.encode(state))
    except LaunchError as error:
        raise StartFailed(Failure(error.step, error.errno, error.message)) from None
