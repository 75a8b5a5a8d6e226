"""/networks: those that are always there; making more is not offered yet."""

from typing import Final

from pinnace import errors
from pinnace.api import messages, types, versions
from pinnace.api.facade import Engine
from pinnace.api.messages import Request, Response
from pinnace.api.router import Route


def list_networks(engine: Engine, request: Request) -> Response:
    networks = engine.networks.list(request.filters())
    return messages.json(versions.network_summaries(networks, request.version))


def inspect(engine: Engine, request: Request) -> Response:
    shown = dict(engine.networks.inspect(request.names["name"]))
    return messages.json(versions.network_inspect(shown, request.version))


def remove(engine: Engine, request: Request) -> Response:
    name = engine.networks.inspect(request.names["name"])["Name"]
    raise errors.Forbidden(f"{name} is a pre-defined network and cannot be removed")


def prune(engine: Engine, request: Request) -> Response:
    request.filters()
    return messages.json(types.NetworksPruned())


def unsupported(engine: Engine, request: Request) -> Response:
    raise errors.Unsupported("networks of one's own are not supported yet")


ROUTES: Final = [
    Route("GET", "/networks", list_networks),
    Route("GET", "/networks/", list_networks),
    Route("GET", "/networks/{name}", inspect),
    Route("POST", "/networks/create", unsupported),
    Route("POST", "/networks/{name}/connect", unsupported),
    Route("POST", "/networks/{name}/disconnect", unsupported),
    Route("POST", "/networks/prune", prune, since=(1, 25)),
    Route("DELETE", "/networks/{name}", remove),
]
