import gzip
import io
import os
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.store import builtin, merged
from pinnace.store.removal import Use
from tests.store.kit import BASE, Kit
from tests.store.trees import entry

pytestmark = pytest.mark.root


def names(kit: Kit, **options: object) -> list[str]:
    return [name for shown in kit.images.list(**options) for name in shown["RepoTags"]]  # type: ignore[arg-type]


def test_two_images_are_there_from_the_first_start(kit: Kit) -> None:
    assert sorted(names(kit)) == ["hello:latest", "host:latest"]
    assert (kit.file("hello", "hello") or b"").startswith(b"\x7fELF")


def test_removed_builtin_images_stay_away(kit: Kit) -> None:
    kit.remove_builtin()
    kit.reopen()

    assert names(kit) == []


def test_the_host_is_still_known_after_a_restart(kit: Kit) -> None:
    kit.reopen()

    layers = kit.overlay.prepare("web", kit.images.resolve("host").snapshot)

    assert layers.lowers == ["/"]
    assert layers.masks is not None


def test_an_imported_archive_is_an_image(kit: Kit) -> None:
    id = kit.images.import_(
        io.BytesIO(gzip.compress(BASE)),
        repo="me/base",
        tag="1",
        message="hey",
        changes=["CMD sh", "LABEL a=b"],
        platform="linux/arm64",
    )

    shown = kit.images.inspect("me/base:1")
    assert shown["Id"] == id == kit.images.resolve(id).id
    assert shown["Comment"] == "hey"
    assert shown["Architecture"] == "arm64"
    assert shown["Config"] == {"Cmd": ["/bin/sh", "-c", "sh"], "Labels": {"a": "b"}}
    assert shown["Size"] == len(b"base") + len(b"#!")
    assert kit.file("me/base:1", "etc/hostname") == b"base"
    assert kit.events == [("tag", id, "me/base:1"), ("import", id, id)]


def test_an_empty_archive_is_an_image_too(kit: Kit) -> None:
    assert kit.images.inspect(kit.images.import_([]))["Size"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repo": "A"}, "must be lowercase"),
        ({"repo": "a", "tag": "-"}, "invalid tag format"),
        ({"repo": "sha256"}, "refusing to create an ambiguous tag"),
        ({"changes": ["RUN x"]}, "RUN is not a valid change command"),
        ({"platform": "windows/amd64"}, "operating system is not supported"),
    ],
)
def test_imports_that_cannot_be_named_do_not_happen(
    kit: Kit, options: dict[str, object], message: str
) -> None:
    before = kit.blobs()

    with pytest.raises(errors.Invalid, match=message):
        kit.images.import_([BASE], **options)  # type: ignore[arg-type]

    assert kit.blobs() == before


def test_images_are_found_by_name_id_and_prefix(kit: Kit) -> None:
    id = kit.make("base")

    for text in ("base", "base:latest", "docker.io/library/base", id, id[7:], id[:20], id[7:19]):
        assert kit.images.resolve(text).id == id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", "No such image: nope:latest"),
        ("no:pe", "No such image: no:pe"),
        ("abcdef123456", "No such image: abcdef123456:latest"),
        ("sha256:abc", "No such image: sha256:abc"),
        ("a" * 64, "No such image: sha256:" + "a" * 64),
        ("docker.io/library/nope", "No such image: nope:latest"),
        ("example.com/nope", "No such image: example.com/nope:latest"),
        ("nope@sha256:" + "a" * 64, "No such image: nope@sha256:" + "a" * 64),
    ],
)
def test_unknown_images_are_told_by_their_familiar_name(kit: Kit, text: str, message: str) -> None:
    with pytest.raises(errors.NotFound) as caught:
        kit.images.resolve(text)

    assert caught.value.message == message


def test_an_ambiguous_prefix_is_unknown(kit: Kit) -> None:
    # Of 17 ids, two begin with the same of 16 digits.
    ids = [kit.make("", entry("x", b"%d" % number)) for number in range(17)]
    digits = [id.removeprefix("sha256:")[0] for id in ids]
    (shared, *_) = [digit for digit in digits if digits.count(digit) > 1]

    with pytest.raises(errors.NotFound):
        kit.images.resolve(shared)


def test_a_tag_moves(kit: Kit) -> None:
    one, two = kit.make("a", entry("1")), kit.make("b", entry("2"))
    kit.events.clear()

    kit.images.tag("a", "web", "1")
    kit.images.tag("b", "web", "1")

    assert kit.images.resolve("web:1").id == two
    assert kit.images.inspect(one)["RepoTags"] == ["a:latest"]
    assert kit.images.inspect(two)["Metadata"]["LastTagTime"] > "2026"
    assert kit.events == [("tag", one, "web:1"), ("tag", two, "web:1")]


