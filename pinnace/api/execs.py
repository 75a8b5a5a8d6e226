"""/containers/{id}/exec and /exec; starting one is in `attach.py`."""

import base64
from typing import Final

import msgspec

from pinnace import errors
from pinnace.api import containers, forms, messages, types, versions
from pinnace.api.facade import Engine
from pinnace.api.messages import Request, Response
from pinnace.api.router import Route
from pinnace.engine.documents import ExecConfig, ExecRecord


def create(engine: Engine, request: Request) -> Response:
    containers.check_json(request)
    config = containers.decode_optional(request.document, ExecConfig)
    if not config.cmd:
        raise errors.Invalid("No exec command specified")
    config = versions.exec_config(config, request.version)
    exec_id = engine.execs.create(request.names["name"], config)
    return messages.json(types.Id(exec_id), 201)


def inspect(engine: Engine, request: Request) -> Response:
    return messages.json(show(engine.execs.inspect(request.names["name"])))


def show(record: ExecRecord) -> types.ExecInspect:
    program, *arguments = record.config.cmd
    process = types.ExecProcess(
        tty=record.config.tty,
        entrypoint=program,
        arguments=arguments,
        privileged=record.config.privileged,
        user=record.config.user or msgspec.UNSET,
    )
    return types.ExecInspect(
        id=record.id,
        running=record.running,
        exit_code=record.exit_code,
        process_config=process,
        open_stdin=record.open_stdin,
        open_stderr=record.open_stderr,
        open_stdout=record.open_stdout,
        can_remove=record.can_remove,
        container_id=record.container_id,
        detach_keys=base64.b64encode(record.detach_keys).decode(),
        pid=record.pid,
    )


def resize(engine: Engine, request: Request) -> Response:
    height = forms.dimension(request.text("h"), "height")
    width = forms.dimension(request.text("w"), "width")
    engine.execs.resize(request.names["name"], height, width)
    return Response(200)


ROUTES: Final = [
    Route("POST", "/containers/{name}/exec", create, document=True),
    Route("GET", "/exec/{name}/json", inspect),
    Route("POST", "/exec/{name}/resize", resize),
]
