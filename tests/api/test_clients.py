"""The clients that people use: the docker command line and docker-py, on the fake engine."""

import io
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import docker as docker_py  # type: ignore[import-untyped]
import pytest

from tests.api.conftest import Running
from tests.harness.deadline import until
from tests.harness.docker import Docker

needs_docker = pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command here")


@pytest.fixture
def docker(running: Running, tmp_path: Path) -> Docker:
    return Docker(running.host, tmp_path / "config")


@pytest.fixture
def library(running: Running) -> Iterator[docker_py.DockerClient]:
    client = docker_py.DockerClient(base_url=running.host)
    yield client
    client.close()


@needs_docker
def test_version_and_info(docker: Docker) -> None:
    assert docker.ok("version", "--format", "{{.Server.APIVersion}}") == "1.56"
    assert docker.ok("version", "--format", "{{.Server.MinAPIVersion}}") == "1.24"
    assert docker.ok("info", "--format", "{{.Name}} {{.Swarm.LocalNodeState}}") == "fake inactive"


@needs_docker
def test_a_container_from_create_to_rm(docker: Docker) -> None:
    docker.ok("create", "--name", "a", "--label", "k=v", "busybox", "sleep", "1")
    assert docker.ok("start", "a") == "a"
    assert docker.ok("ps", "--format", "{{.Names}} {{.State}} {{.Image}}") == "a running busybox"
    assert docker.ok("inspect", "a", "--format", "{{.State.Status}} {{.Path}}") == "running sleep"
    assert docker.ok("top", "a").split() == ["PID", "CMD", "4242", "sleep"]
    assert docker.ok("diff", "a") == "A /etc\nC /etc/new"
    docker.ok("rename", "a", "b")
    docker.ok("pause", "b")
    docker.ok("unpause", "b")
    docker.ok("update", "--memory", "64m", "b")
    docker.ok("stop", "-t", "1", "b")
    assert docker.ok("wait", "b") == "143"
    docker.ok("rm", "b")
    assert "no such object: b" in docker("inspect", "b").err.lower()


@needs_docker
def test_run_speaks_through_the_attached_stream(docker: Docker) -> None:
    code, out, err = docker("run", "-i", "--rm", "busybox", "cat", stdin=b"hello\n")

    assert (code, out, err) == (0, "hello\n", "")
    assert docker.ok("ps", "-aq") == ""


@needs_docker
def test_a_megabyte_through_run(docker: Docker) -> None:
    data = b"0123456789abcdef" * 65536

    assert docker("run", "-i", "busybox", "cat", stdin=data).out.encode() == data


@needs_docker
def test_a_terminal(docker: Docker) -> None:
    with docker.terminal("run", "-it", "--name", "t", "busybox") as terminal:
        terminal.type("hello")
        terminal.expect("hello")


@needs_docker
def test_attach_and_logs(running: Running, docker: Docker) -> None:
    docker.ok("run", "-d", "--name", "a", "busybox")
    attached = docker.start("attach", "--no-stdin", "a")
    followed = docker.start("logs", "-f", "a")
    until(lambda: any(running.engine.containers.clients.values()))
    until(lambda: any(log.readers for log in running.engine.containers.logs_of.values()))

    running.engine.containers.say("a", b"out\n")
    running.engine.containers.say("a", b"err\n", "stderr")
    running.engine.containers.finish("a", 5)

    assert attached.communicate(timeout=20) == (b"out\n", b"err\n")
    assert followed.communicate(timeout=20) == (b"out\n", b"err\n")
    assert attached.returncode == 5


@needs_docker
def test_exec(docker: Docker) -> None:
    docker.ok("run", "-d", "--name", "a", "busybox")

    code, out, _ = docker("exec", "a", "echo", "hi")
    assert (code, out) == (3, "echo hi\n")

    code, out, _ = docker("exec", "-i", "a", "cat", stdin=b"typed")
    assert out == "cat\ntyped"