@pytest.mark.parametrize(
    ("repo", "tag", "message"),
    [
        ("B", "", "invalid reference format: repository name (library/B) must be lowercase"),
        ("b", "-x", "invalid tag format"),
        ("b@sha256:" + "a" * 64, "", "cannot import digest reference"),
        ("sha256", "", "refusing to create an ambiguous tag using digest algorithm as name"),
        ("", "", "invalid reference format"),
    ],
)
def test_bad_tags_are_refused(kit: Kit, repo: str, tag: str, message: str) -> None:
    kit.make("base")

    with pytest.raises(errors.Invalid) as caught:
        kit.images.tag("base", repo, tag)

    assert caught.value.message == message


def test_pruning_takes_what_has_no_name(kit: Kit) -> None:
    kit.make("kept", entry("1"))
    gone = kit.make("", entry("2", b"12345"))
    used = kit.make("", entry("3"))
    kit.uses[used] = [Use("c" * 64, running=False)]

    records, freed = kit.images.prune({})

    layer = records[1]["Deleted"]
    assert records == [{"Deleted": gone}, {"Deleted": layer}]
    assert freed == 5
    assert "kept:latest" in names(kit)
    assert kit.images.resolve(used).id == used


def test_pruning_all_takes_what_no_container_uses(kit: Kit) -> None:
    kit.remove_builtin()
    used = kit.make("used", entry("1"))
    kit.make("named", entry("2"), changes=["LABEL keep=1"])
    kit.make("other", entry("3"))
    kit.uses[used] = [Use("c" * 64, running=True)]

    records, _ = kit.images.prune({"dangling": ["false"], "label!": ["keep"]})

    assert [record["Untagged"] for record in records if "Untagged" in record] == ["other:latest"]
    assert names(kit) == ["named:latest", "used:latest"]


def test_layers_are_counted_once(kit: Kit) -> None:
    kit.remove_builtin()
    kit.make("a", entry("1", b"12345"))
    kit.make("b", entry("1", b"12345"), message="another config")

    assert kit.images.layers_size() == 5


def test_everything_survives_a_restart(kit: Kit) -> None:
    kit.make("base")
    before = [kit.images.inspect(name) for name in ("hello", "host", "base")]

    kit.reopen()

    assert [kit.images.inspect(name) for name in ("hello", "host", "base")] == before


def test_what_a_dead_daemon_left_is_collected(kit: Kit) -> None:
    kit.make("base")
    kit.db.execute("DELETE FROM edges WHERE parent LIKE 'image:%'")
    kit.db.execute("DELETE FROM images")

    kit.reopen()
    kit.overlay.janitor.drain()

    assert kit.blobs() == set()
    assert kit.snapshot_names() == set()
    assert os.listdir(kit.overlay.root) == []


def test_the_engines_own_folders_are_hidden_from_the_host_image(kit: Kit) -> None:
    layers = kit.overlay.view("look", kit.images.resolve("host").snapshot)

    assert layers.masks is not None
    kinds = {entry.path: entry.kind for entry in layers.masks.entries}
    hidden = os.path.relpath(os.path.realpath(kit.path / "content"), "/")
    covers = [path for path, kind in kinds.items() if kind in ("opaque", "whiteout")]
    assert any(hidden == path or hidden.startswith(path + "/") for path in covers)
    assert kinds["etc/shadow"] == "whiteout"
    assert kinds["root"] == "opaque"


def test_the_masks_hide_what_they_should(kit: Kit, tmp_path: Path) -> None:
    root = tmp_path / "machine"
    for path in ("etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub", "etc/shadow-"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    (root / "srv/homes").mkdir(parents=True)
    (root / "home").symlink_to("srv/homes")
    (root / "data/engine/content").mkdir(parents=True)

    masks = builtin.host_masks([str(root / "data/engine")], str(root))

    found = {entry.path: entry.kind for entry in masks.entries}
    assert found["etc/ssh/ssh_host_rsa_key"] == found["etc/shadow-"] == "whiteout"
    assert found["srv/homes"] == "opaque"
    assert found["data/engine"] == "whiteout"
    assert found["data"] == found["srv"] == found["etc/ssh"] == "directory"
    assert found[".dockerenv"] == "file"
    assert "etc/ssh/ssh_host_rsa_key.pub" not in found
    paths = [entry.path for entry in masks.entries]
    assert paths == sorted(paths)
    assert all(path.rpartition("/")[0] in found for path in paths)


def test_a_containers_folders_show_no_secrets_of_the_host(kit: Kit) -> None:
    kit.overlay.prepare("web", kit.images.resolve("host").snapshot)

    with (
        kit.overlay.folders("web") as (upper, lowers),
        merged.Directory.open([upper, *lowers]) as root,
    ):
        assert root.find("etc/shadow") is None
        assert root.find("etc/passwd") is not None
        assert root.find(".dockerenv") is not None
