"""What the words of `ps --filter` and its like let through."""

from typing import Any

import pytest

from pinnace import errors
from pinnace.engine import filters
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    Empty,
    EndpointSettings,
    Health,
    HostConfig,
    MountPoint,
    PortBinding,
    State,
    Status,
)

NOW = 1_700_000_000 * 10**9


def container(ident: str, name: str, status: str = "running", **fields: Any) -> Container:
    state = State(
        status=Status(status),
        started_at=1,
        exit_code=fields.pop("exit_code", 0),
        health=fields.pop("health", None),
    )
    return Container(id=ident, name=name, state=state, **fields)


# Newest first, as the engine lists them.
ALL = [
    container("c4", "old-web", "exited", exit_code=3, image="sha256:1"),
    container(
        "c3",
        "db",
        image="sha256:2",
        mounts=[MountPoint(type="volume", name="data", source="/v", destination="/var/lib")],
        networking={"back": EndpointSettings(network_id="n123")},
        health=Health(status="healthy"),
    ),
    container(
        "c2",
        "web",
        image="sha256:1",
        config=ContainerConfig(labels={"a": "b"}, exposed_ports={"80/tcp": Empty()}),
        host_config=HostConfig(port_bindings={"80/tcp": [PortBinding(host_port="8080")]}),
    ),
    container("c1", "first", "paused"),
]


def listed(wanted: dict[str, list[str]], *, all: bool = False, limit: int = 0) -> list[str]:
    def find(ident: str) -> Container:
        for known in ALL:
            if ident in (known.id, known.name):
                return known
        raise errors.NotFound(f"No such container: {ident}")

    query = filters.query(
        wanted,
        all=all,
        find=find,
        descendants=lambda name: {"web": ["sha256:1"]}.get(name, []),
    )
    return [kept.id for kept in query.keep(ALL, limit)]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["c4", "c3", "c2", "c1"]),
        ({"id": ["c"]}, ["c4", "c3", "c2", "c1"]),
        ({"id": ["c2"]}, ["c2"]),
        ({"name": ["web"]}, ["c4", "c2"]),
        ({"name": ["^web$"]}, ["c2"]),
        ({"name": ["^/web$", "db"]}, ["c3", "c2"]),
        ({"name": ["("]}, []),
        ({"label": ["a=b"]}, ["c2"]),
        ({"label": ["a", "z"]}, []),
        ({"status": ["exited", "paused"]}, ["c4", "c1"]),
        ({"exited": ["3"]}, ["c4"]),
        ({"exited": ["0"]}, []),
        ({"health": ["healthy"]}, ["c3"]),
        ({"health": ["none"]}, ["c4", "c2", "c1"]),
        ({"volume": ["data"]}, ["c3"]),
        ({"volume": ["/var/lib"]}, ["c3"]),
        ({"volume": ["nope"]}, []),
        ({"network": ["back"]}, ["c3"]),
        ({"network": ["n12"]}, ["c3"]),
        ({"ancestor": ["web"]}, ["c4", "c2"]),
        ({"ancestor": ["nope"]}, []),
        ({"before": ["c3"]}, ["c2", "c1"]),
        ({"since": ["db"]}, ["c4"]),
        ({"since": ["c1"], "before": ["c4"]}, ["c3", "c2"]),
        ({"publish": ["8080"]}, ["c2"]),
        ({"publish": ["8000-8100/tcp"]}, ["c2"]),
        ({"publish": ["80"]}, []),
        ({"expose": ["80"]}, ["c2"]),
        ({"expose": ["80/udp"]}, []),
        ({"is-task": ["true"]}, []),
        ({"is-task": ["false"]}, ["c4", "c3", "c2", "c1"]),
        ({"isolation": ["default"]}, ["c4", "c3", "c2", "c1"]),
    ],
)
def test_containers(wanted: dict[str, list[str]], ids: list[str]) -> None:
    assert listed(wanted, all=True) == ids


