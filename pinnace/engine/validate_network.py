"""What Docker says of network modes, addresses, ports and host names (pure)."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from pinnace import errors
from pinnace.engine import hostfiles, merge
from pinnace.engine.documents import (
    ContainerConfig,
    EndpointIPAMConfig,
    EndpointSettings,
    HostConfig,
    NetworkingConfig,
)

PREDEFINED: Final = frozenset({"default", "bridge", "host", "none"})
_PROTOCOLS: Final = ("tcp", "udp", "sctp")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}")
_SYSCTLS: Final = "com.docker.network.endpoint.sysctls"
_HOST_NAME_MAX: Final = 64  # sethostname(2)


_CONFLICT: Final = "conflicting options: "
_UNDEFINED: Final = "can't be used with links. This would result in undefined behavior"


def modes(config: ContainerConfig, host: HostConfig) -> Iterator[str]:
    """Options that another container's or the host's namespaces leave no room for."""
    if host.network_mode == "container" or host.network_mode.startswith("container:"):
        yield from _joined(config, host)
    if host.uts_mode == "host" and config.hostname:
        yield f"{_CONFLICT}hostname and the UTS mode"
    if host.network_mode == "host" and host.links:
        yield f"{_CONFLICT}host type networking {_UNDEFINED}"


def _joined(config: ContainerConfig, host: HostConfig) -> Iterator[str]:
    if host.network_mode in ("container", "container:"):
        yield "invalid network mode: invalid container format container:<name|id>"
    conflicts = {
        "hostname and the network mode": config.hostname,
        f"container type network {_UNDEFINED}": host.links,
        "dns and the network mode": host.dns,
        "custom host-to-IP mapping and the network mode": host.extra_hosts,
        "port publishing and the container type network mode": (
            host.port_bindings or host.publish_all_ports
        ),
        "port exposing and the container type network mode": config.exposed_ports,
    }
    for what, given in conflicts.items():
        if given:
            yield _CONFLICT + what


def host_name(name: str) -> bool:
    """Whether it can be set, and written as one word of /etc/hosts; "" is none."""
    return not name or (len(name.encode()) <= _HOST_NAME_MAX and hostfiles.word(name))


def host_problems(host: HostConfig) -> Iterator[str]:
    yield from _name_problems(host)
    for port, bindings in host.port_bindings.items():
        yield from _container_port(port)
        for binding in bindings:
            yield from _host_port(binding.host_port)
            if binding.host_ip and not _address(binding.host_ip):
                yield f"invalid IP address: {binding.host_ip}"
    for name in host.sysctls:
        if name.startswith(("net.ipv4.conf.eth", "net.ipv6.conf.eth", "net.mpls.conf.eth")):
            yield (
                f'interface specific sysctl setting "{name}" must be supplied using driver '
                f"option '{_SYSCTLS}'"
            )
    for link in host.links:
        if link.count(":") > 1 or not link:
            yield f"bad format for links: {link}"


def _name_problems(host: HostConfig) -> Iterator[str]:
    for entry in host.extra_hosts:
        yield from _extra_host(entry)
    for server in host.dns:
        if not _address(server):
            yield f'bad nameserver address {server}: ParseAddr("{server}"): unable to parse IP'
    for text in [*host.dns_search, *host.dns_options]:
        if text and not hostfiles.word(text):
            yield f"invalid DNS option or search domain: {text!r}"


def _extra_host(entry: str) -> Iterator[str]:
    name, colon, address = entry.partition(":")
    if not colon or not hostfiles.word(name):
        yield f'bad format for add-host: "{entry}"'
    elif address != hostfiles.GATEWAY and not _address(address):
        yield f'invalid IP address in add-host: "{address}"'


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return hostfiles.word(text)


def _container_port(text: str) -> Iterator[str]:
    port, _, protocol = text.partition("/")
    if not _number(port):
        yield f'invalid port specification: "{port}"'
    elif protocol and protocol.lower() not in _PROTOCOLS:
        yield f"invalid proto: {protocol}"


def _host_port(text: str) -> Iterator[str]:
    port = text.partition("/")[0]
    if port and not _range(port):
        yield f'invalid port specification: "{text}"'


def exposed(text: str) -> Iterator[str]:
    port, _, protocol = text.partition("/")
    if not _range(port):
        yield f'invalid port specification: "{port}"'
    elif protocol and protocol.lower() not in _PROTOCOLS:
        yield f"invalid proto: {protocol}"


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 2**16


def _range(text: str) -> bool:
    first, dash, last = text.partition("-")
    last = last if dash else first
    return _number(first) and _number(last) and int(first) <= int(last)


# Endpoints


def endpoints(
    config: ContainerConfig, host: HostConfig, networking: NetworkingConfig
) -> tuple[dict[str, EndpointSettings], list[str]]:
    """The legs of the new container, without what only a running one has; and warnings."""
    for name, leg in networking.endpoints_config.items():
        if problem := _endpoint_problem(name, leg):
            raise errors.Invalid(f"invalid config for network {name}: {problem}")
    legs = {
        name: _as_asked(leg)
        for name, leg in merge.endpoints(host, networking.endpoints_config).items()
    }
    if not config.mac_address:
        return legs, []
    return _with_address(config.mac_address, host.network_mode, legs), [
        "The container-wide MacAddress field is now deprecated. "
        "It should be specified in EndpointsConfig instead."
    ]


def _as_asked(leg: EndpointSettings) -> EndpointSettings:
    return EndpointSettings(
        ipam_config=leg.ipam_config,
        links=leg.links,
        aliases=leg.aliases,
        mac_address=leg.mac_address,
        driver_opts=leg.driver_opts,
        gw_priority=leg.gw_priority,
    )


def _with_address(
    address: str, mode: str, legs: dict[str, EndpointSettings]
) -> dict[str, EndpointSettings]:
    """The older place of the address, which is that of the main network's leg."""
    if not _MAC.fullmatch(address):
        raise errors.Invalid(f"invalid config for network {mode}: invalid MAC address {address}")
    leg = legs.get(mode, EndpointSettings())
    if leg.mac_address not in ("", address):
        raise errors.Invalid(
            "the container-wide MAC address must match the endpoint-specific MAC address "
            "for the main network, or be left empty"
        )
    return {**legs, mode: msgspec.structs.replace(leg, mac_address=address)}


