"""`images`, `rmi`, `tag`, `history` and `image prune`."""

from __future__ import annotations

from pinnace.cli import format, reference, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError
from pinnace.cli.container import confirm
from pinnace.cli.ps import TABLE_FORMAT_HELP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Row = dict[str, Any]

_NONE = "<none>"
_GROUP = [
    "build",
    "history",
    "import",
    "inspect",
    "list",
    "load",
    "ls",
    "prune",
    "pull",
    "push",
    "rm",
    "save",
    "tag",
]
_RAW = (
    "repository: {{.Repository}}\ntag: {{.Tag}}\n%simage_id: {{.ID}}\n"
    "created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
)


def images(invocation: Invocation) -> None:
    filters = dict(invocation["filter"])
    wanted = invocation.operands[0] if invocation.operands else ""
    if wanted:
        filters["reference"] = {**filters.get("reference", {}), wanted: True}
    layout = invocation["format"]
    if not layout and not invocation["quiet"]:
        layout = invocation.config.text("imagesFormat")
    if layout not in ("", "raw"):
        from pinnace.cli import template

        template.check(layout)
    found = invocation.client.get(
        "/images/json", {"all": invocation["all"], "filters": filters or None}
    )
    digests = invocation["digests"]
    rows = [
        row
        for image in found
        for row in rows_of(image, digests=digests, all_digests=digests or "{{.Digest}}" in layout)
    ]
    shown = view(whole=invocation["no-trunc"], digests=digests)
    if invocation["quiet"] and layout in ("", "table"):
        terminal.write(format.quiet(rows, shown.fields["ID"]))
    else:
        if layout == "raw":
            layout = _RAW % ("digest: {{.Digest}}\n" if digests else "")
        terminal.write(format.render(layout, rows, shown))
    if wanted in _GROUP and not found and invocation.path.endswith(" images"):
        terminal.warn(
            f'\nNo images found matching "{wanted}": did you mean '
            f'"{invocation.program} image {wanted}"?'
        )


def rows_of(image: Row, *, digests: bool, all_digests: bool) -> list[Row]:
    """One row for each name of an image; a nameless one has one too."""
    tags = [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]
    known = [each for each in image.get("RepoDigests") or () if each != "<none>@<none>"]
    if not tags and not known:
        return [_row(image, _NONE, _NONE, _NONE)]
    by_name: dict[str, list[str]] = {}
    for each in known:
        name, _, digest = each.partition("@")
        by_name.setdefault(_familiar(name), []).append(digest)
    rows, tagged = [], set()
    for each in tags:
        name, _, tag = each.rpartition(":")
        name = _familiar(name)
        tagged.add(name)
        for digest in (by_name.get(name) if all_digests else None) or [_NONE]:
            rows.append(_row(image, name, tag, digest))
    for name, values in by_name.items():
        if name in tagged:
            continue
        if digests:
            rows += [_row(image, name, _NONE, digest) for digest in values]
        else:
            rows.append(_row(image, name, _NONE, ""))
    return rows


def _familiar(name: str) -> str:
    try:
        return reference.named(name).name
    except ValueError:
        return name


def _row(image: Row, repository: str, tag: str, digest: str) -> Row:
    return {**image, "Repository": repository, "Tag": tag, "Digest": digest}


