"""`volume create|ls|rm|prune`."""

from __future__ import annotations

from pinnace.cli import format, specifications, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError
from pinnace.cli.container import _natural, confirm, report, say_pruned
from pinnace.cli.ps import TABLE_FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Row = dict[str, Any]


def create(invocation: Invocation) -> None:
    name = invocation["name"]
    if invocation.operands:
        if name:
            raise Failure(
                "conflicting options: cannot specify a volume-name through both --name and as a "
                "positional arg"
            )
        name = invocation.operands[0]
    labels = (text.partition("=") for text in invocation["label"])
    body: Row = {
        "Driver": invocation["driver"],
        "DriverOpts": invocation["opt"],
        "Labels": {key: value for key, _, value in labels},
        "Name": name,
    }
    body = {key: value for key, value in body.items() if value}
    terminal.say(invocation.client.post("/volumes/create", None, body)["Name"])


def list_all(invocation: Invocation) -> None:
    layout = invocation["format"]
    quiet = invocation["quiet"]
    if not layout and not quiet:
        layout = invocation.config.text("volumesFormat")
    found = invocation.client.get("/volumes", {"filters": invocation["filter"] or None})
    rows = sorted(found.get("Volumes") or (), key=lambda row: _natural(row["Name"]))
    if quiet and layout in ("", "table"):
        terminal.write(format.quiet(rows, lambda row: row["Name"]))
        return
    terminal.write(format.render(layout if layout != "raw" else _RAW, rows, view()))


_RAW = "name: {{.Name}}\ndriver: {{.Driver}}\n"


def view() -> format.View:
    fields: dict[str, Callable[..., Any]] = {
        "Name": lambda row: row["Name"],
        "Driver": lambda row: row["Driver"],
        "Scope": lambda row: row.get("Scope", ""),
        "Mountpoint": lambda row: row.get("Mountpoint", ""),
        "Labels": lambda row: format.labels(row.get("Labels")),
        "Label": lambda row, name: (row.get("Labels") or {}).get(name, ""),
        "Links": lambda row: str(row["UsageData"]["RefCount"]) if row.get("UsageData") else "N/A",
        "Size": lambda row: (
            format.size(row["UsageData"]["Size"]) if row.get("UsageData") else "N/A"
        ),
        "Group": lambda row: "N/A",
        "Availability": lambda row: "N/A",
        "Status": lambda row: "N/A",
    }
    headers = {
        "Name": "VOLUME NAME",
        "Driver": "DRIVER",
        "Scope": "SCOPE",
        "Mountpoint": "MOUNTPOINT",
        "Labels": "LABELS",
        "Links": "LINKS",
        "Size": "SIZE",
        "Group": "GROUP",
        "Availability": "AVAILABILITY",
        "Status": "STATUS",
    }
    return format.View("*formatter.volumeContext", fields, headers, ("Driver", "Name"))


def remove(invocation: Invocation) -> None:
    outcomes: list[tuple[str, Exception | None]] = []
    for name in invocation.operands:
        try:
            invocation.client.delete(f"/volumes/{name}", {"force": invocation["force"]})
        except DaemonError as error:
            outcomes.append((name, error))
        else:
            outcomes.append((name, None))
    report(outcomes)


def prune(invocation: Invocation) -> None:
    filters = dict(invocation["filter"])
    what = "anonymous local volumes"
    if invocation["all"]:
        if "all" in filters:
            raise Failure("conflicting options: cannot specify both --all and --filter all=1")
        filters["all"] = {"true": True}
        what = "all local volumes"
    warning = f"WARNING! This will remove {what} not used by at least one container."
    if not invocation["force"] and not confirm(warning):
        return
    done = invocation.client.post("/volumes/prune", {"filters": filters or None})
    say_pruned("Deleted Volumes:", done.get("VolumesDeleted"), done.get("SpaceReclaimed", 0))


CREATE = Command(
    "create",
    "[OPTIONS] [VOLUME]",
    "Create a volume",
    create,
    (
        Option(
            "driver",
            "string",
            'Specify volume driver name (default "local")',
            short="d",
            default="local",
        ),
        Option("label", "list", "Set metadata for a volume", check=specifications.label),
        Option("name", "string", "Specify volume name", hidden=True),
        Option("opt", "map", "Set driver specific options (default map[])", short="o"),
    ),
    at_most=1,
)
LS = Command(
    "ls",
    "[OPTIONS]",
    "List volumes",
    list_all,
    (
        Option("filter", "filter", 'Provide filter values (e.g. "dangling=true")', short="f"),
        Option("format", "string", TABLE_FORMAT_HELP),
        Option("quiet", "bool", "Only display volume names", short="q"),
    ),
    aliases=("volume ls", "volume list"),
)
RM = Command(
    "rm",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Remove one or more volumes",
    remove,
    (Option("force", "bool", "Force the removal of one or more volumes", short="f"),),
    at_least=1,
    at_most=MANY,
    aliases=("volume rm", "volume remove"),
    long="Remove one or more volumes. You cannot remove a volume that is in use by a container.",
)
PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused local volumes",
    prune,
    (
        Option("all", "bool", "Remove all unused volumes, not just anonymous ones", short="a"),
        Option("filter", "filter", 'Provide filter values (e.g. "label=<label>")'),
        Option("force", "bool", "Do not prompt for confirmation", short="f"),
    ),
)
