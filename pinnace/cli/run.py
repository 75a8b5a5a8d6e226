"""`run` and `create`."""

from __future__ import annotations

import os

from pinnace.cli import create as creation
from pinnace.cli import run_options, terminal
from pinnace.cli.arguments import MANY, Command, Failure
from pinnace.cli.client import DaemonError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Document = dict[str, Any]

_NOT_EXECUTABLE = ("permission denied", "is a directory")
_NOT_THERE = (
    "executable file not found",
    "no such file or directory",
    "system cannot find the file specified",
)


def create(invocation: Invocation) -> None:
    body = _body(invocation, "create")
    terminal.say(_create(invocation, body))


def run(invocation: Invocation) -> int:
    body = _body(invocation, "run")
    if invocation["detach"]:
        if invocation["attach"]:
            raise Failure("conflicting options: cannot specify both --attach and --detach")
        for key in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"):
            body[key] = False
    else:
        check_terminal(stdin=body["AttachStdin"], tty=body["Tty"])
    try:
        ident = _create(invocation, body)
    except (DaemonError, Unreachable, Failure) as error:
        raise _with_status(invocation, error) from None
    if not any(body[key] for key in ("AttachStdin", "AttachStdout", "AttachStderr")):
        return _run_apart(invocation, ident, removed=body["HostConfig"]["AutoRemove"])
    from pinnace.cli import session

    attached = session.Attached(
        invocation,
        ident,
        tty=body["Tty"],
        stdin=body["AttachStdin"],
        stdout=body["AttachStdout"],
        stderr=body["AttachStderr"],
        removed=body["HostConfig"]["AutoRemove"],
    )
    try:
        return attached.start_and_follow(proxy=invocation["sig-proxy"])
    except session.NotStarted as error:
        raise _with_status(invocation, error.reason) from None


def _run_apart(invocation: Invocation, ident: str, *, removed: bool) -> int:
    try:
        invocation.client.post(f"/containers/{ident}/start")
    except (DaemonError, Unreachable) as error:
        raise _with_status(invocation, error) from None
    finally:
        # Also when it doesn't start: the container is there, and this is how it is found.
        terminal.say(ident)
    return 0


def check_terminal(*, stdin: bool, tty: bool) -> None:
    if stdin and tty and not terminal.is_terminal(terminal.STDIN):
        raise Failure("the input device is not a TTY")


def _body(invocation: Invocation, command: str) -> Document:
    refused = [
        f'"--{name}" is only supported on a Docker daemon running on windows, '
        "but the Docker daemon is running on linux"
        for name in ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")
        if name in invocation.arguments.changed
    ]
    if refused:
        raise Failure("\n".join(refused))
    pull = invocation["pull"]
    try:
        if pull not in ("always", "missing", "never", ""):
            raise ValueError(
                f'invalid pull option: \'{pull}\': must be one of "always", "missing" or "never"'
            )
        if invocation["use-api-socket"]:
            raise ValueError("--use-api-socket is not supported; use -v with the socket's path")
        image, *words = invocation.operands
        return creation.body(
            invocation.arguments,
            image,
            words,
            proxies=invocation.config.proxies(invocation.environment.get("DOCKER_HOST", "")),
            console=terminal.size(),
        )
    except ValueError as error:
        raise Failure(_with_help(invocation.program, str(error), command), status=125) from None


def _with_help(program: str, message: str, command: str) -> str:
    return f"{program}: {message}\n\nRun '{program} {command} --help' for more information"


def _with_status(invocation: Invocation, error: Exception) -> Failure:
    """Docker's three statuses, told apart by the daemon's words as Docker's client does."""
    message = str(error)
    status = 125
    if any(words in message for words in _NOT_THERE):
        status = 127
    elif any(words in message.lower() for words in _NOT_EXECUTABLE):
        status = 126
    return Failure(_with_help(invocation.program, message, "run"), status=status)


def _create(invocation: Invocation, body: Document) -> str:
    """Creates the container, pulling its image if need be; its id."""
    from pinnace.cli import reference

    cid_path = invocation["cidfile"]
    if cid_path:
        _check_cid_file(cid_path)
    try:
        image = reference.parse(body["Image"])
    except ValueError as error:
        raise Failure(str(error)) from None
    if invocation["pull"] == "always":
        _pull(invocation, body["Image"])
    query = {
        "name": invocation["name"] or None,
        "platform": reference.platform(invocation["platform"]) or None,
    }
    try:
        created = invocation.client.post("/containers/create", query, body)
    except DaemonError as error:
        missing = error.status == 404 and image is not None and invocation["pull"] == "missing"
        if not missing:
            raise
        if not invocation["quiet"]:
            terminal.warn(f"Unable to find image '{image}' locally")
        _pull(invocation, body["Image"])
        created = invocation.client.post("/containers/create", query, body)
    for warning in [*(created.get("Warnings") or ()), *_dns_warnings(body)]:
        terminal.warn(f"WARNING: {warning}")
    ident: str = created["Id"]
    if cid_path:
        _write_cid_file(cid_path, ident)
    return ident


def _pull(invocation: Invocation, image: str) -> None:
    from pinnace.cli import registry

    registry.pull(invocation, image, platform=invocation["platform"], quiet=invocation["quiet"])


def _dns_warnings(body: Document) -> list[str]:
    for server in body["HostConfig"]["Dns"]:
        if server.startswith("127.") or server == "::1":
            return [f"Localhost DNS ({server}) may fail in containers."]
    return []


def _check_cid_file(path: str) -> None:
    """The file must be new, and its folder must be there, before anything is created."""
    if os.path.exists(path):
        raise Failure(
            "container ID file found, make sure the other container isn't running or delete " + path
        )
    if not os.access(os.path.dirname(path) or ".", os.W_OK):
        raise Failure(
            f"failed to create the container ID file: open {path}: no such file or directory"
        )


def _write_cid_file(path: str, ident: str) -> None:
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(ident)
    except OSError as error:
        raise Failure(f"failed to write the container ID to the file: {error}") from None


RUN = Command(
    "run",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create and run a new container from an image",
    run,
    run_options.RUN,
    at_least=1,
    at_most=MANY,
    interspersed=False,
    aliases=("container run", "run"),
)
CREATE = Command(
    "create",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create a new container",
    create,
    run_options.CREATE,
    at_least=1,
    at_most=MANY,
    interspersed=False,
    aliases=("container create", "create"),
)
