"""The connection: read as the conversation on the wire."""

import logging
import socket
import threading

import pytest

from pinnace.api import http
from tests.api.client import Client
from tests.api.conftest import Running
from tests.harness.deadline import until


def test_a_connection_is_kept(client: Client) -> None:
    assert client.get("/_ping").body == b"OK"
    assert client.get("/_ping").body == b"OK"


def test_requests_sent_ahead_are_answered_in_turn(client: Client) -> None:
    client.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" * 3)
    client.send(b"GET /version HTTP/1.1\r\nHost: d\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")

    bodies = [client.answer().body for _ in range(5)]

    assert [body[:9] for body in bodies] == [b"OK", b"OK", b"OK", b'{"Platfor', b"OK"]


def test_a_request_may_come_byte_by_byte(client: Client) -> None:
    for byte in b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n":
        client.send(bytes((byte,)))

    assert client.answer().body == b"OK"


def test_a_client_that_says_close_is_obeyed(client: Client) -> None:
    answer = client.get("/_ping", headers={"Connection": "close"})

    assert answer.headers["Connection"] == "close"
    assert client.read_to_end() == b""


def test_http_1_0_is_answered_and_closed(client: Client) -> None:
    client.send(b"GET /_ping HTTP/1.0\r\n\r\n")

    assert client.answer().body == b"OK"
    assert client.read_to_end() == b""


def test_a_stream_to_http_1_0_ends_with_the_connection(running: Running, client: Client) -> None:
    client.post("/containers/create?name=a", {"Image": "busybox"})
    client.send(b"GET /containers/a/export HTTP/1.0\r\n\r\n")

    answer = client.answer()

    assert "Transfer-Encoding" not in answer.headers
    assert answer.body == b"a tar stream"


def test_requests_before_a_half_close_are_answered(client: Client) -> None:
    client.send(b"GET /version HTTP/1.1\r\nHost: d\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    client.socket.shutdown(socket.SHUT_WR)

    assert client.answer().status == 200
    assert client.answer().body == b"OK"
    assert client.read_to_end() == b""


def test_head_has_the_headers_only(client: Client) -> None:
    answer = client.ask("HEAD", "/_ping")

    assert answer.headers["Content-Length"] == "0"
    assert client.get("/_ping").body == b"OK"


def test_an_error_to_head_has_no_body(client: Client) -> None:
    answer = client.ask("HEAD", "/nosuch")

    assert answer.status == 404
    assert answer.headers["Content-Length"] == "29"
    assert client.get("/_ping").body == b"OK"


def test_a_body_may_be_chunked(client: Client) -> None:
    client.send(
        b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"Name"\r\n5\r\n:"v"}\r\n0\r\n\r\n'
    )

    assert client.answer().json["Name"] == "v"


def test_a_client_that_expects_100_is_told_to_go_on(client: Client) -> None:
    client.send(
        b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        b"Content-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    )
    assert client.head() == (100, "Continue", {})

    client.send(b'{"Name":"v"}')

    assert client.answer().json["Name"] == "v"


def test_a_body_that_nobody_wants_is_not_asked_for(client: Client) -> None:
    client.send(
        b"POST /nosuch HTTP/1.1\r\nHost: d\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    )

    answer = client.answer()

    assert answer.status == 404
    assert answer.headers["Connection"] == "close"
    assert client.read_to_end() == b""


def test_a_short_body_that_nobody_wants_keeps_the_connection(client: Client) -> None:
    answer = client.post("/nosuch", body=b"x" * 100_000)

    assert answer.status == 404
    assert client.get("/_ping").body == b"OK"


def test_a_long_body_that_nobody_wants_ends_the_connection(client: Client) -> None:
    client.send(b"POST /nosuch HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000\r\n\r\n")

    assert client.answer().status == 404
    with pytest.raises(OSError):
        for _ in range(1000):
            client.send(b"x" * 100_000)


def test_a_large_body_streams_through_bounded_memory(running: Running, client: Client) -> None:
    size = 40_000_000
    answer = client.post("/images/load", body=bytes(size))

    assert answer.status == 200
    assert running.engine.images.loaded == size


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"BOGUS\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (
            b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /_ping HTTP/1.1\r\nHost: d\r\nA b: c\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ],
    ids=[
        "bogus",
        "no host",
        "two lengths",
        "smuggling",
        "negative",
        "absurd",
        "gzip",
        "name",
        "tls",
    ],
)
def test_what_is_not_http_is_refused_and_closed(
    client: Client, request_bytes: bytes, status: int
) -> None:
    client.send(request_bytes)

    answer = client.answer()

    assert answer.status == status
    assert answer.headers["Connection"] == "close"
    assert client.read_to_end() == b""


