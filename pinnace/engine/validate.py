"""What Docker refuses, and warns of, when containers and execs are made and changed (pure).

Words are dockerd 28.5.2's. Where it takes nonsense that is dangerous later (a line break in what
becomes a line of /etc/hosts, signal 999, an address with a command in it), it is refused here;
and what it refuses with 500 though the request is wrong, is errors.Invalid here.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from pinnace import errors
from pinnace.engine import (
    bundle,
    bundle_resources,
    mountspecs,
    security,
    signals,
    validate_network,
    validate_resources,
)
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    EndpointSettings,
    ExecConfig,
    HealthConfig,
    HostConfig,
    LogConfig,
    Mount,
    NetworkingConfig,
    RestartPolicy,
    UpdateConfig,
)
from pinnace.engine.facts import Machine

RUNTIMES: Final = frozenset({"pinnace", "runc", "io.containerd.runc.v2"})
_MILLISECOND: Final = 10**6
_POLICIES: Final = ("no", "always", "on-failure", "unless-stopped")
_CONTAINER: Final = re.compile(r"container:.+", re.DOTALL)


class Checked(NamedTuple):
    """A create request that can be met, and what to warn its client of."""

    config: ContainerConfig
    host: HostConfig
    endpoints: dict[str, EndpointSettings]
    warnings: list[str]


def create(
    config: ContainerConfig | None,
    host: HostConfig | None,
    networking: NetworkingConfig | None,
    machine: Machine,
    *,
    exists: mountspecs.Exists,
    runtimes: Collection[str] = RUNTIMES,
) -> Checked:
    """Check what a client wants; raises errors.Invalid in Docker's words."""
    if config is None:
        raise errors.Invalid("config cannot be empty in order to create a container")
    host = host or HostConfig()
    if host.network_mode in ("", "default"):
        host = msgspec.structs.replace(host, network_mode="bridge")
    _raise_first(validate_network.modes(config, host))
    if host.isolation not in ("", "default"):
        raise errors.Invalid(f"invalid isolation ({host.isolation}): linux only supports 'default'")
    _raise_first(_option_problems(host.mounts))
    config = _checked_config(config)
    host, warnings = _checked_host(host, machine, exists, runtimes)
    endpoints, more = validate_network.endpoints(config, host, networking or NetworkingConfig())
    return Checked(config, host, endpoints, warnings + more)


def _raise_first(problems: Iterator[str]) -> None:
    for problem in problems:
        raise errors.Invalid(problem)


# The container's own config


def _checked_config(config: ContainerConfig) -> ContainerConfig:
    _raise_first(_config_problems(config))
    _raise_first(_health_problems(config.healthcheck or HealthConfig()))
    if not config.working_dir:
        return config
    return msgspec.structs.replace(config, working_dir=mountspecs.clean(config.working_dir))


def _config_problems(config: ContainerConfig) -> Iterator[str]:
    if config.working_dir and not config.working_dir.startswith("/"):
        yield (
            f"the working directory '{config.working_dir}' is invalid, "
            "it needs to be an absolute path"
        )
    if config.stop_signal:
        signals.parse(config.stop_signal)
    yield from _environment_problems(config.env)
    yield from _null_bytes(
        [*(config.entrypoint or []), *(config.cmd or []), config.working_dir, config.user]
    )
    for name in (config.hostname, config.domainname):
        if not validate_network.host_name(name):
            yield f"invalid hostname format: {name!r}"
    for port in config.exposed_ports:
        yield from validate_network.exposed(port)
    for target in config.volumes:
        if mountspecs.clean("/" + target) == "/":
            yield f"invalid volume specification: '{target}': destination can't be '/'"
        yield from _null_bytes([target])


def _environment_problems(env: Iterable[str]) -> Iterator[str]:
    for entry in env:
        name = entry.partition("=")[0]
        if not name:
            yield f"invalid environment variable: {entry}"
        if "\0" in entry:
            yield f'invalid environment variable "{name}": contains nul byte (\\x00)'


def _null_bytes(words: Iterable[str]) -> Iterator[str]:
    """A C string ends there, and what is executed would not be what was checked."""
    if any("\0" in word for word in words):
        yield "invalid argument: contains nul byte (\\x00)"


def _health_problems(health: HealthConfig) -> Iterator[str]:
    durations = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    for field, duration in durations.items():
        if duration and duration < _MILLISECOND:
            yield f"{field} in Healthcheck cannot be less than 1ms"
    if health.retries < 0:
        yield "Retries in Healthcheck cannot be negative"


# The host's side


