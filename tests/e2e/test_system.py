"""The daemon as a whole: ping, versions, info, and the oldest and newest dialects."""

import os
import socket

import pytest

from bench.wire import Client
from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root

VERSIONS = [f"1.{minor}" for minor in range(24, 57)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["", "/v1.24", "/v1.44"])
def test_ping(engine: Engine, method: str, version: str) -> None:
    client = Client(engine.host, version=version)

    answer = client.request(method, "/_ping")

    assert (answer.status, answer.body) == (200, b"OK" if method == "GET" else b"")
    headers = answer.headers
    assert headers["api-version"].startswith("1.")
    assert headers["ostype"] == "linux"
    assert headers["docker-experimental"] == "false"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-store, must-revalidate"


def test_version(engine: Engine) -> None:
    found = engine.get("/version")

    kernel = os.uname()
    assert (found["Os"], found["Arch"], found["KernelVersion"]) == (
        "linux",
        "amd64",
        kernel.release,
    )
    assert found["MinAPIVersion"] == "1.24"
    assert found["Components"][0]["Name"] == "Engine"
    assert {"Version", "ApiVersion", "GitCommit", "BuildTime", "Platform"} <= set(found)


def test_info_counts_the_containers(engine: Engine) -> None:
    before = engine.get("/info")
    engine.create("true")
    paused = engine.start()
    engine.start()
    engine.ok("POST", f"/containers/{paused}/pause")

    after = engine.get("/info")

    counts = ["Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped"]
    assert [after[name] - before[name] for name in counts] == [3, 1, 1, 1]
    assert after["NCPU"] == os.cpu_count()
    assert after["Name"] == os.uname().nodename
    assert after["OSType"] == "linux"
    assert after["CgroupVersion"] in ("1", "2")
    assert "bridge" in after["Plugins"]["Network"]
    assert {"json-file", "local", "none"} - {"none"} <= set(after["Plugins"]["Log"])


@pytest.mark.ours
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_served(engine: Engine, version: str) -> None:
    client = Client(engine.host, version=f"/v{version}")
    ident = engine.start("echo", "x")
    engine.wait(ident)

    listed = client.ok("GET", "/containers/json?all=1").json()
    found = client.ok("GET", f"/containers/{ident}/json").json()
    logs = client.ok("GET", f"/containers/{ident}/logs?stdout=1").body

    assert ident in [item["Id"] for item in listed]
    assert found["State"]["ExitCode"] == 0
    assert logs.endswith(b"x\n")


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("1.24", "application/vnd.docker.raw-stream"),
        ("1.41", "application/vnd.docker.raw-stream"),
        ("1.42", "application/vnd.docker.multiplexed-stream"),
    ],
)
def test_the_kind_of_a_log_s_stream_has_a_name_since_1_42(
    engine: Engine, version: str, kind: str
) -> None:
    ident = engine.start("echo", "x")
    engine.wait(ident)
    client = Client(engine.host, version=f"/v{version}")

    answer = client.ok("GET", f"/containers/{ident}/logs?stdout=1")

    assert answer.headers["content-type"] == kind


@pytest.mark.docker
def test_the_command_line_negotiates_its_version(docker: Docker, engine: Engine) -> None:
    agreed = docker.ok("version", "--format", "{{.Client.APIVersion}}")

    newest = engine.get("/version")["ApiVersion"]
    assert int(agreed.removeprefix("1.")) <= int(newest.removeprefix("1."))
    assert docker.ok("ps", "--quiet", "--filter", "name=no-such") == ""


@pytest.mark.docker
def test_an_old_command_line(docker: Docker) -> None:
    docker.environment["DOCKER_API_VERSION"] = "1.24"

    assert docker("ps", "-a").code == 0


# HTTP itself


def talk(engine: Engine, data: bytes, *, answers: int = 1) -> bytes:
    """What the engine says to these bytes, until it closes or has given so many answers."""
    connection = Client(engine.host, timeout=10).connect()
    with connection:
        connection.sendall(data)
        seen = b""
        while seen.count(b"HTTP/1.1 ") < answers or not seen.endswith((b"OK", b"\r\n\r\n")):
            try:
                more = connection.recv(65536)
            except (TimeoutError, ConnectionResetError):
                break
            if not more:
                break
            seen += more
    return seen


PING = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"


def test_requests_in_a_row_on_one_connection(engine: Engine) -> None:
    assert talk(engine, PING * 5, answers=5).count(b"HTTP/1.1 200 OK") == 5


def test_http_1_0_is_answered_and_closed(engine: Engine) -> None:
    seen = talk(engine, b"GET /_ping HTTP/1.0\r\n\r\n", answers=2)

    assert b" 200 OK\r\n" in seen
    assert seen.endswith(b"OK")


def test_a_client_that_asks_to_close_is_closed(engine: Engine) -> None:
    seen = talk(engine, b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", answers=2)

    assert b"connection: close" in seen.lower()


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n",
        b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + b"x" * 2_000_000,
    ],
    ids=[
        "no request",
        "one word",
        "version",
        "header",
        "length",
        "negative length",
        "endless header",
    ],
)
def test_what_is_not_http_is_refused_and_harms_nobody(engine: Engine, data: bytes) -> None:
    try:
        seen = talk(engine, data)
    except BrokenPipeError:
        seen = b""

    assert not seen or seen.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4"))
    assert engine.request("GET", "/_ping").status == 200


def test_a_body_in_chunks(engine: Engine) -> None:
    import json

    body = json.dumps(
        {"Image": engine.image, "Cmd": ["true"], "Labels": dict([engine.label.split("=")])}
    )
    pieces = [body[i : i + 7] for i in range(0, len(body), 7)]
    chunks = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces) + "0\r\n\r\n"
    head = (
        "POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )

    assert b"201 Created" in talk(engine, (head + chunks).encode(), answers=2)


def test_half_a_request_and_then_nothing_does_not_hold_the_engine_up(engine: Engine) -> None:
    clients = [Client(engine.host).connect() for _ in range(50)]
    for connection in clients:
        connection.sendall(b"POST /containers/create HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")

    assert engine.request("GET", "/_ping").status == 200
    for connection in clients:
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
