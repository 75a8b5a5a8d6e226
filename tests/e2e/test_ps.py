"""Lists of containers: filters, order, sizes, and what the command line makes of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def zoo(
    shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """One container of each kind that a filter can tell apart, from the oldest to the newest."""
    # With a label of its own: the other tests' containers are cleared after each.
    engine = Engine(shared_engine.host, tmp_path_factory.mktemp("zoo"))
    label = {"kind": "zoo"}
    found = {
        "zoo-created": engine.create("true", name="zoo-created", Labels=label),
        "zoo-running": engine.start(name="zoo-running", Labels={**label, "color": "blue"}),
        "zoo-zero": engine.start("true", name="zoo-zero", Labels={**label, "color": "red"}),
        "zoo-three": engine.start("sh", "-c", "exit 3", name="zoo-three", Labels=label),
        "zoo-paused": engine.start(
            name="zoo-paused", Labels=label, Volumes={"/data": {}}, ExposedPorts={"80/tcp": {}}
        ),
    }
    engine.wait("zoo-zero")
    engine.wait("zoo-three")
    engine.ok("POST", "/containers/zoo-paused/pause")
    yield found
    engine.clear()


def names(engine: Engine, *, every: bool = True, **filters: Any) -> list[str]:
    wanted = json.dumps({"label": ["kind=zoo"], **filters})
    found = engine.get("/containers/json", all=every, filters=wanted)
    return [item["Names"][0].removeprefix("/zoo-") for item in found]


EVERY = ["paused", "three", "zero", "running", "created"]

FILTERS = {
    "none": ({}, EVERY),
    "status running": ({"status": ["running"]}, ["running"]),
    "status exited": ({"status": ["exited"]}, ["three", "zero"]),
    "status created": ({"status": ["created"]}, ["created"]),
    "status paused": ({"status": ["paused"]}, ["paused"]),
    "status of two": ({"status": ["created", "paused"]}, ["paused", "created"]),
    "status dead": ({"status": ["dead"]}, []),
    "exit code": ({"exited": ["3"]}, ["three"]),
    "exit codes": ({"exited": ["0", "3"]}, ["three", "zero"]),
    "name": ({"name": ["zoo-zero"]}, ["zero"]),
    "part of a name": ({"name": ["z.*o-t"]}, ["three"]),
    "name with a slash": ({"name": ["^/zoo-zero$"]}, ["zero"]),
    "names": ({"name": ["zoo-zero", "zoo-three"]}, ["three", "zero"]),
    "label": ({"label": ["kind=zoo", "color"]}, ["zero", "running"]),
    "label and value": ({"label": ["kind=zoo", "color=blue"]}, ["running"]),
    "label of another": ({"label": ["kind=zoo", "color=green"]}, []),
    "before": ({"before": ["zoo-zero"]}, ["running", "created"]),
    "since": ({"since": ["zoo-zero"]}, ["paused", "three"]),
    "volume": ({"volume": ["/data"]}, ["paused"]),
    "published port": ({"publish": ["80"]}, []),
    "network": ({"network": ["none"]}, EVERY),
    "unknown network": ({"network": ["no-such"]}, []),
    "health": ({"health": ["none"]}, EVERY),
    "is a task": ({"is-task": ["true"]}, []),
    # The older form: an object whose keys count and whose values don't.
    "as an object": ({"status": {"running": True, "exited": False}}, ["three", "zero", "running"]),
}


@pytest.mark.parametrize(("filters", "expected"), FILTERS.values(), ids=FILTERS)
def test_filter(
    shared_engine: Engine, zoo: dict[str, str], filters: dict[str, Any], expected: list[str]
) -> None:
    if isinstance(filters.get("status"), dict):
        filters = {**filters, "label": {"kind=zoo": True}}

    assert names(shared_engine, **filters) == expected


def test_only_running_ones_without_all(shared_engine: Engine, zoo: dict[str, str]) -> None:
    assert names(shared_engine, every=False) == ["paused", "running"]


def test_ids_and_their_beginnings(shared_engine: Engine, zoo: dict[str, str]) -> None:
    ident = zoo["zoo-three"]

    assert names(shared_engine, id=[ident]) == names(shared_engine, id=[ident[:9]]) == ["three"]


def test_ancestor_by_name_and_by_id(shared_engine: Engine, zoo: dict[str, str]) -> None:
    image = shared_engine.get(f"/images/{shared_engine.image}/json")["Id"]

    assert names(shared_engine, ancestor=[shared_engine.image]) == EVERY
    assert names(shared_engine, ancestor=[image]) == EVERY
    assert names(shared_engine, ancestor=["no-such-image"]) == []


def test_limit_gives_the_newest(shared_engine: Engine, zoo: dict[str, str]) -> None:
    filters = json.dumps({"label": ["kind=zoo"]})

    found = shared_engine.get("/containers/json", limit=2, filters=filters)

    assert [item["Names"] for item in found] == [["/zoo-paused"], ["/zoo-three"]]


def test_one_item_in_full(shared_engine: Engine, zoo: dict[str, str]) -> None:
    filters = json.dumps({"name": ["zoo-running"]})

    [item] = shared_engine.get("/containers/json", all=True, filters=filters)

    image = shared_engine.get(f"/images/{shared_engine.image}/json")["Id"]
    assert item["Id"] == zoo["zoo-running"]
    assert item["Names"] == ["/zoo-running"]
    assert (item["Image"], item["ImageID"]) == (shared_engine.image, image)
    assert item["Command"].startswith("sh -c 'trap '")
    assert item["State"] == "running"
    assert item["Status"].startswith(("Up ", "Less than"))
    assert item["Ports"] == []
    assert item["Labels"]["color"] == "blue"
    assert item["HostConfig"] == {"NetworkMode": "none"}
    assert list(item["NetworkSettings"]["Networks"]) == ["none"]
    assert item["Mounts"] == []
    assert isinstance(item["Created"], int)


def test_sizes_are_there_when_asked_for(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "head -c 100000 /dev/zero >/f")
    engine.wait(ident)
    filters = json.dumps({"id": [ident]})

    [plain] = engine.get("/containers/json", all=True, filters=filters)
    [sized] = engine.get("/containers/json", all=True, size=True, filters=filters)

    assert "SizeRw" not in plain
    assert 100_000 <= sized["SizeRw"] < 120_000
    assert sized["SizeRootFs"] > sized["SizeRw"] + 1_000_000
    assert engine.get(f"/containers/{ident}/json", size=True)["SizeRw"] == sized["SizeRw"]


def test_a_unique_beginning_of_an_id_names_a_container(engine: Engine) -> None:
    ident = engine.create("true")

    assert engine.inspect(ident[:12])["Id"] == ident


def test_an_ambiguous_beginning_is_refused(engine: Engine) -> None:
    # Among 17 ids two begin with the same digit.
    idents = [engine.create("true") for _ in range(17)]
    first = {}
    for ident in idents:
        if ident[0] in first:
            break
        first[ident[0]] = ident

    answer = engine.request("GET", f"/containers/{ident[0]}/json")

    assert answer.status in (400, 404)
    assert "multiple IDs found with provided prefix" in answer.message


# The command line


@pytest.mark.docker
def test_the_table_of_ps(docker: Docker, zoo: dict[str, str]) -> None:
    head, *rows = docker.ok("ps", "-a", "--filter", "label=kind=zoo").splitlines()

    assert head.split() == [
        "CONTAINER",
        "ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]
    assert [row.split()[-1].removeprefix("zoo-") for row in rows] == EVERY
    assert "Exited (3)" in rows[1]
    assert "(Paused)" in rows[0]
    assert "Created" in rows[4]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["-q", "--no-trunc"], "{zoo-paused}\n{zoo-running}"),
        (["-l", "--format", "{{{{.Names}}}}"], "zoo-paused"),
        (
            ["-n", "2", "--format", "{{{{.Names}}}}:{{{{.State}}}}"],
            "zoo-paused:paused\nzoo-three:exited",
        ),
        (["-a", "--filter", "exited=3", "--format", '{{{{.Label "kind"}}}}'], "zoo"),
    ],
)
def test_ps_flags(docker: Docker, zoo: dict[str, str], flags: list[str], expected: str) -> None:
    words = [flag.format() for flag in flags]

    seen = docker.ok("ps", "--filter", "label=kind=zoo", *words)

    assert seen == expected.format(**zoo)
