"""The ports of EXPOSE: [ip:][host-port:]port[-port][/protocol] → "80/tcp", each."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from pinnace.dockerfile import golang
from pinnace.dockerfile.source import DockerfileError

_PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class Port:
    text: str
    protocol: str
    """As it is written."""
    mapped: bool
    """With an address or a port of the host, which EXPOSE takes and ignores."""
    first: int
    last: int

    def __iter__(self) -> Iterator[str]:
        for number in range(self.first, self.last + 1):
            yield f"{number}/{self.protocol.lower()}"


def parse(text: str) -> Port:
    """Raises DockerfileError."""
    *address, host, container = text.rsplit(":", 2) if ":" in text else ["", text]
    ip = address[0] if address else ""
    container, protocol = _protocol(text, container)
    _check_address(ip)
    first, last = _range(container, f"invalid containerPort: {container}")
    if host:
        _check_host(host, container, last - first)
    return Port(text, protocol, bool(ip or host), first, last)


def _protocol(text: str, container: str) -> tuple[str, str]:
    port, _, protocol = container.partition("/")
    if not port:
        raise DockerfileError(f"invalid port: {golang.quote(text)}: no port specified")
    if protocol.lower() not in ("", *_PROTOCOLS):
        raise DockerfileError(f"invalid port: {golang.quote(text)}: invalid proto: {protocol}")
    return port, protocol or "tcp"


def _check_address(ip: str) -> None:
    bare = ip[1:-1] if ip.startswith("[") and ip.endswith("]") else ip
    try:
        if bare:
            ipaddress.ip_address(bare)
    except ValueError:
        raise DockerfileError(f"invalid IP address: {bare}") from None


def _check_host(host: str, container: str, width: int) -> None:
    first, last = _range(host, f"invalid hostPort: {host}")
    if width not in (0, last - first):
        raise DockerfileError(
            f"invalid ranges specified for container and host Ports: {container} and {host}"
        )


def _range(text: str, wrong: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    try:
        first = golang.integer(start, low=-65535, high=65535)
        last = golang.integer(end, low=-65535, high=65535) if dash else first
    except ValueError:
        raise DockerfileError(wrong) from None
    if not 0 <= first <= last:
        raise DockerfileError(wrong)
    return first, last
