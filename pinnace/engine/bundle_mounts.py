"""The mounts of a container's specification, and what is masked in them (pure).

Docker's default mounts in Docker's order, less those that the user mounts over; then, shallow
before deep, what the user and the engine mount; hosts, hostname and resolv.conf last.
"""

import posixpath
from typing import Final

from pinnace import errors
from pinnace.engine import mountspecs
from pinnace.engine.documents import Container, MountPoint
from pinnace.engine.facts import HostFacts
from pinnace.engine.security import SecurityOptions
from pinnace.oci import spec

DEFAULT: Final = (
    spec.Mount(
        destination="/proc", type="proc", source="proc", options=["nosuid", "noexec", "nodev"]
    ),
    spec.Mount(
        destination="/dev",
        type="tmpfs",
        source="tmpfs",
        options=["nosuid", "strictatime", "mode=755", "size=65536k"],
    ),
    spec.Mount(
        destination="/dev/pts",
        type="devpts",
        source="devpts",
        options=["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    spec.Mount(
        destination="/sys",
        type="sysfs",
        source="sysfs",
        options=["nosuid", "noexec", "nodev", "ro"],
    ),
    spec.Mount(
        destination="/sys/fs/cgroup",
        type="cgroup",
        source="cgroup",
        options=["ro", "nosuid", "noexec", "nodev"],
    ),
    spec.Mount(
        destination="/dev/mqueue",
        type="mqueue",
        source="mqueue",
        options=["nosuid", "noexec", "nodev"],
    ),
    spec.Mount(
        destination="/dev/shm",
        type="tmpfs",
        source="shm",
        options=["nosuid", "noexec", "nodev", "mode=1777"],
    ),
)

MASKED: Final = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
# Beyond Docker's: the kernel's configuration and modules are a map for an attacker, and the
# debugging file systems are none of a container's business (H8).
MASKED_MORE: Final = (
    "/proc/config.gz", "/proc/modules", "/sys/kernel/debug", "/sys/kernel/tracing",
    "/sys/kernel/security",
)  # fmt: skip
READONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# With a read-only root these stay writable: they belong to the container alone.
_KEPT_WRITABLE: Final = ("/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev")


def mounts(container: Container, security: SecurityOptions, facts: HostFacts) -> list[spec.Mount]:
    host = container.host_config
    own = sorted(_of_user(container, facts), key=_depth)
    taken = {entry.destination for entry in own}
    default = [
        _default(entry, container)
        for entry in DEFAULT
        if entry.destination not in taken
        and not ("/dev" in taken and entry.destination.startswith("/dev/"))
        and not (entry.destination == "/dev/shm" and host.ipc_mode == "none")
    ]
    entries = default + own
    if host.readonly_rootfs:
        entries = [
            entry if entry.destination in taken or entry.destination in _KEPT_WRITABLE
            else _readonly(entry)
            for entry in entries
        ]  # fmt: skip
    if host.privileged:
        entries = [_writable(entry) if entry.destination == "/sys" else entry for entry in entries]
    writable_cgroups = security.writable_cgroups
    if host.privileged if writable_cgroups is None else writable_cgroups:
        entries = [_writable(entry) if entry.type == "cgroup" else entry for entry in entries]
    return entries


def masked_paths(container: Container, facts: HostFacts) -> list[str]:
    """As the container's document says; None there is the default of today's engine."""
    host = container.host_config
    if host.privileged:
        return []
    if host.masked_paths is not None:
        return host.masked_paths
    return default_masked_paths(facts.machine.thermal_paths)


def default_masked_paths(thermal_paths: list[str]) -> list[str]:
    return [*MASKED, *thermal_paths, *MASKED_MORE]


def readonly_paths(container: Container) -> list[str]:
    host = container.host_config
    if host.privileged:
        return []
    return list(READONLY) if host.readonly_paths is None else host.readonly_paths


def root_propagation(container: Container, facts: HostFacts) -> str:
    """A shared or slave volume needs a root that lets mounts through."""
    wanted = ""
    for point in container.mounts:
        kind = point.propagation.lstrip("r")
        if point.type != "bind" or kind not in ("shared", "slave"):
            continue
        target, found = facts.propagation.get(point.source, ("/", "private"))
        if kind == "shared":
            if found != "shared":
                raise errors.Failed(
                    f"path {point.source} is mounted on {target} but it is not a shared mount"
                )
            wanted = "shared"
        elif found == "private":
            raise errors.Failed(
                f"path {point.source} is mounted on {target} but it is not a shared or slave mount"
            )
        wanted = wanted or "rslave"
    return wanted


def _depth(entry: spec.Mount) -> int:
    return posixpath.normpath(entry.destination).count("/") if entry.destination != "/" else 0


def _default(entry: spec.Mount, container: Container) -> spec.Mount:
    if entry.destination != "/dev/shm":
        return entry
    size = f"size={container.host_config.shm_size}"
    return spec.Mount(
        destination=entry.destination,
        type=entry.type,
        source=entry.source,
        options=[*entry.options, size],
    )


def _of_user(container: Container, facts: HostFacts) -> list[spec.Mount]:
    """All that is mounted over the defaults, in no order but that of the three last."""
    host = container.host_config
    entries = [tmpfs(target, words) for target, words in host.tmpfs.items()]
    generated = _generated(container)
    covered = {entry.destination for entry in entries} | {target for target, _ in generated}
    shm = _shared_memory(container, facts)
    if shm and not any(p.destination == "/dev/shm" for p in container.mounts):
        entries.append(_bind(shm, "/dev/shm", writable=True))
    for point in container.mounts:
        if point.destination in covered:
            continue  # Docker: --tmpfs wins over a volume, and those of /etc are below
        if point.type == "tmpfs":
            entries.append(_tmpfs_of(point))
        else:
            entries.append(_bind_of(point, facts))
    overrides = {point.destination: point for point in container.mounts}
    for target, source in generated:
        override = overrides.get(target)
        writable = override.rw if override else not host.readonly_rootfs
        entries.append(_bind(override.source if override else source, target, writable=writable))
    return entries


def _generated(container: Container) -> list[tuple[str, str]]:
    named = (
        ("/etc/resolv.conf", container.resolv_conf_path),
        ("/etc/hostname", container.hostname_path),
        ("/etc/hosts", container.hosts_path),
    )
    return [(target, source) for target, source in named if source]


def _shared_memory(container: Container, facts: HostFacts) -> str:
    """Where /dev/shm comes from when it is not the container's own tmpfs."""
    mode = container.host_config.ipc_mode
    if mode == "host":
        return "/dev/shm"
    if mode.startswith("container:"):
        donor = facts.donors[mode.removeprefix("container:")]
        if not donor.shm_path:
            raise errors.Invalid(
                "failed to join IPC namespace: non-shareable IPC "
                "(hint: use IpcMode:shareable for the donor container)"
            )
        return donor.shm_path
    return facts.shm_path if mode == "shareable" else ""


def tmpfs(target: str, words: str) -> spec.Mount:
    given = words.split(",") if words else []
    options = mountspecs.merge_tmpfs_options(["noexec", "nosuid", "nodev", "rprivate", *given])
    return spec.Mount(destination=target, type="tmpfs", source="tmpfs", options=options)


def _tmpfs_of(point: MountPoint) -> spec.Mount:
    options = point.mount.tmpfs_options if point.mount else None
    return tmpfs(point.destination, mountspecs.tmpfs_words(options, read_only=not point.rw))


def _bind_of(point: MountPoint, facts: HostFacts) -> spec.Mount:
    options = point.mount.bind_options if point.mount else None
    recursive_readonly = facts.machine.recursive_readonly
    if options and options.read_only_non_recursive:
        recursive_readonly = False
    elif options and options.read_only_force_recursive and not recursive_readonly:
        raise errors.Failed("recursive read-only mounts are not supported by this kernel")
    return _bind(
        _source(point, facts),
        point.destination,
        writable=point.rw,
        recursive=not (options and options.non_recursive),
        recursive_readonly=recursive_readonly,
        # A volume has Docker's empty propagation, which stands for the kernel's default: private.
        propagation=point.propagation,
    )


def _source(point: MountPoint, facts: HostFacts) -> str:
    """Part of a volume is never mistaken for all of it, nor an image's name for a path."""
    if point.destination in facts.sources:
        return facts.sources[point.destination]
    volume = point.mount.volume_options if point.mount else None
    if point.type == "image" or (volume and volume.subpath):
        raise errors.Unsupported(f"mount of {point.destination}: its source was not prepared")
    return point.source


def _bind(
    source: str,
    target: str,
    *,
    writable: bool,
    recursive: bool = True,
    recursive_readonly: bool = True,
    propagation: str = "rprivate",
) -> spec.Mount:
    options = ["rbind" if recursive else "bind"]
    if not writable:
        options.append("rro" if recursive_readonly else "ro")
    if propagation:
        options.append(propagation)
    return spec.Mount(destination=target, type="bind", source=source, options=options)


def _readonly(entry: spec.Mount) -> spec.Mount:
    return entry if "ro" in entry.options else _with(entry, [*entry.options, "ro"])


def _writable(entry: spec.Mount) -> spec.Mount:
    return _with(entry, [word for word in entry.options if word != "ro"])


def _with(entry: spec.Mount, options: list[str]) -> spec.Mount:
    return spec.Mount(
        destination=entry.destination, type=entry.type, source=entry.source, options=options
    )
