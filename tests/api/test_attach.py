"""Connections that become streams."""

import os
import select
import socket
import threading
from typing import Any

import pytest

from pinnace import errors
from pinnace.supervisor import frames
from tests.api.client import Client
from tests.api.conftest import Running
from tests.harness.deadline import until

UPGRADE = {"Upgrade": "tcp", "Connection": "Upgrade"}


def make_container(client: Client, *, tty: bool = False, started: bool = True) -> None:
    client.post("/containers/create?name=a", {"Image": "busybox", "Tty": tty})
    if started:
        client.post("/containers/a/start")


def test_attach_answers_as_docker_does_and_is_a_stream_then(
    running: Running, client: Client
) -> None:
    make_container(client)

    client.request("POST", "/v1.51/containers/a/attach?stream=1&stdout=1", headers=UPGRADE)

    assert client.read_until(b"\r\n\r\n") == (
        b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
        b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    )
    until(lambda: any(running.engine.containers.clients.values()))
    running.engine.containers.say("a", b"hello\n")
    assert client.read_exactly(14) == b"\x01\0\0\0\0\0\0\x06hello\n"
    running.engine.containers.finish("a", 0)
    assert client.read_to_end() == b""


@pytest.mark.parametrize(
    ("version", "tty", "headers", "status", "kind"),
    [
        ("1.51", True, UPGRADE, b"101 UPGRADED", b"raw"),
        ("1.41", False, UPGRADE, b"101 UPGRADED", b"raw"),
        ("1.42", False, UPGRADE, b"101 UPGRADED", b"multiplexed"),
        ("1.51", False, {}, b"200 OK", b"raw"),
    ],
    ids=["terminal", "old", "new", "without upgrade"],
)
def test_attach_names_what_follows(
    client: Client, version: str, tty: bool, headers: dict[str, str], status: bytes, kind: bytes
) -> None:
    make_container(client, tty=tty)

    client.request("POST", f"/v{version}/containers/a/attach?stream=1&stdout=1", headers=headers)

    head = client.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert b"Content-Type: application/vnd.docker." + kind + b"-stream\r\n" in head
    assert (b"Upgrade: tcp" in head) == bool(headers)


def test_who_reads_the_head_is_attached_before_the_start(running: Running, client: Client) -> None:
    make_container(client, started=False)
    entered, gate = threading.Event(), threading.Event()
    attach = running.engine.containers.attach

    def slowly(*args: Any) -> None:
        entered.set()
        assert gate.wait(10)
        attach(*args)

    running.engine.containers.attach = slowly  # type: ignore[assignment,method-assign]
    client.request("POST", "/containers/a/attach?stream=1&stdout=1", headers=UPGRADE)
    assert entered.wait(10)
    assert not select.select([client.socket], [], [], 0)[0]
    gate.set()

    client.read_until(b"\r\n\r\n")
    running.engine.containers.start("a")
    running.engine.containers.say("a", b"first")
    assert client.read_exactly(13).endswith(b"first")


