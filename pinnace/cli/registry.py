"""`pull`, `push` and `search`."""

from __future__ import annotations

from pinnace.cli import document, format, progress, reference, terminal
from pinnace.cli.arguments import Command, Failure, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pinnace.cli.invocation import Invocation

HUB = "https://index.docker.io/v1/"


def pull(invocation: Invocation, image: str, *, platform: str, quiet: bool) -> None:
    """Pulls for another command, which keeps standard output for itself."""
    name = reference.named(image)
    _pull(invocation, name, platform=platform, quiet=quiet, fd=terminal.STDERR)


def _pull(
    invocation: Invocation,
    name: reference.Reference,
    *,
    platform: str,
    quiet: bool,
    fd: int,
    everything: bool = False,
) -> None:
    tag = name.digest or name.tag
    query = {
        "fromImage": name.full,
        "tag": None if everything else tag or "latest",
        "platform": reference.platform(platform) or None,
    }
    response = invocation.client.request(
        "POST", "/images/create", query, headers=_credentials(invocation, name.domain)
    )
    progress.display(response.messages(), fd=fd, quiet=quiet)


def _pull_command(invocation: Invocation) -> None:
    name = _named(invocation)
    _pull(
        invocation,
        name,
        platform=invocation["platform"],
        quiet=invocation["quiet"],
        fd=terminal.STDOUT,
        everything=invocation["all-tags"],
    )
    tag = f":{name.tag}" if name.tag else ""
    digest = f"@{name.digest}" if name.digest else ""
    terminal.say(f"{name.domain}/{name.path}{tag}{digest}")


def _push_command(invocation: Invocation) -> None:
    name = _named(invocation)
    query = {
        "tag": None if invocation["all-tags"] else name.tag,
        "platform": _platform(invocation["platform"]),
    }
    headers = _credentials(invocation, name.domain) or {"X-Registry-Auth": _encoded({})}
    path = f"/images/{name.name}/push"
    response = invocation.client.request("POST", path, query, headers=headers)
    progress.display(response.messages(), quiet=invocation["quiet"])
    if invocation["quiet"]:
        terminal.say(f"{name.domain}/{name.path}:{name.tag}")


def _named(invocation: Invocation) -> reference.Reference:
    try:
        name = reference.named(invocation.operands[0])
    except ValueError as error:
        raise Failure(str(error)) from None
    if invocation["all-tags"]:
        if name.tag or name.digest:
            raise Failure("tag can't be used with --all-tags/-a")
    elif not name.tag and not name.digest:
        name.tag = "latest"
        if not invocation["quiet"]:
            terminal.say("Using default tag: latest")
    return name


def _platform(text: str) -> str | None:
    if not text:
        return None
    from pinnace.cli import image

    return image.platform_json(text)


def _credentials(invocation: Invocation, domain: str) -> dict[str, str]:
    """The header with what `login` kept for the registry, if anything."""
    auths = invocation.config.auths
    address = HUB if domain == "docker.io" else domain
    found = auths.get(address) or auths.get(f"https://{address}")
    return {"X-Registry-Auth": _encoded(expanded(found, address))} if found else {}


def expanded(entry: dict[str, str], address: str) -> dict[str, str]:
    """config.json's entry as the API has it: user and password instead of both in one."""
    import base64

    auth: dict[str, str] = {key: value for key, value in entry.items() if key != "auth"}
    if entry.get("auth"):
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        auth |= {"username": user, "password": password.rstrip("\0")}
    if auth.get("identitytoken"):
        auth.pop("password", None)
    return {**auth, "serveraddress": address}


def _encoded(auth: dict[str, str]) -> str:
    import base64

    return base64.urlsafe_b64encode(document.encode(auth).encode()).decode()


def _search_command(invocation: Invocation) -> None:
    query = {
        "term": invocation.operands[0],
        "limit": invocation["limit"] or None,
        "filters": invocation["filter"] or None,
    }
    response = invocation.client.request(
        "GET", "/images/search", query, headers=_credentials(invocation, "docker.io")
    )
    whole = invocation["no-trunc"]
    plain = invocation["format"] == "json"

    def described(row: dict[str, Any]) -> str:
        text = row.get("description", "").replace("\n", " ").replace("\r", " ")
        return text if whole else format.ellipsis(text, 45)

    def official(row: dict[str, Any]) -> str:
        if plain:
            return format.yes(row.get("is_official", False))
        return "[OK]" if row.get("is_official") else ""

    view = format.View(
        "*registry.searchContext",
        {
            "Name": lambda row: row["name"],
            "Description": described,
            "StarCount": lambda row: str(row.get("star_count", 0)),
            "IsOfficial": official,
        },
        {
            "Name": "NAME",
            "Description": "DESCRIPTION",
            "StarCount": "STARS",
            "IsOfficial": "OFFICIAL",
        },
        ("Name", "Description", "StarCount", "IsOfficial"),
    )
    terminal.write(format.render(invocation["format"], response.json(), view))


_TRUST = Option(
    "disable-content-trust", "bool", "Skip image verification (default true)", default=True
)
PULL = Command(
    "pull",
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    _pull_command,
    (
        Option("all-tags", "bool", "Download all tagged images in the repository", short="a"),
        _TRUST,
        Option("platform", "string", "Set platform if server is multi-platform capable"),
        Option("quiet", "bool", "Suppress verbose output", short="q"),
    ),
    at_least=1,
    at_most=1,
    aliases=("image pull", "pull"),
)
PUSH = Command(
    "push",
    "[OPTIONS] NAME[:TAG]",
    "Upload an image to a registry",
    _push_command,
    (
        Option("all-tags", "bool", "Push all tags of an image to the repository", short="a"),
        Option("disable-content-trust", "bool", "Skip image signing (default true)", default=True),
        Option(
            "platform",
            "string",
            "Push a platform-specific manifest as a single-platform image to the registry.\n"
            "Image index won't be pushed, meaning that other manifests, including attestations"
            " won't be preserved.\n"
            "'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
        Option("quiet", "bool", "Suppress verbose output", short="q"),
    ),
    at_least=1,
    at_most=1,
    aliases=("image push", "push"),
)
SEARCH = Command(
    "search",
    "[OPTIONS] TERM",
    "Search Docker Hub for images",
    _search_command,
    (
        Option("filter", "filter", "Filter output based on conditions provided", short="f"),
        Option("format", "string", "Pretty-print search using a Go template"),
        Option("limit", "int", "Max number of search results"),
        Option("no-trunc", "bool", "Don't truncate output"),
    ),
    at_least=1,
    at_most=1,
)
