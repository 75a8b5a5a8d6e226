"""A container's documents and the host's facts → the OCI specification of its bundle (pure).

As Docker's daemon builds it, and stricter where nothing breaks: a user namespace and a cgroup
namespace of its own, a pids limit, bounded files and cores, and a few more masked paths.
Users are resolved inside the root file system, so they travel as annotations, in words.
"""

import posixpath
from collections.abc import Sequence
from typing import Final

from pinnace import errors
from pinnace.engine import bundle_mounts, bundle_resources, seccomp_profile, security
from pinnace.engine.documents import Container, ContainerConfig, HostConfig
from pinnace.engine.facts import Donor, HostFacts
from pinnace.linux import capabilities
from pinnace.oci import spec

OCI_VERSION: Final = "1.2.1"
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

USER: Final = "org.pinnace.user"
GROUP_ADD: Final = "org.pinnace.group_add"
INIT: Final = "org.pinnace.init"
RESERVED: Final = "org.pinnace."

# Private ranges of 65536 ids are handed out from here on, up to the ids that systemd reserves
# for foreign images. Every container maps the ids between 65535 and this area to themselves, so
# that odd images keep their owners, and none the area itself: that would be the others' ranges.
RANGE_SIZE: Final = 65536
RANGES_START: Final = 0x7000_0000
RANGES_END: Final = 0x7FFE_0000
_LAST_ID: Final = 2**32 - 1  # -1 is no id

# Only worth something over the whole host: in a user namespace they would be empty words.
HOST_CAPABILITIES: Final = frozenset({
    "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_BLOCK_SUSPEND", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
    "CAP_DAC_READ_SEARCH", "CAP_IPC_LOCK", "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_PERFMON", "CAP_SYSLOG", "CAP_SYS_BOOT", "CAP_SYS_MODULE",
    "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM", "ALL",
})  # fmt: skip


def spec_for(container: Container, *, facts: HostFacts) -> spec.Spec:
    """The specification; raises errors.Failed where Docker fails a start because of the host."""
    host = container.host_config
    options = security.parse(host.security_opt)
    granted = security.capabilities_of(host, facts.machine.capabilities)
    users = userns_mode(container, facts)
    return spec.Spec(
        oci_version=OCI_VERSION,
        process=_process(container, options, granted),
        root=spec.Root(path="rootfs", readonly=host.readonly_rootfs),
        hostname="" if host.uts_mode == "host" else container.config.hostname,
        # Docker writes the sysctl, which a user namespace's root may not.
        domainname="" if host.uts_mode == "host" else container.config.domainname,
        mounts=bundle_mounts.mounts(container, options, facts),
        annotations=_annotations(container),
        linux=spec.Linux(
            uid_mappings=id_mappings(facts.id_base) if users == "private" else [],
            gid_mappings=id_mappings(facts.id_base) if users == "private" else [],
            sysctl=_sysctls(container, facts, private_users=users != "host"),
            resources=bundle_resources.resources(host, facts),
            cgroups_path=cgroups_path(container, facts),
            namespaces=_namespaces(container, facts, users),
            devices=bundle_resources.devices(host, facts),
            seccomp=_seccomp(host, options, granted, facts),
            rootfs_propagation=bundle_mounts.root_propagation(container, facts),
            masked_paths=[]
            if options.unconfined_paths
            else bundle_mounts.masked_paths(container, facts),
            readonly_paths=[]
            if options.unconfined_paths
            else bundle_mounts.readonly_paths(container),
        ),
    )


# The process


def _process(
    container: Container, options: security.SecurityOptions, granted: list[str]
) -> spec.Process:
    config, host = container.config, container.host_config
    height, width = host.console_size
    return spec.Process(
        terminal=config.tty,
        console_size=spec.Box(height=height, width=width)
        if config.tty and (height or width)
        else None,
        args=[container.path, *container.args],
        env=environment(config),
        cwd=config.working_dir or "/",
        capabilities=spec.Capabilities(bounding=granted, effective=granted, permitted=granted),
        rlimits=bundle_resources.rlimits(host),
        no_new_privileges=options.no_new_privileges,
        apparmor_profile=options.apparmor,
        oom_score_adj=host.oom_score_adj,
    )


def environment(config: ContainerConfig, extra: Sequence[str] = ()) -> list[str]:
    """Docker's own variables, overridden by the container's, then by extra (exec's)."""
    own = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={config.hostname}"]
    if config.tty:
        own.append("TERM=xterm")
    return merge_environment(merge_environment(own, config.env), extra)


