"""Another OCI runtime's binary (`--runtime runc`) behind our runtime's interface.

The supervisor, in a mount namespace of its own, mounts the root for it, resolves what Docker's
users write as names, and is the reaper of what the binary leaves running.
"""

import os
import re
import socket
from collections.abc import Sequence

import msgspec

from pinnace.linux import cgroup, mount, process, syscall
from pinnace.oci import spec
from pinnace.runtime import sources, users
from pinnace.runtime.container import Entry, Setting, StartFailed
from pinnace.runtime.layers import Layers
from pinnace.runtime.sync import Failure, receive_fds

_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


# What runc says before the reason, and Docker's sentence, which we make ourselves, has already.
_BEGINNINGS = re.compile(
    "^(?:runc (?:create|run) failed: |exec failed: |unable to start container process: "
    "|error during container init: )+"
)


class _LogLine(msgspec.Struct):
    msg: str = ""
    level: str = ""


class Binary:
    """A container kept by `command`; folder is the bundle's, with its config.json."""

    def __init__(self, command: Sequence[str], ident: str, folder: str, cgroup_path: str) -> None:
        self._command = [*command, "--root", f"{folder}/runtime", "--log", f"{folder}/log.json",
                         "--log-format", "json"]  # fmt: skip
        self._id = ident
        self._folder = folder
        self._root_fd = -1
        self._count = 0
        self._deleted = False
        self.pid = 0
        self.pidfd = -1
        self.cgroup: cgroup.Cgroup | None = cgroup.at(cgroup_path)
        self.owner = sources.Owner()

    def set_up(self, setting: Setting) -> tuple[int | None, list[str]]:
        self._mount_root(setting.root)
        wanted = setting.spec.process or spec.Process()
        resolved = self._with_user(wanted, setting.user, setting.groups)
        # The oldest version that has all we use: a binary refuses one newer than itself.
        bundle = msgspec.structs.replace(setting.spec, process=resolved, oci_version="1.0.2")
        _write(f"{self._folder}/config.json", spec.encode(bundle))
        stdio, console = self._stdio(setting.stdio), self._console(wanted.terminal)
        arguments = ["create", "--bundle", self._folder, "--pid-file", self._path("pid")]
        master = self._with_console(console, arguments, [self._id], stdio)
        self._adopt(self._path("pid"))
        return master, []

    def start(self, wanted: spec.Process) -> list[str]:
        self._call(["start", self._id], self._stdio([]))
        return []

    def enter(self, entry: Entry) -> "Further":
        self._count += 1
        name = f"exec{self._count}"
        resolved = self._with_user(entry.process, entry.user, entry.groups)
        _write(self._path(f"{name}.json"), msgspec.json.encode(resolved))
        return Further(self, name, entry)

    def own_processes(self) -> bool:
        return True  # the binary sees to it

    def delete(self) -> None:
        if self._deleted:
            return
        self._deleted = True
        try:
            self._call(["delete", "--force", self._id], self._stdio([]))
        except StartFailed:
            pass  # it never was, or is gone
        if self._root_fd >= 0:
            os.close(self._root_fd)
            mount.detach(self._path("rootfs"))

    # How it is done

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _mount_root(self, root: Layers | str) -> None:
        # Of our own: the mount goes when we go, and the host never sees it.
        syscall.unshare(syscall.CLONE_NEWNS)
        mount.set_propagation("/", mount.MS_SLAVE | mount.MS_REC)
        target = self._path("rootfs")
        os.makedirs(target, 0o700, exist_ok=True)
        made_fd = (
            sources.overlay(root, self.owner)
            if isinstance(root, Layers)
            else sources.folder(root, self.owner)
        )
        mount.attach_at(made_fd, target)
        self._root_fd = made_fd

    def _with_user(
        self, wanted: spec.Process, user: str | None, groups: Sequence[str]
    ) -> spec.Process:
        """Names looked up in the image; the binary takes numbers only."""
        wanted = msgspec.structs.replace(wanted, rlimits=[_clamped(r) for r in wanted.rlimits])
        if user is None:
            return wanted
        passwd = users.read(self._root_fd, "/etc/passwd")
        group = users.read(self._root_fd, "/etc/group")
        try:
            who = users.resolve(user, passwd, group, list(groups))
        except ValueError as error:
            raise StartFailed(Failure("user", 0, str(error))) from None
        additional = [gid for gid in who.groups if gid != who.gid]
        numbers = spec.User(uid=who.uid, gid=who.gid, additional_gids=additional)
        sets = wanted.capabilities
        if who.uid and sets is not None:
            sets = spec.Capabilities(bounding=sets.bounding)
        return msgspec.structs.replace(wanted, user=numbers, capabilities=sets)

    def _stdio(self, given: Sequence[int]) -> list[int]:
        if given:
            return list(given)
        null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        return [null_fd] * 3

    def _console(self, terminal: bool) -> socket.socket | None:
        if not terminal:
            return None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder_fd = os.open(self._folder, os.O_PATH | os.O_CLOEXEC)
        try:
            listener.bind(f"/proc/self/fd/{folder_fd}/console.sock")
        finally:
            os.close(folder_fd)
        listener.listen(1)
        return listener

    def _with_console(
        self,
        listener: socket.socket | None,
        arguments: list[str],
        rest: list[str],
        stdio: list[int],
    ) -> int | None:
        """Call; the console's master comes over the socket (runc, docs/terminals.md)."""
        if listener is None:
            self._call([*arguments, *rest], stdio)
            return None
        path = self._path("console.sock")
        try:
            self._call([*arguments, "--console-socket", path, *rest], stdio)
            connection, _ = listener.accept()
            _, fds = receive_fds(connection, 4096)
            connection.close()
            return fds[0]
        finally:
            listener.close()
            os.unlink(path)

    def _call(self, arguments: list[str], stdio: list[int]) -> None:
        try:
            code = process.run([*self._command, *arguments], _ENV, stdio)
        finally:
            if stdio[0] == stdio[1]:
                os.close(stdio[0])
        if code:
            raise StartFailed(Failure(*self._reason()))

    def _reason(self) -> tuple[str, int, str]:
        """The last error of the binary's log; what it says of executables is Docker's to map."""
        try:
            with open(self._path("log.json"), "rb") as file:
                lines = [msgspec.json.decode(line, type=_LogLine) for line in file]
        except (FileNotFoundError, msgspec.MsgspecError):
            lines = []
        told = next((line.msg for line in reversed(lines) if line.level == "error"), "")
        step = "exec" if "exec:" in told or "executable file" in told else "runtime"
        return step, 0, _BEGINNINGS.sub("", told) or "it failed"

    def _adopt(self, pid_file: str) -> None:
        with open(pid_file) as file:
            self.pid = int(file.read())
        self.pidfd = os.pidfd_open(self.pid)


