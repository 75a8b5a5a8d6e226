"""Attach over a websocket."""

import base64
import hashlib
import os
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.api import websocket
from pinnace.api.websocket import Decoder, Frame, Opcode, ProtocolError
from tests.api.client import Client
from tests.api.conftest import Running
from tests.harness.deadline import until

KEY = base64.b64encode(b"0123456789abcdef").decode()
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def from_client(opcode: int, payload: bytes, first: int = 0x80, mask: int = 0x80) -> bytes:
    key = os.urandom(4)
    if len(payload) < 126:
        head = struct.pack(">BB", first | opcode, mask | len(payload))
    elif len(payload) < 65536:
        head = struct.pack(">BBH", first | opcode, mask | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first | opcode, mask | 127, len(payload))
    return head + key + websocket.unmask(payload, key)


def read_frame(client: Client) -> tuple[int, bytes]:
    first, length = client.read_exactly(2)
    if length == 126:
        (length,) = struct.unpack(">H", client.read_exactly(2))
    elif length == 127:
        (length,) = struct.unpack(">Q", client.read_exactly(8))
    return first, client.read_exactly(length)


def read_output(client: Client, size: int) -> bytes:
    output = b""
    while len(output) < size:
        output += read_frame(client)[1]
    return output


def attach(client: Client, version: str = "1.51", query: str = "stdin=1&stdout=1") -> None:
    client.post("/containers/create?name=a", {"Image": "busybox"})
    client.post("/containers/a/start")
    client.request("GET", f"/v{version}/containers/a/attach/ws?stream=1&{query}", headers=UPGRADE)
    status, reason, headers = client.head()
    assert (status, reason) == (101, "Switching Protocols")
    digest = hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    assert headers["Sec-WebSocket-Accept"] == base64.b64encode(digest).decode()


def test_input_and_output_are_messages(client: Client) -> None:
    attach(client)

    client.send(from_client(Opcode.TEXT, b"hello"))

    assert read_frame(client) == (0x82, b"hello")


def test_a_message_in_pieces_is_input_all_the_same(client: Client) -> None:
    attach(client)

    client.send(from_client(Opcode.TEXT, b"hel", first=0))
    client.send(from_client(Opcode.CONTINUATION, b"lo"))

    assert read_output(client, 5) == b"hello"


def test_old_clients_get_text_and_everything(running: Running, client: Client) -> None:
    attach(client, "1.27", query="")
    until(lambda: any(running.engine.containers.clients.values()))
    (_, options), *_ = next(iter(running.engine.containers.clients.values()))

    running.engine.containers.say("a", b"hello")

    assert read_frame(client) == (0x81, b"hello")
    assert (options.stdin, options.stdout, options.stderr) == (True, True, True)


def test_a_ping_is_answered(client: Client) -> None:
    attach(client)

    client.send(from_client(Opcode.PING, b"are you there"))

    assert read_frame(client) == (0x8A, b"are you there")


def test_a_client_says_goodbye(running: Running, client: Client) -> None:
    attach(client)

    client.send(from_client(Opcode.CLOSE, struct.pack(">H", 1000)))

    assert read_frame(client) == (0x88, struct.pack(">H", 1000))
    assert client.read_to_end() == b""
    until(lambda: running.engine.containers.get("a").state.status.value == "exited")


def test_the_end_of_the_container_is_a_goodbye(running: Running, client: Client) -> None:
    attach(client, query="stdout=1")
    until(lambda: any(running.engine.containers.clients.values()))

    running.engine.containers.finish("a", 0)

    assert read_frame(client) == (0x88, struct.pack(">H", 1000))
    assert client.read_to_end() == b""


def test_a_lot_goes_both_ways(client: Client) -> None:
    attach(client)
    data = os.urandom(1_000_000)
    pieces = [data[start : start + 100_000] for start in range(0, len(data), 100_000)]
    frames = b"".join(from_client(Opcode.BINARY, piece) for piece in pieces)

    threading.Thread(target=client.send, args=(frames,)).start()

    assert read_output(client, len(data)) == data


@pytest.mark.parametrize(
    "frame",
    [
        from_client(Opcode.TEXT, b"x", mask=0),
        from_client(Opcode.TEXT, b"x", first=0xC0),
        from_client(3, b"x"),
        from_client(Opcode.PING, b"x" * 126),
        struct.pack(">BBQ", 0x82, 0xFF, 1 << 40),
    ],
    ids=["unmasked", "reserved", "unknown", "long ping", "huge"],
)
def test_what_is_no_websocket_ends(client: Client, frame: bytes) -> None:
    attach(client)

    client.send(frame)

    assert read_frame(client) == (0x88, struct.pack(">H", 1002))
    assert client.read_to_end() == b""


def test_refusals_are_ordinary_answers(client: Client) -> None:
    answer = client.get("/containers/nope/attach/ws", headers=UPGRADE)

    assert (answer.status, answer.message) == (404, "No such container: nope")


def test_without_an_upgrade_there_is_no_websocket(client: Client) -> None:
    client.post("/containers/create?name=a", {"Image": "busybox"})

    answer = client.get("/containers/a/attach/ws")

    assert (answer.status, answer.body) == (400, b"not websocket protocol")


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_frames_survive_any_cut(payloads: list[bytes], size: int) -> None:
    data = b"".join(from_client(Opcode.BINARY, payload) for payload in payloads)
    decoder = Decoder()

    cuts = [data[start : start + size] for start in range(0, len(data), size)]
    found = [frame for cut in cuts for frame in decoder.feed(cut)]

    assert found == [Frame(Opcode.BINARY, payload) for payload in payloads]


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_a_frame_states_its_length(length: int) -> None:
    encoded = websocket.encode(Opcode.BINARY, b"x" * length)

    assert encoded.endswith(b"x" * length)
    assert len(encoded) - length == (2 if length < 126 else 4 if length < 65536 else 10)


def test_bad_frames_raise() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(b"\x01\x01x")