def test_a_head_without_end_is_refused(client: Client) -> None:
    client.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: ")
    with pytest.raises(OSError):
        for _ in range(100):
            client.send(b"a" * 100_000)

    assert client.head()[0] == 431


def test_a_slow_head_is_cut_off(hasty: Running) -> None:
    with hasty.client() as client:
        client.send(b"GET /_ping HT")

        assert client.read_to_end() == b""


def test_a_slow_second_head_is_cut_off(hasty: Running) -> None:
    with hasty.client() as client:
        client.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET")

        assert client.answer().body == b"OK"
        assert client.read_to_end() == b""


def test_an_idle_connection_may_wait(hasty: Running) -> None:
    with hasty.client() as client:
        client.get("/_ping")
        (connection,) = hasty.server.connections
        connection.expire(now=float("inf"))

        assert client.get("/_ping").body == b"OK"


def test_a_slow_body_is_refused(hasty: Running) -> None:
    with hasty.client() as client:
        client.send(
            b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
            b"Content-Length: 12\r\n\r\n{"
        )

        answer = client.answer()

        assert answer.status == 400
        assert answer.message == "timeout while reading the request"
        assert not hasty.engine.volumes.all


def test_a_body_that_breaks_off_does_nothing(running: Running) -> None:
    with running.client() as client:
        client.send(
            b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
            b"Content-Length: 20\r\n\r\n"
            b'{"Name":"v"}'
        )
        client.socket.shutdown(socket.SHUT_WR)

        assert client.answer().message == "unexpected EOF"
    assert not running.engine.volumes.all


def test_a_malformed_chunk_ends_the_request(client: Client) -> None:
    client.send(
        b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    )

    answer = client.answer()

    assert answer.message == "malformed request body"
    assert client.read_to_end() == b""


def test_a_load_whose_client_is_gone_fails_in_its_thread(running: Running) -> None:
    with running.client() as client:
        client.send(b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\nabc")
        until(lambda: running.engine.images.loaded == 3)

    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("reader")])
    with running.client() as client:
        assert client.get("/_ping").body == b"OK"


def test_a_client_that_reads_slowly_slows_the_stream(running: Running) -> None:
    produced = 0

    class Endless:
        def __iter__(self) -> "Endless":
            return self

        def __next__(self) -> bytes:
            nonlocal produced
            produced += 1
            return b"x" * 100_000

    running.engine.images.save = lambda references: Endless()  # type: ignore[method-assign]
    with running.client() as client:
        client.request("GET", "/images/get?names=x")
        client.head()
        (connection,) = running.server.connections
        until(lambda: connection.write_paused)

        assert 1 < produced < 100


def test_a_stream_ends_when_its_client_is_gone(running: Running) -> None:
    with running.client() as client:
        client.request("GET", "/events")
        client.head()
        until(lambda: running.engine.events.subscribers)

    until(lambda: not running.engine.events.subscribers)


def test_a_stream_ends_when_its_client_half_closes(running: Running) -> None:
    with running.client() as client:
        client.request("GET", "/events")
        client.head()
        client.socket.shutdown(socket.SHUT_WR)

        until(lambda: not running.engine.events.subscribers)


def test_a_failing_handler_is_an_answer_and_a_log_entry(
    running: Running, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    running.engine.volumes.inspect = fail  # type: ignore[assignment]
    with caplog.at_level(logging.ERROR, "pinnace.api"):
        answer = client.get("/volumes/v")

    assert (answer.status, answer.message) == (500, "division by zero")
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info
    assert client.get("/_ping").body == b"OK"


def test_a_stream_that_fails_breaks_off(
    running: Running, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def save(references: object) -> object:
        yield b"begin"
        raise ZeroDivisionError

    running.engine.images.save = save  # type: ignore[assignment]
    client.request("GET", "/images/get?names=x")
    with caplog.at_level(logging.ERROR, "pinnace.api"):
        client.head()
        assert client.chunk() == b"begin"
        assert client.read_to_end() == b""

    assert caplog.records[0].message == "answer broken off"


def test_headers_cannot_be_injected() -> None:
    with pytest.raises(ValueError, match="more than one line"):
        http.encode_headers((("Location", "/a\r\nSet-Cookie: b"),))


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], 0),
        ([(b"content-length", b"5")], 5),
        ([(b"transfer-encoding", b"chunked")], -1),
        ([(b"content-length", b"0"), (b"transfer-encoding", b"chunked")], None),
    ],
)
def test_the_length_of_a_body_is_unambiguous(
    headers: list[tuple[bytes, bytes]], length: int | None
) -> None:
    assert http.body_length(headers) == length
