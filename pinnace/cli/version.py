"""`version`: of this client and of the daemon that it speaks to."""

from __future__ import annotations

import sys

import pinnace
from pinnace.cli import document, terminal
from pinnace.cli.arguments import FORMAT_HELP, Command, Failure, Option
from pinnace.cli.client import DaemonError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pinnace.cli.invocation import Invocation


def line() -> str:
    return f"pinnace version {pinnace.__version__}"


def version(invocation: Invocation) -> int:
    failure: Unreachable | DaemonError | None = None
    server = None
    try:
        server = invocation.client.get("/version")
    except (Unreachable, DaemonError) as error:
        failure = error
    client = client_document(invocation)
    layout = invocation["format"]
    if not layout:
        terminal.write(_text(client, server))
    elif layout == "json":
        terminal.say(document.encode({"Client": client, "Server": server}))
    else:
        from pinnace.cli import template

        try:
            terminal.say(template.render(layout, {"Client": client, "Server": server}))
        except template.TemplateError as error:
            # Docker says "template parsing error" and leaves with 64 here.
            raise Failure(f"template parsing error: {error}", status=64) from None
    if failure:
        terminal.warn(str(failure))
        return 1
    return 0


def client_document(invocation: Invocation) -> dict[str, Any]:
    import os

    host = os.uname()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(host.machine, host.machine)
    info = sys.version_info
    return {
        "Version": pinnace.__version__,
        "ApiVersion": invocation.client.version,
        "DefaultAPIVersion": invocation.client.version,
        "GitCommit": "",
        "GoVersion": "",
        "PythonVersion": f"{info.major}.{info.minor}.{info.micro}",
        "Os": host.sysname.lower(),
        "Arch": machine,
        "BuildTime": "",
        "Context": "default",
    }


def _text(client: dict[str, Any], server: dict[str, Any] | None) -> str:
    lines = [
        "Client:",
        f" Version:           {client['Version']}",
        f" API version:       {client['ApiVersion']}",
        f" Python version:    {client['PythonVersion']}",
        f" OS/Arch:           {client['Os']}/{client['Arch']}",
        f" Context:           {client['Context']}",
    ]
    if server is None:
        return "\n".join(lines) + "\n"
    platform = (server.get("Platform") or {}).get("Name", "")
    lines += ["", f"Server: {platform}".rstrip()]
    components = server.get("Components") or [
        {"Name": "Engine", "Version": server.get("Version", ""), "Details": server}
    ]
    for component in components:
        lines += _component(component)
    return "\n".join(lines) + "\n"


def _component(component: dict[str, Any]) -> list[str]:
    details = component.get("Details") or {}
    lines = [f" {component['Name']}:", f"  Version:          {component.get('Version', '')}"]
    if component["Name"] != "Engine":
        return lines + [f"  {name + ':':<17} {details[name]}" for name in sorted(details)]
    least = details.get("MinAPIVersion", "")
    api = f"{details.get('ApiVersion', '')} (minimum version {least})"
    built = _built(details.get("BuildTime", ""))
    written_in = str(details.get("GoVersion", ""))
    language = "Go"
    if written_in.startswith("python"):  # an engine like ours, which has no Go to tell of
        language, written_in = "Python", written_in.removeprefix("python")
    lines += [
        f"  API version:      {api}",
        f"  {language + ' version:':<17} {written_in}",
        f"  Git commit:       {details.get('GitCommit', '')}",
        f"  Built:            {built}",
        f"  OS/Arch:          {details.get('Os', '')}/{details.get('Arch', '')}",
        f"  Experimental:     {details.get('Experimental', 'false')}",
    ]
    return lines


def _built(text: str) -> str:
    if not text:
        return ""
    import time

    from pinnace.cli import format

    try:
        return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(format.parse_time(text)))
    except ValueError:
        return text


VERSION = Command(
    "version",
    "[OPTIONS]",
    "Show the version information of client and server",
    version,
    (
        Option(
            "format",
            "string",
            FORMAT_HELP,
            short="f",
        ),
    ),
)
