"""`runtime`: the OCI runtime's own command line, whose arguments are not ours to read."""

from __future__ import annotations

from pinnace.cli.arguments import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pinnace.cli.invocation import Invocation


def runtime(invocation: Invocation) -> int:
    from pinnace.runtime import command

    return int(command.main(list(invocation.raw)) or 0)


RUNTIME = Command(
    "runtime",
    "COMMAND [ARG...]",
    "Run a bundle as an OCI runtime does",
    runtime,
    raw=True,
)
