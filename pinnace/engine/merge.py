"""A client's documents and the image's → those a container is made with (pure)."""

from collections.abc import Iterable
from typing import Final

import msgspec

from pinnace import errors
from pinnace.engine import bundle_mounts, codec
from pinnace.engine.documents import (
    ContainerConfig,
    EndpointSettings,
    HealthConfig,
    HostConfig,
    LogConfig,
    RestartPolicy,
)
from pinnace.engine.facts import Machine
from pinnace.oci import image

SHM_SIZE: Final = 64 << 20


def of_image(config: image.Config | None) -> ContainerConfig:
    """An image's config in the shape of a container's; the same names, more of them null."""
    return codec.convert(msgspec.to_builtins(config), ContainerConfig)


def merged(config: ContainerConfig, base: ContainerConfig) -> ContainerConfig:
    """The client's config over the image's: what the client says wins, sets and lists are joined.

    Raises errors.Invalid when neither says what to run.
    """
    env = [*config.env, *_missing(base.env, config.env)]
    entrypoint, cmd = _command(config, base)
    if not entrypoint and not cmd:
        raise errors.Invalid("no command specified")
    return msgspec.structs.replace(
        config,
        user=config.user or base.user,
        exposed_ports=config.exposed_ports | base.exposed_ports,
        env=env,
        cmd=cmd,
        entrypoint=entrypoint,
        labels=base.labels | config.labels,
        healthcheck=_health(config.healthcheck, base.healthcheck),
        working_dir=config.working_dir or base.working_dir,
        volumes=config.volumes | base.volumes,
        stop_signal=config.stop_signal or base.stop_signal,
    )


def _missing(ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    names = {entry.partition("=")[0] for entry in theirs}
    return [entry for entry in ours if entry.partition("=")[0] not in names]


def _command(
    config: ContainerConfig, base: ContainerConfig
) -> tuple[list[str] | None, list[str] | None]:
    """An entrypoint of one's own makes the image's command meaningless; [""] takes it away."""
    entrypoint, cmd = config.entrypoint, config.cmd
    if not entrypoint:
        cmd = cmd or base.cmd
        if entrypoint is None:
            entrypoint = base.entrypoint
    return (None if entrypoint == [""] else entrypoint), cmd


def _health(ours: HealthConfig | None, base: HealthConfig | None) -> HealthConfig | None:
    if ours is None or base is None:
        return ours or base
    return HealthConfig(
        test=ours.test or base.test,
        interval=ours.interval or base.interval,
        timeout=ours.timeout or base.timeout,
        start_period=ours.start_period or base.start_period,
        start_interval=ours.start_interval or base.start_interval,
        retries=ours.retries or base.retries,
    )


def command(config: ContainerConfig) -> tuple[str, list[str]]:
    """What is executed, and its arguments."""
    words = [*(config.entrypoint or []), *(config.cmd or [])]
    return words[0], words[1:]


def named(
    config: ContainerConfig, host: HostConfig, ident: str, machine: Machine
) -> ContainerConfig:
    """With the hostname that a container without one gets."""
    if config.hostname:
        return config
    own = machine.hostname if host.network_mode == "host" else ident[:12]
    return msgspec.structs.replace(config, hostname=own)


def completed(
    host: HostConfig, machine: Machine, log: LogConfig, *, runtime: str = "runc"
) -> HostConfig:
    """With the defaults that Docker writes down when the container is made."""
    disabled: bool | None = host.oom_kill_disable
    if disabled is None and machine.support.oom_kill_disable:
        disabled = False
    masked, readonly = host.masked_paths, host.readonly_paths
    if not host.privileged:
        thermal = machine.thermal_paths
        masked = bundle_mounts.default_masked_paths(thermal) if masked is None else masked
        readonly = list(bundle_mounts.READONLY) if readonly is None else readonly
    return msgspec.structs.replace(
        host,
        memory_swap=host.memory * 2
        if host.memory > 0 and not host.memory_swap
        else host.memory_swap,
        shm_size=host.shm_size or SHM_SIZE,
        ipc_mode=host.ipc_mode or "private",
        cgroupns_mode=host.cgroupns_mode or "private",
        network_mode=host.network_mode or "bridge",
        oom_kill_disable=disabled,
        restart_policy=host.restart_policy
        if host.restart_policy.name
        else RestartPolicy(name="no"),
        log_config=log_config(host.log_config, log),
        runtime=host.runtime or runtime,
        masked_paths=masked,
        readonly_paths=readonly,
        security_opt=_security_opt(host),
    )


def _security_opt(host: HostConfig) -> list[str]:
    """Docker: who shares the host's processes or memory, can't be labelled apart from it."""
    labelled = any(word.partition("=")[0] == "label" for word in host.security_opt)
    shares = host.privileged or "host" in (host.pid_mode, host.ipc_mode)
    return [*host.security_opt, "label=disable"] if shares and not labelled else host.security_opt


def log_config(wanted: LogConfig, default: LogConfig) -> LogConfig:
    kind = wanted.type or default.type
    options = default.config | wanted.config if kind == default.type else wanted.config
    return LogConfig(type=kind, config=options)


def endpoints(host: HostConfig, asked: dict[str, EndpointSettings]) -> dict[str, EndpointSettings]:
    """The legs that the container is made with: those asked for, else the network mode's."""
    mode = "bridge" if host.network_mode in ("", "default") else host.network_mode
    if mode.startswith("container:"):
        return {}
    legs = {mode if name == "default" else name: leg for name, leg in asked.items()}
    return legs or {mode: EndpointSettings()}
