"""/containers as its clients see it."""

import json
import threading
from typing import Any

import pytest

from pinnace import errors
from pinnace.api import containers
from pinnace.engine import documents
from pinnace.supervisor import frames
from tests.api.client import Client
from tests.api.conftest import Running
from tests.harness.deadline import until


@pytest.fixture
def a(running: Running, client: Client) -> str:
    """The id of a started container named "a"."""
    made = client.post("/containers/create?name=a", {"Image": "busybox", "Cmd": ["sleep", "1"]})
    client.post("/containers/a/start")
    return str(made.json["Id"])


# Create


def test_create(running: Running, client: Client) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["true"],
        "HostConfig": {"Memory": 5},
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["x"]}}},
    }

    answer = client.post("/containers/create?name=a&platform=linux/amd64", body)

    (name, config, host, networking, platform) = running.engine.containers.created[0]
    assert answer.status == 201
    assert answer.json == {"Id": running.engine.containers.get("a").id, "Warnings": []}
    assert (name, platform) == ("a", "linux/amd64")
    assert config.cmd == ["true"]
    assert host.memory == 5
    assert networking.endpoints_config["bridge"].aliases == ["x"]


def test_create_without_a_name_or_platform(running: Running, client: Client) -> None:
    client.post("/v1.40/containers/create?platform=linux/amd64", {"Image": "busybox"})

    (name, _, _, _, platform) = running.engine.containers.created[0]
    assert (name, platform) == (None, None)


def test_create_tells_warnings(client: Client) -> None:
    body = {"Image": "busybox", "MacAddress": "02:42:ac:11:00:02"}

    assert "deprecated" in client.post("/v1.50/containers/create", body).json["Warnings"][0]


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (None, None, "invalid JSON: got EOF while reading request body"),
        (b"", "application/json", "invalid JSON: got EOF while reading request body"),
        (
            b"x",
            "text/plain",
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        (b"x", None, "malformed Content-Type header (): mime: no media type"),
        (
            b"x",
            "application/json",
            "invalid JSON: invalid character 'x' looking for beginning of value",
        ),
        (b"{}", "application/json", "config cannot be empty in order to create a container"),
        (b"null", "application/json", "config cannot be empty in order to create a container"),
        (b'{"Image":"x"}{"a":1}', "application/json", "unexpected content after JSON"),
        (b'{"Image":"x"', "application/json", "invalid JSON: unexpected EOF"),
        (
            b'{"Image":3}',
            "application/json",
            "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type "
            "string",
        ),
        (b"[" * 100_000, "application/json", "invalid JSON: exceeded max depth"),
    ],
    ids=[
        "nothing", "empty", "text", "untyped", "no json", "no fields", "null", "two", "cut",
        "type", "depth",
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_in_the_words_of_docker(
    client: Client, body: bytes | None, content_type: str | None, message: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}

    answer = client.post("/containers/create", body=body, headers=headers)

    assert (answer.status, answer.message) == (400, message)


def test_the_content_type_may_have_parameters(client: Client) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}

    answer = client.post("/containers/create", body=b'{"Image":"busybox"}', headers=headers)

    assert answer.status == 201


# List


def test_list(client: Client, a: str) -> None:
    client.post("/containers/create?name=b", {"Image": "busybox"})

    assert [item["Id"] for item in client.get("/containers/json").json] == [a]
    assert len(client.get("/containers/json?all=1").json) == 2
    assert len(client.get("/containers/json?limit=1").json) == 1
    assert "SizeRw" not in client.get("/containers/json").json[0]
    assert client.get("/containers/json?size=1").json[0]["SizeRootFs"] == 1007


def test_list_with_filters(client: Client, a: str) -> None:
    def found(**filters: list[str]) -> list[str]:
        answer = client.get(f"/containers/json?filters={json.dumps(filters).replace(' ', '')}")
        return [item["Names"][0] for item in answer.json]

    assert found(status=["running"]) == ["/a"]
    assert found(status=["exited"]) == []


def test_an_unknown_filter_is_refused(client: Client) -> None:
    answer = client.get('/containers/json?filters={"bogus":["a"]}')

    assert (answer.status, answer.message) == (400, "invalid filter 'bogus'")


def test_a_bad_limit_is_refused(client: Client) -> None:
    answer = client.get("/containers/json?limit=x")

    assert (answer.status, answer.message) == (
        400,
        'strconv.Atoi: parsing "x": invalid syntax',
    )


