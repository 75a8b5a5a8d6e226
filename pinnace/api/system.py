"""/_ping, /version, /info, /auth, /system/df, and OPTIONS of anything."""

from typing import Final

from pinnace import errors
from pinnace.api import disk_usage, messages, router, versions
from pinnace.api.facade import Engine
from pinnace.api.messages import Headers, Request, Response
from pinnace.api.router import Route

# Which builder clients should use: "1" is POST /build, "2" would be BuildKit.
BUILDER: Final = "1"

PING_HEADERS: Final[Headers] = (
    ("Builder-Version", BUILDER),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Pragma", "no-cache"),
    ("Swarm", "inactive"),
)


def ping(engine: Engine, request: Request) -> Response:
    return Response(200, PING_HEADERS, b"OK" if request.method == "GET" else b"")


def options(engine: Engine, request: Request) -> Response:
    return Response(200)


def version(engine: Engine, request: Request) -> Response:
    spoken = {
        "ApiVersion": router.spell(router.NEWEST),
        "MinAPIVersion": router.spell(router.OLDEST),
    }
    shown = {**engine.system.version(), **spoken}
    first, *others = shown["Components"]
    first = {**first, "Details": {**first["Details"], **spoken}}
    return messages.json({**shown, "Components": [first, *others]})


def info(engine: Engine, request: Request) -> Response:
    return messages.json(versions.info(dict(engine.system.info()), request.version))


def auth(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported("login to registries is not supported yet")


def df(engine: Engine, request: Request) -> Response:
    wanted = disk_usage.wanted(request)
    return messages.json(disk_usage.show(engine.system.df(), wanted, request))


ROUTES: Final = [
    Route("GET", "/_ping", ping, inline=True),
    Route("HEAD", "/_ping", ping, inline=True),
    Route("OPTIONS", "/{anything}", options, inline=True),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("POST", "/auth", auth),
    Route("GET", "/system/df", df, slow=True),
]