@needs_docker
@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("attach", "nope"), "No such container: nope"),
        (("start", "nope"), "No such container: nope"),
        (("logs", "nope"), "No such container: nope"),
        (("kill", "nope"), "cannot kill container: nope: No such container: nope"),
        (("exec", "nope", "x"), "No such container: nope"),
        (("node", "ls"), "This node is not a swarm manager."),
        (("pull", "nope"), "pull access denied for nope, repository does not exist"),
        (("run", "nope"), "pull access denied for nope, repository does not exist"),
        (("network", "rm", "bridge"), "bridge is a pre-defined network and cannot be removed"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_errors_read_as_dockers(docker: Docker, command: tuple[str, ...], error: str) -> None:
    code, _, err = docker(*command)

    assert code != 0
    assert error in err


@needs_docker
def test_events(running: Running, docker: Docker) -> None:
    listener = docker.start("events", "--format", "{{.Type}} {{.Action}}")
    until(lambda: running.engine.events.subscribers)

    docker.ok("create", "busybox")

    assert listener.stdout is not None
    assert listener.stdout.readline() == b"container create\n"
    listener.terminate()
    listener.communicate(timeout=20)


@needs_docker
def test_images_volumes_and_space(docker: Docker) -> None:
    assert docker.ok("images", "--format", "{{.Repository}}:{{.Tag}}") == "busybox:latest"
    assert docker.ok("history", "--format", "{{.CreatedBy}}", "busybox") == "made"
    docker.ok("tag", "busybox", "other:1")
    assert docker("save", "other:1").out.startswith("sha256:")
    assert "Loaded image: loaded:latest" in docker("load", stdin=b"archive").out
    assert docker("import", "-", "im:1", stdin=b"archive").out.startswith("sha256:")
    assert "Untagged: other:1" in docker.ok("rmi", "other:1")
    docker.ok("volume", "create", "v")
    assert docker.ok("volume", "ls", "-q") == "v"
    assert docker.ok("system", "df", "--format", "{{.Type}} {{.TotalCount}}").splitlines() == [
        "Images 1",
        "Containers 0",
        "Local Volumes 1",
        "Build Cache 0",
    ]
    docker.ok("volume", "rm", "v")
    docker.ok("system", "prune", "-f")


def test_the_library_negotiates_and_lists(library: docker_py.DockerClient) -> None:
    container = library.containers.create("busybox", "sleep 1", name="a")
    container.start()

    assert library.ping()
    assert [found.name for found in library.containers.list()] == ["a"]
    assert container.image.tags == ["busybox:latest"]
    container.reload()
    assert container.status == "running"


def test_the_library_attaches(running: Running, library: docker_py.DockerClient) -> None:
    container = library.containers.run("busybox", detach=True, name="a")
    output = container.attach(stream=True, demux=True)
    until(lambda: any(running.engine.containers.clients.values()))
    running.engine.containers.say("a", b"out")
    running.engine.containers.say("a", b"err", "stderr")
    running.engine.containers.finish("a", 0)

    assert list(output) == [(b"out", None), (None, b"err")]
    assert container.wait()["StatusCode"] == 0
    assert container.logs(stdout=True, stderr=False) == b"out"


def test_the_library_has_the_raw_socket(library: docker_py.DockerClient) -> None:
    container = library.containers.run("busybox", detach=True, tty=True, stdin_open=True)
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})

    stream._sock.sendall(b"hello")

    assert stream._sock.recv(100) == b"hello"
    stream.close()


def test_the_library_follows_logs(running: Running, library: docker_py.DockerClient) -> None:
    container = library.containers.run("busybox", detach=True, name="a")
    lines: list[bytes] = []
    reading = threading.Thread(target=lambda: lines.extend(container.logs(stream=True)))
    reading.start()
    until(lambda: any(log.readers for log in running.engine.containers.logs_of.values()))
    running.engine.containers.say("a", b"one\n")
    running.engine.containers.finish("a", 0)
    reading.join(20)

    assert lines == [b"one\n"]


def test_the_library_executes(library: docker_py.DockerClient) -> None:
    container = library.containers.run("busybox", detach=True)

    assert container.exec_run(["echo", "hi"]) == (3, b"echo hi\n")


def test_the_library_loads_and_saves(library: docker_py.DockerClient) -> None:
    with pytest.raises(docker_py.errors.ImageLoadError, match="invalid tar header"):
        library.images.load(io.BytesIO(b"bad"))

    assert b"".join(library.images.get("busybox").save()).startswith(b"sha256:")


def test_the_librarys_errors(library: docker_py.DockerClient) -> None:
    with pytest.raises(docker_py.errors.NotFound, match="No such container: nope"):
        library.containers.get("nope")
    with pytest.raises(docker_py.errors.ImageNotFound):
        library.images.get("nope")