def test_a_list_names_an_image_by_id_when_its_name_has_moved(
    running: Running, client: Client, a: str
) -> None:
    assert client.get("/containers/json").json[0]["Image"] == "busybox"

    running.engine.images.all.clear()

    image = running.engine.containers.get("a").image
    assert client.get("/containers/json").json[0]["Image"] == image


def test_a_list_follows_what_happens(client: Client, a: str) -> None:
    before = client.get("/containers/json?all=1").json[0]
    client.post("/containers/a/stop")
    after = client.get("/containers/json?all=1").json[0]

    assert (before["State"], after["State"]) == ("running", "exited")
    assert after["Status"].startswith("Exited (143)")


# One


def test_inspect(client: Client, a: str) -> None:
    shown = client.get("/containers/a/json").json

    assert shown["Id"] == a
    assert shown["State"]["Running"] is True
    assert "SizeRw" not in shown
    assert client.get("/containers/a/json?size=1").json["SizeRw"] == 7
    assert "Bridge" in client.get("/v1.51/containers/a/json").json["NetworkSettings"]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "json"), ("GET", "top"), ("GET", "changes"), ("GET", "export"), ("GET", "stats"),
        ("GET", "logs?stdout=1"), ("POST", "start"), ("POST", "stop"), ("POST", "restart"),
        ("POST", "pause"), ("POST", "unpause"), ("POST", "wait"), ("POST", "rename?name=x"),
        ("POST", "resize?h=1&w=1"), ("DELETE", ""), ("POST", "update"), ("GET", "archive?path=a"),
    ],
)  # fmt: skip
def test_there_is_no_such_container(client: Client, method: str, target: str) -> None:
    answer = client.ask(method, f"/containers/nope/{target}".removesuffix("/"))

    assert (answer.status, answer.message) == (404, "No such container: nope")


def test_a_kill_says_what_it_could_not(client: Client, a: str) -> None:
    assert client.post("/containers/nope/kill").message == (
        "cannot kill container: nope: No such container: nope"
    )
    client.post("/containers/a/stop")
    answer = client.post("/containers/a/kill")
    assert (answer.status, answer.message) == (
        409,
        f"cannot kill container: a: container {a} is not running",
    )


def test_a_kill_says_it_once(running: Running, client: Client) -> None:
    def kill(ident: str, signal: str | None) -> None:
        raise errors.Conflict(f"cannot kill container: {ident}: gone")

    running.engine.containers.kill = kill  # type: ignore[method-assign]

    assert client.post("/containers/a/kill").message == "cannot kill container: a: gone"


def test_verbs_answer_nothing(client: Client, a: str) -> None:
    for target in ("pause", "unpause", "restart", "kill", "start", "rename?name=b"):
        answer = client.post(f"/containers/a/{target}")
        assert (answer.status, answer.body) == (204, b""), target
    assert client.post("/containers/b/resize?h=1&w=2").status == 200
    assert client.delete("/containers/b?force=1").status == 204


def test_a_start_takes_no_body(client: Client, a: str) -> None:
    answer = client.post("/containers/a/start", {"Binds": []})

    assert answer.status == 400
    assert "starting container with non-empty request body" in answer.message
    assert client.post("/containers/a/start", {}).status == 304


def test_checkpoints_are_not_supported(client: Client, a: str) -> None:
    assert client.post("/containers/a/start?checkpoint=x").status == 501


def test_stop_and_restart_take_a_time_and_a_signal(
    running: Running, client: Client, a: str
) -> None:
    client.post("/containers/a/restart?t=3&signal=INT")
    client.post("/v1.41/containers/a/restart?t=-1&signal=INT")
    client.post("/containers/a/stop")

    assert running.engine.containers.stops == [
        ("a", 3, "INT"),
        ("a", -1, None),
        ("a", None, None),
    ]
    assert client.post("/containers/a/stop?t=x").status == 400


def test_update(running: Running, client: Client, a: str) -> None:
    answer = client.post("/containers/a/update", {"Memory": 77})

    assert answer.json == {"Warnings": None}
    assert running.engine.containers.get("a").host_config.memory == 77


def test_top_and_changes(client: Client, a: str) -> None:
    assert client.get("/containers/a/top").json == {
        "Processes": [["4242", "sleep"]],
        "Titles": ["PID", "CMD"],
    }
    assert client.get("/containers/a/changes").json == [
        {"Path": "/etc", "Kind": 1},
        {"Path": "/etc/new", "Kind": 0},
    ]


