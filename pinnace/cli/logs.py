"""`logs`: what a container has said."""

from __future__ import annotations

from pinnace.cli import moments, streams
from pinnace.cli.arguments import Command, Failure, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pinnace.cli.invocation import Invocation


def logs(invocation: Invocation) -> None:
    container = invocation.client.get(f"/containers/{invocation.operands[0]}/json")
    try:
        since = moments.timestamp(invocation["since"])
        until = moments.timestamp(invocation["until"])
    except ValueError as error:
        raise Failure(f'invalid value for "since": {error}') from None
    query = {
        "stdout": True,
        "stderr": True,
        "since": since or None,
        "until": until or None,
        "timestamps": invocation["timestamps"],
        "details": invocation["details"],
        "follow": invocation["follow"],
        "tail": invocation["tail"],
    }
    response = invocation.client.request("GET", f"/containers/{container['Id']}/logs", query)
    try:
        streams.copy_out(iter(response), multiplexed=not container["Config"]["Tty"])
    except streams.SystemFailure as error:
        raise Failure(str(error)) from None


_MOMENT = '"2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'
LOGS = Command(
    "logs",
    "[OPTIONS] CONTAINER",
    "Fetch the logs of a container",
    logs,
    (
        Option("details", "bool", "Show extra details provided to logs"),
        Option("follow", "bool", "Follow log output", short="f"),
        Option("since", "string", f"Show logs since timestamp (e.g. {_MOMENT}"),
        Option(
            "tail",
            "string",
            'Number of lines to show from the end of the logs (default "all")',
            short="n",
            default="all",
        ),
        Option("timestamps", "bool", "Show timestamps", short="t"),
        Option("until", "string", f"Show logs before a timestamp (e.g. {_MOMENT}"),
    ),
    at_least=1,
    at_most=1,
    aliases=("container logs", "logs"),
)
