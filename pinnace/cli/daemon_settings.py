"""dockerd's flags and daemon.json → the settings of one daemon.

Rule 1: what both say is refused, as dockerd refuses it, except lists that both may add to.
Rule 2: directives that dockerd knows and we don't have are named in a warning, not dropped unseen.
"""

from __future__ import annotations

import os

from pinnace.cli import document, quantities, terminal
from pinnace.cli.arguments import Failure, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from ssl import SSLContext
    from typing import Any

    from pinnace.cli.arguments import Values

    Document = dict[str, Any]

DEFAULT_HOST = "unix:///run/pinnace/pinnace.sock"
DEFAULT_CONFIG = "/etc/pinnace/daemon.json"

OPTIONS = (
    Option("cgroup-parent", "string", "Set parent cgroup for all containers"),
    Option(
        "config-file",
        "string",
        f'Daemon configuration file (default "{DEFAULT_CONFIG}")',
        default=DEFAULT_CONFIG,
    ),
    Option(
        "data-root",
        "string",
        'Root directory of persistent state (default "/var/lib/pinnace")',
        default="/var/lib/pinnace",
    ),
    Option("debug", "bool", "Enable debug mode", short="D"),
    Option("default-runtime", "string", "Default OCI runtime for containers", default="pinnace"),
    Option(
        "default-shm-size",
        "bytes",
        "Default shm size for containers (default 64MiB)",
        default=64 << 20,
    ),
    Option(
        "exec-root",
        "string",
        'Root directory for execution state files (default "/run/pinnace")',
        default="/run/pinnace",
    ),
    Option(
        "group",
        "string",
        'Group for the unix socket (default "docker")',
        short="G",
        default="docker",
    ),
    Option("host", "list", "Daemon socket(s) to connect to", short="H"),
    Option("init", "bool", "Run an init in the container to forward signals and reap processes"),
    Option("label", "list", "Set key=value labels to the daemon"),
    Option(
        "log-driver",
        "string",
        'Default driver for container logs (default "json-file")',
        default="json-file",
    ),
    Option(
        "log-level",
        "string",
        'Set the logging level ("debug"|"info"|"warn"|"error"|"fatal") (default "info")',
        short="l",
        default="info",
    ),
    Option("log-opt", "map", "Default log driver options for containers (default map[])"),
    Option("pidfile", "string", "Path to use for daemon PID file", short="p"),
    Option("runtime-root", "string", "", key="exec-root", hidden=True),
    Option("tls", "bool", "Use TLS; implied by --tlsverify"),
    Option("tlscacert", "string", "Trust certs signed only by this CA"),
    Option("tlscert", "string", "Path to TLS certificate file"),
    Option("tlskey", "string", "Path to TLS key file"),
    Option("tlsverify", "bool", "Use TLS and verify the remote"),
    Option("validate", "bool", "Validate daemon configuration and exit"),
)