def _checked_host(
    host: HostConfig, machine: Machine, exists: mountspecs.Exists, runtimes: Collection[str]
) -> tuple[HostConfig, list[str]]:
    host, warnings = validate_resources.check(host, machine)
    _raise_first(_policy_problems(host))
    for mount in host.mounts:
        mountspecs.check(mount, exists)
    _raise_first(validate_network.host_problems(host))
    security.normalized(host.cap_add, machine.capabilities, "CapAdd")
    security.normalized(host.cap_drop, machine.capabilities, "CapDrop")
    security.parse(host.security_opt)
    _raise_first(_annotation_problems(host))
    _raise_first(_mode_problems(host))
    if host.runtime and host.runtime not in runtimes:
        raise errors.Invalid(f"unknown or invalid runtime name: {host.runtime}")
    _raise_first(_tmpfs_problems(host))
    for rule in host.device_cgroup_rules:
        bundle_resources.parse_rule(rule)
    _raise_first(_device_problems(host))
    if host.network_mode == "host" and host.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    return host, warnings


def _option_problems(mounts: Iterable[Mount]) -> Iterator[str]:
    """Options of another type's; the API says it in other words than the daemon behind it."""
    for mount in mounts:
        options = (
            ("VolumeOptions", "volume", mount.volume_options),
            ("BindOptions", "bind", mount.bind_options),
            ("TmpfsOptions", "tmpfs", mount.tmpfs_options),
        )
        for name, kind, given in options:
            if given is not None and mount.type != kind and mount.target:
                yield f'{name} must not be specified on mount type "{mount.type}"'
        bind = mount.bind_options
        if bind and not mount.read_only and bind.read_only_non_recursive:
            yield "mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive"
        if bind and not mount.read_only and bind.read_only_force_recursive:
            yield "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive"


def _policy_problems(host: HostConfig) -> Iterator[str]:
    policy = host.restart_policy
    if host.auto_remove and policy.name not in ("", "no"):
        yield "can't create 'AutoRemove' container with restart policy"
    yield from restart_problems(msgspec.structs.replace(policy, name=policy.name or "no"))


def restart_problems(policy: RestartPolicy) -> Iterator[str]:
    name, count = policy.name, policy.maximum_retry_count
    if name and name not in _POLICIES:
        yield (
            f"invalid restart policy: unknown policy '{name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if name == "on-failure" and count < 0:
        yield "invalid restart policy: maximum retry count cannot be negative"
    if name in ("no", "always", "unless-stopped") and count:
        more = " and cannot be negative" if count < 0 else ""
        yield (
            "invalid restart policy: maximum retry count can only be used with 'on-failure'" + more
        )


def _annotation_problems(host: HostConfig) -> Iterator[str]:
    for name in host.annotations:
        if not name:
            yield ("invalid Annotations: the empty string is not permitted as an annotation key")
        if name.startswith(bundle.RESERVED):
            yield f"invalid Annotations: {name} is reserved"


def _mode_problems(host: HostConfig) -> Iterator[str]:
    ipc = host.ipc_mode
    if ipc not in ("", "none", "private", "shareable", "host") and not _joins(ipc):
        yield f"invalid IPC mode: {ipc}"
    if host.pid_mode not in ("", "private", "host") and not _joins(host.pid_mode):
        yield f"invalid PID mode: {host.pid_mode}"
    if host.shm_size < 0:
        yield "SHM size can not be less than 0"
    if host.uts_mode not in ("", "private", "host"):
        yield f"invalid UTS mode: {host.uts_mode}"
    if not -1000 <= host.oom_score_adj <= 1000:
        yield f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]"
    if host.cgroupns_mode not in ("", "private", "host"):
        yield f"invalid cgroup namespace mode: {host.cgroupns_mode}"
    for name in host.storage_opt:
        yield (
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
            if name == "size"
            else f"Unknown option {name}"
        )


def _joins(mode: str) -> bool:
    return _CONTAINER.fullmatch(mode) is not None


def _tmpfs_problems(host: HostConfig) -> Iterator[str]:
    for target, words in host.tmpfs.items():
        if not target.startswith("/"):
            yield f"invalid mount path: '{target}' mount path must be absolute"
        if mountspecs.clean(target) == "/":
            yield "invalid specification: destination can't be '/'"
        yield from _null_bytes([target, words])
        mountspecs.merge_tmpfs_options(words.split(",") if words else [])


def _device_problems(host: HostConfig) -> Iterator[str]:
    for device in host.devices:
        target = device.path_in_container or device.path_on_host
        if not target.startswith("/") or "\0" in target + device.path_on_host:
            yield f"bad format for path: {target}"
        if device.cgroup_permissions.strip("rwm"):
            yield f"bad mode specified: {device.cgroup_permissions}"


