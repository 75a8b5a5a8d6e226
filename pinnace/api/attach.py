"""Where a connection becomes a container's standard streams: attach, its websocket, exec start."""

from functools import partial
from typing import Final

from msgspec.structs import replace

from pinnace import errors
from pinnace.api import containers, messages, versions, websocket
from pinnace.api.facade import Engine
from pinnace.api.messages import Hijack, Order, Reply, Request, Response
from pinnace.api.router import Route, in_thread, status_of
from pinnace.engine.documents import Container, ExecStartConfig
from pinnace.engine.requests import AttachOptions
from pinnace.supervisor import frames

RAW: Final = "application/vnd.docker.raw-stream"


async def attach(engine: Engine, request: Request) -> Reply:
    options = attach_options(request)
    try:
        container = await checked(engine, request, options)
    except errors.PinnaceError as error:
        # Docker writes its refusal on the hijacked connection, as plain text.
        return Response(
            status_of(error),
            (("Content-Type", RAW),),
            f"{error.message}\r\n".encode(),
            final=True,
        )
    multiplexed = not container.config.tty
    options = replace(options, multiplexed=multiplexed)
    return hijack(engine, container, options, stream_head(request, multiplexed))


def attach_options(request: Request) -> AttachOptions:
    return AttachOptions(
        stdin=request.flag("stdin"),
        stdout=request.flag("stdout"),
        stderr=request.flag("stderr"),
        stream=request.flag("stream"),
        logs=request.flag("logs"),
        detach_keys=request.text("detachKeys"),
    )


async def checked(engine: Engine, request: Request, options: AttachOptions) -> Container:
    """The container, if it can be attached to: errors come before the connection is a stream."""
    name = request.names["name"]
    return await in_thread(request.pool, engine.containers.check_attach, name, options)


def stream_head(request: Request, multiplexed: bool) -> bytes:
    """The answer after which the connection is a stream; old clients don't ask for an upgrade."""
    if not request.has_header("Upgrade"):
        return f"HTTP/1.1 200 OK\r\nContent-Type: {RAW}\r\n\r\n".encode()
    kind = versions.stream_type(request.version, multiplexed=multiplexed)
    return (
        f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {kind}\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    ).encode()


def hijack(
    engine: Engine,
    container: Container,
    options: AttachOptions,
    head: bytes,
    *,
    bridged: bool = False,
) -> Hijack:
    def take(fd: int, initial: bytes) -> bytes:
        try:
            engine.containers.attach(container.id, options, fd, initial)
        except errors.PinnaceError as error:
            return options.head + said(f"Error attaching: {error.message}\n", options.multiplexed)
        return b""

    # Who reads the head may start the container, or make it say something, and must not miss what
    # it prints then: it is attached by that time. A container that runs may print at any moment,
    # so there the head is sent by who attaches the client.
    if container.state.running and options.stream and not options.logs and not bridged:
        options = replace(options, head=head)
        return Hijack(b"", take, Order.BEFORE_HEAD)
    silent = not container.state.running and not options.logs
    return Hijack(head, take, Order.BEFORE_HEAD if silent else Order.AFTER_HEAD_SENT)


def said(text: str, multiplexed: bool) -> bytes:
    """What is too late for a status, as the client's stream has it."""
    data = text.encode()
    return frames.mux("stdout", data) if multiplexed else data


async def attach_websocket(engine: Engine, request: Request) -> Reply:
    options = replace(attach_options(request), multiplexed=False)
    if request.version < (1, 42):
        options = replace(options, stdin=True, stdout=True, stderr=True)
    container = await checked(engine, request, options)
    if not websocket.wants_upgrade(request):
        return messages.text(400, "not websocket protocol")
    kind = websocket.Opcode.BINARY if request.version >= (1, 28) else websocket.Opcode.TEXT
    reply = hijack(engine, container, options, websocket.accept_head(request), bridged=True)
    return replace(reply, through=partial(websocket.bridge, kind=kind))


async def start_exec(engine: Engine, request: Request) -> Reply:
    exec_id = request.names["name"]
    containers.check_json(request)
    asked = containers.decode_optional(request.document, ExecStartConfig)
    wanted = versions.exec_start(asked, request.version)
    await in_thread(request.pool, engine.execs.check, exec_id)
    if wanted.detach:
        run = partial(run_exec, engine, exec_id, wanted, None, b"")
        await in_thread(request.pool, run)
        return Response(200)

    def take(fd: int, initial: bytes) -> bytes:
        try:
            run_exec(engine, exec_id, wanted, fd, initial)
        except errors.PinnaceError as error:
            return said(f"{error.message}\r\n", not wanted.tty)
        return b""

    return Hijack(stream_head(request, not wanted.tty), take, Order.AFTER_HEAD_READ)


def run_exec(
    engine: Engine, exec_id: str, wanted: ExecStartConfig, fd: int | None, initial: bytes
) -> None:
    engine.execs.start(
        exec_id,
        detach=wanted.detach,
        tty=wanted.tty,
        console_size=wanted.console_size,
        client_fd=fd,
        initial=initial,
    )


ROUTES: Final = [
    Route("GET", "/containers/{name}/attach/ws", attach_websocket),
    Route("POST", "/containers/{name}/attach", attach),
    Route("POST", "/exec/{name}/start", start_exec, document=True),
]