def test_stopped_ones_are_shown_when_asked_for() -> None:
    assert listed({}) == ["c3", "c2", "c1"]
    assert listed({"status": ["exited"]}) == ["c4"]
    assert listed({}, limit=2) == ["c4", "c3"]


# Recorded from dockerd 28.5.2.
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"foo": ["bar"]}, "invalid filter 'foo'"),
        ({"dangling": ["x"]}, "invalid filter 'dangling'"),
        (
            {"status": ["foo"]},
            "invalid filter 'status=foo': invalid value for state (foo): must be one of created, "
            "running, paused, restarting, removing, exited, dead",
        ),
        (
            {"health": ["foo"]},
            "invalid filter 'health=foo': invalid value for health (foo): must be one of none, "
            "starting, healthy, unhealthy",
        ),
        (
            {"exited": ["x"]},
            "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        ({"publish": ["1:2"]}, "filter for 'publish' should not contain ':': 1:2"),
        (
            {"publish": ["x"]},
            'error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax',
        ),
        (
            {"publish": ["5-3"]},
            "error while looking up for publish 5-3: Invalid range specified for the Port: 5-3",
        ),
        (
            {"expose": ["99999"]},
            "error while looking up for expose 99999: "
            'strconv.ParseUint: parsing "99999": value out of range',
        ),
        ({"is-task": ["x"]}, "invalid filter 'is-task=[x]'"),
    ],
)
def test_refusals(wanted: dict[str, list[str]], message: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        listed(wanted)
    assert refused.value.message == message


def test_a_container_to_compare_with_must_exist() -> None:
    with pytest.raises(errors.NotFound, match="No such container: nope"):
        listed({"before": ["nope"]})


@pytest.mark.parametrize(
    ("wanted", "own", "prunable"),
    [
        ({}, {}, True),
        ({"label": ["a"]}, {"a": ""}, True),
        ({"label": ["a"]}, {}, False),
        ({"label!": ["a"]}, {}, True),
        ({"label!": ["a"]}, {"a": "b"}, False),
        ({"label!": ["a=c"]}, {"a": "b"}, True),
    ],
)
def test_prunable(wanted: dict[str, list[str]], own: dict[str, str], prunable: bool) -> None:
    assert filters.prunable(wanted, own) == prunable


@pytest.mark.parametrize(
    ("values", "outcome"), [([], None), (["true"], True), (["0"], False), (["1", "t"], True)]
)
def test_booleans(values: list[str], outcome: bool | None) -> None:
    wanted = {"dangling": values} if values else {}
    assert filters.boolean(wanted, "dangling", default=False) == bool(outcome)


def test_contradicting_booleans_are_refused() -> None:
    with pytest.raises(errors.Invalid, match=r"invalid filter 'dangling=\[true false\]'"):
        filters.boolean({"dangling": ["true", "false"]}, "dangling")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW - 600 * 10**9),
        ("1h30m", NOW - 5400 * 10**9),
        ("1.5s", NOW - 15 * 10**8),
        ("1136073845", 1136073845 * 10**9),
        ("1136073845.25", 1136073845 * 10**9 + 250_000_000),
        ("2006-01-02T15:04:05Z", 1136214245 * 10**9),
        ("2006-01-02T15:04:05+01:00", 1136210645 * 10**9),
        ("2006-01-02T15:04:05", 1136214245 * 10**9),
        ("2006-01-02", 1136160000 * 10**9),
    ],
)
def test_moments(text: str, moment: int) -> None:
    assert filters.until({"until": [text]}, NOW) == moment


def test_moments_that_are_none() -> None:
    assert filters.until({}, NOW) == 0
    with pytest.raises(errors.Invalid) as refused:
        filters.until({"until": ["x"]}, NOW)
    assert refused.value.message == 'failed to parse value as time or duration: "x"'
    with pytest.raises(errors.Invalid, match="more than one until filter specified"):
        filters.until({"until": ["1m", "2m"]}, NOW)
