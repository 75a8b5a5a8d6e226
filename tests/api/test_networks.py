"""/networks."""

from tests.api.client import Client


def test_the_networks_that_are_always_there(client: Client) -> None:
    names = [network["Name"] for network in client.get("/networks").json]

    assert names == ["bridge", "host", "none"]
    assert client.get("/networks/").json == client.get("/networks").json
    assert client.get("/networks/bridge").json["Containers"] == {"c": {"Name": "c"}}
    assert client.get("/networks/nope").message == "network nope not found"


def test_lists_show_containers_to_the_oldest_only(client: Client) -> None:
    assert client.get("/v1.27/networks").json[0]["Containers"] == {"c": {"Name": "c"}}
    assert client.get("/v1.51/networks").json[0]["Containers"] == {}
    assert "Containers" not in client.get("/networks").json[0]
    assert client.get("/networks/bridge").json["Containers"] == {"c": {"Name": "c"}}


def test_they_stay(client: Client) -> None:
    answer = client.delete("/networks/bridge")

    assert (answer.status, answer.message) == (
        403,
        "bridge is a pre-defined network and cannot be removed",
    )
    assert client.delete("/networks/nope").status == 404
    assert client.post("/networks/prune").json == {"NetworksDeleted": None}


def test_others_are_not_offered_yet(client: Client) -> None:
    assert client.post("/networks/create", {"Name": "n"}).message == "no n yet"
    for target in ("bridge/connect", "bridge/disconnect"):
        answer = client.post(f"/networks/{target}", {"Container": "c"})
        assert (answer.status, answer.message) == (501, "no c on bridge yet")