def _endpoint_problem(name: str, leg: EndpointSettings) -> str:
    if leg.mac_address and not _MAC.fullmatch(leg.mac_address):
        return f"invalid MAC address {leg.mac_address}"
    problems = list(_settings_problems(name, leg))
    if not problems:
        return ""
    listed = problems if len(problems) == 1 else [f"* {problem}" for problem in problems]
    return "invalid endpoint settings:\n" + "\n".join(listed)


def _settings_problems(name: str, leg: EndpointSettings) -> Iterator[str]:
    ipam = leg.ipam_config or EndpointIPAMConfig()
    fixed = ipam.ipv4_address or ipam.ipv6_address
    if name in PREDEFINED and fixed:
        yield "user specified IP address is supported on user defined networks only"
    if name in PREDEFINED and leg.aliases:
        yield "network-scoped alias is supported only for containers in user defined networks"
    if ipam.ipv4_address and not (_address(ipam.ipv4_address) and "." in ipam.ipv4_address):
        yield f"invalid IPv4 address: {ipam.ipv4_address}"
    if ipam.ipv6_address and not (_address(ipam.ipv6_address) and ":" in ipam.ipv6_address):
        yield f"invalid IPv6 address: {ipam.ipv6_address}"
    for address in ipam.link_local_ips:
        if not _address(address):
            yield f"invalid link-local IP address: {address}"
    if name in PREDEFINED and fixed:
        yield (
            "user specified IP address is supported only when connecting to networks with "
            "user configured subnets"
        )
