"""Where a connection becomes a container's standard streams: attach, its websocket, exec start."""

import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from pinnace import errors
from pinnace.api import containers, messages, versions, websocket
from pinnace.api.facade import AttachOptions, Engine
from pinnace.api.messages import Hijack, Reply, Request, Response
from pinnace.api.router import Route, in_thread, status_of
from pinnace.engine.documents import Container, ExecStartConfig
from pinnace.supervisor import detach, frames

RAW: Final = "application/vnd.docker.raw-stream"


async def attach(engine: Engine, request: Request) -> Reply:
    name = request.names["name"]
    try:
        check_detach_keys(request.text("detachKeys"))
        container = await in_thread(request.pool, engine.containers.get, name)
        check_attachable(name, container)
    except errors.PinnaceError as error:
        # Docker writes its refusal on the hijacked connection, as plain text.
        return Response(
            status_of(error),
            (("Content-Type", RAW), ("Connection", "close")),
            f"{error.message}\r\n".encode(),
        )
    multiplexed = not container.config.tty
    options = AttachOptions(
        stdin=request.flag("stdin"),
        stdout=request.flag("stdout"),
        stderr=request.flag("stderr"),
        stream=request.flag("stream"),
        logs=request.flag("logs"),
        detach_keys=request.text("detachKeys"),
        multiplexed=multiplexed,
    )
    return Hijack(stream_head(request, multiplexed), attacher(engine, container, options))


def check_detach_keys(keys: str) -> None:
    try:
        detach.parse(keys)
    except errors.Invalid:
        raise errors.Invalid(f"Invalid detach keys ({keys}) provided") from None


def check_attachable(name: str, container: Container) -> None:
    if container.state.paused:
        raise errors.Conflict(f"container {name} is paused, unpause the container before attach")
    if container.state.restarting:
        raise errors.Conflict(
            f"container {name} is restarting, wait until the container is running"
        )


def stream_head(request: Request, multiplexed: bool) -> bytes:
    """The answer after which the connection is a stream; old clients don't ask for an upgrade."""
    if not request.has_header("Upgrade"):
        return f"HTTP/1.1 200 OK\r\nContent-Type: {RAW}\r\n\r\n".encode()
    kind = versions.stream_type(request.version, multiplexed=multiplexed)
    return (
        f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {kind}\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    ).encode()


def attacher(
    engine: Engine, container: Container, options: AttachOptions
) -> Callable[[int, bytes], None]:
    def take(fd: int, initial: bytes) -> None:
        try:
            engine.containers.attach(container.id, options, fd, initial)
        except errors.PinnaceError as error:
            say(fd, f"Error attaching: {error.message}\n", options.multiplexed)

    return take


def say(fd: int, text: str, multiplexed: bool) -> None:
    """Tell the client on its stream what is too late for a status, if it still listens."""
    data = text.encode()
    stream = socket.socket(fileno=fd)
    try:
        stream.send(frames.mux("stdout", data) if multiplexed else data, socket.MSG_DONTWAIT)
    except OSError:
        pass
    finally:
        stream.detach()


async def attach_websocket(engine: Engine, request: Request) -> Reply:
    name = request.names["name"]
    check_detach_keys(request.text("detachKeys"))
    container = await in_thread(request.pool, engine.containers.get, name)
    check_attachable(name, container)
    if not websocket.wants_upgrade(request):
        return messages.text(400, "not websocket protocol")
    chosen = request.version >= (1, 42)  # older clients got all three
    options = AttachOptions(
        stdin=request.flag("stdin") or not chosen,
        stdout=request.flag("stdout") or not chosen,
        stderr=request.flag("stderr") or not chosen,
        stream=request.flag("stream"),
        logs=request.flag("logs"),
        detach_keys=request.text("detachKeys"),
        multiplexed=False,
    )
    kind = websocket.Opcode.BINARY if request.version >= (1, 28) else websocket.Opcode.TEXT
    return Hijack(
        websocket.accept_head(request),
        attacher(engine, container, options),
        partial(websocket.bridge, kind=kind),
    )


async def start_exec(engine: Engine, request: Request) -> Reply:
    exec_id = request.names["name"]
    containers.check_json(request)
    asked = containers.decode_optional(request.document, ExecStartConfig)
    wanted = versions.exec_start(asked, request.version)
    await in_thread(request.pool, engine.execs.inspect, exec_id)
    if wanted.detach:
        run = partial(run_exec, engine, exec_id, wanted, None, b"")
        await in_thread(request.pool, run)
        return Response(200)

    def take(fd: int, initial: bytes) -> None:
        try:
            run_exec(engine, exec_id, wanted, fd, initial)
        except errors.PinnaceError as error:
            say(fd, f"{error.message}\r\n", not wanted.tty)

    return Hijack(stream_head(request, not wanted.tty), take)


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
