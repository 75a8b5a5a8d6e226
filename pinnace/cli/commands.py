"""Which module has which command; nothing is imported before it is asked for.

A name maps to `module.COMMAND`; the groups repeat the names of the top level.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pinnace.cli.arguments import Command

TOP = {
    "attach": "attach.ATTACH",
    "commit": "commit.COMMIT",
    "cp": "cp.CP",
    "create": "run.CREATE",
    "daemon": "daemon.DAEMON",
    "diff": "container.DIFF",
    "events": "events.EVENTS",
    "exec": "exec.EXEC",
    "export": "transfer.EXPORT",
    "history": "image.HISTORY",
    "images": "image.IMAGES",
    "import": "transfer.IMPORT",
    "info": "info.INFO",
    "inspect": "inspect.INSPECT",
    "kill": "container.KILL",
    "load": "transfer.LOAD",
    "login": "login.LOGIN",
    "logout": "login.LOGOUT",
    "logs": "logs.LOGS",
    "pause": "container.PAUSE",
    "port": "container.PORT",
    "ps": "ps.PS",
    "pull": "registry.PULL",
    "push": "registry.PUSH",
    "rename": "container.RENAME",
    "restart": "container.RESTART",
    "rm": "container.RM",
    "rmi": "image.RMI",
    "run": "run.RUN",
    "runtime": "runtime.RUNTIME",
    "save": "transfer.SAVE",
    "search": "registry.SEARCH",
    "start": "attach.START",
    "stats": "stats.STATS",
    "stop": "container.STOP",
    "tag": "image.TAG",
    "top": "container.TOP",
    "unpause": "container.UNPAUSE",
    "update": "update.UPDATE",
    "version": "version.VERSION",
    "wait": "container.WAIT",
}

_CONTAINER = (
    "attach commit cp create diff exec export kill logs pause port rename restart rm run start "
    "stats stop top unpause update wait"
)
_IMAGE = "history import load pull push save tag"

GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "builder": (
        "Manage builds",
        {"prune": "builder.PRUNE"},
    ),
    "container": (
        "Manage containers",
        {name: TOP[name] for name in _CONTAINER.split()}
        | {
            "inspect": "inspect.CONTAINER_INSPECT",
            "ls": "ps.LS",
            "prune": "container.PRUNE",
        },
    ),
    "image": (
        "Manage images",
        {name: TOP[name] for name in _IMAGE.split()}
        | {
            "inspect": "inspect.IMAGE_INSPECT",
            "ls": "image.LS",
            "prune": "image.PRUNE",
            "rm": "image.RM",
        },
    ),
    "network": (
        "Manage networks",
        {
            "connect": "network.CONNECT",
            "create": "network.CREATE",
            "disconnect": "network.DISCONNECT",
            "inspect": "inspect.NETWORK_INSPECT",
            "ls": "network.LS",
            "prune": "network.PRUNE",
            "rm": "network.RM",
        },
    ),
    "system": (
        "Manage the engine",
        {
            "df": "system.DF",
            "events": "events.EVENTS",
            "info": "info.INFO",
            "prune": "system.PRUNE",
        },
    ),
    "volume": (
        "Manage volumes",
        {
            "create": "volume.CREATE",
            "inspect": "inspect.VOLUME_INSPECT",
            "ls": "volume.LS",
            "prune": "volume.PRUNE",
            "rm": "volume.RM",
        },
    ),
}

# Other names of commands within their groups.
ALIASES = {
    ("container", "list"): "ls",
    ("container", "ps"): "ls",
    ("container", "remove"): "rm",
    ("image", "list"): "ls",
    ("image", "remove"): "rm",
    ("network", "list"): "ls",
    ("network", "remove"): "rm",
    ("volume", "list"): "ls",
    ("volume", "remove"): "rm",
}

COMMON = (
    *("run", "exec", "ps", "pull", "push", "images"),
    *("login", "logout", "search", "version", "info"),
)


def load(place: str) -> Command:
    """The command at `module.COMMAND`."""
    module, _, name = place.partition(".")
    found = __import__(f"pinnace.cli.{module}", fromlist=(name,))
    command: Command = getattr(found, name)
    return command