# Directives of daemon.json by the option that says the same.
_DIRECTIVES = {
    "hosts": "host",
    "labels": "label",
    "log-opts": "log-opt",
    **{
        name: name
        for name in [
            "cgroup-parent",
            "data-root",
            "debug",
            "default-runtime",
            "default-shm-size",
            "exec-root",
            "group",
            "init",
            "log-driver",
            "log-level",
            "pidfile",
            "tls",
            "tlscacert",
            "tlscert",
            "tlskey",
            "tlsverify",
        ]
    },
}
_OWN = {"runtimes", "shutdown-timeout"}
# What dockerd knows besides; nothing is done about it yet.
_KNOWN = frozenset(
    [
        "allow-nondistributable-artifacts",
        "api-cors-header",
        "authorization-plugins",
        "bip",
        "bip6",
        "bridge",
        "builder",
        "cdi-spec-dirs",
        "cluster-advertise",
        "cluster-store",
        "containerd",
        "containerd-namespace",
        "containerd-plugin-namespace",
        "containers-cgroup",
        "cri-containerd",
        "default-address-pools",
        "default-cgroupns-mode",
        "default-gateway",
        "default-gateway-v6",
        "default-ipc-mode",
        "default-network-opts",
        "default-ulimits",
        "dns",
        "dns-opts",
        "dns-search",
        "exec-opts",
        "experimental",
        "features",
        "fixed-cidr",
        "fixed-cidr-v6",
        "graph",
        "host-gateway-ip",
        "host-gateway-ips",
        "http-proxy",
        "https-proxy",
        "icc",
        "init-path",
        "insecure-registries",
        "ip",
        "ip-forward",
        "ip-masq",
        "ip6tables",
        "iptables",
        "ipv6",
        "live-restore",
        "log-format",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "metrics-addr",
        "min-api-version",
        "mtu",
        "network-control-plane-mtu",
        "no-new-privileges",
        "no-proxy",
        "node-generic-resources",
        "oom-score-adjust",
        "proxies",
        "raw-logs",
        "registry-mirrors",
        "rootless",
        "seccomp-profile",
        "selinux-enabled",
        "storage-driver",
        "storage-opts",
        "swarm-default-advertise-addr",
        "userland-proxy",
        "userland-proxy-path",
        "userns-remap",
    ]
)


class Settings:
    """What a daemon is started with."""

    __slots__ = (
        "cgroup_parent",
        "data_root",
        "debug",
        "default_runtime",
        "group",
        "hosts",
        "init",
        "labels",
        "log_driver",
        "log_options",
        "pidfile",
        "runtime_root",
        "runtimes",
        "shm_size",
        "tls",
        "tls_authority",
        "tls_certificate",
        "tls_key",
        "tls_verify",
    )

    def __init__(self, chosen: Document) -> None:
        self.hosts: list[str] = chosen["host"] or [DEFAULT_HOST]
        self.data_root: str = chosen["data-root"]
        self.runtime_root: str = chosen["exec-root"]
        self.pidfile: str = chosen["pidfile"]
        self.group: str = chosen["group"]
        self.debug: bool = chosen["debug"] or chosen["log-level"] == "debug"
        self.cgroup_parent: str = chosen["cgroup-parent"]
        self.shm_size: int = chosen["default-shm-size"]
        self.log_driver: str = chosen["log-driver"]
        self.log_options: dict[str, str] = chosen["log-opt"]
        self.init: bool = chosen["init"]
        self.labels: list[str] = chosen["label"]
        self.default_runtime: str = chosen["default-runtime"]
        self.runtimes: dict[str, list[str]] = chosen["runtimes"]
        self.tls: bool = chosen["tls"] or chosen["tlsverify"]
        self.tls_verify: bool = chosen["tlsverify"]
        self.tls_authority: str = chosen["tlscacert"]
        self.tls_certificate: str = chosen["tlscert"]
        self.tls_key: str = chosen["tlskey"]

    def engine_options(self) -> Document:
        """What the engine's own settings have beyond the folders."""
        return {
            "cgroup_parent": self.cgroup_parent,
            "shm_size": self.shm_size,
            "log_driver": self.log_driver,
            "log_options": self.log_options,
            "init": self.init,
            "labels": self.labels,
            "default_runtime": self.default_runtime,
            "runtimes": self.runtimes,
        }

    def listen_addresses(self) -> list[str]:
        """Complete addresses; `fd://` is what a service manager has bound for us."""
        found = []
        for host in self.hosts:
            if host in ("fd://", "fd://*"):
                count = int(os.environ.get("LISTEN_FDS", "0"))
                if not count:
                    raise Failure(
                        "failed to load listeners: no sockets found via socket activation: make "
                        "sure the service was started by systemd"
                    )
                # sd_listen_fds(3): they begin after standard error.
                found += [f"fd://{3 + index}" for index in range(count)]
            else:
                found.append(_address(host, tls=self.tls))
        for address in found:
            if address.startswith("unix://"):
                os.makedirs(os.path.dirname(address[len("unix://") :]) or "/", exist_ok=True)
            elif address.startswith("tcp://") and not self.tls:
                terminal.warn(
                    f"WARNING: API is accessible on {address} without encryption. Access to the "
                    "remote API is equivalent to root access on the host."
                )
        return found

    def tls_context(self) -> SSLContext | None:
        if not self.tls:
            return None
        import ssl

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls_certificate, self.tls_key)
            if self.tls_verify:
                context.load_verify_locations(self.tls_authority)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"invalid TLS configuration: {error}") from None
        return context


