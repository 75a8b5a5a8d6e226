"""The container's first process, from clone to execve, read top to bottom.

Nothing is logged or printed here: what fails is told to the parent as a sync.Failure.
Why this order, where it matters, stands beside the lines.
"""

import os
import socket
import stat
import sys
from typing import NoReturn

import msgspec

from pinnace.linux import cgroup, failpoint, mount, netlink, process, syscall, terminal
from pinnace.linux.mount import Option
from pinnace.oci import spec
from pinnace.runtime import hooks, launch, reaper, rootfs, sysctls, users
from pinnace.runtime.launch import LaunchError
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
    Want,
)

# An ever-existing folder to build on; in this mount namespace nobody else looks at it.
_STAGE = "/proc"
_STAGED_TREES = ("proc", "dev", "sys")


def run(channel: Channel, hierarchies: list[cgroup.Hierarchy]) -> NoReturn:
    """Be the container's pid 1; returns never."""
    import_nothing()
    init = Init(channel, hierarchies)
    try:
        init.run()
    except Closed:
        os._exit(1)  # whoever made us is gone or has thought better of it
    except BaseException as error:  # noqa: BLE001 (an edge: whatever it is, the parent is told)
        report(init.channel, error)
    os._exit(1)


def enter(channel: Channel) -> NoReturn:
    """Be a further process of a container whose namespaces were joined; returns never."""
    import_nothing()
    try:
        _enter(channel)
    except Closed:
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 (an edge: whatever it is, the parent is told)
        report(channel, error)
    os._exit(1)


def import_nothing() -> None:
    """I5: what would be imported from now on would be the container's, by the host's paths."""
    own = {"BuiltinImporter", "FrozenImporter"}  # in the interpreter itself
    sys.meta_path[:] = [each for each in sys.meta_path if getattr(each, "__name__", "") in own]


def report(channel: Channel, error: BaseException) -> None:
    """Tell the parent, in one sentence, which step failed."""
    match error:
        case LaunchError():
            failure = Failure(error.step, error.errno, error.message)
        case rootfs.StepFailed():
            number = error.__cause__.errno if isinstance(error.__cause__, OSError) else 0
            failure = Failure("mount", number or 0, str(error))
        case OSError():
            text = (error.strerror or str(error)).lower()
            where = f" {error.filename}" if error.filename else ""
            failure = Failure("init", error.errno or 0, f"{text}{where}")
        case _:
            failure = Failure("init", 0, f"{type(error).__name__}: {error}")
    try:
        channel.send(failure)
    except (Closed, OSError):
        pass


