"""/volumes."""

from typing import Final

from pinnace import errors
from pinnace.api import containers, messages, types
from pinnace.api.facade import Engine
from pinnace.api.messages import Request, Response
from pinnace.api.router import Route
from pinnace.engine.documents import VolumeCreateRequest


def list_volumes(engine: Engine, request: Request) -> Response:
    volumes, warnings = engine.volumes.list(request.filters())
    return messages.json({"Volumes": list(volumes), "Warnings": list(warnings) or None})


def inspect(engine: Engine, request: Request) -> Response:
    return messages.json(engine.volumes.inspect(request.names["name"]))


def create(engine: Engine, request: Request) -> Response:
    containers.check_json(request)
    wanted = containers.decode_optional(request.document, VolumeCreateRequest)
    volume = engine.volumes.create(wanted.name, wanted.driver, wanted.driver_opts, wanted.labels)
    return messages.json(volume, 201)


def update(engine: Engine, request: Request) -> Response:
    raise errors.Unavailable(
        "volume update only valid for cluster volumes, but swarm is unavailable"
    )


def remove(engine: Engine, request: Request) -> Response:
    engine.volumes.remove(request.names["name"], force=request.flag("force"))
    return messages.empty()


def prune(engine: Engine, request: Request) -> Response:
    filters = request.filters()
    if request.version < (1, 42):
        filters["all"] = ["true"]  # named volumes went, too
    names, reclaimed = engine.volumes.prune(filters)
    return messages.json(types.VolumesPruned(list(names), reclaimed))


ROUTES: Final = [
    Route("GET", "/volumes", list_volumes),
    Route("GET", "/volumes/{name}", inspect),
    Route("POST", "/volumes/create", create, document=True),
    Route("POST", "/volumes/prune", prune, since=(1, 25), slow=True),
    Route("PUT", "/volumes/{name}", update, since=(1, 42)),
    Route("DELETE", "/volumes/{name}", remove),
]
