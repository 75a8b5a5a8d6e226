"""Containers of the runtime's command line: their folders, what is written there, their status.

<root>/<id>/state.json     Record
<root>/<id>/start.sock     init waits here between `create` and `start`
"""

import os
import re
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pinnace import errors
from pinnace.linux import cgroup, process
from pinnace.oci import spec, timestamp
from pinnace.runtime import launch, rootfs, sysctls
from pinnace.runtime.container import Preparation
from pinnace.runtime.sync import Template

_GRAMMAR = re.compile(r"[A-Za-z0-9_+\-.]+")
OCI_VERSION = "1.2.0"


class Record(msgspec.Struct, frozen=True):
    """A container by pid and start time, which together are never used twice."""

    id: str
    bundle: str
    pid: int
    start_time: int
    created: int
    cgroup_path: str


class Found(NamedTuple):
    record: Record
    spec: spec.Spec
    status: str


class Bundles:
    def __init__(self, root: str) -> None:
        self.root = root

    def folder(self, ident: str) -> str:
        if not _GRAMMAR.fullmatch(ident) or ident in (".", ".."):
            raise errors.Invalid(f"invalid container ID format: {ident}")
        return f"{self.root}/{ident}"

    def make(self, ident: str) -> str:
        """A folder for a new container; raises Conflict if there is one of that id."""
        folder = self.folder(ident)
        os.makedirs(self.root, 0o700, exist_ok=True)
        try:
            os.mkdir(folder, 0o711)
        except FileExistsError:
            raise errors.Conflict("container with given ID already exists") from None
        return folder

    def save(self, record: Record, wanted: spec.Spec) -> None:
        folder = self.folder(record.id)
        for name, data in (("config", spec.encode(wanted)), ("state", msgspec.json.encode(record))):
            with open(f"{folder}/.{name}", "wb") as file:
                file.write(data)
            os.rename(f"{folder}/.{name}", f"{folder}/{name}.json")

    def find(self, ident: str) -> Found:
        folder = self.folder(ident)
        try:
            with open(f"{folder}/state.json", "rb") as file:
                record = msgspec.json.decode(file.read(), type=Record)
            with open(f"{folder}/config.json", "rb") as file:
                wanted = spec.decode(file.read())
        except (FileNotFoundError, msgspec.MsgspecError):
            raise errors.NotFound(f"container {ident!r} does not exist") from None
        return Found(record, wanted, self._status(record))

    def _status(self, record: Record) -> str:
        if not lives(record):
            return "stopped"
        if os.path.exists(f"{self.folder(record.id)}/start.sock"):
            return "created"
        if record.cgroup_path and cgroup.at(record.cgroup_path).frozen:
            return "paused"
        return "running"

    def all(self) -> list[Found]:
        try:
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            try:
                found.append(self.find(name))
            except errors.PinnaceError:
                continue
        return found

    def remove(self, ident: str) -> None:
        folder = self.folder(ident)
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)

    def listen(self, ident: str) -> socket.socket:
        """Where init is to wait for its start."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _with_folder(self.folder(ident), listener.bind)
        listener.listen(1)
        return listener

    def connect(self, ident: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _with_folder(self.folder(ident), connection.connect)
        except OSError:
            connection.close()
            raise errors.Conflict("cannot start an already running container") from None
        os.unlink(f"{self.folder(ident)}/start.sock")
        return connection


def _with_folder(folder: str, action: Callable[[str], None]) -> None:
    folder_fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # By the folder's fd: an address has room for 107 bytes (unix(7)).
        action(f"/proc/self/fd/{folder_fd}/start.sock")
    finally:
        os.close(folder_fd)


def lives(record: Record) -> bool:
    try:
        with open(f"/proc/{record.pid}/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[19]) == record.start_time


def record_of(ident: str, bundle: str, pid: int, cgroup_path: str) -> Record:
    return Record(ident, bundle, pid, process.start_time(pid), time.time_ns(), cgroup_path)


def state_of(found: Found) -> spec.State:
    """What `state` prints and hooks read (runtime.md, "State")."""
    return spec.State(
        oci_version=OCI_VERSION,
        id=found.record.id,
        status=found.status,
        pid=0 if found.status == "stopped" else found.record.pid,
        bundle=found.record.bundle,
        annotations=found.spec.annotations,
    )


class Shown(spec.State, frozen=True, rename="camel", kw_only=True):
    """State with what runc prints beside it, for those who parse runc's output."""

    rootfs: str = ""
    created: str = ""
    owner: str = ""


def shown(found: Found) -> Shown:
    state, root = state_of(found), found.spec.root
    return Shown(
        **{name: getattr(state, name) for name in state.__struct_fields__},
        rootfs=root.path if root else "",
        created=timestamp.text(found.record.created),
    )


def load(bundle: str) -> spec.Spec:
    """The bundle's config.json with the paths in it made absolute; raises Invalid."""
    try:
        with open(f"{bundle}/config.json", "rb") as file:
            wanted = spec.decode(file.read())
    except FileNotFoundError:
        raise errors.NotFound(f"JSON specification file {bundle}/config.json not found") from None
    except msgspec.MsgspecError as error:
        raise errors.Invalid(f"config.json: {error}") from None
    _check(wanted)
    assert wanted.root is not None
    root = msgspec.structs.replace(wanted.root, path=_absolute(wanted.root.path, bundle))
    mounts = [
        msgspec.structs.replace(entry, source=_absolute(entry.source, bundle))
        if "bind" in entry.options or "rbind" in entry.options or entry.type == "bind"
        else entry
        for entry in wanted.mounts
    ]
    return msgspec.structs.replace(wanted, root=root, mounts=mounts)


