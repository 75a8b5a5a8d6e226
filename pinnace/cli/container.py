"""The short commands about containers: stop, kill, restart, rm, pause, wait, rename, port, ..."""

from __future__ import annotations

from pinnace.cli import format, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError, together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pinnace.cli.connection import Query
    from pinnace.cli.invocation import Invocation

_KINDS = ("C", "A", "D")


def _each(
    invocation: Invocation, method: str, action: str, query: Query, names: Sequence[str]
) -> list[tuple[str, DaemonError | None]]:
    """One request for each container, all at the same time; outcomes in the given order."""
    suffix = f"/{action}" if action else ""
    requests = [(method, f"/containers/{name}{suffix}", query) for name in names]
    return list(zip(names, together(invocation.client, requests), strict=True))


def report(outcomes: Iterable[tuple[str, Exception | None]]) -> None:
    """The names of those that went well; the others' errors at the end, and status 1."""
    errors = []
    for name, error in outcomes:
        if error is None:
            terminal.say(name)
        else:
            errors.append(str(error))
    if errors:
        raise Failure("\n".join(errors))


def stop(invocation: Invocation) -> None:
    report(_each(invocation, "POST", "stop", _stopping(invocation), invocation.operands))


def restart(invocation: Invocation) -> None:
    report(_each(invocation, "POST", "restart", _stopping(invocation), invocation.operands))


def _stopping(invocation: Invocation) -> Query:
    changed = invocation.arguments.changed
    if "time" in changed and "timeout" in changed:
        raise Failure("conflicting options: cannot specify both --timeout and --time")
    timeout = None
    if "time" in changed or "timeout" in changed:
        timeout = invocation["time"] if "time" in changed else invocation["timeout"]
    return {"signal": invocation["signal"] or None, "t": timeout}


def kill(invocation: Invocation) -> None:
    query = {"signal": invocation["signal"] or None}
    report(_each(invocation, "POST", "kill", query, invocation.operands))


def pause(invocation: Invocation) -> None:
    report(_each(invocation, "POST", "pause", {}, invocation.operands))


def unpause(invocation: Invocation) -> None:
    report(_each(invocation, "POST", "unpause", {}, invocation.operands))


def remove(invocation: Invocation) -> None:
    names = [name.strip("/") for name in invocation.operands]
    if "" in names:
        raise Failure("container name cannot be empty")
    query = {"v": invocation["volumes"], "link": invocation["link"], "force": invocation["force"]}
    outcomes = []
    for name, error in _each(invocation, "DELETE", "", query, names):
        if invocation["force"] and error is not None and error.status == 404:
            terminal.warn(str(error))
            continue
        outcomes.append((name, error))
    report(outcomes)


def wait(invocation: Invocation) -> None:
    errors = []
    for name in invocation.operands:
        try:
            result = invocation.client.post(f"/containers/{name}/wait")
        except DaemonError as error:
            errors.append(str(error))
            continue
        terminal.say(str(result["StatusCode"]))
    if errors:
        raise Failure("\n".join(errors))


def rename(invocation: Invocation) -> None:
    old, new = (name.strip() for name in invocation.operands)
    if not old or not new:
        raise Failure("Error: Neither old nor new names may be empty")
    try:
        invocation.client.post(f"/containers/{old}/rename", {"name": new})
    except DaemonError as error:
        raise Failure(f"{error}\nError: failed to rename container named {old}") from None


def port(invocation: Invocation) -> None:
    name, *wanted = invocation.operands
    container = invocation.client.get(f"/containers/{name}/json")
    published = container["NetworkSettings"].get("Ports") or {}
    if wanted:
        lines = _one_port(published, wanted[0], name)
    else:
        lines = [
            f"{inside} -> {_address(outside)}"
            for inside, bindings in published.items()
            for outside in bindings or ()
        ]
    if lines:
        terminal.say("\n".join(sorted(lines, key=_natural)))


def _one_port(published: dict[str, list[dict[str, str]] | None], spec: str, name: str) -> list[str]:
    number, _, protocol = spec.partition("/")
    if not (number.isascii() and number.isdigit() and int(number) < 65536):
        reason = f'strconv.ParseUint: parsing "{number}": invalid syntax'
        raise Failure(f"Error: invalid port ({number}): {reason}")
    bindings = published.get(f"{number}/{protocol or 'tcp'}")
    if not bindings:
        raise Failure(f"Error: No public port '{spec}' published for {name}")
    return [_address(binding) for binding in bindings]


def _address(binding: dict[str, str]) -> str:
    host = binding["HostIp"]
    return f"[{host}]:{binding['HostPort']}" if ":" in host else f"{host}:{binding['HostPort']}"


