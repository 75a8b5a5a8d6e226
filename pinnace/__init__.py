"""A container engine: Docker's API, confined by default, quick to start.

import pinnace

with pinnace.Engine.open(pinnace.Settings(data_root="/tmp/d", runtime_root="/tmp/r")) as engine:
    ...
"""

TYPE_CHECKING = False  # typing costs the command line a third of its start
if TYPE_CHECKING:
    from pinnace.engine.engine import Engine
    from pinnace.engine.settings import Settings

__version__ = "0.1.0"
__all__ = ["Engine", "Settings", "__version__"]


def __getattr__(name: str) -> object:
    """The engine is imported when it is asked for: the client and the runtime need none of it."""
    if name == "Engine":
        from pinnace.engine.engine import Engine

        return Engine
    if name == "Settings":
        from pinnace.engine.settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
