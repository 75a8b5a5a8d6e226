"""A container's record → what its supervisor is told: the bundle's folder and the Run request."""

import os
import shutil
from typing import NamedTuple

import msgspec

from pinnace import errors
from pinnace.engine import (
    bundle,
    bundle_mounts,
    bundle_resources,
    facts,
    hostfiles,
    keepers,
    seccomp_profile,
)
from pinnace.engine.documents import Container
from pinnace.engine.facts import Donor, HostFacts, Machine
from pinnace.engine.keepers import Zygote
from pinnace.engine.settings import Settings
from pinnace.linux import mount
from pinnace.linux.mount import Option
from pinnace.linux.process import IDMap
from pinnace.oci import spec
from pinnace.runtime import sources, sysctls
from pinnace.runtime.container import Preparation
from pinnace.runtime.layers import Layers
from pinnace.runtime.sync import Template
from pinnace.supervisor import logs, logs_attributes, protocol

_STANDARD = frozenset(entry.destination for entry in bundle_mounts.DEFAULT)


class Launch(NamedTuple):
    """All that a start needs, decided."""

    run: protocol.Run
    preparation: Preparation
    poolable: bool


class Launcher:
    def __init__(self, settings: Settings, machine: Machine, zygote: Zygote) -> None:
        self._settings = settings
        self._machine = machine
        self._zygote = zygote
        self._userns_fd = -1
        self._private_users: bool | None = None

    def folder(self, ident: str) -> str:
        """The container's folder below the runtime root: it is gone after a reboot."""
        return f"{self._settings.runtime_root}/containers/{ident}"

    def gather(
        self,
        container: Container,
        id_base: int,
        donors: dict[str, Donor],
        shm_path: str = "",
        pinned: dict[str, str] | None = None,
    ) -> HostFacts:
        return facts.gather(
            container,
            self._machine,
            idmappable=self._idmappable,
            id_base=id_base,
            donors=donors,
            shm_path=shm_path,
            sources=pinned,
            cgroup_parent=self._settings.cgroup_parent,
        )

    def resources(self, container: Container) -> spec.LinuxResources:
        """The limits alone, for an update."""
        return bundle_resources.resources(container.host_config, self.gather(container, 0, {}))

    @property
    def private_users(self) -> bool:
        """Whether containers can have user namespaces: their layers must be id-mappable."""
        if self._private_users is None:
            root = self._settings.data_root
            self._private_users = self._machine.user_namespaces and self._idmappable(root, False)
        return self._private_users

    def has_private_users(self, container: Container) -> bool:
        """Other runtimes get the host's ids: they mount nothing id-mapped for themselves."""
        other = self._settings.runtime_command(container.host_config.runtime)
        return self.private_users and not other

    def _idmappable(self, path: str, recursive: bool) -> bool:
        if self._userns_fd < 0:
            self._userns_fd = keepers.user_namespace(self._zygote)
        return sources.idmappable(path, self._userns_fd, recursive=recursive)

    def plan(self, container: Container, layers: Layers, known: HostFacts) -> Launch:
        """Write the bundle's folder and say what to run."""
        wanted = bundle.spec_for(container, facts=known)
        _check_sysctls(wanted)
        folder = self.folder(container.id)
        os.makedirs(folder, 0o700, exist_ok=True)
        for stale in ("exit.json", protocol.SOCKET):
            _unlink(f"{folder}/{stale}")
        hostfiles.write(container)
        runtime = self._settings.runtime_command(container.host_config.runtime)
        program = None
        linux = wanted.linux or spec.Linux()
        if not runtime and linux.seccomp is not None:
            program = seccomp_profile.compiled(linux.seccomp, self._machine.architecture)
            # Compiled here, once for all containers: it would be the largest part of the file.
            linux = msgspec.structs.replace(linux, seccomp=None)
        kept = msgspec.structs.replace(wanted, linux=linux)
        _write(f"{folder}/config.json", spec.encode(kept))
        run = protocol.Run(
            id=container.id,
            folder=folder,
            cgroup_path=linux.cgroups_path,
            root=layers,
            log=_log(container),
            seccomp=program,
            user=wanted.annotations.get(bundle.USER, ""),
            groups=list(container.host_config.group_add),
            reaper=bundle.INIT in wanted.annotations,
            tty=container.config.tty,
            open_stdin=container.config.open_stdin,
            stdin_once=container.config.stdin_once,
            runtime=runtime,
        )
        poolable = not linux.devices and not runtime
        return Launch(run, preparation(kept), poolable)

    def share_memory(self, container: Container) -> str:
        """For `--ipc shareable`: a /dev/shm that other containers can have too; its path."""
        if container.host_config.ipc_mode != "shareable":
            return ""
        path = f"{self.folder(container.id)}/shm"
        os.makedirs(path, 0o700, exist_ok=True)
        self.unshare_memory(container.id)
        size = container.host_config.shm_size or self._settings.shm_size
        safe = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
        options = [Option("mode", "1777"), Option("size", str(size))]
        mount_fd = mount.filesystem("tmpfs", options, attributes=safe, source="shm")
        mount.attach_at(mount_fd, path)
        os.close(mount_fd)
        return path

    def unshare_memory(self, ident: str) -> None:
        try:
            mount.detach(f"{self.folder(ident)}/shm")
        except OSError:
            pass  # it had none

    def clear(self, ident: str) -> None:
        """Remove the folder and what is mounted in it."""
        self.unshare_memory(ident)
        folder = self.folder(ident)
        for name in ("config.json", "exit.json", protocol.SOCKET):
            _unlink(f"{folder}/{name}")
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)


