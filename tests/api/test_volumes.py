"""/volumes."""

from tests.api.client import Client
from tests.api.conftest import Running


def test_a_volume_is_made_shown_and_removed(client: Client) -> None:
    made = client.post("/volumes/create", {"Name": "v", "Labels": {"a": "b"}})

    assert (made.status, made.json["Labels"]) == (201, {"a": "b"})
    assert client.get("/volumes/v").json == made.json
    assert client.get("/volumes").json == {"Volumes": [made.json], "Warnings": None}
    assert client.delete("/volumes/v").status == 204
    assert client.get("/volumes/v").message == "get v: no such volume"
    assert client.delete("/volumes/v").status == 404
    assert client.delete("/volumes/v?force=1").status == 204


def test_a_volume_needs_no_body(client: Client) -> None:
    assert len(client.post("/volumes/create").json["Name"]) == 64


def test_prune_spares_named_volumes_since_1_42(running: Running, client: Client) -> None:
    assert client.post("/volumes/prune").json == {"VolumesDeleted": [], "SpaceReclaimed": 0}
    assert running.engine.volumes.pruned_with == {}

    client.post("/v1.41/volumes/prune")

    assert running.engine.volumes.pruned_with == {"all": ["true"]}


def test_only_a_swarm_updates_volumes(client: Client) -> None:
    answer = client.ask("PUT", "/volumes/v")

    assert answer.status == 503
    assert "swarm is unavailable" in answer.message
