"""Listeners, TLS, and the end."""

import grp
import os
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.api import server
from tests.api.client import Client
from tests.api.conftest import Running
from tests.api.fake_engine import FakeEngine
from tests.harness.deadline import until


def test_a_unix_socket_is_for_its_group_only(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    listener = server.listen(f"unix://{tmp_path}/s", group=group)

    status = (tmp_path / "s").stat()

    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_gid == os.getgid()
    listener.socket.close()


def test_without_the_group_the_socket_is_ours(tmp_path: Path) -> None:
    server.listen(f"unix://{tmp_path}/s", group="no such group").socket.close()

    assert (tmp_path / "s").exists()


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    server.listen(f"unix://{tmp_path}/s").socket.close()

    server.listen(f"unix://{tmp_path}/s").socket.close()


def test_a_socket_in_use_is_not_taken(running: Running) -> None:
    with pytest.raises(OSError, match="in use"):
        server.listen(running.host)


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")

    with pytest.raises(OSError, match="in use"):
        server.listen(f"unix://{tmp_path}/s")
    assert (tmp_path / "s").read_text() == "precious"


@pytest.mark.parametrize("address", ["", "/run/x.sock", "tcp://1.2.3.4", "fd://x", "http://a:1"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(errors.Invalid, match="invalid listen address"):
        server.listen(address)


class Serving:
    """A server on one listener."""

    def __init__(self, listener: server.Listener) -> None:
        self.engine = FakeEngine()
        self.server = server.Server(self.engine, [listener])
        ready = threading.Event()
        self.thread = threading.Thread(target=self.server.run, args=(ready.set,))
        self.thread.start()
        assert ready.wait(10)

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self.thread.join(20)


def test_tcp_is_served() -> None:
    listener = server.listen("tcp://127.0.0.1:0")
    with Serving(listener), Client(listener.socket.getsockname()) as client:
        assert client.get("/_ping").body == b"OK"


def test_tcp_6_is_served() -> None:
    try:
        listener = server.listen("tcp://[::1]:0")
    except OSError:
        pytest.skip("no IPv6 here")
    with Serving(listener), socket.create_connection(listener.socket.getsockname()[:2]) as client:
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_inherited_socket_is_served(tmp_path: Path) -> None:
    inherited = socket.socket(socket.AF_UNIX)
    inherited.bind(f"{tmp_path}/s")
    inherited.listen()
    with (
        Serving(server.listen(f"fd://{inherited.detach()}")),
        Client(f"{tmp_path}/s") as client,
    ):
        assert client.get("/_ping").body == b"OK"
    assert (tmp_path / "s").exists()  # not ours to remove


# The end


def test_a_stopped_server_leaves_no_socket(tmp_path: Path) -> None:
    running = Running(tmp_path / "s")

    running.stop()

    assert not (tmp_path / "s").exists()
    running.server.stop()  # once more does no harm


def test_idle_connections_end_with_the_server(tmp_path: Path) -> None:
    running = Running(tmp_path / "s")
    with running.client() as client:
        client.get("/_ping")

        running.stop()

        assert client.read_to_end() == b""


def test_answers_in_the_making_are_sent_before_the_end(tmp_path: Path) -> None:
    running = Running(tmp_path / "s")
    started, gate = threading.Event(), threading.Event()

    def inspect(name: str) -> dict[str, str]:
        started.set()
        gate.wait(10)
        return {"Name": name}

    running.engine.volumes.inspect = inspect  # type: ignore[method-assign]
    with running.client() as client:
        client.request("GET", "/volumes/v")
        assert started.wait(10)
        running.server.stop()
        until(lambda: not (tmp_path / "s").exists())
        gate.set()

        answer = client.answer()

        assert answer.json == {"Name": "v"}
        assert answer.headers["Connection"] == "close"
    running.stop()


def test_streams_end_with_the_server(tmp_path: Path) -> None:
    running = Running(tmp_path / "s")
    with running.client() as client:
        client.request("GET", "/events")
        client.head()

        running.stop()

        assert client.read_to_end() == b""
    assert not running.engine.events.subscribers


def test_what_does_not_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.1)
    running = Running(tmp_path / "s")
    gate = threading.Event()
    running.engine.volumes.inspect = lambda name: {"x": gate.wait(10)}  # type: ignore[method-assign]
    with running.client() as client:
        client.request("GET", "/volumes/v")
        until(lambda: any(c.answering for c in running.server.connections))

        running.stop()

        assert client.read_to_end() == b""
    gate.set()


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        str(path),
        "-out",
        str(path) + ".crt",
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl here")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[tuple[Serving, Client]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = server.listen("tcp://127.0.0.1:0", tls=context)
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with Serving(listener) as serving, Client(listener.socket.getsockname()) as client:
        client.socket = trusting.wrap_socket(client.socket)
        yield serving, client


def test_tls_is_served(secure: tuple[Serving, Client]) -> None:
    _, client = secure

    assert client.get("/_ping").body == b"OK"
    assert client.post("/volumes/create", {"Name": "v"}).json["Name"] == "v"


def test_a_stream_behind_tls_is_pumped(secure: tuple[Serving, Client]) -> None:
    serving, client = secure
    client.post("/containers/create?name=a", {"Image": "busybox", "Tty": True})
    client.post("/containers/a/start")
    headers = {"Upgrade": "tcp", "Connection": "Upgrade"}

    client.request("POST", "/containers/a/attach?stream=1&stdin=1&stdout=1", headers=headers)
    client.read_until(b"\r\n\r\n")

    for size in (1, 100_000, 1):
        data = os.urandom(size)
        client.send(data)
        assert client.read_exactly(size) == data
    serving.engine.containers.finish("a", 0)
    assert client.read_to_end() == b""


def test_a_client_behind_tls_that_leaves_ends_its_pump(secure: tuple[Serving, Client]) -> None:
    serving, client = secure
    client.post("/containers/create?name=a", {"Image": "busybox"})
    client.post("/containers/a/start")
    headers = {"Upgrade": "tcp", "Connection": "Upgrade"}
    client.request("POST", "/containers/a/attach?stream=1&stdin=1&stdout=1", headers=headers)
    client.read_until(b"\r\n\r\n")

    client.socket.close()

    until(lambda: serving.engine.containers.get("a").state.status.value == "exited")