def read(arguments: Values, hosts: Sequence[str], *, debug: bool) -> Settings:
    """Flags over the file's directives over the defaults; Failure for what can't be."""
    chosen: Document = {option.key: arguments[option.key] for option in OPTIONS}
    chosen["runtimes"] = {}
    path = arguments.text("config-file")
    if "config-file" in arguments.changed or os.path.exists(path):
        try:
            _apply(chosen, _load(path), arguments)
        except ValueError as error:
            raise Failure(f"unable to configure the daemon with file {path}: {error}") from None
    chosen["host"] = [*chosen["host"], *hosts]
    chosen["debug"] = chosen["debug"] or debug
    settings = Settings(chosen)
    for host in settings.hosts:
        if not host.startswith("fd://"):
            _address(host, tls=settings.tls)
    for label in settings.labels:
        if "=" not in label:
            raise Failure(f"bad attribute format: {label}")
    return settings


def _address(host: str, *, tls: bool) -> str:
    from pinnace.cli.connection import Address

    try:
        parsed = Address(host)
    except ValueError as error:
        raise Failure(str(error)) from None
    if parsed.host and tls and parsed.port == 2375 and ":2375" not in host:
        return parsed.text.replace(":2375", ":2376")
    return parsed.text


def _load(path: str) -> Document:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ValueError(f"open {path}: {(error.strerror or '').lower()}") from None
    if not data.strip():
        return {}
    found = document.decode(data)
    if not isinstance(found, dict):
        raise ValueError("it must hold an object")
    return found


def _apply(chosen: Document, directives: Document, arguments: Values) -> None:
    unknown = sorted(directives.keys() - _DIRECTIVES.keys() - _KNOWN - _OWN)
    if unknown:
        raise ValueError(
            f"the following directives don't match any configuration option: {', '.join(unknown)}"
        )
    twice = [
        f"{name}: (from flag: {arguments[option]}, from file: {directives[name]})"
        for name, option in _DIRECTIVES.items()
        if name in directives and option in arguments.changed
    ]
    if twice:
        raise ValueError(
            "the following directives are specified both as a flag and in the configuration "
            f"file: {', '.join(twice)}"
        )
    for name, value in directives.items():
        if name in _DIRECTIVES:
            chosen[_DIRECTIVES[name]] = _value(name, value)
        elif name == "runtimes":
            chosen["runtimes"] = {key: _runtime(key, each) for key, each in value.items()}
        elif name in _KNOWN:
            terminal.warn(f"WARNING: the directive {name} is not supported and has no effect")


def _value(name: str, value: Any) -> Any:
    """Of the type that the option has, or ValueError."""
    kind = {option.key: option.kind for option in OPTIONS}[_DIRECTIVES[name]]
    if kind == "bytes":
        return quantities.size(value) if isinstance(value, str) else int(value)
    wanted = {"bool": bool, "string": str, "list": list, "map": dict}[kind]
    if not isinstance(value, wanted):
        raise ValueError(f"{name} must be a {wanted.__name__}, not {document.encode(value)}")
    return value


def _runtime(name: str, entry: Document) -> list[str]:
    path = entry.get("path")
    if not path:
        raise ValueError(f"runtime {name} has no path")
    return [path, *(entry.get("runtimeArgs") or ())]