def test_no_changes_are_null(running: Running, client: Client, a: str) -> None:
    running.engine.containers.changes = lambda ident: []  # type: ignore[method-assign]

    assert client.get("/containers/a/changes").body == b"null\n"


def test_prune(client: Client, a: str) -> None:
    client.post("/containers/a/stop")

    assert client.post("/containers/prune").json == {
        "ContainersDeleted": [a],
        "SpaceReclaimed": 0,
    }
    assert client.post("/containers/prune").json["ContainersDeleted"] is None


def test_export_is_a_stream(client: Client, a: str) -> None:
    answer = client.get("/containers/a/export")

    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body == b"a tar stream"


# Stats


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "SAMPLE_SECONDS", 0.01)


def test_stats_are_a_stream_until_the_container_is_gone(
    running: Running, client: Client, a: str, fast: None
) -> None:
    client.request("GET", "/containers/a/stats")
    client.head()

    assert [json.loads(client.chunk())["sample"] for _ in range(3)] == [1, 2, 3]
    running.engine.containers.remove("a", force=True, volumes=False, link=False)
    while client.chunk():
        pass


def test_stats_once_are_told_with_the_sample_before(client: Client, a: str, fast: None) -> None:
    assert client.get("/containers/a/stats?stream=0").json["sample"] == 2
    assert client.get("/containers/a/stats?stream=0&one-shot=1").json["sample"] == 1
    assert client.get("/v1.40/containers/a/stats?stream=0&one-shot=1").json["sample"] == 2
    client.post("/containers/a/stop")
    assert client.get("/containers/a/stats?stream=0").json["sample"] == 1


def test_stats_name_the_system_since_1_52(client: Client, a: str) -> None:
    query = "stream=0&one-shot=1"

    assert client.get(f"/containers/a/stats?{query}").json["os_type"] == "linux"
    assert "os_type" not in client.get(f"/v1.51/containers/a/stats?{query}").json


def test_commit(running: Running, client: Client, a: str) -> None:
    asked: list[dict[str, Any]] = []

    def commit(ident: str, **options: Any) -> str:
        asked.append({"ident": ident, **options})
        return "sha256:new"

    running.engine.containers.commit = commit  # type: ignore[method-assign]
    target = "/commit?container=a&repo=r&tag=t&comment=c&author=me&changes=CMD%20x&changes=USER%20y"

    answer = client.post(target, {"Cmd": ["z"]})
    client.post("/commit?container=a&pause=0")
    client.post("/commit?container=a", body=b"null", headers={"Content-Type": "application/json"})

    assert (answer.status, answer.json) == (201, {"Id": "sha256:new"})
    assert asked[0] == {
        "ident": "a", "repo": "r", "tag": "t", "comment": "c", "author": "me", "pause": True,
        "changes": ["CMD x", "USER y"], "config": documents.ContainerConfig(cmd=["z"]),
    }  # fmt: skip
    assert (asked[1]["pause"], asked[1]["config"]) == (False, None)
    assert asked[2]["config"] is None


# Wait


def test_a_wait_answers_its_head_at_once_and_its_body_at_the_end(
    running: Running, client: Client, a: str
) -> None:
    client.request("POST", "/v1.51/containers/a/wait")
    status, _, headers = client.head()
    assert (status, headers["Content-Type"]) == (200, "application/json")

    running.engine.containers.finish("a", 7)

    assert client.chunk() == b'{"StatusCode":7}\n'
    assert client.chunk() == b""


def test_a_wait_for_what_has_ended_answers_now(client: Client, a: str) -> None:
    client.post("/containers/a/stop")

    assert client.post("/containers/a/wait").json == {"StatusCode": 143}


def test_a_wait_for_removal(running: Running, client: Client, a: str) -> None:
    client.request("POST", "/containers/a/wait?condition=removed")
    client.head()
    running.engine.containers.finish("a", 7)
    running.engine.containers.remove("a", force=False, volumes=False, link=False)

    assert client.chunk() == b'{"StatusCode":7}\n'


def test_a_wait_may_fail(running: Running, client: Client, a: str) -> None:
    client.request("POST", "/containers/a/wait?condition=removed")
    client.head()
    ((_, _, future),) = running.engine.containers.waiters
    future.set_result((0, "it stays"))

    assert json.loads(client.chunk()) == {"StatusCode": 0, "Error": {"Message": "it stays"}}