class Init:
    def __init__(self, channel: Channel, hierarchies: list[cgroup.Hierarchy]) -> None:
        self.channel = channel
        self.hierarchies = hierarchies
        self.stage_fd = -1
        self.procfs_fd = -1
        self.listener: socket.socket | None = None
        self.rlimits: list[spec.Rlimit] = []

    def run(self) -> None:
        self.prepare()
        setup, fds = self.channel.receive()
        assert isinstance(setup, Setup)
        ready = self.set_up(setup, fds)
        self._await_start()
        if setup.reaper:
            reaper.run(lambda: self.finish(setup, ready))
        self.finish(setup, ready)

    def prepare(self) -> None:
        """All that can be done before the container is known."""
        message, fds = self.channel.receive()
        assert isinstance(message, Prepare)
        if message.become_root:
            process.become(0, 0)
        process.hide_from_tracers()
        if message.new_cgroup_namespace:
            # Only now: the parent has put us into the cgroup that is to be the root.
            syscall.unshare(syscall.CLONE_NEWCGROUP)
        os.setsid()
        if message.new_network_namespace:
            netlink.set_link_up(netlink.LOOPBACK)
        if message.new_mount_namespace:
            self._stage(message, fds)
        self.channel.send(Prepared())

    def _stage(self, message: Prepare, fds: list[int]) -> None:
        # Private: nothing of ours reaches the host, and pivot_root wants no shared parent.
        mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
        stage_fd = mount.filesystem("tmpfs", [Option("mode", "755"), Option("size", "64k")])
        self.procfs_fd = _procfs()
        mount.attach_at(stage_fd, _STAGE)
        self.stage_fd = stage_fd
        os.mkdir("root", dir_fd=stage_fd)
        if message.staged:
            tree = self._tree(stage_fd, message.mount_fds, fds)
            template = message.template
            rootfs.perform(rootfs.plan(template.mounts, cgroup_v1=bool(self.hierarchies)), tree)
            rootfs.perform(
                rootfs.restrictions(template.masked_paths, template.readonly_paths), tree
            )

    def _tree(self, root_fd: int, indexes: list[int], fds: list[int]) -> rootfs.Tree:
        made = dict(zip(indexes, fds, strict=True))
        return rootfs.Tree(root_fd, made, self.hierarchies, lambda n: self._ask(Want(n))[0])

    def set_up(self, setup: Setup, fds: list[int]) -> launch.Launch:
        """The container as the specification says; at the end only Start is missing."""
        wanted_process = setup.spec.process or spec.Process()
        stdio_count = 0 if wanted_process.terminal else 3
        if setup.deferred:
            self.listener = socket.socket(fileno=fds.pop())
        root_mount, stdio, mounts = fds[0], fds[1 : 1 + stdio_count], fds[1 + stdio_count :]

        root_fd = self._mount_root(setup, root_mount, mounts)
        failpoint.hit("init-mounted")
        master = -1
        if wanted_process.terminal:
            master, slave = _console(root_fd, wanted_process)
            stdio = [slave] * 3
        self._close_root(setup, root_fd, wanted_process)
        self._name(setup.spec)
        # I4: keys of the host's session stay out of reach.
        syscall.keyctl_join_session(b"_ses.pinnace")
        _take_stdio(stdio, controlling=wanted_process.terminal)

        wanted = launch.Wanted(
            wanted_process, setup.seccomp, setup.user, setup.groups, setup.seccomp_flags
        )
        who = launch.identity(wanted)
        _own_console(master, who)
        launch.set_priorities(wanted_process)
        if setup.spec.linux and setup.spec.linux.personality:
            launch.set_personality(setup.spec.linux.personality)
        warnings = launch.drop(wanted, who, lambda fd: _hand_over(self.channel, fd))
        ready = launch.prepare(wanted, who)
        self.channel.send(Ready(warnings), [master] if master >= 0 else [])
        return ready

    def _await_start(self) -> None:
        if self.listener is not None:
            self.channel.close()  # our maker ends here; somebody else will start us
            connection, _ = self.listener.accept()
            self.channel = Channel(connection)
        message, _ = self.channel.receive()
        assert isinstance(message, Start)
        self.rlimits = message.rlimits

    def finish(self, setup: Setup, ready: launch.Launch) -> NoReturn:
        try:
            if setup.spec.hooks and setup.spec.hooks.start_container:
                state = _with_status(setup.state, "created")
                hooks.run(setup.spec.hooks.start_container, "startContainer", state)
            failpoint.hit("init-execute")
            launch.limit(self.rlimits)
            launch.execute(ready)
        except BaseException as error:  # noqa: BLE001 (as above)
            report(self.channel, error)
            os._exit(1)

    def _mount_root(self, setup: Setup, root_mount: int, mounts: list[int]) -> int:
        """Attach the root on the stage, move what is staged onto it, mount the rest."""
        root_fd = root_mount
        if self.stage_fd < 0:
            # Mounts can be put on a detached one (since Linux 6.15) of the same namespace only.
            assert setup.spec.root is not None
            root_fd = mount.clone(setup.spec.root.path, recursive=True)
            mount.set_attributes(root_fd, propagation=mount.MS_PRIVATE, recursive=True)
        else:
            target_fd = self._base(setup)
            mount.attach(root_mount, target_fd)
            os.close(target_fd)
        first = setup.staged_mounts
        if first:
            for name in _STAGED_TREES:
                self._move(name, root_fd)
        tree = self._tree(root_fd, setup.mount_fds, mounts)
        linux = setup.spec.linux or spec.Linux()
        if not any(namespace.type == "cgroup" for namespace in linux.namespaces):
            tree.cgroup_path = setup.cgroup_path
        steps = rootfs.plan(setup.spec.mounts, cgroup_v1=bool(self.hierarchies), first=first)
        rootfs.perform(steps, tree)
        if setup.hooked:
            self._ask(Mounted())
        if setup.spec.hooks and setup.spec.hooks.create_container:
            hooks.run(setup.spec.hooks.create_container, "createContainer", setup.state)
        if not setup.staged_paths:
            rootfs.perform(rootfs.restrictions(linux.masked_paths, linux.readonly_paths), tree)
        return root_fd

    def _base(self, setup: Setup) -> int:
        """Where the root is attached: on the stage, or where hooks expect to find it."""
        path = setup.spec.root.path if setup.spec.root else ""
        if setup.spec.hooks and setup.spec.hooks.create_container and os.path.isdir(path):
            # They look for the root by the bundle's config, and into /proc, which we had covered.
            mount.detach(_STAGE)
            return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return os.open("root", os.O_PATH | os.O_CLOEXEC, dir_fd=self.stage_fd)

    def _ask(self, message: Want | Mounted) -> list[int]:
        self.channel.send(message)
        answer, fds = self.channel.receive()
        assert isinstance(answer, Proceed)
        return fds

    def _move(self, name: str, root_fd: int) -> None:
        source_fd = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=self.stage_fd)
        target_fd = mount.make_in_root(root_fd, name, directory=True)
        mount.attach(source_fd, target_fd)
        os.close(source_fd)
        os.close(target_fd)

    def _close_root(self, setup: Setup, root_fd: int, wanted: spec.Process) -> None:
        """Working directory, read-only, pivot: afterwards the host's tree is out of sight."""
        cwd = wanted.cwd or "/"
        if cwd != "/":
            os.close(mount.make_in_root(root_fd, cwd, directory=True))
        if setup.spec.root and setup.spec.root.readonly:
            mount.set_attributes(root_fd, mount.MOUNT_ATTR_RDONLY)
        if self.stage_fd < 0:
            mount.change_root(root_fd)  # a mount namespace of others is left as it is
            return
        mount.enter_root(root_fd)
        propagation = setup.spec.linux.rootfs_propagation if setup.spec.linux else ""
        for kind in rootfs.options([propagation] if propagation else []).propagation:
            mount.set_propagation("/", kind)

    def _name(self, wanted: spec.Spec) -> None:
        if wanted.hostname:
            syscall.sethostname(wanted.hostname.encode())
        if wanted.domainname:
            syscall.setdomainname(wanted.domainname.encode())
        for key, value in (wanted.linux.sysctl if wanted.linux else {}).items():
            self._set_sysctl(key, value)

    def _set_sysctl(self, key: str, value: str) -> None:
        path = "sys/" + sysctls.path(key)
        safe = syscall.RESOLVE_BENEATH | syscall.RESOLVE_NO_SYMLINKS | syscall.RESOLVE_NO_XDEV
        try:
            fd = syscall.openat2(self.procfs_fd, path, os.O_WRONLY, 0, safe)
            os.write(fd, value.encode())
            os.close(fd)
        except OSError as error:
            reason = (error.strerror or "").lower()
            message = f"open /proc/{path}: {reason}"
            raise LaunchError("sysctl", error.errno or 0, message) from None


