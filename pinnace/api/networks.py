"""/networks: those that are always there; making more is not offered yet."""

from typing import Final

from pinnace.api import containers, messages, types, versions
from pinnace.api.facade import Engine
from pinnace.api.messages import Request, Response
from pinnace.api.router import Route
from pinnace.engine.documents import Document


def list_networks(engine: Engine, request: Request) -> Response:
    networks = engine.networks.list(request.filters())
    return messages.json(versions.network_summaries(networks, request.version))


def inspect(engine: Engine, request: Request) -> Response:
    shown = dict(engine.networks.inspect(request.names["name"]))
    return messages.json(versions.network_inspect(shown, request.version))


class NetworkCreateRequest(Document, frozen=True):
    name: str = ""


class NetworkConnectRequest(Document, frozen=True):
    """Also of disconnect."""

    container: str = ""


def create(engine: Engine, request: Request) -> Response:
    containers.check_json(request)
    wanted = containers.decode_optional(request.document, NetworkCreateRequest)
    engine.networks.create(wanted.name)
    return messages.empty(201)


def connect(engine: Engine, request: Request) -> Response:
    containers.check_json(request)
    wanted = containers.decode_optional(request.document, NetworkConnectRequest)
    engine.networks.connect(request.names["name"], wanted.container)
    return messages.empty(200)


def disconnect(engine: Engine, request: Request) -> Response:
    containers.check_json(request)
    wanted = containers.decode_optional(request.document, NetworkConnectRequest)
    engine.networks.disconnect(request.names["name"], wanted.container)
    return messages.empty(200)


def remove(engine: Engine, request: Request) -> Response:
    engine.networks.remove(request.names["name"])
    return messages.empty()


def prune(engine: Engine, request: Request) -> Response:
    request.filters()
    return messages.json(types.NetworksPruned())


ROUTES: Final = [
    Route("GET", "/networks", list_networks),
    Route("GET", "/networks/", list_networks),
    Route("GET", "/networks/{name}", inspect),
    Route("POST", "/networks/create", create, document=True),
    Route("POST", "/networks/{name}/connect", connect, document=True),
    Route("POST", "/networks/{name}/disconnect", disconnect, document=True),
    Route("POST", "/networks/prune", prune, since=(1, 25)),
    Route("DELETE", "/networks/{name}", remove),
]
