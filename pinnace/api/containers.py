"""/containers and /commit."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, TypeVar

from pinnace import errors
from pinnace.api import container_json, forms, messages, streams, types, versions, versions_create
from pinnace.api.container_json import Summaries
from pinnace.api.facade import Engine, Exit, StatsWatch
from pinnace.api.messages import Request, Response
from pinnace.api.router import Route, in_thread
from pinnace.engine import codec, documents
from pinnace.engine.documents import Container, CreateRequest
from pinnace.engine.requests import LogOptions

T = TypeVar("T")

CONDITIONS: Final = frozenset({"not-running", "next-exit", "removed"})

SAMPLE_SECONDS: Final = 1.0

# One for all engines of a process: containers' ids are unique.
_summaries = Summaries()


def list_containers(engine: Engine, request: Request) -> Response:
    filters = request.filters()
    size = request.flag("size")
    containers = engine.containers.list(
        all=request.flag("all"),
        limit=request.integer("limit") or 0,
        size=size,
        filters=filters,
    )
    names = ImageNames(engine)
    items = [
        _summaries.item(
            container,
            names.of(container),
            engine.containers.sizes(container.id) if size else None,
            request.version,
        )
        for container in containers
    ]
    if not filters and request.flag("all"):
        _summaries.keep_only({container.id for container in containers})
    return messages.raw_json(b"[" + b",".join(items) + b"]")


class ImageNames:
    """How a list names images: as at `create`, or by id where the name now means another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ids: dict[str, str] = {}

    def of(self, container: Container) -> str:
        name = container.config.image
        if name not in self._ids:
            self._ids[name] = self._resolve(name)
        return name if self._ids[name] == container.image else container.image

    def _resolve(self, name: str) -> str:
        try:
            return str(self._engine.images.resolve(name).id)
        except errors.PinnaceError:
            return ""


def inspect(engine: Engine, request: Request) -> Response:
    container = engine.containers.get(request.names["name"])
    sizes = engine.containers.sizes(container.id) if request.flag("size") else None
    shown = container_json.inspect(container, sizes)
    return messages.json(versions.container_inspect(shown, request.version))


def create(engine: Engine, request: Request) -> Response:
    check_json(request)
    decoded: CreateRequest = documents.decode_create(request.document)
    wanted, warnings = versions_create.create_request(decoded, request.version)
    assert wanted.config and wanted.host_config and wanted.networking_config
    platform = request.text("platform") if request.version >= (1, 41) else ""
    ident, more = engine.containers.create(
        request.text("name") or None,
        wanted.config,
        wanted.host_config,
        wanted.networking_config,
        platform or None,
    )
    return messages.json(types.CreateResponse(ident, [*more, *warnings]), 201)


def check_json(request: Request) -> None:
    """Docker's CheckForJSON: a body must say that it is JSON; no body need not."""
    content_type = request.header("Content-Type")
    if not content_type and request.content_length == 0:
        return
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type:
        raise errors.Invalid("malformed Content-Type header (): mime: no media type")
    if media_type != "application/json":
        raise errors.Invalid(
            f"unsupported Content-Type header ({content_type}): must be 'application/json'"
        )


def decode_optional(document: bytes, kind: type[T]) -> T:
    """A body where none is as good as an empty one."""
    return codec.decode(document, kind) if document else codec.convert({}, kind)


def start(engine: Engine, request: Request) -> Response:
    # A JSON object with anything in it has at least seven characters.
    if request.content_length > 7 or request.content_length == -1:
        raise errors.Invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and "
            "removed in v1.24"
        )
    if request.text("checkpoint"):
        raise errors.Unsupported("checkpoints are not supported")
    engine.containers.start(request.names["name"])
    return messages.empty()


def stop(engine: Engine, request: Request) -> Response:
    signal = versions.stop_signal(request.text("signal"), request.version)
    engine.containers.stop(request.names["name"], request.integer("t"), signal)
    return messages.empty()


def restart(engine: Engine, request: Request) -> Response:
    signal = versions.stop_signal(request.text("signal"), request.version)
    engine.containers.restart(request.names["name"], request.integer("t"), signal)
    return messages.empty()


def kill(engine: Engine, request: Request) -> Response:
    name = request.names["name"]
    try:
        engine.containers.kill(name, request.text("signal") or None)
    except errors.PinnaceError as error:
        prefix = f"cannot kill container: {name}: "
        raise type(error)(prefix + error.message.removeprefix(prefix)) from error
    return messages.empty()


def pause(engine: Engine, request: Request) -> Response:
    engine.containers.pause(request.names["name"])
    return messages.empty()


def unpause(engine: Engine, request: Request) -> Response:
    engine.containers.unpause(request.names["name"])
    return messages.empty()


def rename(engine: Engine, request: Request) -> Response:
    engine.containers.rename(request.names["name"], request.text("name"))
    return messages.empty()


def resize(engine: Engine, request: Request) -> Response:
    height = forms.dimension(request.text("h"), "height")
    width = forms.dimension(request.text("w"), "width")
    engine.containers.resize(request.names["name"], height, width)
    return Response(200)


def update(engine: Engine, request: Request) -> Response:
    check_json(request)
    wanted = versions.update_config(
        decode_optional(request.document, documents.UpdateConfig), request.version
    )
    warnings = engine.containers.update(request.names["name"], wanted)
    return messages.json(types.UpdateResponse(list(warnings) or None))


def remove(engine: Engine, request: Request) -> Response:
    engine.containers.remove(
        request.names["name"],
        force=request.flag("force"),
        volumes=request.flag("v"),
        link=request.flag("link"),
    )
    return messages.empty()


