"""`inspect` of anything, and of each noun."""

from __future__ import annotations

from pinnace.cli import document, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError, Unreachable
from pinnace.cli.connection import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Getter = Callable[[Invocation, str], Any]


def _container(invocation: Invocation, name: str) -> Any:
    query = {"size": invocation["size"]}
    return invocation.client.get(f"/containers/{quote(name)}/json", query)


def _image(invocation: Invocation, name: str) -> Any:
    from pinnace.cli import image

    platform = invocation["platform"] if invocation.path.endswith("image inspect") else ""
    query = {"platform": image.platform_json(platform) if platform else None}
    return invocation.client.get(f"/images/{name}/json", query)


def _network(invocation: Invocation, name: str) -> Any:
    verbose = invocation["verbose"] if invocation.path.endswith("network inspect") else False
    return invocation.client.get(f"/networks/{quote(name)}", {"verbose": verbose})


def _volume(invocation: Invocation, name: str) -> Any:
    return invocation.client.get(f"/volumes/{quote(name)}")


# In the order in which a name that says no kind is looked for.
_KINDS: dict[str, Getter] = {
    "container": _container,
    "image": _image,
    "network": _network,
    "volume": _volume,
}
_OTHER_KINDS = ("config", "node", "plugin", "secret", "service", "task")


def inspect(invocation: Invocation) -> int:
    kind = invocation["type"]
    if "type" in invocation.arguments.changed and not kind:
        raise Failure(
            'type is empty: must be one of "config", "container", "image", "network", '
            '"node", "plugin", "secret", "service", "task", "volume"'
        )
    if kind and kind not in _KINDS:
        if kind in _OTHER_KINDS:
            raise Failure(f"{kind}s are not supported")
        raise Failure(
            f'unknown type: "{kind}": must be one of "config", "container", "image", "network", '
            '"node", "plugin", "secret", "service", "task", "volume"'
        )
    return _inspect(invocation, _KINDS[kind] if kind else _anything)


def _anything(invocation: Invocation, name: str) -> Any:
    for getter in _KINDS.values():
        try:
            return getter(invocation, name)
        except DaemonError as error:
            # The name may be no image's at all, and still be a volume's.
            if error.status != 404 and "invalid reference format" not in error.message:
                raise
    raise Failure(f"Error: No such object: {name}")


def _inspect(invocation: Invocation, getter: Getter) -> int:
    """What is found is shown, whatever isn't."""
    render = _renderer(invocation["format"])
    found, errors = [], []
    for name in invocation.operands:
        try:
            found.append(getter(invocation, name))
        except (DaemonError, Failure, Unreachable) as error:
            errors.append(str(error))
    texts = render(found, errors)
    terminal.write(texts)
    if errors:
        raise Failure("\n".join(errors))
    return 0


def _renderer(layout: str) -> Callable[[list[Any], list[str]], str]:
    if not layout:
        return lambda found, _: document.indented(found) + "\n"
    if layout == "json":
        return lambda found, _: document.encode(found) + "\n"
    from pinnace.cli import template

    try:
        template.parse(layout)
    except template.TemplateError as error:
        raise Failure(f"template parsing error: {error}", status=64) from None

    def render(found: list[Any], errors: list[str]) -> str:
        lines = []
        for each in found:
            try:
                lines.append(template.render(layout, each) + "\n")
            except template.TemplateError as error:
                errors.append(f"template parsing error: {error}")
        return "".join(lines) or "\n"

    return render


_FORMAT = Option(
    "format",
    "string",
    "Format output using a custom template:\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template.\n"
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output"
    " with templates",
    short="f",
)
_SIZE = Option("size", "bool", "Display total file sizes if the type is container", short="s")


def _of(noun: str, short: str, *options: Option) -> Command:
    getter = _KINDS[noun]
    upper = noun.upper()
    return Command(
        "inspect",
        f"[OPTIONS] {upper} [{upper}...]",
        short,
        lambda invocation: _inspect(invocation, getter),
        (_FORMAT, *options),
        at_least=1,
        at_most=MANY,
    )


INSPECT = Command(
    "inspect",
    "[OPTIONS] NAME|ID [NAME|ID...]",
    "Return low-level information on Docker objects",
    inspect,
    (
        _FORMAT,
        _SIZE,
        Option("type", "string", "Only inspect objects of the given type"),
    ),
    at_least=1,
    at_most=MANY,
)
CONTAINER_INSPECT = _of(
    "container",
    "Display detailed information on one or more containers",
    Option("size", "bool", "Display total file sizes", short="s"),
)
IMAGE_INSPECT = _of(
    "image",
    "Display detailed information on one or more images",
    Option(
        "platform",
        "string",
        "Inspect a specific platform of the multi-platform image.\n"
        "If the image or the server is not multi-platform capable, the command will error out if"
        " the platform does not match.\n"
        "'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    ),
)
NETWORK_INSPECT = _of(
    "network",
    "Display detailed information on one or more networks",
    Option("verbose", "bool", "Verbose output for diagnostics", short="v"),
)
VOLUME_INSPECT = _of("volume", "Display detailed information on one or more volumes")
