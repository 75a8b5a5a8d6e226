"""A request to create a container, of any API version, as the newest version spells it."""

from typing import Any, Final

from msgspec.structs import replace

from pinnace import errors
from pinnace.api.messages import Version
from pinnace.engine import documents
from pinnace.engine.documents import CreateRequest, EndpointSettings, HostConfig, Mount

ENDPOINT_SYSCTLS: Final = "com.docker.network.endpoint.sysctls"


def create_request(request: CreateRequest, version: Version) -> tuple[CreateRequest, list[str]]:
    """A request to create a container, as the newest version spells it, and warnings."""
    config = request.config
    if config is None:
        raise errors.Invalid("config cannot be empty in order to create a container")
    host = request.host_config or HostConfig()
    endpoints = dict((request.networking_config or documents.NetworkingConfig()).endpoints_config)

    if host.network_mode in ("", "default"):
        host = replace(host, network_mode="bridge")
        if "default" in endpoints:
            endpoints["bridge"] = endpoints.pop("default")
    if version < (1, 44):
        if config.healthcheck is not None:
            config = replace(config, healthcheck=replace(config.healthcheck, start_interval=0))
        if len(endpoints) > 1:
            raise errors.Invalid(
                "Container cannot be created with multiple network endpoints: "
                + ", ".join(endpoints)
            )
    if version < (1, 48):
        endpoints = {name: replace(end, gw_priority=0) for name, end in endpoints.items()}

    host = _host_config(host, version)
    warnings = _volume_driver(host, version)
    warnings += _mac_address(config.mac_address, host, endpoints, version)
    host, moved = _sysctls(host, endpoints, version)
    warnings += moved
    host, filled = _port_bindings(host, version)
    warnings += filled
    networking = documents.NetworkingConfig(endpoints_config=endpoints)
    return CreateRequest(config=config, host_config=host, networking_config=networking), warnings


def _host_config(host: HostConfig, version: Version) -> HostConfig:
    changes: dict[str, Any] = {"mounts": [_mount(mount, version) for mount in host.mounts]}
    if version < (1, 25):
        changes["auto_remove"] = False  # the client removes
    if version < (1, 40):
        changes["kernel_memory_tcp"] = 0
        changes["ipc_mode"] = host.ipc_mode or "shareable"
    if version < (1, 42):
        changes["console_size"] = (0, 0)
    else:
        changes["kernel_memory"] = 0
    if version < (1, 43):
        changes["annotations"] = {}
    if version >= (1, 52):
        changes["kernel_memory_tcp"] = 0
    if host.pids_limit is not None and host.pids_limit <= 0:
        changes["pids_limit"] = None  # 0, -1 and once any negative number were "unlimited"
    return replace(host, **changes)


def _mount(mount: Mount, version: Version) -> Mount:
    bind, volume = mount.bind_options, mount.volume_options
    if version < (1, 42):
        # Options of another type's mount were not refused then.
        volume = volume if mount.type == "volume" else None
        mount = replace(mount, tmpfs_options=mount.tmpfs_options if _is(mount, "tmpfs") else None)
        if bind is not None:
            bind = replace(bind, create_mountpoint=False)
    else:
        _check_options(mount)
    if version < (1, 40) and bind is not None:
        bind = replace(bind, non_recursive=False)
    if version < (1, 44) and mount.type == "bind":
        if bind is not None and bind.read_only_force_recursive:
            raise errors.Invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
        if mount.read_only:
            # Read-only was not recursive before there was a word for it.
            bind = replace(bind or documents.BindOptions(), read_only_non_recursive=True)
    if version < (1, 45) and volume is not None and volume.subpath:
        raise errors.Invalid("VolumeOptions.Subpath needs API v1.45 or newer")
    if version < (1, 48) and mount.type == "image":
        raise errors.Invalid('Mount type "Image" needs API v1.48 or newer')
    return replace(mount, bind_options=bind, volume_options=volume)


def _is(mount: Mount, kind: str) -> bool:
    return mount.type == kind


def _check_options(mount: Mount) -> None:
    for name, options, kind in (
        ("VolumeOptions", mount.volume_options, "volume"),
        ("BindOptions", mount.bind_options, "bind"),
        ("TmpfsOptions", mount.tmpfs_options, "tmpfs"),
    ):
        if options is not None and mount.type != kind:
            raise errors.Invalid(f'{name} must not be specified on mount type "{mount.type}"')