# Update


def update(
    container: Container, wanted: UpdateConfig, machine: Machine
) -> tuple[HostConfig, list[str]]:
    """The container's host config with the changes made, and warnings."""
    _raise_first(restart_problems(wanted.restart_policy))
    given_pids = wanted.pids_limit
    wanted, warnings = validate_resources.check(wanted, machine, update=True)
    if given_pids == 0:  # here it means "no limit", unlike at create
        wanted = msgspec.structs.replace(wanted, pids_limit=-1)
    host = container.host_config
    for problem in _update_conflicts(host, wanted):
        raise errors.Conflict(f"Cannot update container {container.id}: {problem}")
    changes = {field: getattr(wanted, field) for field in _UPDATABLE if getattr(wanted, field)}
    if wanted.restart_policy.name:
        changes["restart_policy"] = wanted.restart_policy
    return msgspec.structs.replace(host, **changes), warnings


# What Docker lets be changed; the rest of a Resources is silently left as it is.
_UPDATABLE: Final = (
    "blkio_weight", "cpu_shares", "nano_cpus", "cpu_period", "cpu_quota", "cpuset_cpus",
    "cpuset_mems", "memory", "memory_swap", "memory_reservation", "cpu_realtime_period",
    "cpu_realtime_runtime", "pids_limit",
)  # fmt: skip


def _update_conflicts(host: HostConfig, wanted: UpdateConfig) -> Iterator[str]:
    conflict = "Conflicting options: "
    if wanted.nano_cpus > 0 and host.cpu_period > 0:
        yield f"{conflict}Nano CPUs cannot be updated as CPU Period has already been set"
    if wanted.nano_cpus > 0 and host.cpu_quota > 0:
        yield f"{conflict}Nano CPUs cannot be updated as CPU Quota has already been set"
    if wanted.cpu_period > 0 and host.nano_cpus > 0:
        yield f"{conflict}CPU Period cannot be updated as NanoCPUs has already been set"
    if wanted.cpu_quota > 0 and host.nano_cpus > 0:
        yield f"{conflict}CPU Quota cannot be updated as NanoCPUs has already been set"
    # An unlimited swap (-1) is above any memory; Docker 28 compares the numbers as they are.
    if wanted.memory > host.memory_swap and not wanted.memory_swap and wanted.memory:
        yield (
            "Memory limit should be smaller than already set memoryswap limit, "
            "update the memoryswap at the same time"
        )
    if host.auto_remove and wanted.restart_policy.name not in ("", "no"):
        yield ("Restart policy cannot be updated because AutoRemove is enabled for the container")


# Exec


def exec_config(config: ExecConfig) -> None:
    if not config.cmd:
        raise errors.Invalid("No exec command specified")
    _raise_first(_environment_problems(config.env))
    _raise_first(_null_bytes([*config.cmd, config.user, config.working_dir]))
    if config.working_dir and not config.working_dir.startswith("/"):
        raise errors.Invalid(
            f"the working directory '{config.working_dir}' is invalid, "
            "it needs to be an absolute path"
        )
    signals.detach_keys(config.detach_keys)


# Logs


_SHARED_LOG_OPTIONS: Final = frozenset({"mode", "max-buffer-size"})
_LOG_OPTIONS: Final = {
    "json-file": frozenset({
        "max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag",
    }),
    "local": frozenset({"max-file", "max-size", "compress"}),
}  # fmt: skip
_SIZE: Final = re.compile(r"[0-9]+(?:\.[0-9]+)* ?(?:[kKmMgGtTpP]?[iI]?[bB]?)")
_NOT_OURS: Final = 'error looking up logging plugin {0}: plugin "{0}" not found'


def log_config(config: LogConfig) -> None:
    """The driver and the names of its options; their values are the driver's to judge."""
    if config.type == "none":
        return
    mode = config.config.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise errors.Invalid(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in config.config and mode != "non-blocking":
        raise errors.Invalid(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        )
    size = config.config.get("max-buffer-size", "1m")
    if not _SIZE.fullmatch(size):
        raise errors.Invalid(f"error parsing option max-buffer-size: invalid size: '{size}'")
    if config.type not in _LOG_OPTIONS:
        raise errors.Invalid(_NOT_OURS.format(config.type))
    for name in config.config.keys() - _LOG_OPTIONS[config.type] - _SHARED_LOG_OPTIONS:
        driver = "json-file log driver" if config.type == "json-file" else "log driver local"
        raise errors.Invalid(f"unknown log opt '{name}' for {driver}")
