"""`login` and `logout`: credentials of registries, kept in Docker's config.json."""

from __future__ import annotations

import os

from pinnace.cli import terminal
from pinnace.cli.arguments import Command, Failure, Option
from pinnace.cli.registry import HUB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pinnace.cli.invocation import Invocation

_UNSAFE = (
    "WARNING! Your credentials are stored unencrypted in '{path}'.\n"
    "Configure a credential helper to remove this warning. See\n"
    "https://docs.docker.com/go/credential-store/\n"
)


def login(invocation: Invocation) -> None:
    server = _address(invocation.operands)
    user, password = invocation["username"], invocation["password"]
    if invocation["password-stdin"]:
        if password:
            raise Failure(
                "conflicting options: cannot specify both --password and --password-stdin"
            )
        if not user:
            raise Failure("the --password-stdin option requires --username to be set")
        password = _standard_input().rstrip("\r\n")
    elif password:
        terminal.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if not user or not password:
        user, password = _ask(user, password)
    auth = {"username": user, "password": password, "serveraddress": server}
    answer = invocation.client.post("/auth", None, auth) or {}
    _keep(invocation, server, user, password, answer.get("IdentityToken", ""))
    if answer.get("Status"):
        terminal.say(answer["Status"])


def logout(invocation: Invocation) -> None:
    server = _address(invocation.operands)
    config = invocation.config
    auths = config.document.get("auths") or {}
    known = [name for name in (server, f"https://{server}", f"http://{server}") if name in auths]
    terminal.say(f"Removing login credentials for {server}")
    for name in known:
        del auths[name]
    if known:
        config.save()


def _address(operands: list[str]) -> str:
    """The registry as credentials are filed: a host, or Docker Hub's old address."""
    if not operands:
        return HUB
    host = operands[0].removeprefix("https://").removeprefix("http://").rstrip("/")
    return HUB if host in ("docker.io", "index.docker.io", "registry-1.docker.io") else host


def _standard_input() -> str:
    data = b""
    while more := os.read(terminal.STDIN, 65536):
        data += more
    return data.decode()


def _ask(user: str, password: str) -> tuple[str, str]:
    if not terminal.is_terminal(terminal.STDIN):
        raise Failure("Error: Cannot perform an interactive login from a non TTY device")
    import getpass
    import sys

    if not user:
        terminal.write("Username: ")
        user = sys.stdin.readline().strip()
        if not user:
            raise Failure("Error: Non-null Username Required")
    password = password or getpass.getpass("Password: ")
    if not password:
        raise Failure("Error: Password Required")
    return user, password


def _keep(invocation: Invocation, server: str, user: str, password: str, token: str) -> None:
    import base64

    config = invocation.config
    if config.document.get("credsStore") or config.document.get("credHelpers"):
        raise Failure("credential helpers are not supported: remove credsStore from " + config.path)
    secret = base64.b64encode(f"{user}:{'' if token else password}".encode()).decode()
    entry = {"auth": secret, **({"identitytoken": token} if token else {})}
    config.document.setdefault("auths", {})[server] = entry
    config.save()
    terminal.write(_UNSAFE.format(path=config.path), terminal.STDERR)


LOGIN = Command(
    "login",
    "[OPTIONS] [SERVER]",
    "Authenticate to a registry",
    login,
    (
        Option("password", "string", "Password or Personal Access Token (PAT)", short="p"),
        Option(
            "password-stdin", "bool", "Take the Password or Personal Access Token (PAT) from stdin"
        ),
        Option("username", "string", "Username", short="u"),
    ),
    at_most=1,
    long="Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
)
LOGOUT = Command(
    "logout",
    "[SERVER]",
    "Log out from a registry",
    logout,
    at_most=1,
    long="Log out from a registry.\n"
    "If no server is specified, the default is defined by the daemon.",
)
