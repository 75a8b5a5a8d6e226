"""Ports of the host that containers publish: chosen, and held by sockets bound to them.

The sockets only keep others out (a second bind fails): packets are redirected before they get
there. While the daemon is away the process of `names` holds duplicates: `sockets`.
"""

import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from pinnace import errors
from pinnace.linux import netns
from pinnace.network.addresses import Address
from pinnace.network.definitions import Endpoint, Port
from pinnace.network.host import Host

_KINDS: Final = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, 132),
}
_MISSING: Final = frozenset((errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT))


class PortRequest(NamedTuple):
    """host "" is every address of the host; ports 0 to 0 are any of the ephemeral ones."""

    protocol: str
    port: int
    host: str = ""
    first: int = 0
    last: int = 0


def name(port: Port) -> str:
    """Of a port of the host."""
    return f"{port.protocol}/{port.host}/{port.host_port}"


class _Held(NamedTuple):
    port: Port
    socket: socket.socket | None


class Ports:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._held: dict[str, list[_Held]] = {}
        self._next = 0

    def take(
        self, endpoint: str, requests: Sequence[PortRequest], own: Sequence[Address]
    ) -> list[Port]:
        """Hold ports for an endpoint with these addresses: all of them, or none.

        Raises Failed in Docker's words.
        """
        with self._lock:
            held: list[_Held] = []
            try:
                for request in requests:
                    held += self._one(request, own, held)
            except BaseException:
                _close(held)
                raise
            self._held.setdefault(endpoint, []).extend(held)
            return [each.port for each in held]

    def release(self, endpoint: str, ports: Sequence[Port] | None = None) -> None:
        """All of the endpoint's, or some."""
        with self._lock:
            held = self._held.pop(endpoint, [])
            kept = [each for each in held if ports is not None and each.port not in ports]
            if kept:
                self._held[endpoint] = kept
            _close([each for each in held if each not in kept])

    def claim(self, endpoint: str, ports: Sequence[Port], held: Collection[str]) -> list[Port]:
        """Take again what an earlier daemon chose; those that someone else has now are told.

        held are the names of ports that are still kept for us.
        """
        lost = []
        with self._lock:
            for port in ports:
                made = None
                if name(port) not in held:
                    try:
                        made = self._bind(port)
                    except OSError:
                        lost.append(port)
                self._held.setdefault(endpoint, []).append(_Held(port, made))
        return lost

    def sockets(self, endpoint: str) -> dict[str, int]:
        """What holds an endpoint's ports, by their names; the fds stay ours."""
        with self._lock:
            held = self._held.get(endpoint, [])
            return {name(e.port): e.socket.fileno() for e in held if e.socket is not None}

    def close(self) -> None:
        for endpoint in list(self._held):
            self.release(endpoint)

    def _one(
        self, request: PortRequest, own: Sequence[Address], held: Sequence[_Held]
    ) -> list[_Held]:
        """The first port of the request's range that is free on all of its addresses."""
        hosts = _hosts(request, own)
        failure = errors.Failed("all ports are allocated")
        for number in self._candidates(request):
            found: list[_Held] = []
            try:
                for host in hosts:
                    port = Port(request.protocol, request.port, str(host), number)
                    self._refuse_ours(port, held)
                    found.append(_Held(port, self._bind_or_say(port, own)))
            except errors.Failed as error:
                _close(found)
                failure = error
                continue
            return found
        raise failure

    def _candidates(self, request: PortRequest) -> list[int]:
        if request.first:
            return list(range(request.first, (request.last or request.first) + 1))
        low, high = _ephemeral(self._host)
        start = self._next if low <= self._next <= high else low
        self._next = start + 1
        return [*range(start, high + 1), *range(low, start)]

    def _refuse_ours(self, port: Port, held: Sequence[_Held]) -> None:
        mine = [each for group in self._held.values() for each in group]
        for each in (*mine, *held):
            if _collide(each.port, port):
                host = each.port.host if _any(each.port) else port.host
                text = f"[{host}]" if ":" in host else host
                raise errors.Failed(
                    f"Bind for {text}:{port.host_port} failed: port is already allocated"
                )

    def _bind_or_say(self, port: Port, own: Sequence[Address]) -> socket.socket | None:
        try:
            return self._bind(port)
        except OSError as error:
            if error.errno in _MISSING:
                return None  # nobody can bind it, then
            version = ipaddress.ip_address(port.host).version
            to = next((each for each in own if each.version == version), "")
            why = os.strerror(error.errno or 0).lower()
            raise errors.Failed(
                f"failed to bind host port for {port.host}:{port.host_port}:{to}:{port.port}/"
                f"{port.protocol}: {why}"
            ) from None

    def _bind(self, port: Port) -> socket.socket:
        return self._host.inside(lambda: _bound(port))


def _bound(port: Port) -> socket.socket:
    kind, number = _KINDS[port.protocol]
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    made = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((port.host, port.host_port))
    except BaseException:
        made.close()
        raise
    return made


def _hosts(request: PortRequest, own: Sequence[Address]) -> list[Address]:
    """The host's addresses to publish on: of the versions that the container has.

    IPv6 of the host leads to a container that has only IPv4, too, if it is TCP: by a relay.
    """
    versions = {address.version for address in own}
    if versions == {4} and request.protocol == "tcp" and _has_ipv6():
        versions.add(6)
    if request.host:
        host = ipaddress.ip_address(request.host)
        return [host] if host.version in versions else []
    anywhere = {4: ipaddress.ip_address("0.0.0.0"), 6: ipaddress.ip_address("::")}
    return [anywhere[version] for version in sorted(versions)]


def _has_ipv6() -> bool:
    try:
        return netns.sysctl("ipv6/conf/lo/disable_ipv6") == "0"
    except FileNotFoundError:
        return False


def relays(endpoint: Endpoint) -> dict[str, str]:
    """The ports that the kernel can't redirect, by their names, and where they lead."""
    found = {}
    for port in endpoint.ports:
        lost = not endpoint.ipv6 or port.host in ("::", "::1")
        if port.protocol == "tcp" and ":" in port.host and lost:
            found[name(port)] = f"{endpoint.ipv6 or endpoint.ipv4}#{port.port}"
    return found


def _ephemeral(host: Host) -> tuple[int, int]:
    low, high = host.inside(lambda: netns.sysctl("ipv4/ip_local_port_range")).split()
    return int(low), int(high)


def _any(port: Port) -> bool:
    return port.host in ("0.0.0.0", "::")


def _collide(one: Port, other: Port) -> bool:
    if (one.protocol, one.host_port) != (other.protocol, other.host_port):
        return False
    if (":" in one.host) != (":" in other.host):
        return False
    return one.host == other.host or _any(one) or _any(other)


def _close(held: Sequence[_Held]) -> None:
    for each in held:
        if each.socket is not None:
            each.socket.close()
