"""`info`: what the engine is and has."""

from __future__ import annotations

from pinnace.cli import format, terminal
from pinnace.cli.arguments import FORMAT_HELP, Command, Failure, Option
from pinnace.cli.client import DaemonError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Document = dict[str, Any]


def info(invocation: Invocation) -> int:
    layout = invocation["format"]
    failure: Unreachable | DaemonError | None = None
    server: Document = {}
    try:
        server = invocation.client.get("/info")
    except (Unreachable, DaemonError) as error:
        failure = error
    if layout:
        _formatted(layout, server, invocation)
    else:
        terminal.write(_client_text(invocation) + "\nServer:\n")
        if server:
            terminal.write(server_text(server, debug=invocation.globals.debug))
            for warning in server.get("Warnings") or ():
                terminal.warn(warning)
    if isinstance(failure, DaemonError):
        if layout:
            terminal.warn(str(failure))
            return 0
        terminal.warn(f"ERROR: {failure}\nerrors pretty printing info")
        return 1
    if failure:
        terminal.warn(str(failure))
        return 1
    return 0


def _formatted(layout: str, server: Document, invocation: Invocation) -> None:
    from pinnace.cli import template, version

    client = version.client_document(invocation)
    shown = {**server, "ClientInfo": {"Debug": invocation.globals.debug, **client, "Plugins": []}}
    source = "{{json .}}" if layout == "json" else layout
    try:
        template.parse(source)
    except template.TemplateError as error:
        raise Failure(f"template parsing error: {error}", status=64) from None
    try:
        terminal.write(template.render(source, shown))
    except template.TemplateError as error:
        raise Failure(str(error)) from None
    finally:
        terminal.say("")


def _client_text(invocation: Invocation) -> str:
    import pinnace

    debug = format.yes(invocation.globals.debug)
    return (
        f"Client:\n Version:    {pinnace.__version__}\n Context:    default\n Debug Mode: {debug}\n"
    )


def server_text(server: Document, *, debug: bool) -> str:
    """The part about the server, in Docker's order; what is empty is mostly left out."""
    lines = [
        f" Containers: {server.get('Containers', 0)}",
        f"  Running: {server.get('ContainersRunning', 0)}",
        f"  Paused: {server.get('ContainersPaused', 0)}",
        f"  Stopped: {server.get('ContainersStopped', 0)}",
        f" Images: {server.get('Images', 0)}",
        *_given(server, ("Server Version", "ServerVersion"), ("Storage Driver", "Driver")),
        *(f"  {name}: {value}" for name, value in server.get("DriverStatus") or ()),
        *_given(
            server,
            ("Logging Driver", "LoggingDriver"),
            ("Cgroup Driver", "CgroupDriver"),
            ("Cgroup Version", "CgroupVersion"),
        ),
        *_plugins(server.get("Plugins") or {}),
        *_list("CDI spec directories", server.get("CDISpecDirs")),
        f" Swarm: {(server.get('Swarm') or {}).get('LocalNodeState', 'inactive')}",
    ]
    runtimes = server.get("Runtimes") or {}
    if runtimes:
        lines.append(f" Runtimes: {' '.join(runtimes)}")
        lines.append(f" Default Runtime: {server.get('DefaultRuntime', '')}")
    lines += [
        f" Init Binary: {server.get('InitBinary', '')}",
        f" containerd version: {_commit(server, 'ContainerdCommit')}",
        f" runc version: {_commit(server, 'RuncCommit')}",
        f" init version: {_commit(server, 'InitCommit')}",
        *_security(server.get("SecurityOptions") or ()),
        *_given(
            server,
            ("Kernel Version", "KernelVersion"),
            ("Operating System", "OperatingSystem"),
            ("OSType", "OSType"),
            ("Architecture", "Architecture"),
        ),
        f" CPUs: {server.get('NCPU', 0)}",
        f" Total Memory: {format.binary_size(server.get('MemTotal', 0))}",
        *_given(server, ("Name", "Name"), ("ID", "ID")),
        f" Docker Root Dir: {server.get('DockerRootDir', '')}",
        f" Debug Mode: {format.yes(server.get('Debug', False))}",
    ]
    if debug or server.get("Debug"):
        lines += [
            f"  File Descriptors: {server.get('NFd', 0)}",
            f"  Goroutines: {server.get('NGoroutines', 0)}",
            f"  System Time: {server.get('SystemTime', '')}",
            f"  EventsListeners: {server.get('NEventsListener', 0)}",
        ]
    return "\n".join(lines + _registries(server)) + "\n\n"


def _registries(server: Document) -> list[str]:
    registries = server.get("RegistryConfig") or {}
    indexes = (registries.get("IndexConfigs") or {}).values()
    insecure = [each["Name"] for each in indexes if not each.get("Secure")]
    insecure += registries.get("InsecureRegistryCIDRs") or ()
    lines = [
        *_given(
            server,
            ("HTTP Proxy", "HttpProxy"),
            ("HTTPS Proxy", "HttpsProxy"),
            ("No Proxy", "NoProxy"),
        ),
        *_list("Labels", server.get("Labels")),
        f" Experimental: {format.yes(server.get('ExperimentalBuild', False))}",
        *_list("Insecure Registries", insecure),
        *_list("Registry Mirrors", registries.get("Mirrors")),
        f" Live Restore Enabled: {format.yes(server.get('LiveRestoreEnabled', False))}",
        *_given(server, ("Product License", "ProductLicense")),
    ]
    pools = server.get("DefaultAddressPools") or ()
    if pools:
        lines.append(" Default Address Pools:")
        lines += [f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in pools]
    return lines


def _given(server: Document, *rows: tuple[str, str]) -> list[str]:
    return [f" {title}: {server[key]}" for title, key in rows if server.get(key)]


def _list(title: str, values: Sequence[str] | None) -> list[str]:
    return [f" {title}:", *(f"  {value}" for value in values)] if values else []


def _plugins(plugins: Document) -> list[str]:
    lines = [" Plugins:"]
    for title in ("Volume", "Network", "Authorization", "Log"):
        names = plugins.get(title) or ()
        if names or title != "Authorization":
            lines.append(f"  {title}: {' '.join(names)}")
    return lines


def _commit(server: Document, key: str) -> str:
    return str((server.get(key) or {}).get("ID", ""))


def _security(options: Sequence[str]) -> list[str]:
    """'name=seccomp,profile=builtin' on two lines."""
    if not options:
        return []
    lines = [" Security Options:"]
    for option in options:
        for field in option.split(","):
            key, _, value = field.partition("=")
            if key == "name":
                lines.append(f"  {value}")
            elif key == "profile":
                lines.append(f"   Profile: {value}")
    return lines


INFO = Command(
    "info",
    "[OPTIONS]",
    "Display system-wide information",
    info,
    (
        Option(
            "format",
            "string",
            FORMAT_HELP,
            short="f",
        ),
    ),
    aliases=("system info", "info"),
)
