"""The files of a container that the engine writes: hosts, hostname, resolv.conf.

Rule: nothing that a client says gets into them but as one word of one line (I20); what isn't is
refused when the container is made (`validate`), and left out here.
"""

import ipaddress
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from pinnace.engine.documents import Container

HOST_RESOLV: Final = "/etc/resolv.conf"
# Where systemd-resolved writes the servers behind its own, which no container can reach.
RESOLVED: Final = "/run/systemd/resolve/resolv.conf"
GATEWAY: Final = "host-gateway"

_BASE: Final = (
    ("127.0.0.1", "localhost"),
    ("::1", "localhost ip6-localhost ip6-loopback"),
    ("fe00::", "ip6-localnet"),
    ("ff00::", "ip6-mcastprefix"),
    ("ff02::1", "ip6-allnodes"),
    ("ff02::2", "ip6-allrouters"),
)
_PUBLIC: Final = ("8.8.8.8", "8.8.4.4")


class Resolver(NamedTuple):
    """The three kinds of lines of a resolv.conf that matter."""

    servers: list[str]
    search: list[str]
    options: list[str]


def word(text: str) -> bool:
    """Whether the text can stand in these files: one printable word."""
    return bool(text) and all(character > " " and character != "\x7f" for character in text)


def hosts(container: Container, addresses: Sequence[str] = (), *, gateway: str = "") -> str:
    """/etc/hosts: the loopback names, `--add-host`, then the container's own addresses."""
    lines = [f"{address}\t{names}" for address, names in _BASE]
    lines += _extra(container, gateway)
    names = _own_names(container)
    lines += [f"{address}\t{names}" for address in addresses if names]
    return "".join(line + "\n" for line in lines)


def hosts_of_host(container: Container, own: str, *, gateway: str = "") -> str:
    """The host's own file, with `--add-host` behind, for a container in the host's network."""
    return own + "".join(line + "\n" for line in _extra(container, gateway))


def _extra(container: Container, gateway: str) -> list[str]:
    lines = []
    for entry in container.host_config.extra_hosts:
        name, _, address = entry.partition(":")
        address = gateway if address == GATEWAY else address
        if word(name) and word(address):
            lines.append(f"{address}\t{name}")
    return lines


def _own_names(container: Container) -> str:
    host, domain = container.config.hostname, container.config.domainname
    names = [f"{host}.{domain}", host] if domain else [host]
    return " ".join(name for name in names if word(name))


def hostname(container: Container) -> str:
    return container.config.hostname + "\n" if word(container.config.hostname) else "\n"


def resolv_conf(container: Container, host: str, *, loopback: bool = False) -> str:
    """/etc/resolv.conf: what the container asks for, else what the host has.

    The host's servers on its own loopback are of no use in another network namespace; when none
    is left, public ones stand in, as with Docker. loopback says that the namespace is the host's.
    """
    wanted, own = container.host_config, parse(host)
    servers = list(wanted.dns) or own.servers
    if not loopback and not wanted.dns:
        servers = [server for server in servers if not _is_loopback(server)] or list(_PUBLIC)
    search = [name for name in wanted.dns_search or own.search if name != "."]
    options = list(wanted.dns_options) or own.options
    lines = [f"nameserver {server}" for server in servers if word(server)]
    if search := [name for name in search if word(name)]:
        lines.append("search " + " ".join(search))
    if options := [option for option in options if word(option)]:
        lines.append("options " + " ".join(options))
    return "".join(line + "\n" for line in lines)


def parse(text: str) -> Resolver:
    """The last `search` counts, all servers and options do (resolv.conf(5))."""
    resolver = Resolver([], [], [])
    for line in text.splitlines():
        key, *values = line.partition("#")[0].partition(";")[0].split() or [""]
        if key == "nameserver":
            resolver.servers.extend(values[:1])
        elif key in ("search", "domain"):
            resolver.search[:] = values
        elif key == "options":
            resolver.options.extend(values)
    return resolver


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return True  # no address is no use, either


def host_resolv_conf() -> str:
    """The host's servers; behind systemd-resolved those that it asks itself."""
    text = _read(HOST_RESOLV)
    servers = parse(text).servers
    if servers == ["127.0.0.53"]:
        return _read(RESOLVED) or text
    return text


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def write(container: Container, addresses: Sequence[str] = (), *, gateway: str = "") -> None:
    """Write those files whose paths the record holds and which are the container's own.

    In place, not by rename: they are bind-mounted, and a running container must see the change.
    """
    mode = container.host_config.network_mode
    if mode.startswith("container:"):
        return  # they are the other container's
    if container.hostname_path:
        _put(container.hostname_path, hostname(container))
    if container.hosts_path:
        text = (
            hosts_of_host(container, _read("/etc/hosts"), gateway=gateway)
            if mode == "host"
            else hosts(container, addresses, gateway=gateway)
        )
        _put(container.hosts_path, text)
    if container.resolv_conf_path:
        text = resolv_conf(container, host_resolv_conf(), loopback=mode == "host")
        _put(container.resolv_conf_path, text)


def _put(path: str, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o644)
    try:
        data = text.encode()
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
