"""docker-py, the library that most Python programs speak to Docker with."""

from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from tests.harness.engine import Engine

pytestmark = pytest.mark.root


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine.host, version="auto", timeout=60)
    yield client
    client.close()


@pytest.fixture
def labels(engine: Engine) -> dict[str, str]:
    return dict([engine.label.split("=")])


@pytest.fixture
def box(client: docker.DockerClient, image: str, labels: dict[str, str]) -> Container:
    return client.containers.run(image, ["sleep", "1000"], detach=True, labels=labels)


def test_ping_version_and_info(client: docker.DockerClient) -> None:
    assert client.ping() is True
    assert client.version()["Os"] == "linux"
    assert client.info()["NCPU"] >= 1


def test_run_gives_the_output(client: docker.DockerClient, image: str) -> None:
    assert client.containers.run(image, "echo hello", remove=True) == b"hello\n"


def test_run_that_fails_raises_with_what_it_said(client: docker.DockerClient, image: str) -> None:
    with pytest.raises(docker.errors.ContainerError) as raised:
        client.containers.run(image, ["sh", "-c", "echo oh >&2; exit 4"], remove=True)

    assert (raised.value.exit_status, raised.value.stderr) == (4, b"oh\n")


def test_an_unknown_image_is_its_own_error(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("no-such-image")


def test_exec_run(box: Container) -> None:
    assert box.exec_run(["sh", "-c", "echo out; exit 3"]) == (3, b"out\n")
    assert box.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True).output == (
        b"out\n",
        b"err\n",
    )
    assert list(box.exec_run(["seq", "3"], stream=True).output)


def test_exec_by_a_socket(box: Container) -> None:
    _, stream = box.exec_run("cat", socket=True, stdin=True, tty=True)
    stream._sock.sendall(b"typed\n")

    assert stream._sock.recv(100).startswith(b"typed")
    stream.close()


def test_logs_as_bytes_and_as_a_stream(
    client: docker.DockerClient, image: str, labels: dict[str, str]
) -> None:
    box = client.containers.run(image, ["seq", "3"], detach=True, labels=labels)
    box.wait()

    assert box.logs() == b"1\n2\n3\n"
    assert b"".join(box.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert box.logs(tail=1) == b"3\n"


def test_attach_streams_until_the_end(
    client: docker.DockerClient, image: str, labels: dict[str, str]
) -> None:
    box = client.containers.create(image, ["seq", "1000"], labels=labels)
    stream = box.attach(stream=True)
    box.start()

    assert b"".join(stream).split()[-1] == b"1000"


def test_the_verbs(box: Container) -> None:
    box.pause()
    box.reload()
    assert box.status == "paused"
    box.unpause()
    box.rename("pinnace-test-python")
    box.restart(timeout=0)
    box.stop(timeout=0)
    assert box.wait()["StatusCode"] == 137
    box.start()
    box.kill()
    box.reload()
    assert (box.name, box.attrs["RestartCount"]) == ("pinnace-test-python", 0)
    box.remove(v=True, force=True)


def test_lists_and_prunes(
    client: docker.DockerClient, box: Container, labels: dict[str, str]
) -> None:
    label = [f"{key}={value}" for key, value in labels.items()]

    assert [c.id for c in client.containers.list(filters={"label": label})] == [box.id]
    box.kill()
    box.wait()
    assert client.containers.prune(filters={"label": label})["ContainersDeleted"] == [box.id]


def test_top_stats_and_diff(box: Container) -> None:
    box.exec_run("touch /made")

    assert box.top()["Processes"][0][-1] == "sleep 1000"
    assert box.stats(stream=False)["pids_stats"]["current"] >= 1
    assert {"Path": "/made", "Kind": 1} in box.diff()


def test_events_are_decoded(
    client: docker.DockerClient, image: str, labels: dict[str, str]
) -> None:
    stream = client.events(decode=True, filters={"event": "create"})
    made = client.containers.create(image, "true", labels=labels)

    assert next(stream)["Actor"]["ID"] == made.id
    stream.close()


def test_a_host_configuration_arrives(
    client: docker.DockerClient, image: str, labels: dict[str, str]
) -> None:
    box = client.containers.run(
        image,
        "sleep 1000",
        detach=True,
        labels=labels,
        mem_limit="64m",
        nano_cpus=500_000_000,
        cap_add=["NET_ADMIN"],
        environment={"A": "b"},
        read_only=True,
        tmpfs={"/t": "size=1m"},
        ulimits=[docker.types.Ulimit(name="nofile", soft=64, hard=64)],
        init=True,
    )

    host = box.attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["ReadonlyRootfs"]) == (
        64 << 20,
        500_000_000,
        True,
    )
    assert box.exec_run(["sh", "-c", "ulimit -n; echo $A"]).output == b"64\nb\n"
