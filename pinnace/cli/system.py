"""`system df` and `system prune`."""

from __future__ import annotations

from pinnace.cli import format, image, ps, terminal, volume
from pinnace.cli.arguments import Command, Failure, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Row = dict[str, Any]

_RUNNING = ("running", "paused", "restarting")


def disk_usage(invocation: Invocation) -> None:
    usage = invocation.client.get("/system/df")
    layout = invocation["format"]
    if invocation["verbose"]:
        if layout not in ("", "table"):
            raise Failure("--verbose can be shown as a table only")
        terminal.write(_verbose(usage))
        return
    rows = [_images(usage), _containers(usage), _volumes(usage), _build_cache(usage)]
    fields = {name: (lambda row, key=name: row[key]) for name in _HEADERS}
    view = format.View("*formatter.diskUsageContext", fields, _HEADERS, tuple(_HEADERS))
    if layout == "raw":
        layout = _RAW
    terminal.write(format.render(layout, rows, view))


_HEADERS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
_RAW = (
    "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n"
    "reclaimable: {{.Reclaimable}}\n"
)


def _row(kind: str, total: int, active: int, used: int, free: int, *, share: bool = True) -> Row:
    reclaimable = format.size(free)
    if share and used > 0:
        reclaimable += f" ({free * 100 // used}%)"
    return {
        "Type": kind,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": format.size(used),
        "Reclaimable": reclaimable,
    }


def _images(usage: Row) -> Row:
    images = usage.get("Images") or ()
    total = usage.get("LayersSize", 0)
    # What an image shares with another is not freed by its removal.
    used = sum(
        each["Size"] - each["SharedSize"]
        for each in images
        if each["Containers"] and -1 not in (each["Size"], each["SharedSize"])
    )
    active = sum(1 for each in images if each["Containers"] > 0)
    return _row("Images", len(images), active, total, total - used)


def _containers(usage: Row) -> Row:
    containers = usage.get("Containers") or ()
    total = sum(each.get("SizeRw", 0) for each in containers)
    active = [each for each in containers if each["State"] in _RUNNING]
    free = total - sum(each.get("SizeRw", 0) for each in active)
    return _row("Containers", len(containers), len(active), total, free)


def _volumes(usage: Row) -> Row:
    volumes = usage.get("Volumes") or ()
    known = [each["UsageData"] for each in volumes if each["UsageData"]["Size"] != -1]
    total = sum(each["Size"] for each in known)
    free = sum(each["Size"] for each in known if each["RefCount"] == 0)
    active = sum(1 for each in volumes if each["UsageData"]["RefCount"] > 0)
    return _row("Local Volumes", len(volumes), active, total, free)


def _build_cache(usage: Row) -> Row:
    records = usage.get("BuildCache") or ()
    own = [each for each in records if not each.get("Shared")]
    total = sum(each["Size"] for each in own)
    used = sum(each["Size"] for each in own if each.get("InUse"))
    active = sum(1 for each in records if each.get("InUse"))
    return _row("Build Cache", len(records), active, total, total - used, share=False)


def _verbose(usage: Row) -> str:
    images = [
        row
        for each in usage.get("Images") or ()
        for row in image.rows_of(each, digests=False, all_digests=False)[:1]
    ]
    containers = [{**each, "SizeRootFs": 0} for each in usage.get("Containers") or ()]
    image_view = image.view(whole=False, digests=False)
    image_view.columns = [
        "Repository",
        "Tag",
        "ID",
        "CreatedSince",
        "Size",
        "SharedSize",
        "UniqueSize",
        "Containers",
    ]
    container_view = ps.container_view(whole=False, sizes=True)
    container_view.columns = [
        "ID",
        "Image",
        "Command",
        "LocalVolumes",
        "Size",
        "RunningFor",
        "Status",
        "Names",
    ]
    volume_view = volume.view()
    volume_view.columns = ("Name", "Links", "Size")
    return (
        "Images space usage:\n\n"
        + format.render("", images, image_view)
        + "\nContainers space usage:\n\n"
        + format.render("", containers, container_view)
        + "\nLocal Volumes space usage:\n\n"
        + format.render("", usage.get("Volumes") or (), volume_view)
        + f"\nBuild cache usage: {_build_cache(usage)['Size']}\n\n"
        + format.render("", usage.get("BuildCache") or (), _cache_view())
    )


