"""Commands run in a running container."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.wire import Client
from tests.harness.deadline import until
from tests.harness.docker import Docker
from tests.harness.engine import Engine
from tests.harness.streams import Attached, execute

pytestmark = pytest.mark.root


@pytest.fixture
def box(engine: Engine) -> str:
    """Id of a running container."""
    return engine.start()


def finish(
    engine: Engine, api: Client, box: str, *command: str, **settings: object
) -> tuple[int, dict[int, bytes]]:
    made, running = execute(api, box, *command, **settings)
    with running:
        streams = running.streams()
    return int(engine.get(f"/exec/{made}/json")["ExitCode"]), streams


@pytest.mark.parametrize("code", [0, 1, 42, 126, 127, 137, 255])
def test_exit_code(engine: Engine, api: Client, box: str, code: int) -> None:
    assert finish(engine, api, box, "sh", "-c", f"exit {code}") == (code, {})


def test_death_by_signal_is_128_and_the_number(engine: Engine, api: Client, box: str) -> None:
    assert finish(engine, api, box, "sh", "-c", "kill -9 $$")[0] == 137


def test_streams_are_kept_apart(engine: Engine, api: Client, box: str) -> None:
    code, streams = finish(engine, api, box, "sh", "-c", "echo out; echo err >&2")

    assert (code, streams) == (0, {1: b"out\n", 2: b"err\n"})


def test_a_terminal_is_one_raw_stream(api: Client, box: str) -> None:
    _, running = execute(api, box, "sh", "-c", "tty; echo err >&2", Tty=True)

    with running:
        assert running.rest() == b"/dev/pts/0\r\nerr\r\n"


def test_the_start_says_whether_there_are_frames(api: Client, box: str) -> None:
    """As docker-py does it: a terminal at creation, and a start that knows of none."""
    body = {"AttachStdout": True, "Tty": True, "Cmd": ["tty"]}
    made = api.ok("POST", f"/containers/{box}/exec", body).json()["Id"]

    with Attached(*api.hijack(f"/exec/{made}/start", {"Tty": False})) as running:
        assert running.streams() == {1: b"/dev/pts/0\r\n"}


def test_stdin_and_half_close(engine: Engine, api: Client, box: str) -> None:
    _, running = execute(api, box, "sh", "-c", "cat; echo end", AttachStdin=True)

    with running:
        running.send(b"typed\n")
        running.expect(b"typed\n")
        running.close_write()
        assert running.streams() == {1: b"typed\nend\n"}


def test_megabytes_pass_through_both_ways(api: Client, box: str) -> None:
    data = bytes(range(256)) * 8192
    _, running = execute(api, box, "cat", AttachStdin=True)

    def send() -> None:
        running.send(data)
        running.close_write()

    with running, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        streams = running.streams()
        sent.result()

    assert streams == {1: data}


def test_environment_working_folder_and_user(engine: Engine, api: Client, box: str) -> None:
    settings = {"Env": ["A=b"], "WorkingDir": "/tmp", "User": "nobody"}

    code, streams = finish(engine, api, box, "sh", "-c", "echo $A $PWD $(id -un) $HOME", **settings)

    assert (code, streams) == (0, {1: b"b /tmp nobody /home\n"})


def test_the_container_s_environment_user_and_folder_are_inherited(
    engine: Engine, api: Client
) -> None:
    box = engine.start(Env=["A=b"], WorkingDir="/var", User="www-data")

    _, streams = finish(engine, api, box, "sh", "-c", "echo $A $PWD $(id -un)")

    assert streams == {1: b"b /var www-data\n"}


def test_capabilities_are_the_container_s(engine: Engine, api: Client) -> None:
    box = engine.start(HostConfig={"CapDrop": ["ALL"], "CapAdd": ["CHOWN"]})
    script = "grep -E 'Cap(Eff|Bnd)|Seccomp:' /proc/self/status | cut -f2"

    _, streams = finish(engine, api, box, "sh", "-c", script)

    assert streams[1].split() == [b"0000000000000001"] * 2 + [b"2"]


def test_privileged_exec_has_all_capabilities_of_the_container_s_host(
    engine: Engine, api: Client, box: str
) -> None:
    script = "grep CapEff /proc/self/status | cut -f2"
    _, plain = finish(engine, api, box, "sh", "-c", script)

    _, privileged = finish(engine, api, box, "sh", "-c", script, Privileged=True)

    assert int(privileged[1], 16) > int(plain[1], 16)


def test_it_is_in_the_container_s_namespaces_and_cgroup(
    engine: Engine, api: Client, box: str
) -> None:
    script = (
        "cd /proc; for n in ipc mnt net pid uts; do"
        " [ $(readlink 1/ns/$n) = $(readlink self/ns/$n) ] || echo $n; done;"
        " diff 1/cgroup self/cgroup && echo same"
    )

    _, streams = finish(engine, api, box, "sh", "-c", script)

    assert streams == {1: b"same\n"}


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("no-such-command", 127, "executable file not found in $PATH"),
        ("/no/such/file", 127, "no such file or directory"),
        ("/etc", 126, "permission denied"),
        ("/etc/passwd", 126, "permission denied"),
    ],
)
def test_what_cannot_be_run(docker: Docker, box: str, command: str, code: int, reason: str) -> None:
    result = docker("exec", box, command)

    assert result.code == code
    assert reason in result.out + result.err


def test_detached_goes_on_by_itself(engine: Engine, api: Client, box: str) -> None:
    made = api.ok(
        "POST", f"/containers/{box}/exec", {"Cmd": ["sh", "-c", "echo done >/tmp/f; exit 3"]}
    ).json()["Id"]

    answer = api.ok("POST", f"/exec/{made}/start", {"Detach": True})

    assert answer.status == 200
    until(lambda: not engine.get(f"/exec/{made}/json")["Running"], "its end")
    state = engine.get(f"/exec/{made}/json")
    assert (state["Running"], state["ExitCode"]) == (False, 3)
    assert finish(engine, api, box, "cat", "/tmp/f")[1] == {1: b"done\n"}


def test_inspect_before_during_and_after(engine: Engine, api: Client, box: str) -> None:
    made, running = execute(api, box, "sh", "-c", "read x; exit 5", AttachStdin=True)
    with running:
        during = until(lambda: (s := engine.get(f"/exec/{made}/json"))["Pid"] and s, "a pid")
        running.send(b"\n")
        running.rest()
    after = engine.get(f"/exec/{made}/json")

    assert (during["Running"], during["ExitCode"], during["ContainerID"]) == (True, None, box)
    assert during["ProcessConfig"] == {
        "tty": False,
        "entrypoint": "sh",
        "arguments": ["-c", "read x; exit 5"],
        "privileged": False,
    }
    assert (after["Running"], after["ExitCode"]) == (False, 5)


def test_a_second_start_is_a_conflict(api: Client, box: str) -> None:
    made, running = execute(api, box, "true")
    with running:
        running.rest()

    answer = api.request("POST", f"/exec/{made}/start", {"Detach": True})

    assert answer.status == 409


def test_ids_are_listed_while_it_runs(engine: Engine, api: Client, box: str) -> None:
    made, running = execute(api, box, "sleep", "1000")
    with running:
        assert engine.inspect(box)["ExecIDs"] == [made]


def test_resize_reaches_its_terminal(api: Client, box: str) -> None:
    made, running = execute(api, box, "sh", "-c", "read x; stty size", Tty=True, AttachStdin=True)
    with running:
        api.ok("POST", f"/exec/{made}/resize?h=21&w=87")
        running.send(b"\n")
        running.expect(b"21 87")


def test_detach_keys_leave_it_running(engine: Engine, api: Client, box: str) -> None:
    _, running = execute(api, box, "sleep", "1000", Tty=True, AttachStdin=True)
    with running:
        running.send(b"x\n")
        running.expect(b"x\r\n")
        running.send(b"\x10\x11")
        running.rest()

    # dockerd 28 says of such an exec that it ended with 126, which it did not.
    assert "sleep 1000" in [row[-1] for row in engine.get(f"/containers/{box}/top")["Processes"]]


def test_it_ends_with_its_container(engine: Engine, api: Client, box: str) -> None:
    _, running = execute(api, box, "sleep", "1000")
    with running:
        engine.ok("POST", f"/containers/{box}/kill")
        running.rest()

    assert engine.wait(box) == 137


def test_a_grandchild_that_holds_the_streams_keeps_them_open(api: Client, box: str) -> None:
    _, running = execute(api, box, "sh", "-c", "(sleep 0.3; echo late) & echo early")

    with running:
        assert running.streams() == {1: b"early\nlate\n"}


def test_a_hundred_at_once(engine: Engine, box: str) -> None:
    def one(number: int) -> tuple[int, bytes]:
        with engine.client() as client:
            made, running = execute(client, box, "sh", "-c", f"echo {number}; exit {number}")
            with running:
                streams = running.streams()
            return client.ok("GET", f"/exec/{made}/json").json()["ExitCode"], streams[1]

    with ThreadPoolExecutor(25) as pool:
        results = list(pool.map(one, range(100)))

    assert results == [(number, f"{number}\n".encode()) for number in range(100)]


@pytest.mark.docker
def test_an_interactive_exec(docker: Docker, box: str) -> None:
    with docker.terminal("exec", "-it", "-e", "A=b", box, "sh", rows=30, columns=90) as shell:
        shell.expect("# ")
        shell.type("stty size; echo $A-$TERM; exit 9\n")
        shell.expect("30 90")
        shell.expect("b-xterm")

        assert shell.wait() == 9


@pytest.mark.docker
def test_env_file_and_input_by_the_command_line(docker: Docker, box: str, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=from file\n")

    result = docker(
        "exec",
        "-i",
        "--env-file",
        str(file),
        "-w",
        "/tmp",
        box,
        "sh",
        "-c",
        "pwd; echo $A; cat",
        stdin=b"in\n",
    )

    assert result == (0, "/tmp\nfrom file\nin\n", "")
