"""What may happen to a container in which status, in Docker's words."""

import pytest

from pinnace import errors
from pinnace.engine import lifecycle
from pinnace.engine.documents import Status
from pinnace.engine.lifecycle import Event

ID = "1902aa00089b"


def after(status: str, event: Event) -> Status:
    return lifecycle.next(Status(status), event, ident="web", id=ID)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("status", Status)
def test_every_pair_has_an_answer(status: Status, event: Event) -> None:
    if lifecycle.allowed(status, event):
        assert isinstance(lifecycle.next(status, event, ident="web", id=ID), Status)
        return
    with pytest.raises(errors.PinnaceError) as refused:
        lifecycle.next(status, event, ident="web", id=ID)
    assert "{" not in refused.value.message


@pytest.mark.parametrize(
    ("status", "event", "becomes"),
    [
        ("created", Event.START, "running"),
        ("exited", Event.START, "running"),
        ("running", Event.STOP, "running"),
        ("running", Event.PAUSE, "paused"),
        ("paused", Event.UNPAUSE, "running"),
        ("paused", Event.EXITED, "exited"),
        ("running", Event.EXITED, "exited"),
        ("running", Event.RETRY, "restarting"),
        ("restarting", Event.STARTED_AGAIN, "running"),
        ("restarting", Event.EXITED, "exited"),
        ("exited", Event.REMOVE, "removing"),
        ("running", Event.REMOVE_BY_FORCE, "removing"),
        ("removing", Event.EXITED, "removing"),
        ("removing", Event.REMOVAL_FAILED, "dead"),
        ("dead", Event.REMOVE, "removing"),
    ],
)
def test_moves(status: str, event: Event, becomes: str) -> None:
    assert after(status, event) is Status(becomes)


# Recorded from dockerd 28.5.2.
REFUSALS = [
    ("running", Event.START, errors.NotModified, "container is already running"),
    (
        "paused",
        Event.START,
        errors.Conflict,
        "cannot start a paused container, try unpause instead",
    ),
    ("created", Event.STOP, errors.NotModified, "container is already stopped"),
    ("exited", Event.PAUSE, errors.Conflict, f"container {ID} is not running"),
    ("paused", Event.PAUSE, errors.Conflict, f"Container {ID} is already paused"),
    (
        "restarting",
        Event.PAUSE,
        errors.Conflict,
        f"Container {ID} is restarting, wait until the container is running",
    ),
    ("running", Event.UNPAUSE, errors.Failed, f"Container {ID} is not paused"),
    (
        "exited",
        Event.KILL,
        errors.Conflict,
        f"cannot kill container: web: container {ID} is not running",
    ),
    ("exited", Event.EXEC, errors.Conflict, f"container {ID} is not running"),
    (
        "paused",
        Event.EXEC,
        errors.Conflict,
        "Container web is paused, unpause the container before exec",
    ),
    ("created", Event.TOP, errors.Conflict, f"container {ID} is not running"),
    (
        "running",
        Event.REMOVE,
        errors.Conflict,
        'cannot remove container "web": container is running: '
        "stop the container before removing or force remove",
    ),
    (
        "restarting",
        Event.REMOVE,
        errors.Conflict,
        'cannot remove container "web": container is restarting: '
        "stop the container before removing or force remove",
    ),
    (
        "paused",
        Event.REMOVE,
        errors.Conflict,
        'cannot remove container "web": container is paused and must be unpaused first',
    ),
    (
        "removing",
        Event.REMOVE,
        errors.Conflict,
        "removal of container web is already in progress",
    ),
]


@pytest.mark.parametrize(("status", "event", "error", "message"), REFUSALS)
def test_refusals(
    status: str, event: Event, error: type[errors.PinnaceError], message: str
) -> None:
    with pytest.raises(error) as refused:
        after(status, event)
    assert refused.value.message == message