def _absolute(path: str, base: str) -> str:
    return os.path.normpath(os.path.join(base, path))


def _check(wanted: spec.Spec) -> None:
    """What every runtime must refuse (config.md), and runc does in these words."""
    if not re.fullmatch(r"1\.\d+\.\d+(-.*)?", wanted.oci_version):
        raise errors.Invalid(f"unsupported ociVersion: {wanted.oci_version!r}")
    if wanted.root is None or not wanted.root.path:
        raise errors.Invalid("config.json: root.path is missing")
    if wanted.process is None:
        raise errors.Invalid("process property must not be empty")
    _check_process(wanted.process)
    for entry in wanted.mounts:
        if not entry.destination.startswith("/"):
            raise errors.Invalid(f"mount destination {entry.destination} not absolute")
    linux = wanted.linux or spec.Linux()
    _check_namespaces(wanted, linux)
    _check_devices(linux.devices)
    if linux.rootfs_propagation and not rootfs.options([linux.rootfs_propagation]).propagation:
        raise errors.Invalid(f"rootfsPropagation={linux.rootfs_propagation} is not supported")
    if linux.personality and linux.personality.domain not in launch.PERSONALITIES:
        raise errors.Invalid(f"unsupported personality domain {linux.personality.domain!r}")
    _check_hooks(wanted.hooks or spec.Hooks())


def _check_hooks(hooks: spec.Hooks) -> None:
    for name in hooks.__struct_fields__:
        for hook in getattr(hooks, name):
            if not hook.path.startswith("/"):
                raise errors.Invalid(f"hook path {hook.path!r} is not absolute")
            if hook.timeout is not None and hook.timeout <= 0:
                raise errors.Invalid(f"hook timeout {hook.timeout} is not above zero")


def _check_process(wanted: spec.Process) -> None:
    if not wanted.args:
        raise errors.Invalid("args must not be empty")
    if not wanted.cwd:
        raise errors.Invalid("Cwd property must not be empty")
    if not wanted.cwd.startswith("/"):
        raise errors.Invalid("Cwd must be an absolute path")
    kinds = [limit.type for limit in wanted.rlimits]
    for limit in wanted.rlimits:
        if limit.type not in process.RLIMITS:
            raise errors.Invalid(f"invalid rlimit type: {limit.type}")
        if kinds.count(limit.type) > 1:
            raise errors.Invalid(f"rlimit {limit.type} is given twice")
    for label in (wanted.apparmor_profile, wanted.selinux_label):
        if label:
            raise errors.Unsupported(f"security label {label!r} can not be set by this runtime")


def _check_namespaces(wanted: spec.Spec, linux: spec.Linux) -> None:
    kinds = [namespace.type for namespace in linux.namespaces]
    for kind in kinds:
        if kind not in process.NAMESPACES:
            raise errors.Invalid(f"unknown namespace: {kind}")
        if kinds.count(kind) > 1:
            raise errors.Invalid(f"duplicated namespace: {kind}")
    new = {namespace.type for namespace in linux.namespaces if not namespace.path}
    if "user" in new and not (linux.uid_mappings and linux.gid_mappings):
        raise errors.Invalid("user namespaces enabled, but no uid or gid mappings found")
    if "user" not in kinds and (linux.uid_mappings or linux.gid_mappings):
        raise errors.Invalid("user namespace mappings specified, but user namespace isn't enabled")
    if linux.time_offsets and "time" not in new:
        raise errors.Invalid("time namespace offsets specified, but time namespace isn't new")
    if (wanted.hostname or wanted.domainname) and "uts" not in kinds:
        raise errors.Invalid("unable to set hostname without a private UTS namespace")
    if (linux.masked_paths or linux.readonly_paths) and "mount" not in kinds:
        raise errors.Invalid("unable to restrict sys entries without a private MNT namespace")
    try:
        sysctls.check(linux.sysctl, kinds)
    except ValueError as error:
        raise errors.Invalid(str(error)) from None


def _check_devices(devices: list[spec.Device]) -> None:
    for device in devices:
        if not device.path.startswith("/") or ".." in device.path.split("/"):
            raise errors.Invalid(f"invalid device path {device.path!r}")
        if device.type not in ("c", "u", "b", "p"):
            raise errors.Invalid(f"invalid device type {device.type!r} of {device.path}")


def preparation(wanted: spec.Spec, ident: str) -> Preparation:
    linux = wanted.linux or spec.Linux()
    path = linux.cgroups_path or f"/{ident}"
    maps = [
        [process.IDMap(m.container_id, m.host_id, m.size) for m in mappings]
        for mappings in (linux.uid_mappings, linux.gid_mappings)
    ]
    return Preparation(
        new=[ns.type for ns in linux.namespaces if not ns.path],
        joined={ns.type: ns.path for ns in linux.namespaces if ns.path},
        uid_maps=maps[0],
        gid_maps=maps[1],
        cgroup_path=os.path.normpath("/" + path.lstrip("/")),
        template=Template(masked_paths=linux.masked_paths, readonly_paths=linux.readonly_paths),
        time_offsets=linux.time_offsets,
    )