def view(*, whole: bool, digests: bool) -> format.View:
    fields: dict[str, Callable[..., Any]] = {
        "ID": lambda row: row["Id"] if whole else format.short_id(row["Id"]),
        "Repository": lambda row: row["Repository"],
        "Tag": lambda row: row["Tag"],
        "Digest": lambda row: row["Digest"],
        "CreatedSince": lambda row: format.ago(row["Created"]),
        "CreatedAt": lambda row: format.local_time(row["Created"]),
        "Size": lambda row: format.size(row["Size"], 3),
        "Containers": lambda row: _known(row.get("Containers", -1)),
        "VirtualSize": lambda row: format.size(row["Size"]),
        "SharedSize": lambda row: _known_size(row.get("SharedSize", -1)),
        "UniqueSize": lambda row: _known_size(
            -1 if row.get("SharedSize", -1) == -1 else row["Size"] - row["SharedSize"]
        ),
    }
    headers = {
        "ID": "IMAGE ID",
        "Repository": "REPOSITORY",
        "Tag": "TAG",
        "Digest": "DIGEST",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "Size": "SIZE",
        "Containers": "CONTAINERS",
        "VirtualSize": "SIZE",
        "SharedSize": "SHARED SIZE",
        "UniqueSize": "UNIQUE SIZE",
    }
    columns = ["Repository", "Tag", "ID", "CreatedSince", "Size"]
    if digests:
        columns.insert(2, "Digest")
    return format.View("*formatter.imageContext", fields, headers, columns)


def _known(count: int) -> str:
    return "N/A" if count == -1 else str(count)


def _known_size(count: int) -> str:
    return "N/A" if count == -1 else format.size(count)


def remove(invocation: Invocation) -> None:
    query = {
        "force": invocation["force"],
        "noprune": invocation["no-prune"],
        "platforms": [platform_json(text) for text in invocation["platform"]],
    }
    errors, fatal = [], False
    for name in invocation.operands:
        try:
            removed = invocation.client.delete(f"/images/{name}", query)
        except DaemonError as error:
            fatal = fatal or error.status != 404
            errors.append(str(error))
            continue
        for each in removed or ():
            deleted = each.get("Deleted")
            terminal.say(f"Deleted: {deleted}" if deleted else f"Untagged: {each['Untagged']}")
    if errors and (fatal or not invocation["force"]):
        raise Failure("\n".join(errors))
    if errors:
        terminal.warn("\n".join(errors))


def platform_json(text: str) -> str:
    """os/arch[/variant] as the JSON that some endpoints want in their query."""
    from pinnace.cli import document

    system, architecture, *variant = reference.platform(text).split("/")
    parts = {"architecture": architecture, "os": system}
    return document.encode(parts | ({"variant": variant[0]} if variant else {}))


def tag(invocation: Invocation) -> None:
    source, target = invocation.operands
    try:
        name = reference.named(target)
    except ValueError as error:
        raise Failure(
            f'Error parsing reference: "{target}" is not a valid repository/tag: {error}'
        ) from None
    if name.digest:
        raise Failure("refusing to create a tag with a digest reference")
    invocation.client.post(
        f"/images/{source}/tag", {"repo": name.full, "tag": name.tag or "latest"}
    )


def history(invocation: Invocation) -> None:
    query = {"platform": platform_json(invocation["platform"]) if invocation["platform"] else None}
    rows = invocation.client.get(f"/images/{invocation.operands[0]}/history", query)
    shown = _history_view(whole=invocation["no-trunc"], human=invocation["human"])
    layout = invocation["format"]
    if invocation["quiet"] and layout in ("", "table"):
        terminal.write(format.quiet(rows, shown.fields["ID"]))
    else:
        terminal.write(format.render(layout, rows, shown))


def _history_view(*, whole: bool, human: bool) -> format.View:
    fields: dict[str, Callable[..., Any]] = {
        "ID": lambda row: row["Id"] if whole else format.short_id(row["Id"]),
        "CreatedAt": _created_at,
        "CreatedSince": lambda row: _created_since(row) if human else _created_at(row),
        "CreatedBy": lambda row: _created_by(row, whole=whole),
        "Size": lambda row: format.size(row["Size"], 3) if human else str(row["Size"]),
        "Comment": lambda row: row.get("Comment", ""),
    }
    headers = {
        "ID": "IMAGE",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "CreatedBy": "CREATED BY",
        "Size": "SIZE",
        "Comment": "COMMENT",
    }
    when = "CreatedSince" if human else "CreatedAt"
    columns = ("ID", when, "CreatedBy", "Size", "Comment")
    return format.View("*image.historyContext", fields, headers, columns)


