"""/events."""

import json
import threading
import time

import pytest

from pinnace.api import events
from tests.api.client import Client
from tests.api.conftest import Running
from tests.harness.deadline import until


def test_events_come_as_they_happen(running: Running, client: Client) -> None:
    client.request("GET", "/events")
    status, _, headers = client.head()
    assert (status, headers["Content-Type"]) == (200, "application/jsonl")

    running.engine.events.publish("volume", "create", "v", driver="local")

    event = json.loads(client.chunk())
    assert (event["Type"], event["Action"], event["Actor"]["ID"]) == ("volume", "create", "v")


def test_the_past_is_told_first(running: Running, client: Client) -> None:
    running.engine.events.publish("volume", "create", "v")
    now = time.time()

    answer = client.get(f"/events?since=1&until={now + 0.05:.9f}")

    assert [event["Action"] for event in map(json.loads, answer.body.splitlines())] == ["create"]


def test_a_window_in_the_past_ends_at_once(running: Running, client: Client) -> None:
    running.engine.events.publish("volume", "create", "v")

    assert len(client.get(f"/events?since=1&until={time.time():.9f}").body.splitlines()) == 1
    assert client.get("/events?until=1").status == 200


def test_old_versions_are_told_in_old_words(running: Running, client: Client) -> None:
    running.engine.events.publish("container", "start", "c", image="busybox")
    running.engine.events.publish("image", "create", "i")

    answer = client.get(f"/v1.45/events?since=1&until={time.time():.9f}")

    assert answer.headers["Content-Type"] == "application/json"
    (event,) = map(json.loads, answer.body.splitlines())
    assert (event["status"], event["id"], event["from"]) == ("start", "c", "busybox")


def test_events_are_filtered(running: Running, client: Client) -> None:
    running.engine.events.publish("container", "start", "c")
    running.engine.events.publish("volume", "create", "v")

    answer = client.get(f'/events?since=1&until={time.time():.9f}&filters={{"type":["volume"]}}')

    assert len(answer.body.splitlines()) == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("filters=x", "invalid filter"),
        ("since=5&until=1", "`since` time (5) cannot be after `until` time (1)"),
        (
            "since=x",
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
    ],
)
def test_bad_questions(client: Client, query: str, message: str) -> None:
    answer = client.get(f"/events?{query}")

    assert (answer.status, answer.message) == (400, message)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/jsonl;q=0.5, application/json-seq", "application/json-seq"),
        ("application/jsonl;q=0", ""),
        ("application/jsonl;q=x", ""),
        ("Application/JSONL ; q=1", "application/jsonl"),
    ],
)
def test_a_media_type_is_chosen_only_if_named(accept: str, chosen: str) -> None:
    assert events.negotiate(accept) == chosen


def test_a_json_sequence_has_separators(running: Running, client: Client) -> None:
    running.engine.events.publish("volume", "create", "v")

    target = f"/events?since=1&until={time.time():.9f}"
    answer = client.get(target, headers={"Accept": "application/json-seq"})

    assert answer.headers["Content-Type"] == "application/json-seq"
    assert answer.body.startswith(b"\x1e{")


def test_a_listener_that_sleeps_is_given_up(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_WAITING", 10)
    with running.client() as sleeper:
        sleeper.request("GET", "/events")
        sleeper.head()
        (connection,) = running.server.connections
        until(lambda: running.engine.events.subscribers)
        (subscriber,) = running.engine.events.subscribers
        while not connection.write_paused:
            running.engine.events.publish("volume", "create", "v" * 10_000)
            threading.Event().wait(0.001)  # let the loop write
        for _ in range(20):
            running.engine.events.publish("volume", "create", "v")

        sleeper.read_until(b"\r\n0\r\n\r\n")
    until(lambda: subscriber not in running.engine.events.subscribers)


def test_many_events_arrive_in_order(running: Running, client: Client) -> None:
    client.request("GET", "/events")
    client.head()
    until(lambda: running.engine.events.subscribers)

    for number in range(1000):
        running.engine.events.publish("volume", "create", str(number))

    found = [json.loads(client.chunk())["Actor"]["ID"] for _ in range(1000)]
    assert found == [str(number) for number in range(1000)]
