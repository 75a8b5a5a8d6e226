"""`builder prune`."""

from __future__ import annotations

from pinnace.cli.arguments import Command, Option
from pinnace.cli.container import confirm, say_pruned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pinnace.cli.invocation import Invocation


def prune(invocation: Invocation) -> None:
    what = "all build cache" if invocation["all"] else "all dangling build cache"
    if not invocation["force"] and not confirm(f"WARNING! This will remove {what}."):
        return
    query = {
        "all": invocation["all"],
        "keep-storage": invocation["keep-storage"] or None,
        "filters": invocation["filter"] or None,
    }
    done = invocation.client.post("/build/prune", query)
    deleted = done.get("CachesDeleted")
    say_pruned("Deleted build cache objects:", deleted, done.get("SpaceReclaimed", 0))


PRUNE = Command(
    "prune",
    "",
    "Remove build cache",
    prune,
    (
        Option("all", "bool", "Remove all unused build cache, not just dangling ones", short="a"),
        Option("filter", "filter", 'Provide filter values (e.g. "until=24h")'),
        Option("force", "bool", "Do not prompt for confirmation", short="f"),
        Option("keep-storage", "bytes", "Amount of disk space to keep for cache"),
    ),
)
