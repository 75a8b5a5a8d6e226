"""What Docker has and this engine has not."""

import pytest

from pinnace.api import absent
from tests.api.client import Client


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/swarm"), ("GET", "/swarm/unlockkey"), ("POST", "/swarm/update?version=1"),
        ("GET", "/nodes"), ("GET", "/nodes/x"), ("DELETE", "/nodes/x"), ("GET", "/services"),
        ("POST", "/services/create"), ("GET", "/services/x/logs"), ("POST", "/services/x/update"),
        ("GET", "/tasks"), ("GET", "/tasks/x"), ("GET", "/secrets"), ("POST", "/secrets/create"),
        ("GET", "/configs"), ("DELETE", "/configs/x"),
    ],
)  # fmt: skip
def test_there_is_no_swarm(client: Client, method: str, target: str) -> None:
    answer = client.ask(method, target)

    assert (answer.status, answer.message) == (503, absent.NO_MANAGER)


@pytest.mark.parametrize(
    ("method", "target", "status", "message"),
    [
        ("POST", "/swarm/leave", 503, "This node is not part of a swarm"),
        ("POST", "/swarm/init", 501, "swarm mode is not supported"),
        ("GET", "/plugins/x/json", 404, 'plugin "x" not found'),
        ("POST", "/plugins/a/b/enable", 404, 'plugin "a/b" not found'),
        ("POST", "/plugins/pull", 501, "plugins are not supported"),
        ("POST", "/session", 400, "no upgrade proto in request"),
        ("POST", "/grpc", 500, "no upgrade proto in request"),
        ("POST", "/build", 501, "builds are not supported yet"),
        ("POST", "/build/cancel", 400, "build ID not provided"),
        ("GET", "/distribution/a/b/json", 501, "registries are not supported yet"),
        ("GET", "/v1.29/configs", 400, "GET /configs requires minimum API version 1.30"),
        ("GET", "/containers/a/archive", 400, "bad parameter: path cannot be empty"),
    ],
)
def test_refusals(client: Client, method: str, target: str, status: int, message: str) -> None:
    answer = client.ask(method, target)

    assert (answer.status, answer.message) == (status, message)


def test_empty_answers(client: Client) -> None:
    assert client.get("/plugins").body == b"[]\n"
    assert client.post("/build/prune").json == {"CachesDeleted": None, "SpaceReclaimed": 0}
    assert client.post("/build/cancel?id=x").status == 200


def test_upgrades_to_http_2_are_refused_for_now(client: Client) -> None:
    headers = {"Upgrade": "h2c", "Connection": "Upgrade"}

    assert client.post("/grpc", headers=headers).status == 501
    assert client.post("/session", headers=headers).status == 501


def test_checkpoints_are_experimental(client: Client) -> None:
    for method in ("GET", "POST"):
        answer = client.ask(method, "/containers/a/checkpoints")
        assert answer.status == 501
        assert "experimental" in answer.message
    assert client.delete("/containers/a/checkpoints/x").status == 501
