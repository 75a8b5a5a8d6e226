"""What Docker has and this engine has not, with the answers of a Docker that doesn't use it.

Swarm, plugins, registries' distribution information, checkpoints, BuildKit's sessions.
"""

from typing import Final

from pinnace import errors
from pinnace.api import messages, types
from pinnace.api.facade import Engine
from pinnace.api.messages import Request, Response
from pinnace.api.router import Handler, Route

NO_MANAGER: Final = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again."
)


def no_manager(engine: Engine, request: Request) -> Response:
    raise errors.Unavailable(NO_MANAGER)


def no_swarm(engine: Engine, request: Request) -> Response:
    raise errors.Unavailable("This node is not part of a swarm")


def swarm_unsupported(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported("swarm mode is not supported")


def list_plugins(engine: Engine, request: Request) -> Response:
    request.filters()
    return messages.raw_json(b"[]")


def no_plugin(engine: Engine, request: Request) -> Response:
    raise errors.NotFound(f'plugin "{request.names["name"]}" not found')


def plugins_unsupported(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported("plugins are not supported")


def session(engine: Engine, request: Request) -> Response:
    """BuildKit's way in, an upgrade to h2c; the connection would be given away as in attach."""
    if not request.header("Upgrade"):
        raise errors.Invalid("no upgrade proto in request")
    raise errors.Unsupported("builds with BuildKit are not supported yet")


def grpc(engine: Engine, request: Request) -> Response:
    if not request.header("Upgrade"):
        raise errors.Failed("no upgrade proto in request")
    raise errors.Unsupported("builds with BuildKit are not supported yet")


def build(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported("builds are not supported yet")


def prune_builds(engine: Engine, request: Request) -> Response:
    request.filters()
    return messages.json(types.CachesPruned())


def cancel_build(engine: Engine, request: Request) -> Response:
    if not request.text("id"):
        raise errors.Invalid("build ID not provided")
    return messages.empty(200)


def distribution(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported("registries are not supported yet")


def experimental(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported(
        "This experimental feature is disabled by default. Start the Docker daemon in "
        "experimental mode in order to enable it."
    )


def archive(engine: Engine, request: Request) -> Response:
    if not request.text("path"):
        raise errors.Invalid("bad parameter: path cannot be empty")
    engine.containers.get(request.names["name"])
    raise errors.Unsupported("copying files is not supported yet")


def _swarm_objects(noun: str, since: tuple[int, int] = (1, 24)) -> list[Route]:
    """Lists and single objects of what only a swarm has."""
    return [
        Route("GET", f"/{noun}", no_manager, since),
        Route("GET", f"/{noun}/{{id:segment}}", no_manager, since),
        Route("POST", f"/{noun}/create", no_manager, since),
        Route("POST", f"/{noun}/{{id:segment}}/update", no_manager, since),
        Route("DELETE", f"/{noun}/{{id:segment}}", no_manager, since),
    ]


def _routes(method: str, handler: Handler, *paths: str) -> list[Route]:
    return [Route(method, path, handler) for path in paths]


ROUTES: Final = [
    *_swarm_objects("services"),
    *_swarm_objects("nodes"),
    *_swarm_objects("secrets", (1, 25)),
    *_swarm_objects("configs", (1, 30)),
    *_routes(
        "GET",
        no_manager,
        "/swarm",
        "/swarm/unlockkey",
        "/services/{id:segment}/logs",
        "/tasks",
        "/tasks/{id:segment}",
        "/tasks/{id:segment}/logs",
    ),
    *_routes("POST", no_manager, "/swarm/update", "/swarm/unlock"),
    *_routes("POST", no_swarm, "/swarm/leave"),
    *_routes("POST", swarm_unsupported, "/swarm/init", "/swarm/join"),
    Route("GET", "/plugins", list_plugins),
    Route("GET", "/plugins/{name}/json", no_plugin),
    Route("DELETE", "/plugins/{name}", no_plugin),
    Route("GET", "/plugins/privileges", plugins_unsupported),
    *_routes("POST", plugins_unsupported, "/plugins/pull", "/plugins/create"),
    *_routes(
        "POST",
        no_plugin,
        "/plugins/{name}/enable",
        "/plugins/{name}/disable",
        "/plugins/{name}/push",
        "/plugins/{name}/upgrade",
        "/plugins/{name}/set",
    ),
    Route("POST", "/session", session),
    Route("POST", "/grpc", grpc),
    Route("POST", "/build", build),
    Route("POST", "/build/prune", prune_builds, since=(1, 31)),
    Route("POST", "/build/cancel", cancel_build),
    Route("GET", "/distribution/{name}/json", distribution, since=(1, 30)),
    *_routes("GET", experimental, "/containers/{name}/checkpoints"),
    *_routes("POST", experimental, "/containers/{name}/checkpoints"),
    Route("DELETE", "/containers/{name:segment}/checkpoints/{checkpoint:segment}", experimental),
    *_routes("HEAD", archive, "/containers/{name}/archive"),
    *_routes("GET", archive, "/containers/{name}/archive"),
    *_routes("PUT", archive, "/containers/{name}/archive"),
]