def _volume_driver(host: HostConfig, version: Version) -> list[str]:
    ambiguous = any(
        mount.type == "volume"
        and not (
            mount.volume_options
            and mount.volume_options.driver_config
            and mount.volume_options.driver_config.name
        )
        for mount in host.mounts
    )
    if version < (1, 48) or not host.volume_driver or not ambiguous:
        return []
    return [
        "WARNING: the container-wide volume-driver configuration is ignored for volumes specified "
        "via 'mount'. Use '--mount type=volume,volume-driver=...' instead"
    ]


def _mac_address(
    address: str, host: HostConfig, endpoints: dict[str, EndpointSettings], version: Version
) -> list[str]:
    """Move the container-wide MAC address of older clients to the main network's endpoint."""
    on_network = has_networks(host.network_mode)
    if version < (1, 44):
        if not address:
            for name, end in endpoints.items():
                endpoints[name] = replace(end, mac_address="")
            return []
        if not on_network:
            raise errors.Invalid("conflicting options: mac-address and the network mode")
        name = _main_endpoint(host, endpoints, version)
        endpoints[name] = replace(endpoints[name], mac_address=address)
        return []
    if not address:
        return []
    if version >= (1, 52):
        raise errors.Invalid(
            "container-wide MAC address no longer supported; "
            "use endpoint-specific MAC address instead"
        )
    if on_network:
        name = _main_endpoint(host, endpoints, version)
        if endpoints[name].mac_address not in ("", address):
            raise errors.Invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for "
                "the main network, or be left empty"
            )
        endpoints[name] = replace(endpoints[name], mac_address=address)
    return [
        "The container-wide MacAddress field is now deprecated. "
        "It should be specified in EndpointsConfig instead."
    ]


def has_networks(mode: str) -> bool:
    return mode not in ("none", "host") and not mode.startswith("container:")


def _main_endpoint(
    host: HostConfig, endpoints: dict[str, EndpointSettings], version: Version
) -> str:
    """The endpoint that container-wide settings are meant for, made if there is none."""
    if not endpoints:
        endpoints[host.network_mode] = EndpointSettings()
        return host.network_mode
    if version < (1, 44):
        return next(iter(endpoints))
    if host.network_mode not in endpoints:
        raise errors.Invalid(
            "HostConfig.NetworkMode must match the identity of a network in "
            "NetworkSettings.Networks"
        )
    return host.network_mode


def _sysctls(
    host: HostConfig, endpoints: dict[str, EndpointSettings], version: Version
) -> tuple[HostConfig, list[str]]:
    """Sysctls that name an interface can be set only when it exists: they go to the endpoint."""
    if host.network_mode == "host" or host.network_mode.startswith("container:"):
        return host, []
    moved = [name for name in host.sysctls if _interface_of(name)]
    if not moved:
        return host, []
    if version > (1, 47):
        raise errors.Invalid(
            f'interface specific sysctl setting "{moved[0]}" must be supplied using driver option '
            f"'{ENDPOINT_SYSCTLS}'"
        )
    main = _main_endpoint(host, endpoints, version)
    settings = []
    for name in moved:
        if _interface_of(name) != "eth0":
            raise errors.Invalid(
                f"unable to determine network endpoint for sysctl {name}, use driver option "
                f"'{ENDPOINT_SYSCTLS}' to set per-interface sysctls"
            )
        settings.append(f"{name.replace('.eth0.', '.IFNAME.', 1)}={host.sysctls[name]}")
    option = ",".join(settings)
    warning = (
        f'Migrated sysctl "{",".join(moved)}" to DriverOpts{{"{ENDPOINT_SYSCTLS}":"{option}"}}.'
    )
    options = dict(endpoints[main].driver_opts)
    options[ENDPOINT_SYSCTLS] = ",".join(filter(None, (option, options.get(ENDPOINT_SYSCTLS))))
    endpoints[main] = replace(endpoints[main], driver_opts=options)
    kept = {name: value for name, value in host.sysctls.items() if name not in moved}
    return replace(host, sysctls=kept), [warning]


def _interface_of(sysctl: str) -> str:
    parts = sysctl.split(".", 4)
    named = len(parts) == 5 and parts[0] == "net" and parts[3].startswith("eth")
    return parts[3] if named else ""


def _port_bindings(host: HostConfig, version: Version) -> tuple[HostConfig, list[str]]:
    """A port with an empty list of bindings is bound to a port that the host chooses."""
    unbound = [port for port, bindings in host.port_bindings.items() if not bindings]
    if not unbound:
        return host, []
    bindings = {
        port: bindings or [documents.PortBinding()] for port, bindings in host.port_bindings.items()
    }
    host = replace(host, port_bindings=bindings)
    if version < (1, 52):
        return host, []
    return host, [
        "Following container port(s) have an empty list of port-bindings: "
        f"{', '.join(unbound)}. Such bindings will be discarded in a future version."
    ]