class Further:
    """An exec by the binary, which makes and executes it in one go."""

    def __init__(self, container: Binary, name: str, entry: Entry) -> None:
        self.pid = 0
        self.pidfd = -1
        self.console: int | None = None
        self._exec(container, name, entry)

    def _exec(self, container: Binary, name: str, entry: Entry) -> None:
        pid_file = container._path(f"{name}.pid")
        arguments = ["exec", "--detach", "--process", container._path(f"{name}.json"),
                     "--pid-file", pid_file]  # fmt: skip
        stdio = container._stdio(entry.stdio)
        listener = container._console(entry.process.terminal)
        self.console = container._with_console(listener, arguments, [container._id], stdio)
        with open(pid_file) as file:
            self.pid = int(file.read())
        self.pidfd = os.pidfd_open(self.pid)
        for path in (pid_file, container._path(f"{name}.json")):
            os.unlink(path)

    def start(self, wanted: spec.Process) -> list[str]:
        return []


def _clamped(limit: spec.Rlimit) -> spec.Rlimit:
    """The binary fails where the host withholds CAP_SYS_RESOURCE."""
    soft, hard = process.clamp_rlimit(limit.type, limit.soft, limit.hard)
    return spec.Rlimit(type=limit.type, soft=soft, hard=hard)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