def _procfs() -> int:
    """Detached, and of our pid namespace: no mount of the container can shadow it (I3)."""
    try:
        return mount.filesystem("proc")
    except PermissionError:
        return -1  # with the host's pid namespace it takes the host's root; only sysctls need it


def _hand_over(channel: Channel, listener_fd: int) -> None:
    channel.send(Listening(), [listener_fd])
    os.close(listener_fd)
    answer, _ = channel.receive()
    assert isinstance(answer, Proceed)


def _with_status(state: bytes, status: str) -> bytes:
    known = msgspec.json.decode(state, type=spec.State)
    return msgspec.json.encode(msgspec.structs.replace(known, status=status))


def _console(root_fd: int, wanted: spec.Process) -> tuple[int, int]:
    """(master, slave) of the container's own devpts, the slave bound to /dev/console too."""
    ptmx_fd = mount.open_in_root(root_fd, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    master, slave = terminal.open_pair(ptmx_fd)
    if wanted.console_size is not None:
        terminal.set_size(master, wanted.console_size.height, wanted.console_size.width)
    target_fd = mount.make_in_root(root_fd, "/dev/console", directory=False)
    if stat.S_ISREG(os.fstat(target_fd).st_mode):
        mount_fd = mount.clone("", dirfd=slave)
        mount.attach(mount_fd, target_fd)
        os.close(mount_fd)
    os.close(target_fd)
    return master, slave


def _own_console(master: int, who: users.Identity) -> None:
    if master >= 0 and who.uid:
        os.fchown(0, who.uid, -1)


def _take_stdio(stdio: list[int], *, controlling: bool) -> None:
    for target, fd in enumerate(stdio):
        os.dup2(fd, target)
    for fd in set(stdio):
        if fd > 2:
            os.close(fd)
    if controlling:
        terminal.take_control(0)


def _enter(channel: Channel) -> None:
    message, fds = channel.receive()
    assert isinstance(message, Enter)
    wanted = launch.Wanted(
        message.process, message.seccomp, message.user, message.groups, message.seccomp_flags
    )
    if message.become_root:
        process.become(0, 0)
    process.hide_from_tracers()
    os.setsid()
    master, stdio = -1, fds
    if message.process.terminal:
        root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        ptmx_fd = mount.open_in_root(root_fd, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
        master, slave = terminal.open_pair(ptmx_fd)
        size = message.process.console_size
        if size is not None:
            terminal.set_size(master, size.height, size.width)
        stdio = [slave] * 3
    syscall.keyctl_join_session(b"_ses.pinnace")
    _take_stdio(stdio, controlling=message.process.terminal)
    who = launch.identity(wanted)
    _own_console(master, who)
    launch.set_priorities(message.process)
    warnings = launch.drop(wanted, who, lambda fd: _hand_over(channel, fd))
    ready = launch.prepare(wanted, who)
    channel.send(Ready(warnings), [master] if master >= 0 else [])
    start, _ = channel.receive()
    if not isinstance(start, Start):
        raise Closed
    launch.limit(start.rlimits)
    launch.execute(ready)