def _created_at(row: Row) -> str:
    import time

    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(row["Created"]))
    return text[:-5] + "Z" if text.endswith("+0000") else f"{text[:-2]}:{text[-2:]}"


def _created_since(row: Row) -> str:
    # Reproducible builds say 1970 or so, which is no use to anyone.
    return format.ago(row["Created"]) if row["Created"] > 946684800 else "N/A"


def _created_by(row: Row, *, whole: bool) -> str:
    text = row["CreatedBy"].replace("\t", " ")
    return text if whole else format.ellipsis(text, 45)


def prune(invocation: Invocation) -> None:
    what = (
        "images without at least one container associated to them"
        if invocation["all"]
        else ("dangling images")
    )
    if not invocation["force"] and not confirm(f"WARNING! This will remove all {what}."):
        return
    done = prune_images(invocation, everything=invocation["all"])
    from pinnace.cli.container import say_pruned

    say_pruned("Deleted Images:", deletions(done), done.get("SpaceReclaimed", 0))


def deletions(done: Row) -> list[str]:
    return [
        f"untagged: {each['Untagged']}" if each.get("Untagged") else f"deleted: {each['Deleted']}"
        for each in done.get("ImagesDeleted") or ()
    ]


def prune_images(invocation: Invocation, *, everything: bool) -> Row:
    filters = dict(invocation["filter"])
    filters["dangling"] = {format.yes(not everything): True}
    answer: Row = invocation.client.post("/images/prune", {"filters": filters})
    return answer


_LIST = (
    Option("all", "bool", "Show all images (default hides intermediate images)", short="a"),
    Option("digests", "bool", "Show digests"),
    Option("filter", "filter", "Filter output based on conditions provided", short="f"),
    Option("format", "string", TABLE_FORMAT_HELP),
    Option("no-trunc", "bool", "Don't truncate output"),
    Option("quiet", "bool", "Only show image IDs", short="q"),
)
_LIST_ALIASES = ("image ls", "image list", "images")
IMAGES = Command(
    "images",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    images,
    _LIST,
    at_most=1,
    aliases=_LIST_ALIASES,
)
LS = Command(
    "ls",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    images,
    _LIST,
    at_most=1,
    aliases=_LIST_ALIASES,
)
_REMOVE = (
    Option("force", "bool", "Force removal of the image", short="f"),
    Option("no-prune", "bool", "Do not delete untagged parents"),
    Option(
        "platform",
        "strings",
        'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" '
        '(e.g., "linux/amd64")',
    ),
)


def _removal(name: str) -> Command:
    """`docker rmi` and `docker image rm` are two commands that say the same."""
    return Command(
        name,
        "[OPTIONS] IMAGE [IMAGE...]",
        "Remove one or more images",
        remove,
        _REMOVE,
        at_least=1,
        at_most=MANY,
        aliases=("image rm", "image remove", "rmi"),
    )


RMI, RM = _removal("rmi"), _removal("rm")
TAG = Command(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    tag,
    at_least=2,
    at_most=2,
    interspersed=False,
    aliases=("image tag", "tag"),
)
HISTORY = Command(
    "history",
    "[OPTIONS] IMAGE",
    "Show the history of an image",
    history,
    (
        Option("format", "string", TABLE_FORMAT_HELP),
        Option(
            "human",
            "bool",
            "Print sizes and dates in human readable format (default true)",
            short="H",
            default=True,
        ),
        Option("no-trunc", "bool", "Don't truncate output"),
        Option(
            "platform",
            "string",
            'Show history for the given platform. Formatted as "os[/arch[/variant]]" '
            '(e.g., "linux/amd64")',
        ),
        Option("quiet", "bool", "Only show image IDs", short="q"),
    ),
    at_least=1,
    at_most=1,
    aliases=("image history", "history"),
)
PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove unused images",
    prune,
    (
        Option("all", "bool", "Remove all unused images, not just dangling ones", short="a"),
        Option("filter", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
        Option("force", "bool", "Do not prompt for confirmation", short="f"),
    ),
)
