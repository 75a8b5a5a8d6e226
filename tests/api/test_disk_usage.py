"""/system/df."""

import pytest

from tests.api.client import Client

OLD = ["LayersSize", "Containers", "Images", "Volumes", "BuildCache"]
NEW = ["ContainerUsage", "ImageUsage", "VolumeUsage", "BuildCacheUsage"]


@pytest.fixture(autouse=True)
def objects(client: Client) -> None:
    client.post("/containers/create?name=a", {"Image": "busybox"})
    client.post("/containers/create?name=b", {"Image": "busybox"})
    client.post("/containers/b/start")
    client.post("/volumes/create", {"Name": "v"})


def test_old_clients_get_the_objects(client: Client) -> None:
    shown = client.get("/v1.51/system/df").json

    assert list(shown) == OLD
    assert shown["LayersSize"] == 1000
    assert [item["SizeRw"] for item in shown["Containers"]] == [7, 7]
    assert shown["Images"][0]["Containers"] == 2
    assert "VirtualSize" not in shown["Images"][0]
    assert shown["Volumes"][0]["UsageData"] == {"RefCount": 0, "Size": 5}
    assert shown["BuildCache"] == []
    assert client.get("/v1.43/system/df").json["Images"][0]["VirtualSize"] == 1000


def test_new_clients_get_totals_too(client: Client) -> None:
    shown = client.get("/system/df").json

    assert list(shown) == OLD + NEW
    assert shown["ContainerUsage"] == {
        "ActiveCount": 1,
        "Reclaimable": 7,
        "TotalCount": 2,
        "TotalSize": 14,
    }
    assert shown["ImageUsage"] == {"ActiveCount": 1, "TotalCount": 1, "TotalSize": 1000}
    assert shown["VolumeUsage"] == {"Reclaimable": 5, "TotalCount": 1, "TotalSize": 5}
    assert shown["BuildCacheUsage"] == {}


def test_verbose_is_the_new_form_with_objects(client: Client) -> None:
    shown = client.get("/system/df?verbose=1").json

    assert list(shown) == NEW
    assert len(shown["ContainerUsage"]["Items"]) == 2
    assert "Items" not in shown["BuildCacheUsage"]


def test_kinds_may_be_chosen_since_1_42(client: Client) -> None:
    assert client.get("/v1.51/system/df?type=volume").json["Images"] is None
    assert list(client.get("/system/df?verbose=1&type=volume&type=image").json) == [
        "ImageUsage",
        "VolumeUsage",
    ]
    assert client.get("/v1.41/system/df?type=volume").json["Images"] is not None
    answer = client.get("/system/df?type=x")
    assert (answer.status, answer.message) == (400, "unknown object type: x")
