"""--publish and --expose: 'ip:host:container/proto' with ranges → the API's ports."""

from __future__ import annotations

from pinnace.cli import quantities, specifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Bindings = dict[str, list[dict[str, str]]]

_PROTOCOLS = ("tcp", "udp", "sctp")


def published(specs: Sequence[str]) -> tuple[dict[str, dict[str, str]], Bindings]:
    """(exposed ports, bindings) of all --publish."""
    exposed: dict[str, dict[str, str]] = {}
    bindings: Bindings = {}
    for spec in specs:
        for port, binding in _parse(_plain(spec)):
            exposed[port] = {}
            bindings.setdefault(port, []).append(binding)
    return exposed, bindings


def expose(spec: str) -> list[str]:
    """The ports of one --expose."""
    if ":" in spec:
        raise ValueError(f"invalid port format for --expose: {spec}")
    protocol, ports = split_protocol(spec)
    try:
        first, last = port_range(ports)
    except ValueError as error:
        raise ValueError(f"invalid range format for --expose: {spec}, error: {error}") from None
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def split_protocol(text: str) -> tuple[str, str]:
    """('udp', '53') of '53/udp'; tcp when nothing is said."""
    port, _, protocol = text.partition("/")
    if not port:
        return "", ""
    return protocol.partition("/")[0] or "tcp", port


def port_range(text: str) -> tuple[int, int]:
    if not text:
        raise ValueError("empty string specified for ports")
    parts = text.split("-")
    first = quantities.decimal(parts[0], 0, 65535)
    last = quantities.decimal(parts[1], 0, 65535) if len(parts) > 1 else first
    if last < first:
        raise ValueError(f"invalid range specified for port: {text}")
    return first, last


def _plain(spec: str) -> str:
    """The long form (target=80,published=8080,protocol=udp) in the short one's words."""
    if "=" not in spec:
        return spec
    values = {"protocol": "tcp", "published": "", "target": ""}
    for field in spec.split(","):
        key, separator, value = field.partition("=")
        if not separator or not key:
            raise ValueError(
                f"invalid publish opts format (should be name=value but got '{field}')"
            )
        values[key] = value
    return f"{values['published']}:{values['target']}/{values['protocol']}"


def _parse(spec: str) -> list[tuple[str, dict[str, str]]]:
    parts = spec.split(":")
    container = parts[-1]
    host = parts[-2] if len(parts) > 1 else ""
    address = _address(":".join(parts[:-2]))
    protocol, container = split_protocol(container)
    if not container:
        raise ValueError(f"no port specified: {spec}<empty>")
    first, last = _range_or(container, f"invalid containerPort: {container}")
    host_first, host_last = 0, 0
    if host:
        host_first, host_last = _range_or(host, f"invalid hostPort: {host}")
        # A host range for a single container port: the daemon takes the first free one.
        if last - first != host_last - host_first and first != last:
            raise ValueError(
                f"invalid ranges specified for container and host Ports: {container} and {host}"
            )
    protocol = protocol.lower()
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    found = []
    for offset in range(last - first + 1):
        shown = str(host_first + offset) if host else ""
        if first == last and host_first != host_last:
            shown = f"{shown}-{host_last}"
        found.append((f"{first + offset}/{protocol}", {"HostIp": address, "HostPort": shown}))
    return found


def _address(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if bare:
        try:
            specifications.ip_address(bare)
        except ValueError:
            raise ValueError(f"invalid IP address: {bare}") from None
    return bare


def _range_or(text: str, complaint: str) -> tuple[int, int]:
    try:
        return port_range(text)
    except ValueError:
        raise ValueError(complaint) from None