def merge_environment(defaults: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """By name; a name without `=` takes the variable away."""
    merged = {entry.partition("=")[0]: entry for entry in defaults}
    for entry in overrides:
        name, equals, _ = entry.partition("=")
        if equals:
            merged[name] = entry
        else:
            merged.pop(name, None)
    return list(merged.values())


def _seccomp(
    host: HostConfig, options: security.SecurityOptions, granted: list[str], facts: HostFacts
) -> spec.Seccomp | None:
    profile = options.seccomp
    if profile == "unconfined" or (host.privileged and not profile):
        return None
    if not facts.machine.seccomp:
        if profile not in ("", "builtin"):
            raise errors.Failed(
                "seccomp is not enabled in your kernel, cannot run a custom seccomp profile"
            )
        return None
    return seccomp_profile.for_container(
        granted,
        kernel=facts.machine.kernel,
        arch=facts.machine.architecture,
        profile=profile,
    )


def _annotations(container: Container) -> dict[str, str]:
    config, host = container.config, container.host_config
    annotations = dict(host.annotations)
    if config.user:
        annotations[USER] = config.user
    if host.group_add:
        annotations[GROUP_ADD] = ",".join(host.group_add)
    # Joined pid namespaces have an init already.
    if host.init and host.pid_mode in ("", "private"):
        annotations[INIT] = "1"
    return annotations


# Namespaces


def userns_mode(container: Container, facts: HostFacts) -> str:
    """ "private", "host", or the path of the user namespace of a container that is joined.

    Private unless the container asks for something of the host's that only the host's root can
    use, or for namespaces that belong to another user namespace.
    """
    donor = _donor_of_users(container, facts)
    if donor:
        return f"/proc/{donor.pid}/ns/user" if donor.private_users else "host"
    return "host" if userns_reason(container, facts) else "private"


def userns_reason(container: Container, facts: HostFacts) -> str:
    """Why the container runs in the host's user namespace; "" when it doesn't have to."""
    host = container.host_config
    if not facts.machine.user_namespaces or not facts.id_base:
        return "user namespaces are not available on this host"
    shared = {
        "--privileged": host.privileged,
        "--userns=host": host.userns_mode == "host",
        "--pid=host": host.pid_mode == "host",
        "--network=host": host.network_mode == "host",
        "--ipc=host": host.ipc_mode == "host",
        "--uts=host": host.uts_mode == "host",
    }
    for option, given in shared.items():
        if given:
            return f"{option} was asked for"
    for name in host.cap_add:
        if capabilities.parse(name) in HOST_CAPABILITIES:
            return f"{capabilities.parse(name)} is of no use in a user namespace"
    for mapping in host.devices:
        if "m" in mapping.cgroup_permissions:
            return f"{mapping.path_on_host} may be made with mknod"
    for point in container.mounts:
        if point.type == "bind" and point.source in facts.not_idmappable:
            return f"{point.source} can not be id-mapped"
    return ""


def userns_warning(container: Container, facts: HostFacts) -> str:
    """What to tell the client when the fallback is not of its own asking (H1)."""
    for point in container.mounts:
        if point.type == "bind" and point.source in facts.not_idmappable:
            return (
                f"{point.source} is on a file system without id-mapped mounts: "
                "the container runs without a user namespace of its own."
            )
    return ""


def id_mappings(base: int) -> list[spec.IDMapping]:
    """0 to 65535 to the container's own range, the rest to itself, but nobody's range."""
    return [
        spec.IDMapping(container_id=0, host_id=base, size=RANGE_SIZE),
        spec.IDMapping(container_id=RANGE_SIZE, host_id=RANGE_SIZE, size=RANGES_START - RANGE_SIZE),
        spec.IDMapping(container_id=RANGES_END, host_id=RANGES_END, size=_LAST_ID - RANGES_END),
    ]


def _joined(mode: str) -> str:
    return mode.removeprefix("container:") if mode.startswith("container:") else ""


def _donor_of_users(container: Container, facts: HostFacts) -> Donor | None:
    """Of several donors the one whose processes are shared, as Docker's last one wins."""
    host = container.host_config
    donors = [_joined(mode) for mode in (host.network_mode, host.ipc_mode, host.pid_mode)]
    ident = next((ident for ident in reversed(donors) if ident), "")
    return facts.donors[ident] if ident else None


def _namespaces(container: Container, facts: HostFacts, users: str) -> list[spec.Namespace]:
    host = container.host_config
    namespaces = [spec.Namespace(type="mount")]
    modes = (
        ("network", "net", "" if container.config.network_disabled else host.network_mode),
        ("uts", "uts", host.uts_mode),
        ("pid", "pid", host.pid_mode),
        ("ipc", "ipc", host.ipc_mode),
    )
    for kind, file, mode in modes:
        if ident := _joined(mode):
            path = f"/proc/{facts.donors[ident].pid}/ns/{file}"
            namespaces.append(spec.Namespace(type=kind, path=path))
        elif mode != "host":
            namespaces.append(spec.Namespace(type=kind))
    if host.cgroupns_mode != "host":
        namespaces.append(spec.Namespace(type="cgroup"))
    if users != "host":
        path = "" if users == "private" else users
        namespaces.append(spec.Namespace(type="user", path=path))
    return namespaces


def _sysctls(container: Container, facts: HostFacts, *, private_users: bool) -> dict[str, str]:
    host = container.host_config
    sysctls: dict[str, str] = {}
    if host.network_mode != "host" and not _joined(host.network_mode):
        if facts.machine.ping_group_range:
            # The kernel takes only groups that exist in the user namespace.
            last = RANGE_SIZE - 1 if private_users else 2**31 - 1
            sysctls["net.ipv4.ping_group_range"] = f"0 {last}"
        if facts.machine.unprivileged_ports:
            sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
    return sysctls | host.sysctls


def cgroups_path(container: Container, facts: HostFacts) -> str:
    parent = container.host_config.cgroup_parent or facts.cgroup_parent
    # Normalised from the root, so that `..` leads nowhere (I10).
    return posixpath.normpath("/" + parent.lstrip("/")).rstrip("/") + "/" + container.id
