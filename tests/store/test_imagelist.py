import pytest

from pinnace import errors
from pinnace.store import imagelist
from pinnace.store.removal import Use
from tests.store.kit import Kit, config, docker_archive
from tests.store.trees import archive, entry

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def alone(kit: Kit) -> None:
    kit.remove_builtin()


def load(kit: Kit, name: str, created: str | None, **changes: object) -> str:
    layer = archive(entry(name, b"12345"))
    document = config(layer, created=created, **changes)
    list(kit.images.load([archive(*docker_archive(layer, tags=[name], document=document))]))
    return kit.images.resolve(name).id


def names(kit: Kit, all: bool = False, **filters: str) -> list[str]:
    wanted = {key: [value] for key, value in filters.items()}
    return [shown["RepoTags"][0] for shown in kit.images.list(all=all, filters=wanted)]


def test_a_summary_is_dockers(kit: Kit) -> None:
    id = load(kit, "web:1", "2026-01-02T03:04:05.6Z", config={"Labels": {"a": "b"}})
    kit.uses[id] = [Use("c" * 64, running=True)]

    assert kit.images.list() == [
        {
            "Id": id,
            "ParentId": "",
            "RepoTags": ["web:1"],
            "RepoDigests": [],
            "Created": 1767323045,
            "Size": 5,
            "SharedSize": -1,
            "Labels": {"a": "b"},
            "Containers": 1,
        }
    ]


def test_the_newest_comes_first(kit: Kit) -> None:
    load(kit, "old:1", "2024-01-01T00:00:00Z")
    load(kit, "new:1", "2026-01-01T00:00:00Z")
    load(kit, "never:1", None)

    assert names(kit) == ["new:1", "old:1", "never:1"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"before": "b:1"}, ["a:1"]),
        ({"since": "b:1"}, ["c:2"]),
        ({"until": "2025-06-01T00:00:00Z"}, ["b:1", "a:1"]),
        ({"reference": "?:1"}, ["b:1", "a:1"]),
        ({"reference": "c"}, ["c:2"]),
        ({"label": "x"}, ["b:1", "a:1"]),
        ({"label": "x=2"}, ["b:1"]),
        ({"dangling": "false"}, ["c:2", "b:1", "a:1"]),
        ({"dangling": "true"}, []),
    ],
)
def test_filters(kit: Kit, filters: dict[str, str], expected: list[str]) -> None:
    load(kit, "a:1", "2024-01-01T00:00:00Z", config={"Labels": {"x": "1"}})
    load(kit, "b:1", "2025-01-01T00:00:00Z", config={"Labels": {"x": "2"}})
    load(kit, "c:2", "2026-01-01T00:00:00Z")

    assert names(kit, **filters) == expected


def test_images_without_a_name_are_dangling(kit: Kit) -> None:
    load(kit, "a:1", "2024-01-01T00:00:00Z")
    bare = kit.make("", entry("x"))

    (shown,) = kit.images.list(filters={"dangling": ["1"]})

    assert (shown["Id"], shown["RepoTags"]) == (bare, [])
    assert len(kit.images.list()) == 2


def test_bad_filters_are_refused(kit: Kit) -> None:
    for filters in ({"dangling": ["maybe"]}, {"dangling": ["1", "0"]}, {"until": ["soon"]}):
        with pytest.raises(errors.Invalid):
            kit.images.list(filters=filters)


def test_shared_sizes_are_counted_on_request(kit: Kit) -> None:
    kit.make("a", entry("same", b"12345"))
    kit.make("b", entry("same", b"12345"), message="x")
    kit.make("c", entry("other", b"1"))

    shown = kit.images.list(shared_size=True)

    assert {image["RepoTags"][0]: image["SharedSize"] for image in shown} == {
        "a:latest": 5,
        "b:latest": 5,
        "c:latest": 0,
    }


def test_an_inspection_leaves_out_what_is_empty(kit: Kit) -> None:
    id = load(
        kit, "web:1", "2026-01-02T03:04:05.6Z", config={"Cmd": ["sh"], "Env": [], "Tty": True}
    )

    shown = kit.images.inspect("web:1")

    folders = shown.pop("GraphDriver")["Data"]
    shown["Metadata"].pop("LastTagTime")
    (layer,) = shown["RootFS"].pop("Layers")
    assert shown == {
        "Id": id,
        "RepoTags": ["web:1"],
        "RepoDigests": [],
        "Created": "2026-01-02T03:04:05.6Z",
        "Architecture": "amd64",
        "Os": "linux",
        "Size": 5,
        "RootFS": {"Type": "layers"},
        "Metadata": {},
        "Config": {"Cmd": ["sh"]},
    }
    assert layer == kit.images.resolve(id).snapshot
    assert folders["UpperDir"].endswith("/fs") and "LowerDir" not in folders


def test_history_goes_back_to_the_first_layer(kit: Kit) -> None:
    layers = [archive(entry("a", b"1")), archive(entry("b", b"22"))]
    history = [
        {"created": "2026-01-01T00:00:00Z", "created_by": "ADD a"},
        {"created": "2026-01-01T00:00:01Z", "created_by": "ENV x", "empty_layer": True},
        {"created_by": "ADD b", "comment": "last"},
    ]
    document = config(*layers, history=history)
    list(kit.images.load([archive(*docker_archive(*layers, document=document))]))

    shown = kit.images.history("web:1")

    assert [row["CreatedBy"] for row in shown] == ["ADD b", "ENV x", "ADD a"]
    assert [row["Size"] for row in shown] == [2, 0, 1]
    assert [row["Created"] for row in shown] == [0, 1767225601, 1767225600]
    assert [row["Comment"] for row in shown] == ["last", "", ""]
    assert [row["Tags"] for row in shown] == [["web:1"], None, None]
    assert shown[0]["Id"] == kit.images.resolve("web:1").id
    assert {row["Id"] for row in shown[1:]} == {"<missing>"}


def test_labels_match_by_key_or_value() -> None:
    labels = {"a": "1", "b": ""}

    assert imagelist.has_labels(["a", "a=1", "b", "b="], labels)
    assert not imagelist.has_labels(["a=2"], labels)
    assert not imagelist.has_labels(["c"], labels)
    assert imagelist.has_labels([], {})
