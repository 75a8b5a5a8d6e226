"""`attach` and `start`."""

from __future__ import annotations

from pinnace.cli import terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Document = dict[str, Any]


def start(invocation: Invocation) -> int:
    if invocation["attach"] or invocation["interactive"]:
        return _start_attached(invocation)
    failed = []
    query = {"checkpoint": invocation["checkpoint"] or None}
    for name in invocation.operands:
        try:
            invocation.client.post(f"/containers/{name}/start", query)
        except (DaemonError, Unreachable) as error:
            terminal.warn(str(error))
            failed.append(name)
            continue
        terminal.say(name)
    if failed:
        raise Failure(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _start_attached(invocation: Invocation) -> int:
    from pinnace.cli import session

    if len(invocation.operands) > 1:
        raise Failure("you cannot start and attach multiple containers at once")
    container = invocation.client.get(f"/containers/{invocation.operands[0]}/json")
    config: Document = container["Config"]
    attached = session.Attached(
        invocation,
        container["Id"],
        tty=config["Tty"],
        stdin=invocation["interactive"] and config["OpenStdin"],
        stdout=True,
        stderr=True,
        removed=container["HostConfig"]["AutoRemove"],
    )
    query: dict[str, str | None] = {"checkpoint": invocation["checkpoint"] or None}
    try:
        return attached.start_and_follow(proxy=not config["Tty"], start=query)
    except session.NotStarted as error:
        raise Failure(str(error)) from None


def attach(invocation: Invocation) -> int:
    from pinnace.cli import session
    from pinnace.cli.run import check_terminal

    name = invocation.operands[0]
    # Watched from before the first look, so that no end is missed.
    container = _running(invocation, name)
    waiting = session.Exit(invocation, container["Id"], None)
    tty: bool = container["Config"]["Tty"]
    stdin: bool = not invocation["no-stdin"] and container["Config"]["OpenStdin"]
    check_terminal(stdin=not invocation["no-stdin"], tty=tty)
    attached = session.Attached(
        invocation,
        container["Id"],
        tty=tty,
        stdin=stdin,
        stdout=True,
        stderr=True,
        removed=False,
    )
    left = attached.join(
        proxy=invocation["sig-proxy"] and not tty,
        recheck=lambda: _running(invocation, name),
    )
    if left:
        raise Failure("read escape sequence")
    return waiting.status()


def _running(invocation: Invocation, name: str) -> Document:
    container: Document = invocation.client.get(f"/containers/{name}/json")
    state = container["State"]
    if not state["Running"]:
        raise Failure("You cannot attach to a stopped container, start it first")
    if state["Paused"]:
        raise Failure("You cannot attach to a paused container, unpause it first")
    if state["Restarting"]:
        raise Failure("You cannot attach to a restarting container, wait until it is running")
    return container


_KEYS = Option("detach-keys", "string", "Override the key sequence for detaching a container")
ATTACH = Command(
    "attach",
    "[OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
    attach,
    (
        _KEYS,
        Option("no-stdin", "bool", "Do not attach STDIN"),
        Option(
            "sig-proxy",
            "bool",
            "Proxy all received signals to the process (default true)",
            default=True,
        ),
    ),
    at_least=1,
    at_most=1,
    aliases=("container attach", "attach"),
)
START = Command(
    "start",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Start one or more stopped containers",
    start,
    (
        Option("attach", "bool", "Attach STDOUT/STDERR and forward signals", short="a"),
        _KEYS,
        Option("interactive", "bool", "Attach container's STDIN", short="i"),
        Option("checkpoint", "string", "Restore from this checkpoint", hidden=True),
    ),
    at_least=1,
    at_most=MANY,
    aliases=("container start", "start"),
)