def _natural(text: str) -> list[tuple[int, int | str]]:
    """Digits count as numbers, so that 80 comes before 443."""
    parts: list[tuple[int, int | str]] = []
    digits = ""
    for char in text + "\0":
        if char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        parts.append((1, char))
    return parts


def top(invocation: Invocation) -> None:
    name, *words = invocation.operands
    query = {"ps_args": " ".join(words) or None}
    found = invocation.client.get(f"/containers/{name}/top", query)
    lines = ["\t".join(row) for row in [found["Titles"], *(found["Processes"] or ())]]
    terminal.write(format.align(lines, least=20))


def diff(invocation: Invocation) -> None:
    changes = invocation.client.get(f"/containers/{invocation.operands[0]}/changes")
    terminal.write(
        "".join(f"{_KINDS[change['Kind']]} {change['Path']}\n" for change in changes or ())
    )


def prune(invocation: Invocation) -> None:
    if not invocation["force"] and not confirm("WARNING! This will remove all stopped containers."):
        return
    filters = {"filters": invocation["filter"] or None}
    done = invocation.client.post("/containers/prune", filters)
    say_pruned("Deleted Containers:", done.get("ContainersDeleted"), done.get("SpaceReclaimed", 0))


def say_pruned(title: str, names: Sequence[str] | None, space: int) -> None:
    if names:
        terminal.say(title + "\n" + "".join(f"{name}\n" for name in names))
    terminal.say(f"Total reclaimed space: {format.size(space)}")


def confirm(warning: str) -> bool:
    """Asks; only a plain yes is one."""
    terminal.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    import sys

    answer = sys.stdin.readline()
    return answer.strip().lower() in ("y", "yes")


_SIGNAL = Option("signal", "string", "Signal to send to the container", short="s")
_STOPPING = (
    _SIGNAL,
    Option("timeout", "int", "Seconds to wait before killing the container", short="t"),
    Option(
        "time",
        "int",
        "Seconds to wait before killing the container (deprecated: use --timeout)",
        deprecated="use --timeout instead",
    ),
)


def _many(
    name: str,
    short: str,
    run: Callable[[Invocation], None],
    options: Sequence[Option] = (),
    aliases: Sequence[str] = (),
) -> Command:
    given = "[OPTIONS] " if options else ""
    return Command(
        name,
        f"{given}CONTAINER [CONTAINER...]",
        short,
        run,
        options,
        at_least=1,
        at_most=MANY,
        aliases=aliases or (f"container {name}", name),
    )


STOP = _many("stop", "Stop one or more running containers", stop, _STOPPING)
RESTART = _many("restart", "Restart one or more containers", restart, _STOPPING)
KILL = _many("kill", "Kill one or more running containers", kill, (_SIGNAL,))
PAUSE = _many("pause", "Pause all processes within one or more containers", pause)
UNPAUSE = _many("unpause", "Unpause all processes within one or more containers", unpause)
WAIT = _many("wait", "Block until one or more containers stop, then print their exit codes", wait)
RM = _many(
    "rm",
    "Remove one or more containers",
    remove,
    (
        Option(
            "volumes", "bool", "Remove anonymous volumes associated with the container", short="v"
        ),
        Option("link", "bool", "Remove the specified link", short="l"),
        Option(
            "force", "bool", "Force the removal of a running container (uses SIGKILL)", short="f"
        ),
    ),
    aliases=("container rm", "container remove", "rm"),
)
RENAME = Command(
    "rename",
    "CONTAINER NEW_NAME",
    "Rename a container",
    rename,
    at_least=2,
    at_most=2,
    aliases=("container rename", "rename"),
)
PORT = Command(
    "port",
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "List port mappings or a specific mapping for the container",
    port,
    at_least=1,
    at_most=2,
    aliases=("container port", "port"),
)
TOP = Command(
    "top",
    "CONTAINER [ps OPTIONS]",
    "Display the running processes of a container",
    top,
    at_least=1,
    at_most=MANY,
    interspersed=False,
    aliases=("container top", "top"),
)
DIFF = Command(
    "diff",
    "CONTAINER",
    "Inspect changes to files or directories on a container's filesystem",
    diff,
    at_least=1,
    at_most=1,
    aliases=("container diff", "diff"),
)
PRUNE = Command(
    "prune",
    "[OPTIONS]",
    "Remove all stopped containers",
    prune,
    (
        Option("force", "bool", "Do not prompt for confirmation", short="f"),
        Option("filter", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
    ),
)