def test_conditions_are_checked_since_1_30(client: Client, a: str) -> None:
    answer = client.post("/containers/a/wait?condition=x")

    assert (answer.status, answer.message) == (400, 'invalid condition: "x"')
    client.post("/containers/a/stop")
    assert client.post("/v1.29/containers/a/wait?condition=x").json == {"StatusCode": 143}


def test_an_old_wait_answers_all_at_the_end(running: Running, client: Client, a: str) -> None:
    client.request("POST", "/v1.29/containers/a/wait")
    until(lambda: running.engine.containers.waiters)

    running.engine.containers.finish("a", 0)

    answer = client.answer()
    assert answer.headers["Content-Length"] == "17"
    assert answer.json == {"StatusCode": 0}


def test_a_wait_ends_with_its_client(running: Running, a: str) -> None:
    with running.client() as waiting:
        waiting.request("POST", "/containers/a/wait")
        waiting.head()
    ((_, _, future),) = running.engine.containers.waiters

    until(future.cancelled)


def test_a_thousand_waits_hold_no_threads(running: Running, a: str) -> None:
    clients = [running.client() for _ in range(200)]
    for waiting in clients:
        waiting.request("POST", "/containers/a/wait")
        waiting.head()

    assert threading.active_count() < 60
    running.engine.containers.finish("a", 1)
    for waiting in clients:
        assert waiting.chunk() == b'{"StatusCode":1}\n'
        waiting.socket.close()


# Logs


def test_logs_are_what_was_said(running: Running, client: Client, a: str) -> None:
    running.engine.containers.say("a", b"out\n")
    running.engine.containers.say("a", b"err\n", "stderr")

    both = client.get("/containers/a/logs?stdout=1&stderr=1")
    one = client.get("/containers/a/logs?stderr=1&tail=1")

    assert both.headers["Content-Type"] == "application/vnd.docker.multiplexed-stream"
    assert both.body == frames.mux("stdout", b"out\n") + frames.mux("stderr", b"err\n")
    assert one.body == frames.mux("stderr", b"err\n")


def test_logs_of_a_terminal_are_raw(running: Running, client: Client) -> None:
    client.post("/containers/create?name=t", {"Image": "busybox", "Tty": True})
    running.engine.containers.say("t", b"out\n")

    answer = client.get("/containers/t/logs?stdout=1")

    assert answer.headers["Content-Type"] == "application/vnd.docker.raw-stream"
    assert answer.body == b"out\n"


def test_logs_are_followed_to_the_end(running: Running, client: Client, a: str) -> None:
    client.request("GET", "/containers/a/logs?stdout=1&follow=1")
    client.head()
    for number in range(3):
        running.engine.containers.say("a", b"%d" % number)
        assert client.chunk() == frames.mux("stdout", b"%d" % number)

    running.engine.containers.finish("a", 0)

    assert client.chunk() == b""
    until(lambda: not running.engine.containers.logs_of[a].readers)


def test_a_follower_that_leaves_is_forgotten(running: Running, a: str) -> None:
    with running.client() as client:
        client.request("GET", "/containers/a/logs?stdout=1&follow=1")
        client.head()
        until(lambda: running.engine.containers.logs_of[a].readers)

    until(lambda: not running.engine.containers.logs_of[a].readers)


def test_options_of_logs(running: Running, client: Client, a: str) -> None:
    asked: list[Any] = []
    logs = running.engine.containers.logs

    def remember(ident: str, options: Any) -> Any:
        asked.append(options)
        return logs(ident, options)

    running.engine.containers.logs = remember  # type: ignore[method-assign]
    client.get("/containers/a/logs?stdout=1&since=1.5&until=2&timestamps=1&details=1&tail=7")

    (options,) = asked
    assert (options.since, options.until) == (1_500_000_000, 2_000_000_000)
    assert (options.timestamps, options.details, options.tail) == (True, True, "7")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "Bad parameters: you must choose at least one stream"),
        (
            "stdout=1&since=x",
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
    ],
)
def test_bad_options_of_logs(client: Client, a: str, query: str, message: str) -> None:
    answer = client.get(f"/containers/a/logs?{query}")

    assert (answer.status, answer.message) == (400, message)


def test_resize_needs_numbers(client: Client, a: str) -> None:
    assert client.post("/containers/a/resize?h=1&w=x").message == (
        'invalid resize width "x": invalid syntax'
    )
