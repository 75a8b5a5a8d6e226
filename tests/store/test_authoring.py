import json
import os
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.oci.image import Config
from pinnace.store.authoring import Commit
from tests.store.kit import Kit

pytestmark = pytest.mark.root


def request(parent: str | None, **changes: object) -> Commit:
    return Commit(
        container_id="c" * 64,
        config=Config(cmd=["new"], labels={"a": "b"}),
        container_config=Config(cmd=["sh", "-c", "x"], hostname="h"),
        parent=parent,
        **changes,  # type: ignore[arg-type]
    )


def test_a_commit_is_a_layer_on_top_of_the_image(kit: Kit) -> None:
    parent = kit.make("base")
    layers = kit.overlay.prepare("web", kit.images.resolve(parent).snapshot)
    Path(layers.upper, "new").write_text("12345")
    (Path(layers.upper) / "etc").mkdir()
    os.mknod(layers.upper + "/etc/hostname", 0o20000, 0)
    kit.events.clear()

    id = kit.images.commit("web", request(parent, author="me", comment="c"), repo="made", tag="1")

    shown = kit.images.inspect("made:1")
    assert shown["Id"] == id and shown["Parent"] == parent
    assert (shown["Author"], shown["Comment"]) == ("me", "c")
    assert shown["Config"] == {"Cmd": ["new"], "Labels": {"a": "b"}}
    assert shown["Size"] == kit.images.resolve(parent).size + 5
    assert len(shown["RootFS"]["Layers"]) == 2
    assert kit.file("made:1", "new") == b"12345"
    assert kit.file("made:1", "etc/hostname") is None
    assert kit.file("made:1", "bin/sh") == b"#!"
    newest = kit.images.history("made:1")[0]
    assert (newest["CreatedBy"], newest["Comment"], newest["Size"]) == ("sh -c x", "c", 5)
    assert kit.events == [("create", id, id), ("tag", id, "made:1")]
    raw = json.loads(kit.images.store.config(id))
    assert raw["container"] == "c" * 64
    assert raw["container_config"]["Hostname"] == "h"


def test_a_container_that_changed_nothing_adds_no_layer(kit: Kit) -> None:
    parent = kit.make("base")
    kit.overlay.prepare("web", kit.images.resolve(parent).snapshot)

    id = kit.images.commit("web", request(parent))

    committed = kit.images.resolve(id)
    assert committed.snapshot == kit.images.resolve(parent).snapshot
    assert committed.config.history is not None
    assert committed.config.history[-1].empty_layer


def test_the_container_goes_on_with_what_it_has(kit: Kit) -> None:
    parent = kit.make("base")
    layers = kit.overlay.prepare("web", kit.images.resolve(parent).snapshot)
    Path(layers.upper, "new").write_text("first")

    first = kit.images.commit("web", request(parent))
    Path(layers.upper, "new").write_text("second")
    second = kit.images.commit("web", request(parent))

    assert kit.file(first, "new") == b"first"
    assert kit.file(second, "new") == b"second"
    assert kit.overlay.mounts("web") == layers


def test_a_container_without_an_image_can_be_committed(kit: Kit) -> None:
    layers = kit.overlay.prepare("web", None)
    Path(layers.upper, "new").write_text("x")

    id = kit.images.commit("web", request(None))

    assert kit.images.inspect(id)["Size"] == 1


def test_commits_of_the_host_image_lie_on_the_host(kit: Kit) -> None:
    parent = kit.images.resolve("host")
    layers = kit.overlay.prepare("web", parent.snapshot)
    Path(layers.upper, "new").write_text("x")

    id = kit.images.commit("web", request(parent.id))
    prepared = kit.overlay.prepare("next", kit.images.resolve(id).snapshot)

    assert prepared.lowers[-1] == "/"
    assert prepared.masks is not None
    assert len(prepared.lowers) == 3
    with pytest.raises(errors.Unsupported):
        b"".join(kit.images.save([id]))


def test_a_bad_name_is_told_before_the_work(kit: Kit) -> None:
    kit.overlay.prepare("web", None)
    before = kit.blobs()

    with pytest.raises(errors.Invalid, match="lowercase"):
        kit.images.commit("web", request(None), repo="A")

    assert kit.blobs() == before
