"""Events are heard once, in order, by those who want them."""

import itertools
from typing import Any

import pytest

from pinnace.engine.documents import Container, ContainerConfig
from pinnace.engine.events import REMEMBERED, Event, Events, wants

SECOND = 10**9


@pytest.fixture
def events() -> Events:
    """Each event is a second after the one before."""
    ticks = itertools.count(100 * SECOND, SECOND)
    return Events(clock=lambda: next(ticks))


def container() -> Container:
    config = ContainerConfig(image="busybox:1.36", labels={"a": "b", "name": "liar"})
    return Container(id="c1", name="web", config=config)


def test_an_event_is_dockers_document(events: Events) -> None:
    heard: list[Event] = []
    events.subscribe({}, 0, 0, heard.append)

    events.container("die", container(), {"exitCode": "1"})

    assert heard == [
        {
            "Type": "container",
            "Action": "die",
            "Actor": {
                "ID": "c1",
                "Attributes": {"exitCode": "1", "a": "b", "image": "busybox:1.36", "name": "web"},
            },
            "scope": "local",
            "time": 100,
            "timeNano": 100 * SECOND,
        }
    ]


def test_the_past_is_told_first_and_only_if_asked_for(events: Events) -> None:
    for action in "abc":
        events.publish("image", action, "i1")
    none: list[Event] = []
    some: list[Event] = []
    until: list[Event] = []

    events.subscribe({}, 0, 0, none.append)
    events.subscribe({}, 101 * SECOND, 0, some.append)
    events.subscribe({}, 0, 101 * SECOND, until.append)
    events.publish("image", "d", "i1")

    assert [event["Action"] for event in none] == ["d"]
    assert [event["Action"] for event in some] == ["b", "c", "d"]
    assert [event["Action"] for event in until] == ["a", "b"]


def test_the_memory_is_short(events: Events) -> None:
    for number in range(REMEMBERED + 10):
        events.publish("image", str(number), "i1")
    heard: list[Event] = []

    events.subscribe({}, 1, 0, heard.append)

    assert len(heard) == REMEMBERED
    assert heard[0]["Action"] == "10"


def test_a_closed_listener_hears_nothing(events: Events) -> None:
    heard: list[Event] = []
    subscription = events.subscribe({}, 0, 0, heard.append)
    assert events.listeners == 1

    subscription.close()
    subscription.close()
    events.publish("image", "pull", "i1")

    assert (heard, events.listeners) == ([], 0)


def event(kind: str, action: str, ident: str, **attributes: str) -> Event:
    return {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": ident, "Attributes": attributes},
        "scope": "local",
        "time": 1,
        "timeNano": SECOND,
    }


DIED = event("container", "die", "c1", name="web", image="busybox:1.36", a="b")
EXEC = event("container", "exec_start: /bin/sh", "c1", name="web")
PULLED = event("image", "pull", "busybox:latest", name="busybox")
HEALTH = event("container", "health_status: healthy", "c1")


@pytest.mark.parametrize(
    ("wanted", "happened", "told"),
    [
        ({}, DIED, True),
        ({"event": ["die", "start"]}, DIED, True),
        ({"event": ["start"]}, DIED, False),
        ({"event": ["exec_start"]}, EXEC, True),
        ({"event": ["exec_start: /bin/ls"]}, EXEC, False),
        ({"event": ["health_status"]}, HEALTH, True),
        ({"event": ["health_status: healthy"]}, HEALTH, True),
        ({"type": ["container"]}, DIED, True),
        ({"type": ["image"]}, DIED, False),
        ({"scope": ["local"]}, DIED, True),
        ({"scope": ["swarm"]}, DIED, False),
        ({"container": ["web"]}, DIED, True),
        ({"container": ["c1"]}, DIED, True),
        ({"container": ["w"]}, DIED, True),
        ({"container": ["db"]}, DIED, False),
        ({"image": ["busybox"]}, DIED, True),
        ({"image": ["busybox:1.36"]}, DIED, True),
        ({"image": ["alpine"]}, DIED, False),
        ({"image": ["busybox"]}, PULLED, True),
        ({"label": ["a"]}, DIED, True),
        ({"label": ["a=b"]}, DIED, True),
        ({"label": ["a=c"]}, DIED, False),
        ({"label": ["a", "z"]}, DIED, False),
        ({"unknown": ["x"]}, DIED, True),
    ],
)
def test_filters(wanted: dict[str, list[str]], happened: Event, told: bool) -> None:
    assert wants(wanted, happened) == told


def test_other_kinds(events: Events) -> None:
    heard: list[Any] = []
    events.subscribe({}, 0, 0, lambda event: heard.append((event["Type"], event["Actor"])))

    events.image("tag", "sha256:1", "web:latest", {"a": "b"})
    events.volume("create", "data", {"driver": "local"})
    events.network("connect", "n1", {"name": "bridge"})

    assert heard == [
        ("image", {"ID": "sha256:1", "Attributes": {"a": "b", "name": "web:latest"}}),
        ("volume", {"ID": "data", "Attributes": {"driver": "local"}}),
        ("network", {"ID": "n1", "Attributes": {"name": "bridge"}}),
    ]
