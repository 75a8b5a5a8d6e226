"""The stream of events: what each verb says, in which order, to whom."""

import json
import time

import pytest

from bench.wire import query
from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root


def events(engine: Engine, began: float, **filters: list[str]) -> list[dict[str, object]]:
    """What has happened since `began`, as the daemon tells it afterwards."""
    path = "/events" + query(
        since=f"{began:.9f}", until=f"{time.time() + 0.01:.9f}", filters=json.dumps(filters)
    )
    with engine.client().stream(path) as stream:
        text = b"".join(stream).decode()
    return [json.loads(line) for line in text.splitlines()]


def actions(engine: Engine, began: float, ident: str) -> list[str]:
    return [str(event["Action"]) for event in events(engine, began, container=[ident])]


def test_a_whole_life(engine: Engine) -> None:
    began = time.time()
    ident = engine.start(name="pinnace-test-events")
    for verb in (
        "pause",
        "unpause",
        "kill?signal=WINCH",
        "rename?name=pinnace-test-events2",
        "stop?t=0",
    ):
        engine.ok("POST", f"/containers/{ident}/{verb}")
    engine.remove(ident)

    told = [action for action in actions(engine, began, ident) if action != "kill"]

    # Docker tells "die" and "stop" from two threads, in either order.
    assert told[:5] == ["create", "start", "pause", "unpause", "rename"]
    assert sorted(told[5:7]) == ["die", "stop"]
    assert told[7:] == ["destroy"]


def test_kill_and_die_carry_signal_and_code(engine: Engine) -> None:
    began = time.time()
    ident = engine.start("sh", "-c", "exit 7")
    engine.wait(ident)
    other = engine.start()
    engine.ok("POST", f"/containers/{other}/kill?signal=KILL")
    engine.wait(other)

    [died] = events(engine, began, container=[ident], event=["die"])
    [killed] = events(engine, began, container=[other], event=["kill"])

    assert died["Actor"]["Attributes"]["exitCode"] == "7"  # type: ignore[index]
    assert killed["Actor"]["Attributes"]["signal"] == "9"  # type: ignore[index]


def test_one_event_in_full(engine: Engine) -> None:
    began = time.time()
    ident = engine.create("true", name="pinnace-test-event", Labels={"color": "blue"})

    [event] = events(engine, began, container=[ident])

    key, _, value = engine.label.partition("=")
    assert (event["Type"], event["Action"], event["scope"]) == ("container", "create", "local")
    assert event["Actor"] == {
        "ID": ident,
        "Attributes": {
            "color": "blue",
            key: value,
            "image": engine.image,
            "name": "pinnace-test-event",
        },
    }
    assert (event["status"], event["id"], event["from"]) == ("create", ident, engine.image)
    assert int(str(event["timeNano"])) // 10**9 == event["time"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"event": ["start"]}, ["start"]),
        ({"event": ["create", "die"]}, ["create", "die"]),
        ({"type": ["container"]}, ["create", "start", "die"]),
        ({"type": ["image"]}, []),
        ({"label": ["color=blue"]}, ["create", "start", "die"]),
        ({"label": ["color=red"]}, []),
        ({"container": ["pinnace-test-filter"]}, ["create", "start", "die"]),
    ],
    ids=str,
)
def test_filters(engine: Engine, filters: dict[str, list[str]], expected: list[str]) -> None:
    began = time.time()
    ident = engine.start("true", name="pinnace-test-filter", Labels={"color": "blue"})
    engine.wait(ident)

    told = events(engine, began, **{"container": [ident], **filters})

    assert [event["Action"] for event in told] == expected


def test_exec_events(engine: Engine, docker: Docker) -> None:
    began = time.time()
    ident = engine.start()
    docker.ok("exec", ident, "sh", "-c", "exit 0")

    told = [action.split(":")[0] for action in actions(engine, began, ident)]

    assert told == ["create", "start", "exec_create", "exec_start", "exec_die"]


def test_out_of_memory_is_told(engine: Engine) -> None:
    began = time.time()
    limit = 32 << 20
    ident = engine.start("tail", "/dev/zero", HostConfig={"Memory": limit, "MemorySwap": limit})
    engine.wait(ident)

    assert "oom" in actions(engine, began, ident)


def test_a_listener_hears_at_once(engine: Engine) -> None:
    with engine.client().stream("/events" + query(filters='{"event":["create"]}')) as stream:
        ident = engine.create("true")
        heard = next(iter(stream))

    assert json.loads(heard.splitlines()[0])["Actor"]["ID"] == ident


def test_many_listeners_hear_the_same(engine: Engine) -> None:
    streams = [engine.client().stream("/events") for _ in range(10)]
    ident = engine.create("true")

    heard = [json.loads(next(iter(stream)).splitlines()[0])["Actor"]["ID"] for stream in streams]

    assert heard == [ident] * 10
    for stream in streams:
        stream._connection.close()


@pytest.mark.docker
def test_by_the_command_line(docker: Docker, engine: Engine) -> None:
    began = time.time()
    ident = engine.start("true")
    engine.wait(ident)
    form = ("--format", "{{.Action}}", "--filter", f"container={ident}")

    seen = docker.ok(
        "events", "--since", f"{began:.3f}", "--until", f"{time.time() + 0.1:.3f}", *form
    )

    assert seen.split() == ["create", "start", "die"]