def test_a_failing_engine_ends_the_connection(
    running: Running, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(ident: str, options: object, client_fd: int, initial: bytes) -> None:
        os.close(client_fd)
        raise ZeroDivisionError

    make_container(client)
    running.engine.containers.attach = fail  # type: ignore[method-assign]
    client.request("POST", "/containers/a/attach?stream=1&stdout=1", headers=UPGRADE)

    assert client.read_to_end() == b""  # not even a head: nothing was attached
    assert caplog.records[0].message == "answer broken off"
    until(lambda: not running.server.connections)


def test_what_is_typed_ahead_is_not_lost(client: Client) -> None:
    make_container(client, tty=True)

    client.send(
        b"POST /containers/a/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
        b"Upgrade: tcp\r\nConnection: Upgrade\r\n\r\nearly "
    )
    client.send(b"bird")

    client.read_until(b"\r\n\r\n")
    assert client.read_exactly(10) == b"early bird"


def test_the_end_of_input_leaves_the_output_open(running: Running, client: Client) -> None:
    make_container(client)
    client.request("POST", "/containers/a/attach?stream=1&stdin=1&stdout=1", headers=UPGRADE)
    client.read_until(b"\r\n\r\n")

    def send() -> None:
        client.send(b"x" * 1_000_000)
        client.socket.shutdown(socket.SHUT_WR)

    threading.Thread(target=send).start()
    demux = frames.Demux()
    echoed = b"".join(data for _, data in demux.feed(client.read_to_end()))
    assert echoed == b"x" * 1_000_000
    assert running.engine.containers.get("a").state.status.value == "exited"


def test_the_server_keeps_nothing_of_a_connection_it_gave_away(
    running: Running, client: Client
) -> None:
    make_container(client)
    client.request("POST", "/containers/a/attach?stream=1&stdout=1", headers=UPGRADE)
    client.read_until(b"\r\n\r\n")
    until(lambda: any(running.engine.containers.clients.values()))
    ((given, _),) = next(iter(running.engine.containers.clients.values()))

    until(lambda: not running.server.connections)
    until(lambda: references(given) == 1)


def references(given: socket.socket) -> int:
    """How many descriptors of this process are this socket."""
    target = os.readlink(f"/proc/self/fd/{given.fileno()}")
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{fd}") == target
        except FileNotFoundError:
            continue
    return found


def test_refusals_come_before_the_stream(running: Running, client: Client) -> None:
    with running.client() as refused:
        refused.request("POST", "/containers/nope/attach?stream=1", headers=UPGRADE)
        answer = refused.answer()

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/vnd.docker.raw-stream"
    assert answer.body == b"No such container: nope\r\n"

    make_container(client)
    client.post("/containers/a/pause")
    answer = client.post("/containers/a/attach?stream=1")
    assert answer.status == 409
    assert answer.body == b"container a is paused, unpause the container before attach\r\n"
    assert client.read_to_end() == b""


def test_bad_detach_keys_are_refused(client: Client) -> None:
    make_container(client)

    assert client.post("/containers/a/attach?detachKeys=ctrl-1").status == 400


@pytest.mark.parametrize(("tty", "stream"), [(True, b""), (False, b"\x01\0\0\0\0\0\0\x16")])
def test_a_late_refusal_is_told_on_the_stream(
    running: Running, client: Client, tty: bool, stream: bytes
) -> None:
    def refuse(ident: str, options: object, client_fd: int, initial: bytes) -> None:
        os.close(client_fd)
        raise errors.Conflict("gone")

    make_container(client, tty=tty)
    running.engine.containers.attach = refuse  # type: ignore[method-assign]
    client.request("POST", "/containers/a/attach?stream=1&stdout=1", headers=UPGRADE)

    client.read_until(b"\r\n\r\n")
    assert client.read_to_end() == stream + b"Error attaching: gone\n"


def test_attach_without_a_stream_ends_at_once(client: Client) -> None:
    make_container(client)

    client.request("POST", "/containers/a/attach", headers=UPGRADE)

    client.read_until(b"\r\n\r\n")
    assert client.read_to_end() == b""


# Exec


def make_exec(client: Client, **config: object) -> str:
    made = client.post("/containers/a/exec", {"AttachStdout": True, **config})
    return str(made.json["Id"])


def test_an_exec_is_a_stream(client: Client) -> None:
    make_container(client)
    exec_id = make_exec(client, Cmd=["echo", "hi"])

    client.request("POST", f"/exec/{exec_id}/start", {"Detach": False}, headers=UPGRADE)

    head = client.read_until(b"\r\n\r\n")
    assert b"multiplexed-stream" in head
    assert client.read_to_end() == frames.mux("stdout", b"echo hi\n")


def test_an_exec_with_a_terminal_is_raw(client: Client) -> None:
    make_container(client)
    exec_id = make_exec(client, Cmd=["sh"], AttachStdin=True, Tty=True)
    client.request("POST", f"/exec/{exec_id}/start", {"Tty": True}, headers=UPGRADE)
    client.send(b"typed ahead")

    assert b"raw-stream" in client.read_until(b"\r\n\r\n")
    assert client.read_exactly(14) == b"sh\ntyped ahead"


def test_output_waits_until_the_head_is_read(client: Client) -> None:
    """docker-py loses what it reads together with the head."""
    make_container(client)
    exec_id = make_exec(client, Cmd=["echo", "hi"])
    client.request("POST", f"/exec/{exec_id}/start", {}, headers=UPGRADE)
    select.select([client.socket], [], [])

    head = client.socket.recv(8192)

    assert head.endswith(b"\r\n\r\n")
    assert client.read_to_end() == frames.mux("stdout", b"echo hi\n")


def test_a_client_that_never_reads_does_not_hold_up_the_exec(
    running: Running, client: Client
) -> None:
    make_container(client)
    exec_id = make_exec(client, Cmd=["echo", "hi"])
    with running.client() as silent:
        silent.request("POST", f"/exec/{exec_id}/start", {}, headers=UPGRADE)

        until(lambda: running.engine.execs.all[exec_id].exit_code == 3)


def test_a_detached_exec_is_an_answer(client: Client) -> None:
    make_container(client)
    exec_id = make_exec(client, Cmd=["true"])

    answer = client.post(f"/exec/{exec_id}/start", {"Detach": True})

    assert (answer.status, answer.body) == (200, b"")
    assert client.get(f"/exec/{exec_id}/json").json["ExitCode"] == 3


def test_an_exec_that_fails_says_so_on_its_stream(client: Client) -> None:
    make_container(client)
    exec_id = make_exec(client, Cmd=["nosuch"])

    client.request("POST", f"/exec/{exec_id}/start", {}, headers=UPGRADE)

    client.read_until(b"\r\n\r\n")
    assert client.read_to_end() == frames.mux(
        "stdout", b'exec: "nosuch": executable file not found in $PATH\r\n'
    )


def test_execs_that_cannot_start_are_refused_before_the_stream(client: Client) -> None:
    make_container(client)
    assert client.post("/exec/nope/start", {}).message == "No such exec instance: nope"

    exec_id = make_exec(client, Cmd=["true"])
    client.post(f"/exec/{exec_id}/start", {"Detach": True})
    assert client.post(f"/exec/{exec_id}/start", {}).status == 409


def test_many_clients_attach_at_once(running: Running, client: Client) -> None:
    make_container(client, tty=True)
    clients = [running.client() for _ in range(50)]

    def attach(one: Client) -> None:
        one.request("POST", "/containers/a/attach?stream=1&stdout=1", headers=UPGRADE)
        one.read_until(b"\r\n\r\n")

    threads = [threading.Thread(target=attach, args=(one,)) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    until(lambda: sum(map(len, running.engine.containers.clients.values())) == 50)
    running.engine.containers.say("a", b"all")

    assert all(one.read_exactly(3) == b"all" for one in clients)
    for one in clients:
        one.socket.close()


def test_a_client_that_is_gone_before_the_head_harms_nobody(running: Running) -> None:
    for _ in range(20):
        with running.client() as client:
            client.request("POST", "/containers/nope/attach?stream=1", headers=UPGRADE)

    with running.client() as client:
        assert client.get("/_ping").body == b"OK"
