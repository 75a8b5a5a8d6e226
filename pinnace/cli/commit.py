"""`commit`: an image of what a container has become."""

from __future__ import annotations

from pinnace.cli import reference, terminal
from pinnace.cli.arguments import Command, Failure, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pinnace.cli.invocation import Invocation


def commit(invocation: Invocation) -> None:
    container, *names = invocation.operands
    repository, tag = "", ""
    if names and names[0]:
        try:
            name = reference.named(names[0])
        except ValueError as error:
            raise Failure(str(error)) from None
        if name.digest:
            raise Failure("refusing to create a tag with a digest reference")
        repository, tag = name.full, name.tag or "latest"
    query = {
        "container": container,
        "repo": repository,
        "tag": tag,
        "comment": invocation["message"],
        "author": invocation["author"],
        "changes": invocation["change"],
        # Pausing is what the daemon does when nothing is said.
        "pause": None if invocation["pause"] else "0",
    }
    terminal.say(invocation.client.post("/commit", query)["Id"])


COMMIT = Command(
    "commit",
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
    commit,
    (
        Option(
            "author",
            "string",
            'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")',
            short="a",
        ),
        Option("change", "list", "Apply Dockerfile instruction to the created image", short="c"),
        Option("message", "string", "Commit message", short="m"),
        Option(
            "pause",
            "bool",
            "Pause container during commit (default true)",
            short="p",
            default=True,
        ),
    ),
    at_least=1,
    at_most=2,
    interspersed=False,
    aliases=("container commit", "commit"),
)