def _cache_view() -> format.View:
    fields: dict[str, Callable[..., Any]] = {
        "ID": lambda row: row["ID"][:12] + ("*" if row.get("InUse") else ""),
        "CacheType": lambda row: row["Type"],
        "Size": lambda row: format.size(row["Size"], 3),
        "CreatedSince": lambda row: format.ago(format.parse_time(row["CreatedAt"])),
        "LastUsedSince": lambda row: (
            format.ago(format.parse_time(row["LastUsedAt"])) if row.get("LastUsedAt") else ""
        ),
        "UsageCount": lambda row: str(row.get("UsageCount", 0)),
        "Shared": lambda row: format.yes(row.get("Shared", False)),
    }
    headers = {
        "ID": "CACHE ID",
        "CacheType": "CACHE TYPE",
        "Size": "SIZE",
        "CreatedSince": "CREATED",
        "LastUsedSince": "LAST USED",
        "UsageCount": "USAGE",
        "Shared": "SHARED",
    }
    return format.View("*formatter.buildCacheContext", fields, headers, tuple(headers))


def prune(invocation: Invocation) -> None:
    filters: dict[str, dict[str, bool]] = invocation["filter"]
    volumes, everything = invocation["volumes"], invocation["all"]
    if volumes and "until" in filters:
        raise Failure('ERROR: The "until" filter is not supported with "--volumes"')
    if not invocation["force"]:
        from pinnace.cli.container import confirm

        if not confirm(_warning(filters, volumes=volumes, everything=everything)):
            return
    query = {"filters": filters or None}
    space = 0
    client = invocation.client
    done = client.post("/containers/prune", query)
    space += _said("Deleted Containers:", done.get("ContainersDeleted"), done)
    done = client.post("/networks/prune", query)
    _said("Deleted Networks:", done.get("NetworksDeleted"), done)
    if volumes:
        done = client.post("/volumes/prune", query)
        space += _said("Deleted Volumes:", done.get("VolumesDeleted"), done)
    done = image.prune_images(invocation, everything=everything)
    space += _said("Deleted Images:", image.deletions(done), done)
    done = client.post("/build/prune", {"all": everything, **query})
    space += _said("Deleted build cache objects:", done.get("CachesDeleted"), done)
    terminal.say(f"Total reclaimed space: {format.size(space)}")


def _said(title: str, names: list[str] | None, done: Row) -> int:
    if names:
        terminal.say(title + "\n" + "".join(f"{name}\n" for name in names))
    return done.get("SpaceReclaimed") or 0


def _warning(filters: dict[str, dict[str, bool]], *, volumes: bool, everything: bool) -> str:
    lines = [
        "all stopped containers",
        "all networks not used by at least one container",
    ]
    if volumes:
        lines.append("all anonymous volumes not used by at least one container")
    if everything:
        lines += ["all images without at least one container associated to them", "all build cache"]
    else:
        lines += ["all dangling images", "unused build cache"]
    text = "WARNING! This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    shown = sorted(
        f"{name}={value}"
        for name in ("label", "label!", "until")
        for value in filters.get(name, ())
    )
    if shown:
        text += "\n  Items to be pruned will be filtered with:\n"
        text += "".join(f"  - {line}\n" for line in shown)
    return text


DF = Command(
    "df",
    "[OPTIONS]",
    "Show docker disk usage",
    disk_usage,
    (
        Option("format", "string", ps.TABLE_FORMAT_HELP),
        Option("verbose", "bool", "Show detailed information on space usage", short="v"),
    ),
)
PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused data",
    prune,
    (
        Option("all", "bool", "Remove all unused images not just dangling ones", short="a"),
        Option("filter", "filter", 'Provide filter values (e.g. "label=<key>=<value>")'),
        Option("force", "bool", "Do not prompt for confirmation", short="f"),
        Option("volumes", "bool", "Prune anonymous volumes"),
    ),
)