def preparation(wanted: spec.Spec) -> Preparation:
    """The part of a specification that makes a shell (`pool` makes them ahead)."""
    linux = wanted.linux or spec.Linux()
    count = 0
    while count < len(wanted.mounts) and wanted.mounts[count].destination in _STANDARD:
        count += 1
    return Preparation(
        new=[ns.type for ns in linux.namespaces if not ns.path],
        joined={ns.type: ns.path for ns in linux.namespaces if ns.path},
        uid_maps=_maps(linux.uid_mappings),
        gid_maps=_maps(linux.gid_mappings),
        cgroup_path=linux.cgroups_path,
        template=Template(
            mounts=wanted.mounts[:count],
            masked_paths=linux.masked_paths,
            readonly_paths=linux.readonly_paths,
        ),
        resources=linux.resources,
        time_offsets=linux.time_offsets,
    )


def _check_sysctls(wanted: spec.Spec) -> None:
    """Those of a namespace that is the host's are the host's (I19)."""
    linux = wanted.linux or spec.Linux()
    try:
        sysctls.check(linux.sysctl, {namespace.type for namespace in linux.namespaces})
    except ValueError as error:
        raise errors.Invalid(str(error)) from None


def _maps(mappings: list[spec.IDMapping]) -> list[IDMap]:
    return [IDMap(m.container_id, m.host_id, m.size) for m in mappings]


def _log(container: Container) -> protocol.Log:
    """As Docker, the driver judges its options when the container starts."""
    config = container.host_config.log_config
    known = logs_attributes.Facts(
        id=container.id,
        name=container.name,
        image_id=container.image,
        image_name=container.config.image,
        path=container.path,
        args=container.args,
        env=container.config.env,
        labels=container.config.labels,
    )
    try:
        logs.parse(config.type, config.config)
        attributes = logs_attributes.of(config.config, known)
    except errors.Invalid as error:
        raise errors.Failed(
            "failed to create task for container: failed to initialize logging driver: "
            + error.message
        ) from None
    return protocol.Log(config.type, config.config, container.log_path, attributes)


def _write(path: str, data: bytes) -> None:
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
