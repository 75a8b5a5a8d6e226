"""/images."""

import json
from urllib.parse import quote

import pytest

from tests.api.client import Client
from tests.api.conftest import Running
from tests.api.fake_engine import IMAGE_ID


def test_list_and_inspect(client: Client) -> None:
    (summary,) = client.get("/images/json?shared-size=1").json

    assert summary["RepoTags"] == ["busybox:latest"]
    assert (summary["Containers"], summary["SharedSize"]) == (2, 0)
    assert client.get("/v1.41/images/json?shared-size=1").json[0]["SharedSize"] == -1
    assert client.get("/images/busybox/json").json["Id"] == IMAGE_ID
    assert client.get("/v1.43/images/busybox/json").json["VirtualSize"] == 1000


def test_what_was_shown_to_old_clients_is_not_shown_to_new_ones(client: Client) -> None:
    client.get("/v1.24/images/json")
    client.get("/v1.24/images/busybox/json")

    assert "VirtualSize" not in client.get("/images/json").json[0]
    assert "VirtualSize" not in client.get("/images/busybox/json").json


def test_a_filter_by_name_of_old(running: Running, client: Client) -> None:
    asked = []
    images = running.engine.images.list

    def remember(**options: object) -> object:
        asked.append(options["filters"])
        return images(all=False, filters={}, shared_size=False)

    running.engine.images.list = remember  # type: ignore[assignment,method-assign]
    client.get("/v1.24/images/json?filter=busy*")
    client.get("/v1.25/images/json?filter=busy*")

    assert asked == [{"reference": ["busy*"]}, {}]


@pytest.mark.parametrize(("method", "target"), [("GET", "json"), ("POST", "prune")])
def test_an_unknown_filter_is_refused(client: Client, method: str, target: str) -> None:
    answer = client.ask(method, f'/images/{target}?filters={{"nope":["a"]}}')

    assert (answer.status, answer.message) == (400, "invalid filter 'nope'")


def test_history(client: Client) -> None:
    assert client.get("/images/busybox/history").json[0]["CreatedBy"] == "made"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "nope/json"),
        ("GET", "nope/history"),
        ("GET", "nope/get"),
        ("POST", "nope/tag?repo=x"),
        ("POST", "nope/push"),
        ("DELETE", "nope"),
        ("GET", "nope/attestations"),
    ],
)
def test_there_is_no_such_image(client: Client, method: str, target: str) -> None:
    answer = client.ask(method, f"/images/{target}")

    assert (answer.status, answer.message) == (404, "No such image: nope:latest")


def test_tag_and_remove(client: Client) -> None:
    assert client.post("/images/busybox/tag?repo=a/b&tag=c").status == 201
    assert client.delete("/images/a/b:c").json == [
        {"Untagged": "busybox:latest"},
        {"Untagged": "a/b:c"},
        {"Deleted": IMAGE_ID},
    ]
    assert client.delete("/images/%20").message == "image name cannot be blank"


def test_prune(client: Client) -> None:
    assert client.post("/images/prune").json == {"ImagesDeleted": None, "SpaceReclaimed": 0}


def test_save(client: Client) -> None:
    answer = client.get("/images/get?names=busybox&names=busybox")

    assert answer.headers["Content-Type"] == "application/x-tar"
    assert answer.body == IMAGE_ID.encode() * 2
    assert client.get("/images/busybox/get").body == IMAGE_ID.encode()


def test_load(client: Client) -> None:
    answer = client.post("/images/load", body=b"archive")

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body == (
        b'{"stream":"Loaded image: loaded:latest\\n"}\r\n'
        b'{"stream":"Loaded image ID: %b\\n"}\r\n' % IMAGE_ID.encode()
    )


def test_a_bad_archive_is_told_in_the_stream(client: Client) -> None:
    answer = client.post("/images/load", body=b"bad")

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "errorDetail": {"message": "archive/tar: invalid tar header"},
        "error": "archive/tar: invalid tar header",
    }


def test_import(running: Running, client: Client) -> None:
    answer = client.post("/images/create?fromSrc=-&repo=r&tag=t&changes=CMD%20x", body=b"archive")

    assert answer.json == {"status": running.engine.images.resolve("r:t").id}


@pytest.mark.parametrize("source", ["", "http://x/y"])
def test_import_from_elsewhere_is_not_supported(client: Client, source: str) -> None:
    assert client.post(f"/images/create?fromSrc={source}").status == 501


@pytest.mark.parametrize(
    "query",
    [
        "fromImage=busybox",
        "fromImage=busybox:&tag=latest",
        "fromImage=docker.io/library/busybox&tag=latest",
        "fromImage=busybox:latest",
    ],
)
def test_a_pull_of_what_is_here_is_up_to_date(client: Client, query: str) -> None:
    answer = client.post(f"/images/create?{query}")

    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines[0] == {"status": "Pulling from library/busybox", "id": "latest"}
    assert lines[-1] == {"status": "Status: Image is up to date for busybox:latest"}


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (
            "fromImage=nope",
            404,
            "pull access denied for nope, repository does not exist or may require 'docker login'",
        ),
        ("fromImage=scratch", 403, "'scratch' is a reserved name"),
        (
            "fromImage=UPPER",
            400,
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
        ("fromImage=x&tag=a%20b", 400, "invalid tag format"),
        (
            f"fromImage=nope&tag=sha256:{'a' * 64}",
            404,
            "pull access denied for nope, repository does not exist or may require 'docker login'",
        ),
    ],
)
def test_pulls_that_cannot_be(client: Client, query: str, status: int, message: str) -> None:
    answer = client.post(f"/images/create?{query}")

    assert (answer.status, answer.message) == (status, message)


def test_registries_are_not_asked_yet(client: Client) -> None:
    assert client.post("/images/busybox/push?tag=latest").status == 501
    assert client.get("/images/search?term=x").status == 501


def test_attestations(client: Client) -> None:
    assert client.get("/images/busybox/attestations").json == []
    assert client.get("/v1.54/images/busybox/attestations").status == 400


@pytest.mark.parametrize(
    ("platform", "message"),
    [
        ("x", "failed to parse platform"),
        ('{"os":"linux"}', "both OS and Architecture must be provided"),
        ("{}", "both OS and Architecture must be provided"),
        ('{"variant":"v8"}', "optional platform fields provided"),
    ],
)
def test_bad_platforms(client: Client, platform: str, message: str) -> None:
    answer = client.get(f"/images/busybox/json?platform={quote(platform)}")

    assert answer.status == 400
    assert message in answer.message


def test_a_platform_is_accepted(client: Client) -> None:
    platform = quote('{"os":"linux","architecture":"amd64"}')

    assert client.get(f"/images/busybox/json?platform={platform}").status == 200
    assert client.get("/v1.48/images/busybox/json?platform=x").status == 200
