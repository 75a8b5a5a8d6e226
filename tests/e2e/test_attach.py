"""Attached streams: raw and multiplexed, replay, half-close, detach keys, terminals."""

import itertools
import json
import time

import pytest

from bench.wire import Client, query
from tests.harness.deadline import until
from tests.harness.docker import Docker, Terminal
from tests.harness.engine import Engine
from tests.harness.streams import attach

pytestmark = pytest.mark.root

INTERACTIVE = {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


def test_streams_without_a_terminal_are_multiplexed(engine: Engine, api: Client) -> None:
    ident = engine.create("sh", "-c", "echo out; echo err >&2")

    with attach(api, ident) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        streams = attached.streams()

    assert attached.head.status == 101
    assert attached.head.headers["content-type"] == MULTIPLEXED
    assert (attached.head.headers["connection"], attached.head.headers["upgrade"]) == (
        "Upgrade",
        "tcp",
    )
    assert streams == {1: b"out\n", 2: b"err\n"}


def test_without_an_upgrade_the_answer_is_200_and_raw(engine: Engine, api: Client) -> None:
    ident = engine.create("sh", "-c", "echo out")

    path = f"/containers/{ident}/attach?stream=1&stdout=1"
    connection, head, rest = api.hijack(path, upgrade=False)
    with connection:
        engine.ok("POST", f"/containers/{ident}/start")
        while data := connection.recv(4096):
            rest += data

    assert (head.status, head.headers["content-type"]) == (200, RAW)
    assert rest == b"\x01\0\0\0\0\0\0\x04out\n"


def test_a_terminal_is_one_raw_stream(engine: Engine, api: Client) -> None:
    ident = engine.create("sh", "-c", "echo out; echo err >&2", Tty=True)

    with attach(api, ident) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        seen = attached.rest()

    assert attached.head.headers["content-type"] == RAW
    assert seen == b"out\r\nerr\r\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_only_the_wanted_stream_comes(engine: Engine, api: Client, stream: str) -> None:
    ident = engine.create("sh", "-c", "echo stdout; echo stderr >&2")

    wanted = {"stdout": stream == "stdout", "stderr": stream == "stderr"}
    with attach(api, ident, **wanted) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        streams = attached.streams()

    assert list(streams.values()) == [f"{stream}\n".encode()]


def test_stdin_is_answered(engine: Engine, api: Client) -> None:
    ident = engine.create("cat", **INTERACTIVE)

    with attach(api, ident, stdin=True) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        attached.send(b"first\n")
        attached.expect(b"first\n")
        attached.send(b"second\n")
        attached.expect(b"second\n")
        attached.close_write()
        streams = attached.streams()

    assert streams == {1: b"first\nsecond\n"}
    assert engine.wait(ident) == 0


def test_after_half_close_the_output_still_comes(engine: Engine, api: Client) -> None:
    ident = engine.create("sh", "-c", "cat >/dev/null; echo all read; exit 4", **INTERACTIVE)

    with attach(api, ident, stdin=True) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        attached.send(b"x" * 200_000)
        attached.close_write()
        streams = attached.streams()

    assert streams == {1: b"all read\n"}
    assert engine.wait(ident) == 4


def test_stdin_stays_open_for_the_next_client(engine: Engine, api: Client) -> None:
    ident = engine.create("cat", OpenStdin=True)
    engine.ok("POST", f"/containers/{ident}/start")

    for word in (b"one\n", b"two\n"):
        with attach(api, ident, stdin=True) as attached:
            attached.send(word)
            attached.expect(word)

    assert engine.inspect(ident)["State"]["Running"] is True


def test_a_client_that_goes_away_leaves_the_container_running(engine: Engine, api: Client) -> None:
    ident = engine.start("sh", "-c", "while :; do echo x; done")
    with attach(api, ident) as attached:
        attached.expect(b"x\n")

    state = engine.inspect(ident)["State"]

    assert state["Running"] is True


def test_replay_gives_what_was_logged_and_goes_on(engine: Engine, api: Client) -> None:
    ident = engine.start("sh", "-c", "echo early; read x; echo late", OpenStdin=True)
    until(lambda: "early" in engine.output(ident), "the first line in the log")

    with attach(api, ident, logs=True, stdin=True) as attached:
        attached.expect(b"early\n")
        attached.send(b"\n")
        streams = attached.streams()

    assert streams == {1: b"early\nlate\n"}


def test_replay_without_stream_ends(engine: Engine, api: Client) -> None:
    ident = engine.start("sh", "-c", "echo early; sleep 1000")
    until(lambda: "early" in engine.output(ident), "the first line in the log")

    with attach(api, ident, logs=True, stream=False) as attached:
        assert attached.streams() == {1: b"early\n"}


def test_several_clients_see_the_same(engine: Engine, api: Client) -> None:
    ident = engine.create("sh", "-c", "seq 2000")

    clients = [attach(api, ident) for _ in range(4)]
    engine.ok("POST", f"/containers/{ident}/start")
    seen = [client.streams()[1] for client in clients]

    assert seen == ["".join(f"{n}\n" for n in range(1, 2001)).encode()] * 4
    for client in clients:
        client.connection.close()


@pytest.mark.parametrize(
    ("keys", "typed"),
    [(None, b"\x10\x11"), ("ctrl-x,y", b"\x18y"), ("a,b,c", b"abc")],
    ids=["default", "ctrl-x,y", "a,b,c"],
)
def test_detach_keys_end_the_client_and_not_the_container(
    engine: Engine, api: Client, keys: str | None, typed: bytes
) -> None:
    ident = engine.create("cat", Tty=True, OpenStdin=True)

    with attach(api, ident, stdin=True, detachKeys=keys) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        attached.send(b"hello\n")
        attached.expect(b"hello\r\nhello\r\n")
        attached.send(typed)
        seen = attached.rest()

    assert b"\x11" not in seen
    assert engine.inspect(ident)["State"]["Running"] is True


def test_part_of_the_detach_keys_is_input(engine: Engine, api: Client) -> None:
    ident = engine.create(
        "sh",
        "-c",
        "stty raw; echo ready; dd bs=2 count=1 2>/dev/null | od -An -tx1",
        Tty=True,
        OpenStdin=True,
    )

    with attach(api, ident, stdin=True) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        attached.expect(b"ready")
        attached.send(b"\x10z")
        attached.expect(b"10 7a")


def test_resize_is_seen_by_the_program(engine: Engine, api: Client) -> None:
    ident = engine.create("sh", "-c", "read x; stty size", Tty=True, OpenStdin=True)

    with attach(api, ident, stdin=True) as attached:
        engine.ok("POST", f"/containers/{ident}/start")
        engine.ok("POST", f"/containers/{ident}/resize?h=31&w=117")
        attached.send(b"\n")
        attached.expect(b"31 117")


def test_the_size_given_at_creation_is_there_from_the_start(engine: Engine) -> None:
    settings = {"HostConfig": {"ConsoleSize": [33, 99]}}

    assert engine.finish_terminal("stty", "size", **settings) == (0, "33 99\r\n")


# As a person sits before it


def shell_of(engine: Engine, *options: str) -> tuple[str, ...]:
    ours = ("--label", engine.label, "--network", "none")
    return ("run", "-it", *options, *ours, engine.image, "sh")


@pytest.mark.docker
def test_an_interactive_shell(docker: Docker, engine: Engine) -> None:
    with docker.terminal(*shell_of(engine, "--rm"), rows=40, columns=100) as shell:
        shell.expect("# ")
        shell.type("stty size\n")
        shell.expect("40 100")
        shell.type("tty; echo $TERM\n")
        shell.expect("/dev/pts/0")
        shell.expect("xterm")
        shell.type("exit 7\n")

        assert shell.wait() == 7


@pytest.mark.docker
def test_the_window_s_new_size_is_passed_on(docker: Docker, engine: Engine) -> None:
    widths = itertools.count(120)
    with docker.terminal(*shell_of(engine, "--rm")) as shell:
        shell.expect("# ")
        until(lambda: _follows(shell, 50, next(widths)), "the new size")


def _follows(shell: Terminal, rows: int, columns: int) -> bool:
    """Each time another size: docker does not listen yet when it shows the first prompt."""
    shell.resize(rows, columns)
    shell.type("stty size; echo do''ne\n")
    return f"{rows} {columns}" in shell.expect("done")


@pytest.mark.docker
def test_ctrl_c_reaches_the_program_and_not_the_client(docker: Docker, engine: Engine) -> None:
    with docker.terminal(*shell_of(engine, "--rm")) as shell:
        shell.expect("# ")
        shell.type("sh -c 'echo be\"\"gun; exec sleep 1000'\n")
        shell.expect("begun")
        shell.type("\x03")
        shell.expect("# ")
        shell.type("echo code $?; exit\n")
        shell.expect("code 130")

        shell.wait()


@pytest.mark.docker
def test_job_control_works(docker: Docker, engine: Engine) -> None:
    with docker.terminal(*shell_of(engine, "--rm")) as shell:
        shell.expect("# ")
        shell.type("sh -c 'echo be\"\"gun; exec sleep 1000'\n")
        shell.expect("begun")
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.type("kill %1; fg; exit 3\n")

        assert shell.wait() == 3


@pytest.mark.docker
def test_ctrl_p_ctrl_q_detaches_and_attach_returns(docker: Docker, engine: Engine) -> None:
    name = "pinnace-test-detach"
    with docker.terminal(*shell_of(engine, "--name", name)) as shell:
        shell.expect("# ")
        shell.type("x=kept; echo s''et\n")
        shell.expect("set")
        shell.type("\x10\x11")
        assert shell.wait() == 0
    assert engine.inspect(name)["State"]["Running"] is True

    with docker.terminal("attach", name) as shell:
        shell.type("echo $x; exit 5\n")
        shell.expect("kept")
        assert shell.wait() == 5


@pytest.mark.docker
def test_attach_passes_signals_of_the_client_on(docker: Docker, engine: Engine) -> None:
    ident = engine.start(
        "sh",
        "-c",
        "trap 'echo got it; sleep 0.5; exit 6' INT; echo up; while :; do sleep 0.01; done",
    )
    until(lambda: "up" in engine.output(ident), "the trap")
    began = time.time()
    client = docker.start("attach", "--sig-proxy=true", ident)
    until(lambda: _attached(engine, ident, began), "an attached client")

    client.send_signal(2)
    out, _ = client.communicate(timeout=20)

    assert b"got it" in out
    assert client.returncode == 6


def _attached(engine: Engine, ident: str, began: float) -> bool:
    """Only then does docker pass signals on; before, they end it.

    It asks once more whether the container runs, which therefore must not end at once.
    """
    filters = json.dumps({"container": [ident], "event": ["attach"]})
    told = query(since=f"{began:.9f}", until=f"{time.time():.9f}", filters=filters)
    return bool(engine.request("GET", "/events" + told).body)
