"""Records as Docker shows them."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from pinnace.api import container_json
from pinnace.api.container_json import Summaries, status_text
from pinnace.engine import documents
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    EndpointSettings,
    Health,
    HealthResult,
    HostConfig,
    MountPoint,
    State,
    Status,
)

SECOND = 10**9
NOW = 1_795_455_549 * SECOND


def make_container(**changes: Any) -> Container:
    container = Container(
        id="3879a5dd11edf66edfe2e99cd33fdab9c8dddd2808a5e652668e09973bb7980d",
        name="web",
        created=1_795_455_548_058_956_169,
        path="sleep",
        args=["1000"],
        config=ContainerConfig(
            hostname="3879a5dd11ed",
            image="busybox",
            env=["A=b"],
            cmd=["sleep", "1000"],
            labels={"k": "v"},
            exposed_ports={"90/tcp": documents.Empty()},
        ),
        host_config=HostConfig(network_mode="bridge", annotations={"a": "b"}),
        networking={"bridge": EndpointSettings(aliases=["x"], ip_address="172.17.0.2")},
        image="sha256:a380",
        state=State(status=Status.RUNNING, pid=7, started_at=NOW - 3 * SECOND),
        mounts=[
            MountPoint(
                type="volume",
                name="data",
                source="/volumes/data/_data",
                destination="/data",
                driver="local",
                rw=True,
            ),
            MountPoint(
                type="bind", source="/a", destination="/b", mode="ro", propagation="rprivate"
            ),
        ],
    )
    return msgspec.structs.replace(container, **changes)


def item(summaries: Summaries, container: Container, **options: Any) -> dict[str, Any]:
    encoded = summaries.item(
        container,
        options.get("image", "busybox"),
        options.get("sizes"),
        options.get("version", (1, 56)),
    )
    shown: dict[str, Any] = json.loads(encoded)
    return shown


def test_inspect_has_the_fields_of_docker_in_its_order() -> None:
    shown = container_json.inspect(make_container(), None)

    assert list(shown) == [
        "Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath",
        "HostsPath", "LogPath", "Name", "RestartCount", "Driver", "Platform", "MountLabel",
        "ProcessLabel", "AppArmorProfile", "ExecIDs", "HostConfig", "GraphDriver", "Mounts",
        "Config", "NetworkSettings",
    ]  # fmt: skip
    assert shown["Name"] == "/web"
    assert shown["Created"] == "2026-11-23T17:39:08.058956169Z"
    assert shown["ExecIDs"] is None
    assert shown["Config"]["Env"] == ["A=b"]
    assert shown["HostConfig"]["NetworkMode"] == "bridge"
    assert shown["NetworkSettings"]["Ports"] == {"90/tcp": None}


def test_inspect_has_sizes_when_asked() -> None:
    shown = container_json.inspect(make_container(), (1, 2))

    assert (shown["SizeRw"], shown["SizeRootFs"]) == (1, 2)


def test_mounts_omit_what_they_have_not() -> None:
    volume, bind = container_json.inspect(make_container(), None)["Mounts"]

    assert volume == {
        "Type": "volume", "Name": "data", "Source": "/volumes/data/_data", "Destination": "/data",
        "Driver": "local", "Mode": "", "RW": True, "Propagation": "",
    }  # fmt: skip
    assert bind == {
        "Type": "bind", "Source": "/a", "Destination": "/b", "Mode": "ro", "RW": False,
        "Propagation": "rprivate",
    }  # fmt: skip


def test_a_state_is_told_in_many_booleans() -> None:
    shown = container_json.show_state(State(status=Status.PAUSED, pid=7, started_at=NOW))

    assert shown == {
        "Status": "paused", "Running": True, "Paused": True, "Restarting": False,
        "OOMKilled": False, "Dead": False, "Pid": 7, "ExitCode": 0, "Error": "",
        "StartedAt": "2026-11-23T17:39:09Z", "FinishedAt": "0001-01-01T00:00:00Z",
    }  # fmt: skip


def test_health_has_a_log() -> None:
    result = HealthResult(start=NOW, end=NOW + 1, exit_code=1, output="bad")
    state = State(health=Health(status="unhealthy", failing_streak=3, log=[result]))

    assert container_json.show_state(state)["Health"] == {
        "Status": "unhealthy",
        "FailingStreak": 3,
        "Log": [
            {
                "Start": "2026-11-23T17:39:09Z",
                "End": "2026-11-23T17:39:09.000000001Z",
                "ExitCode": 1,
                "Output": "bad",
            }
        ],
    }


@pytest.mark.parametrize("mode", ["none", "host", "container:x"])
def test_without_a_network_of_its_own_nothing_is_exposed(mode: str) -> None:
    host = HostConfig(network_mode=mode)

    assert container_json.ports(make_container(host_config=host)) == {}


def test_a_stopped_container_exposes_nothing() -> None:
    assert container_json.ports(make_container(state=State(status=Status.EXITED))) == {}


def test_a_list_item_is_one_document_in_the_order_of_docker() -> None:
    shown = item(Summaries(), make_container(), sizes=(5, 6))

    assert list(shown) == [
        "Id", "Names", "Image", "ImageID", "Command", "Created", "Ports", "SizeRw", "SizeRootFs",
        "Labels", "State", "Status", "HostConfig", "Health", "NetworkSettings", "Mounts",
    ]  # fmt: skip
    assert shown["Names"] == ["/web"]
    assert shown["Command"] == "sleep 1000"
    assert shown["Created"] == 1_795_455_548
    assert shown["Ports"] == [{"PrivatePort": 90, "Type": "tcp"}]
    assert (shown["SizeRw"], shown["SizeRootFs"]) == (5, 6)
    assert shown["HostConfig"] == {"NetworkMode": "bridge", "Annotations": {"a": "b"}}
    assert shown["Health"] == {"Status": "none", "FailingStreak": 0}
    assert shown["NetworkSettings"]["Networks"]["bridge"]["Aliases"] is None
    assert shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == "172.17.0.2"
    assert [mount["Source"] for mount in shown["Mounts"]] == ["", "/a"]


def test_a_list_item_omits_sizes_of_nothing() -> None:
    assert "SizeRw" not in item(Summaries(), make_container(), sizes=(0, 6))
    assert "SizeRootFs" not in item(Summaries(), make_container())


def test_list_items_of_old_versions() -> None:
    summaries, container = Summaries(), make_container()

    assert "Annotations" not in item(summaries, container, version=(1, 45))["HostConfig"]
    assert "Annotations" in item(summaries, container, version=(1, 46))["HostConfig"]
    assert "Health" not in item(summaries, container, version=(1, 51))
    assert "Health" in item(summaries, container, version=(1, 52))


def test_a_list_item_follows_its_record() -> None:
    summaries, container = Summaries(), make_container()
    item(summaries, container)

    container.state = State(status=Status.EXITED, started_at=1, finished_at=2, exit_code=3)
    assert item(summaries, container)["State"] == "exited"
    container.config = replace(container.config, labels={"new": "label"})
    container.version += 1
    assert item(summaries, container)["Labels"] == {"new": "label"}


def test_list_items_are_forgotten() -> None:
    summaries = Summaries()
    for number in range(200):
        summaries.item(make_container(id=f"{number:064}"), "x", None, (1, 56))

    summaries.keep_only({f"{7:064}"})

    assert summaries.known == 1


def test_odd_names_are_escaped() -> None:
    container = make_container(args=["a b", '"'], config=ContainerConfig(image='"'))

    shown = item(Summaries(), container, image='"\n')

    assert shown["Image"] == '"\n'
    assert shown["Command"] == "sleep 'a b' \""


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started_at=NOW - 120 * SECOND), "Up 2 minutes"),
        (State(status=Status.PAUSED, started_at=NOW - SECOND), "Up 1 second (Paused)"),
        (
            State(status=Status.RUNNING, started_at=NOW, health=Health(status="starting")),
            "Up Less than a second (health: starting)",
        ),
        (
            State(status=Status.RUNNING, started_at=NOW, health=Health(status="unhealthy")),
            "Up Less than a second (unhealthy)",
        ),
        (
            State(status=Status.RUNNING, started_at=NOW, health=Health(status="none")),
            "Up Less than a second",
        ),
        (
            State(status=Status.RESTARTING, exit_code=1, finished_at=NOW - 5 * SECOND),
            "Restarting (1) 5 seconds ago",
        ),
        (
            State(status=Status.EXITED, exit_code=137, started_at=1, finished_at=NOW),
            "Exited (137) Less than a second ago",
        ),
        (State(status=Status.EXITED, exit_code=127), "Created"),
        (State(status=Status.REMOVING), "Removal In Progress"),
        (State(status=Status.DEAD), "Dead"),
    ],
)
def test_status_texts(state: State, text: str) -> None:
    assert status_text(state, NOW) == text
