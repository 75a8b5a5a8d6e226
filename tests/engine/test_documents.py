"""Records are kept and found again as they were."""

from pinnace.engine import documents
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    EndpointSettings,
    Health,
    HealthResult,
    HostConfig,
    Mount,
    MountPoint,
    State,
    Status,
)


def test_a_record_survives_the_database() -> None:
    container = Container(
        id="c1",
        name="web",
        created=1,
        config=ContainerConfig(cmd=[], entrypoint=None, labels={"a": "b"}),
        host_config=HostConfig(masked_paths=[], readonly_paths=None, pids_limit=-1, init=False),
        networking={"bridge": EndpointSettings(aliases=["x"])},
        state=State(
            status=Status.PAUSED,
            pid=7,
            health=Health(status="healthy", log=[HealthResult(start=1, exit_code=2)]),
        ),
        mounts=[MountPoint(type="bind", source="/a", rw=True, mount=Mount(type="bind"))],
    )
    assert documents.unpack_container(documents.pack(container)) == container


def test_a_record_of_an_older_engine_is_read() -> None:
    container = documents.unpack_container(b'{"id":"c1","gone":1}')
    assert container == Container(id="c1")
    assert container.host_config.masked_paths is None


def test_running_is_dockers_word_for_three_statuses() -> None:
    running = {status for status in Status if State(status=status).running}
    assert running == {Status.RUNNING, Status.PAUSED, Status.RESTARTING}
    assert State(status=Status.RESTARTING).restarting
    assert State(status=Status.PAUSED).paused
