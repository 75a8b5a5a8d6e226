"""`ps`: the list of containers."""

from __future__ import annotations

from pinnace.cli import document, format, terminal
from pinnace.cli.arguments import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Row = dict[str, Any]

TABLE_FORMAT_HELP = (
    "Format output using a custom template:\n"
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template.\n"
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output"
    " with templates"
)
_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_HEADERS = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}


def ps(invocation: Invocation) -> None:
    layout = invocation["format"]
    if not layout:
        layout = invocation.config.text("psFormat")
    elif invocation["quiet"]:
        terminal.warn("WARNING: Ignoring custom format, because both --format and --quiet are set.")
    sizes = invocation["size"] or (
        ".Size" in layout and not invocation["quiet"] and "size" not in invocation.arguments.changed
    )
    limit = invocation["last"]
    if invocation["latest"] and limit == -1:
        limit = 1
    view = container_view(whole=invocation["no-trunc"], sizes=sizes)
    if layout and layout != "raw":
        from pinnace.cli import template

        template.check(layout, view)
    rows = invocation.client.get(
        "/containers/json",
        {
            "all": invocation["all"],
            "filters": invocation["filter"] or None,
            "limit": limit if limit > 0 else None,
            "size": sizes,
        },
    )
    if invocation["quiet"] and layout == "raw":
        terminal.write("".join(f"container_id: {_ident(row, invocation)}\n" for row in rows))
        return
    if invocation["quiet"]:
        terminal.write(format.quiet(rows, lambda row: _ident(row, invocation)))
        return
    if layout == "raw":
        layout = _RAW + ("size: {{.Size}}\n" if sizes else "")
    terminal.write(format.render(layout, rows, view))


_RAW = (
    "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n"
    "created_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\n"
    "names: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n"
)


def _ident(row: Row, invocation: Invocation) -> str:
    ident: str = row["Id"]
    return ident if invocation["no-trunc"] else format.short_id(ident)


def container_view(*, whole: bool, sizes: bool) -> format.View:
    """The fields of a container in a list; `whole` cuts nothing short."""
    fields: dict[str, Callable[..., Any]] = {
        "ID": lambda row: row["Id"] if whole else format.short_id(row["Id"]),
        "Image": lambda row: _image(row, whole=whole),
        "Command": lambda row: document.encode(
            row["Command"] if whole else format.ellipsis(row["Command"], 20)
        ),
        "CreatedAt": lambda row: format.local_time(row["Created"]),
        "RunningFor": lambda row: format.ago(row["Created"]),
        "Ports": lambda row: ports(row.get("Ports") or []),
        "Status": lambda row: row["Status"],
        "State": lambda row: row["State"],
        "Names": lambda row: _names(row, whole=whole),
        "Size": _size,
        "Labels": lambda row: format.labels(row.get("Labels")),
        "Label": lambda row, name: (row.get("Labels") or {}).get(name, ""),
        "Mounts": lambda row: ",".join(_mounts(row, whole=whole)),
        "LocalVolumes": lambda row: str(
            sum(1 for mount in row.get("Mounts") or () if mount.get("Driver") == "local")
        ),
        "Networks": lambda row: ",".join((row.get("NetworkSettings") or {}).get("Networks") or ()),
        "Platform": _platform,
    }
    columns = (*_COLUMNS, "Size") if sizes else _COLUMNS
    return format.View("*formatter.ContainerContext", fields, _HEADERS, columns)


def _names(row: Row, *, whole: bool) -> str:
    names = [name[1:] for name in row["Names"] or ()]
    if not whole:
        # Names with a slash are those by which linked containers know this one.
        names = next(([name] for name in names if "/" not in name), names)
    return ",".join(names)


def _image(row: Row, *, whole: bool) -> str:
    image: str = row["Image"]
    if not image:
        return "<no image>"
    if whole:
        return image
    if format.short_id(image) == format.short_id(row.get("ImageID", "")):
        return format.short_id(image)
    name, _, digest = image.partition("@")
    return name if digest else image


def _size(row: Row) -> str:
    written = format.size(row.get("SizeRw", 0), 3)
    total = row.get("SizeRootFs", 0)
    return f"{written} (virtual {format.size(total, 3)})" if total > 0 else written


def _mounts(row: Row, *, whole: bool) -> list[str]:
    names = [mount.get("Name") or mount.get("Source", "") for mount in row.get("Mounts") or ()]
    return names if whole else [format.ellipsis(name, 15) for name in names]


def _platform(row: Row) -> Any:
    return (row.get("ImageManifestDescriptor") or {}).get("platform")


def ports(entries: list[Row]) -> str:
    """'0.0.0.0:80->80/tcp, 9000-9002/tcp': neighbours that are published alike become a range."""
    result: list[str] = []
    mapped: list[str] = []
    groups: dict[tuple[str, str], list[int]] = {}
    for port in sorted(entries, key=_port_order):
        private, public = port["PrivatePort"], port.get("PublicPort", 0)
        host, kind = port.get("IP", ""), port["Type"]
        if host and public != private:
            mapped.append(f"{_joined(host, str(public))}->{private}/{kind}")
            continue
        group = groups.get((host, kind))
        if group is None:
            groups[host, kind] = [private, private]
        elif private == group[1] + 1:
            group[1] = private
        else:
            result.append(_range(host, kind, *group))
            groups[host, kind] = [private, private]
    result += [_range(host, kind, *group) for (host, kind), group in groups.items()]
    return ", ".join(result + mapped)


def _port_order(port: Row) -> tuple[int, str, int, str]:
    return port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]


def _range(host: str, kind: str, first: int, last: int) -> str:
    text = str(first) if first == last else f"{first}-{last}"
    return f"{_joined(host, text)}->{text}/{kind}" if host else f"{text}/{kind}"


def _joined(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_OPTIONS = (
    Option("quiet", "bool", "Only display container IDs", short="q"),
    Option("size", "bool", "Display total file sizes", short="s"),
    Option("all", "bool", "Show all containers (default shows just running)", short="a"),
    Option("no-trunc", "bool", "Don't truncate output"),
    Option("latest", "bool", "Show the latest created container (includes all states)", short="l"),
    Option(
        "last",
        "int",
        "Show n last created containers (includes all states) (default -1)",
        short="n",
        default=-1,
    ),
    Option("format", "string", TABLE_FORMAT_HELP),
    Option("filter", "filter", "Filter output based on conditions provided", short="f"),
)
_ALIASES = ("container ls", "container list", "container ps", "ps")
PS = Command("ps", "[OPTIONS]", "List containers", ps, _OPTIONS, aliases=_ALIASES)
LS = Command("ls", "[OPTIONS]", "List containers", ps, _OPTIONS, aliases=_ALIASES)
