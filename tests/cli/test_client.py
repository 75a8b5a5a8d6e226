import errno
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinnace.cli import client as clients
from pinnace.cli.client import Client, DaemonError, Unreachable
from pinnace.cli.connection import Address
from tests.cli import fakes
from tests.cli.fakes import Answer, FakeDaemon, Request

Start = Callable[..., FakeDaemon]


def client_of(fake: FakeDaemon, version: str = "") -> Client:
    return Client(Address(fake.host), version=version)


def test_requests_share_a_connection(daemon: Start) -> None:
    connections = set()

    def answer(request: Request) -> Answer | None:
        connections.add(threading.get_ident())
        return fakes.document({"path": request.path})

    client = client_of(daemon(answer))

    assert client.get("/a") == {"path": "/a"}
    assert client.post("/b", {"x": True, "y": None, "z": ["1", "2"]}, {"body": 1}) == {
        "path": "/b?x=1&z=1&z=2"
    }
    assert len(connections) == 1


def test_queries_are_quoted_and_filters_are_json(daemon: Start) -> None:
    fake = daemon(lambda request: fakes.document(None))

    client_of(fake).get("/x/a b:1", {"filters": {"label": {"a=ä&b": True}}, "no": False, "n": 0})

    assert fake.requests[0].path == (
        "/x/a%20b:1?filters=%7B%22label%22%3A%7B%22a%3D%C3%A4%26b%22%3Atrue%7D%7D&n=0"
    )


def test_chunked_and_counted_bodies_are_read(daemon: Start) -> None:
    body = b"x" * 100_000

    def answer(request: Request) -> Answer:
        return Answer(200, body, chunked=request.path == "/chunked")

    client = client_of(daemon(answer))

    assert client.request("GET", "/chunked").read() == body
    assert client.request("GET", "/counted").read() == body


def test_a_refusal_has_the_daemons_words(daemon: Start) -> None:
    client = client_of(daemon(lambda request: fakes.refusal(409, "name in use ")))

    with pytest.raises(DaemonError) as raised:
        client.post("/containers/create")

    assert raised.value.status == 409
    assert str(raised.value) == "Error response from daemon: name in use"


def test_a_refusal_may_be_no_document(daemon: Start) -> None:
    client = client_of(daemon(lambda request: Answer(502, b"bad gateway\n")))

    with pytest.raises(DaemonError, match="Error response from daemon: bad gateway"):
        client.get("/x")


def test_the_version_steps_down_to_what_the_daemon_speaks(daemon: Start) -> None:
    def answer(request: Request) -> Answer:
        if len(fake.requests) == 1:
            return fakes.refusal(
                400, "client version 1.51 is too new. Maximum supported API version is 1.44"
            )
        return fakes.document("fine")

    fake = daemon(answer)
    client = client_of(fake)

    assert client.get("/x") == "fine"
    assert client.version == "1.44"


def test_a_version_that_the_user_names_is_kept(daemon: Start) -> None:
    fake = daemon(lambda request: fakes.refusal(400, "Maximum supported API version is 1.44"))

    with pytest.raises(DaemonError):
        client_of(fake, "1.99").get("/x")
    assert len(fake.requests) == 1


def test_a_body_that_is_sent_once_has_the_right_version(daemon: Start) -> None:
    fake = daemon(
        lambda request: fakes.document("ok") if request.method == "POST" else None,
        api_version="1.40",
    )
    client = client_of(fake)

    answer = client.stream("POST", "/load", chunks=iter([b"ab", b"", b"c"]))

    assert answer.json() == "ok"
    assert client.version == "1.40"
    assert fake.requests[-1].body == b"abc"


def test_a_large_upload_is_read_while_answers_come(daemon: Start) -> None:
    chunk = b"y" * 65536
    fake = daemon(lambda request: fakes.document(len(request.body)) if request.body else None)

    assert client_of(fake).stream("POST", "/x", chunks=iter([chunk] * 64)).json() == 64 * 65536


def listening(path: Path, serve: Callable[[socket.socket], None]) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                serve(connection)

    threading.Thread(target=run, daemon=True).start()
    return listener


@pytest.fixture
def path() -> Iterator[Path]:
    found = Path(f"/tmp/pinnace-client-{threading.get_ident()}.sock")
    found.unlink(missing_ok=True)
    yield found
    found.unlink(missing_ok=True)


def test_a_kept_connection_that_was_closed_is_opened_again(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42")

    listener = listening(path, serve)
    client = Client(Address(f"unix://{path}"))

    assert client.get("/x") == 42
    assert client.get("/x") == 42  # the first connection is closed by now
    listener.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"],
)
def test_an_answer_that_breaks_off_is_an_error(path: Path, answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    listener = listening(path, serve)

    with pytest.raises(Unreachable):
        Client(Address(f"unix://{path}")).get("/x")
    listener.close()


def test_an_upload_that_is_refused_half_way_tells_why(path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(
            b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 23\r\n\r\n"
            b'{"message":"disk full"}'
        )

    listener = listening(path, serve)
    client = Client(Address(f"unix://{path}"), version="1.40")

    with pytest.raises(DaemonError, match="disk full"):
        client.stream("POST", "/x", chunks=iter([b"z" * 65536] * 200))
    listener.close()


def test_many_requests_go_out_together(daemon: Start) -> None:
    everyone = threading.Barrier(3, timeout=10)

    def answer(request: Request) -> Answer:
        everyone.wait()  # passed only if all three are here at the same time
        return fakes.refusal(404, "no b") if "/b/" in request.path else Answer(204)

    client = client_of(daemon(answer))
    requests = [("POST", f"/containers/{name}/stop", {}) for name in "abc"]

    outcomes = list(clients.together(client, requests))

    assert [str(outcome) for outcome in outcomes] == [
        "None",
        "Error response from daemon: no b",
        "None",
    ]


def test_a_daemon_that_is_not_there_is_named() -> None:
    client = Client(Address("unix:///nonexistent/sock"))

    with pytest.raises(Unreachable) as raised:
        client.get("/x")

    assert str(raised.value) == (
        "Cannot connect to the pinnace daemon at unix:///nonexistent/sock. "
        "Is the pinnace daemon running?"
    )


def test_a_socket_that_may_not_be_opened_is_told_apart() -> None:
    client = Client(Address("unix:///some/sock"))

    error = client._unreachable(PermissionError(errno.EACCES, "Permission denied"))

    assert str(error).startswith("permission denied while trying to connect to the pinnace daemon")


def test_a_daemon_may_listen_on_tcp() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7")

    threading.Thread(target=run, daemon=True).start()

    assert Client(Address(f"tcp://127.0.0.1:{listener.getsockname()[1]}")).get("/x") == 7
    listener.close()
