import io
import json
import tarfile

import pytest

from pinnace import errors
from tests.store.kit import BASE, Kit, config, docker_archive, sha
from tests.store.trees import archive, entry

pytestmark = pytest.mark.root

TOP = archive(entry("top", b"1"))


def save(kit: Kit, *names: str) -> dict[str, bytes]:
    raw = b"".join(kit.images.save(names))
    with tarfile.open(fileobj=io.BytesIO(raw)) as file:
        members = [member for member in file.getmembers() if member.isreg()]
        return {member.name: file.extractfile(member).read() for member in members}  # type: ignore[union-attr]


@pytest.fixture
def web(kit: Kit) -> str:
    raw = archive(*docker_archive(BASE, TOP, tags=["web:1", "web:2"], pack=True))
    list(kit.images.load([raw]))
    kit.events.clear()
    return kit.images.resolve("web:1").id


def test_the_archive_is_what_docker_writes(kit: Kit, web: str) -> None:
    files = save(kit, "web:1")

    layers = [f"blobs/sha256/{sha(BASE)}", f"blobs/sha256/{sha(TOP)}"]
    assert json.loads(files["manifest.json"]) == [
        {"Config": f"blobs/sha256/{web[7:]}", "RepoTags": ["web:1"], "Layers": layers}
    ]
    assert json.loads(files["repositories"]) == {"web": {"1": sha(TOP)}}
    assert files[layers[0]] == BASE and files[layers[1]] == TOP
    assert files[f"blobs/sha256/{web[7:]}"] == config(BASE, TOP)
    (descriptor,) = json.loads(files["index.json"])["manifests"]
    assert descriptor["annotations"]["io.containerd.image.name"] == "docker.io/library/web:1"
    manifest = json.loads(files["blobs/sha256/" + descriptor["digest"][7:]])
    assert manifest["config"]["digest"] == web
    assert [layer["size"] for layer in manifest["layers"]] == [len(BASE), len(TOP)]
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{sha(data)}"
    assert kit.events == [("save", web, web)]


def test_what_is_saved_can_be_loaded(kit: Kit, web: str) -> None:
    raw = b"".join(kit.images.save(["web", "hello"]))
    kit.images.remove(web, force=True)
    kit.images.remove("hello")

    assert sorted(kit.images.load([raw])) == ["hello:latest", "web:1", "web:2"]

    assert kit.images.resolve("web:1").id == web


@pytest.mark.parametrize(
    ("names", "tags"),
    [
        (["web"], ["web:1", "web:2"]),
        (["web:2"], ["web:2"]),
        (["web:2", "web:1", "web:2"], ["web:2", "web:1"]),
        (["ID"], None),
        (["ID", "web:1"], ["web:1"]),
        (["PREFIX"], None),
    ],
)
def test_tags_are_those_that_were_asked_for(
    kit: Kit, web: str, names: list[str], tags: list[str] | None
) -> None:
    texts = [{"ID": web, "PREFIX": web[7:19]}.get(name, name) for name in names]

    (item,) = json.loads(save(kit, *texts)["manifest.json"])

    assert item["RepoTags"] == tags


def test_a_layer_of_two_images_is_written_once(kit: Kit, web: str) -> None:
    list(kit.images.load([archive(*docker_archive(BASE, tags=["base:1"]))]))

    raw = b"".join(kit.images.save(["web:1", "base:1"]))

    with tarfile.open(fileobj=io.BytesIO(raw)) as file:
        names = file.getnames()
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "message"),
    [("nope", "No such image: nope"), ("nope:1", "reference does not exist")],
)
def test_an_unknown_image_is_known_before_the_first_byte(kit: Kit, name: str, message: str) -> None:
    with pytest.raises(errors.NotFound, match=message):
        kit.images.save(["hello", name])


def test_the_machine_itself_cannot_be_saved(kit: Kit) -> None:
    with pytest.raises(errors.Unsupported):
        b"".join(kit.images.save(["host"]))


def test_damaged_content_cuts_the_archive(kit: Kit, web: str) -> None:
    store = kit.images.store
    layer = store.layers(kit.images.resolve(web))[0]
    with open(store.blobs.path(layer.blob), "r+b") as file:
        file.seek(30)
        file.write(b"damage")

    with pytest.raises(errors.Invalid):
        b"".join(kit.images.save(["web"]))