def top(engine: Engine, request: Request) -> Response:
    titles, rows = engine.containers.top(request.names["name"], request.text("ps_args"))
    return messages.json(types.TopResponse([list(row) for row in rows], list(titles)))


def changes(engine: Engine, request: Request) -> Response:
    found = engine.containers.changes(request.names["name"])
    return messages.json([types.Change(path, kind) for kind, path in found] or None)


def prune(engine: Engine, request: Request) -> Response:
    ids, reclaimed = engine.containers.prune(request.filters())
    return messages.json(types.ContainersPruned(list(ids) or None, reclaimed))


def export(engine: Engine, request: Request) -> Response:
    return streams.pull(
        engine.containers.export(request.names["name"]), request, "application/octet-stream"
    )


def commit(engine: Engine, request: Request) -> Response:
    check_json(request)
    config = None
    if request.document.strip() not in (b"", b"null"):
        config = codec.decode(request.document, documents.ContainerConfig)
    image = engine.containers.commit(
        request.text("container"),
        repo=request.text("repo"),
        tag=request.text("tag"),
        comment=request.text("comment"),
        author=request.text("author"),
        pause=request.flag("pause", default=True),
        changes=request.texts("changes"),
        config=config,
    )
    return messages.json(types.Id(image), 201)


async def wait(engine: Engine, request: Request) -> Response:
    """From 1.30 the head says that the wait has begun; the body comes when it is over."""
    condition = "not-running"
    if request.version >= (1, 30):
        condition = request.text("condition") or condition
        if condition not in CONDITIONS:
            raise errors.Invalid(f'invalid condition: "{condition}"')
    name = request.names["name"]
    ending = await in_thread(request.pool, engine.containers.wait, name, condition)
    coming = asyncio.wrap_future(ending)
    if request.version < (1, 30):
        return messages.json(wait_response(await coming))
    headers = (("Content-Type", "application/json"),)
    return Response(200, headers, _when_ended(coming), ending.cancel)


async def _when_ended(coming: "asyncio.Future[Exit]") -> AsyncGenerator[bytes, None]:
    yield b""
    yield streams.json_line(wait_response(await coming))


async def stats(engine: Engine, request: Request) -> Response:
    """A sample each second, or one that is told with the one before it, or just one."""
    watch = await in_thread(request.pool, engine.stats.watch, request.names["name"])
    samples = sampled(watch, request)
    if request.flag("stream", default=True):
        return Response(200, (("Content-Type", "application/json"),), samples)
    one_shot = request.version >= (1, 41) and request.flag("one-shot")
    container = await in_thread(request.pool, engine.containers.get, request.names["name"])
    encoded = await anext(samples)
    if container.state.running and not one_shot:
        encoded = await anext(samples, encoded)
    return Response(200, (("Content-Type", "application/json"),), encoded)


async def sampled(watch: StatsWatch, request: Request) -> AsyncGenerator[bytes, None]:
    while True:
        shown = await in_thread(request.pool, watch.next)
        yield streams.json_line(versions.stats(shown, request.version))
        await asyncio.sleep(SAMPLE_SECONDS)
        if watch.over:
            return


def wait_response(ended: Exit) -> types.WaitResponse:
    code, error = ended
    return types.WaitResponse(code, types.WaitError(error) if error else None)


async def logs(engine: Engine, request: Request) -> Response:
    if not (request.flag("stdout") or request.flag("stderr")):
        raise errors.Invalid("Bad parameters: you must choose at least one stream")
    name = request.names["name"]
    container = await in_thread(request.pool, engine.containers.get, name)
    reader = await in_thread(request.pool, engine.containers.logs, name, log_options(request))
    kind = versions.stream_type(request.version, multiplexed=not container.config.tty)
    return Response(
        200,
        (("Content-Type", kind),),
        streams.read_log(reader, request.pool),
        lambda: request.pool.submit(reader.close),
    )


def log_options(request: Request) -> LogOptions:
    return LogOptions(
        stdout=request.flag("stdout"),
        stderr=request.flag("stderr"),
        since=forms.nanoseconds(request.text("since")),
        until=forms.nanoseconds(request.text("until")),
        timestamps=request.flag("timestamps"),
        tail=request.text("tail"),
        follow=request.flag("follow"),
        details=request.flag("details"),
    )


ROUTES: Final = [
    Route("GET", "/containers/json", list_containers),
    Route("GET", "/containers/{name}/export", export, slow=True),
    Route("GET", "/containers/{name}/changes", changes),
    Route("GET", "/containers/{name}/json", inspect),
    Route("GET", "/containers/{name}/top", top),
    Route("GET", "/containers/{name}/logs", logs),
    Route("GET", "/containers/{name}/stats", stats),
    Route("POST", "/containers/create", create, document=True),
    Route("POST", "/containers/{name}/kill", kill),
    Route("POST", "/containers/{name}/pause", pause),
    Route("POST", "/containers/{name}/unpause", unpause),
    Route("POST", "/containers/{name}/restart", restart, slow=True),
    Route("POST", "/containers/{name}/start", start),
    Route("POST", "/containers/{name}/stop", stop, slow=True),
    Route("POST", "/containers/{name}/wait", wait),
    Route("POST", "/containers/{name}/resize", resize),
    Route("POST", "/containers/{name}/rename", rename),
    Route("POST", "/containers/{name}/update", update, document=True),
    Route("POST", "/containers/prune", prune, since=(1, 25), slow=True),
    Route("POST", "/commit", commit, document=True, slow=True),
    Route("DELETE", "/containers/{name}", remove, slow=True),
]
