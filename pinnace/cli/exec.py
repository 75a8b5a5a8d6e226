"""`exec`: one more process in a running container."""

from __future__ import annotations

import os

from pinnace.cli import specifications, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option
from pinnace.cli.client import DaemonError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Document = dict[str, Any]


def execute(invocation: Invocation) -> int:
    container, *words = invocation.operands
    body = _body(invocation, words)
    client = invocation.client
    # A missing container is told before a missing terminal.
    client.get(f"/containers/{container}/json")
    if not invocation["detach"]:
        from pinnace.cli.run import check_terminal

        check_terminal(stdin=body["AttachStdin"], tty=body["Tty"])
    ident: str = client.post(f"/containers/{container}/exec", None, body)["Id"]
    begin: Document = {"Detach": invocation["detach"], "Tty": body["Tty"]}
    if body["Tty"]:
        begin["ConsoleSize"] = body["ConsoleSize"]
    if invocation["detach"]:
        client.post(f"/exec/{ident}/start", None, begin)
        return 0
    return _follow(invocation, ident, body, begin)


def _body(invocation: Invocation, words: list[str]) -> Document:
    from pinnace.cli import create

    arguments = invocation.arguments
    attach = not arguments.flag("detach")
    try:
        variables = create.key_values(
            arguments.texts("env-file"), arguments.texts("env"), os.environ.get
        )
    except ValueError as error:
        raise Failure(str(error)) from None
    tty = arguments.flag("tty")
    body: Document = {
        "User": arguments.text("user"),
        "Privileged": arguments.flag("privileged"),
        "Tty": tty,
        "AttachStdin": attach and arguments.flag("interactive"),
        "AttachStderr": attach,
        "AttachStdout": attach,
        "DetachKeys": arguments.text("detach-keys") or invocation.config.text("detachKeys"),
        "Env": variables or None,
        "WorkingDir": arguments.text("workdir"),
        "Cmd": words,
    }
    if tty:
        body["ConsoleSize"] = list(terminal.size())
    return body


def _follow(invocation: Invocation, ident: str, body: Document, begin: Document) -> int:
    from pinnace.cli import session
    from pinnace.cli.streams import Conversation

    connection = invocation.new_client().hijack(f"/exec/{ident}/start", None, begin)
    sized = body["Tty"] and terminal.is_terminal(terminal.STDIN)
    talk = Conversation(
        connection,
        tty=body["Tty"],
        stdin=body["AttachStdin"],
        output=True,
        keys=session.detach_keys(invocation),
        resize=session.resizer(invocation, f"/exec/{ident}/resize") if sized else None,
    )
    session.carry(talk)
    if talk.detached:
        raise Failure("read escape sequence")
    try:
        return int(invocation.client.get(f"/exec/{ident}/json")["ExitCode"] or 0)
    except Unreachable:
        return 255
    except DaemonError as error:
        raise Failure(str(error)) from None


EXEC = Command(
    "exec",
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    "Execute a command in a running container",
    execute,
    (
        Option("detach", "bool", "Detached mode: run command in the background", short="d"),
        Option("detach-keys", "string", "Override the key sequence for detaching a container"),
        Option(
            "env", "list", "Set environment variables", short="e", check=specifications.variable
        ),
        Option("env-file", "list", "Read in a file of environment variables"),
        Option("interactive", "bool", "Keep STDIN open even if not attached", short="i"),
        Option("privileged", "bool", "Give extended privileges to the command"),
        Option("tty", "bool", "Allocate a pseudo-TTY", short="t"),
        Option("user", "string", 'Username or UID (format: "<name|uid>[:<group|gid>]")', short="u"),
        Option("workdir", "string", "Working directory inside the container", short="w"),
    ),
    at_least=2,
    at_most=MANY,
    interspersed=False,
    aliases=("container exec", "exec"),
)
