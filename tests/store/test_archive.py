import gzip
import json
import tarfile
from typing import Any

import pytest

from pinnace import errors
from pinnace.oci import image
from tests.store.kit import BASE, Entry, Kit, config, docker_archive, sha
from tests.store.trees import archive, entry, folder, hardlink, symlink

pytestmark = pytest.mark.root

TOP = archive(entry("top", b"1"), entry("etc/.wh.hostname"))


def load(kit: Kit, *entries: Entry) -> list[str]:
    return list(kit.images.load([archive(*entries)]))


def layout(
    *layers: bytes,
    document: bytes | None = None,
    names: tuple[str, ...] = ("docker.io/library/web:1",),
    manifest: dict[str, Any] | None = None,
    files: dict[str, bytes] | None = None,
    descriptor: dict[str, Any] | None = None,
) -> list[Entry]:
    """An OCI layout; what is given replaces the right thing."""
    document = document or config(*layers)
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": image.OCI_MANIFEST,
            "config": _descriptor(document, image.OCI_CONFIG),
            "layers": [_descriptor(layer, image.OCI_LAYER) for layer in layers],
            **(manifest or {}),
        }
    ).encode()
    manifests = [
        {
            **_descriptor(body, image.OCI_MANIFEST),
            "annotations": {"io.containerd.image.name": name},
            **(descriptor or {}),
        }
        for name in names
    ]
    blobs = {sha(blob): blob for blob in (*layers, document, body)} | (files or {})
    return [
        entry("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        entry("index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()),
        folder("blobs"),
        *(entry(f"blobs/sha256/{name}", blob) for name, blob in blobs.items()),
    ]


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": "sha256:" + sha(data), "size": len(data)}


@pytest.mark.parametrize("pack", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("reverse", [False, True], ids=["manifest last", "manifest first"])
def test_docker_archives_are_loaded(kit: Kit, pack: bool, reverse: bool) -> None:
    entries = docker_archive(BASE, TOP, tags=["web:1", "me/web:2"], pack=pack)

    assert load(kit, *(reversed(entries) if reverse else entries)) == ["web:1", "me/web:2"]

    assert kit.images.resolve("web:1").id == "sha256:" + sha(config(BASE, TOP))
    assert kit.file("me/web:2", "bin/sh") == b"#!"
    assert kit.file("me/web:2", "etc/hostname") is None
    assert kit.file("web:1", "top") == b"1"


def test_the_whole_archive_may_be_compressed(kit: Kit) -> None:
    raw = gzip.compress(archive(*docker_archive(BASE)))

    assert list(kit.images.load([raw])) == ["web:1"]


def test_an_image_without_a_name_is_told_by_its_id(kit: Kit) -> None:
    assert load(kit, *docker_archive(BASE, tags=None)) == ["sha256:" + sha(config(BASE))]


def test_loading_twice_changes_nothing(kit: Kit) -> None:
    load(kit, *docker_archive(BASE))
    before = (kit.blobs(), kit.snapshot_names())

    assert load(kit, *docker_archive(BASE)) == ["web:1"]

    assert (kit.blobs(), kit.snapshot_names()) == before


def test_layers_may_be_links_to_others(kit: Kit) -> None:
    document = config(BASE, BASE, TOP)
    manifest = [{"Config": "c.json", "RepoTags": ["web:1"], "Layers": ["a/l", "b/l", "t"]}]

    load(
        kit,
        entry("c.json", document),
        entry("a/l", BASE),
        symlink("b/l", "../a/l"),
        entry("t0", TOP),
        hardlink("t", "t0"),
        entry("manifest.json", json.dumps(manifest).encode()),
    )

    assert len(kit.images.resolve("web:1").config.diff_ids) == 3


def test_files_that_no_image_needs_are_not_kept(kit: Kit) -> None:
    load(kit, *docker_archive(BASE), entry("junk", b"junk"))
    kit.images.store.sweep()

    assert "sha256:" + sha(b"junk") not in kit.blobs()


def test_layouts_are_loaded_with_their_own_manifest(kit: Kit) -> None:
    names = ("docker.io/library/web:1", "example.com/web:2")

    assert load(kit, *layout(BASE, TOP, names=names)) == ["web:1", "example.com/web:2"]

    found = kit.images.resolve("web:1")
    raw = kit.images.store.manifest(found)
    assert found.manifest == "sha256:" + sha(raw)
    assert kit.file("web:1", "top") == b"1"


@pytest.mark.parametrize(
    ("name", "expected"), [("web:3", ["web:3"]), ("me/web", ["me/web:latest"]), ("v1", None)]
)
def test_oci_names_are_names_if_they_look_like_names(
    kit: Kit, name: str, expected: list[str] | None
) -> None:
    annotations = {"org.opencontainers.image.ref.name": name}
    entries = layout(BASE, descriptor={"annotations": annotations})

    assert load(kit, *entries) == (expected or ["sha256:" + sha(config(BASE))])


def test_of_an_index_the_image_for_this_machine_is_taken(kit: Kit) -> None:
    machine = image.host_platform()
    right, wrong = layout(BASE, names=("x",)), layout(TOP, names=("x",))
    descriptors = []
    for entries, platform in (
        (right, {"os": machine.os, "architecture": machine.architecture}),
        (wrong, {"os": "linux", "architecture": "sparc"}),
        (wrong, {"os": "unknown", "architecture": "unknown"}),
    ):
        (inner,) = json.loads(entries[1][1])["manifests"]
        descriptors.append({**inner, "annotations": {}, "platform": platform})
    inner_index = json.dumps({"schemaVersion": 2, "manifests": descriptors}).encode()
    outer = {
        **_descriptor(inner_index, image.OCI_INDEX),
        "annotations": {"io.containerd.image.name": "docker.io/library/multi:1"},
    }
    index = json.dumps({"schemaVersion": 2, "manifests": [outer]}).encode()

    loaded = load(
        kit,
        entry("index.json", index),
        entry(f"blobs/sha256/{sha(inner_index)}", inner_index),
        *[item for item in right[2:] if item[0].isreg()],
    )

    assert loaded == ["multi:1"]
    assert kit.file("multi:1", "bin/sh") == b"#!"


OTHER = "sha256:" + "1" * 64
BAD = {
    "nothing": [entry("x", b"x")],
    "empty": [],
    "manifest fifo": [entry("manifest.json", type=tarfile.FIFOTYPE)],
    "config fifo": [
        entry("c", type=tarfile.FIFOTYPE),
        entry("manifest.json", b'[{"Config":"c","Layers":[]}]'),
    ],
    "layer device": [entry("l", type=tarfile.CHRTYPE), *docker_archive(BASE)],
    "manifest link out": [symlink("manifest.json", "../../etc/passwd")],
    "link circle": [symlink("manifest.json", "a"), symlink("a", "manifest.json")],
    "name out": [entry("../x"), *docker_archive(BASE)],
    "missing layer": docker_archive(BASE)[:1] + docker_archive(BASE)[2:],
    "missing config": docker_archive(BASE)[1:],
    "config name out": [entry("manifest.json", b'[{"Config":"../../../etc/passwd","Layers":[]}]')],
    "one layer too many": docker_archive(BASE, document=config(BASE, TOP)),
    "other diff id": docker_archive(BASE, document=config(TOP)),
    "diff id path": docker_archive(
        BASE, document=config(rootfs={"type": "layers", "diff_ids": ["sha256:../../etc"]})
    ),
    "windows": docker_archive(BASE, document=config(BASE, os="windows")),
    "null": [entry("manifest.json", b"null")],
    "object": [entry("manifest.json", b"{}")],
    "number": [entry("manifest.json", b"[5]")],
    "empty object": [entry("manifest.json", b"[{}]")],
    "layers text": [entry("manifest.json", b'[{"Config":"x","Layers":"y"}]')],
    "deep": [entry("manifest.json", b"[" * 50000)],
    "not text": [entry("manifest.json", b"\xff")],
    "big manifest": [entry("manifest.json", b" " * (9 << 20))],
    "tag path": docker_archive(BASE, tags=["../../x:y"]),
    "tag spaces": docker_archive(BASE, tags=["A B:c"]),
    "tag number": docker_archive(BASE, tags=[5]),
    "tags text": docker_archive(BASE, tags="x"),
    "tag empty": docker_archive(BASE, tags=[""]),
    "tag missing": docker_archive(BASE, tags=["web"]),
    "evil layer": docker_archive(archive(entry("../evil"))),
    "config digest path": layout(BASE, manifest={"config": {"digest": "sha256:../../etc/passwd"}}),
    "manifest digest path": layout(BASE, descriptor={"digest": "sha256:../../etc/passwd"}),
    "manifest missing": layout(BASE, descriptor={"digest": OTHER}),
    "manifest altered": layout(BASE, descriptor={"digest": OTHER}, files={"1" * 64: b"{}"}),
    "layer altered": layout(BASE, files={sha(BASE): BASE + bytes(512)}),
    "config altered": layout(BASE, files={sha(config(BASE)): config(BASE) + b" "}),
    "layer size": layout(BASE, manifest={"layers": [{"digest": "sha256:" + sha(BASE), "size": 5}]}),
    "both": layout(BASE, manifest={"manifests": [{"digest": OTHER, "size": 5}]}),
    "media type": layout(BASE, descriptor={"mediaType": image.DOCKER_MANIFEST}),
    "index is a manifest": [entry("index.json", b'{"schemaVersion":2,"config":{},"layers":[]}')],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives_are_refused_and_leave_nothing(kit: Kit, name: str) -> None:
    kit.remove_builtin()

    with pytest.raises(errors.Invalid):
        load(kit, *BAD[name])

    kit.images.store.sweep()
    assert kit.images.list(all=True) == []
    assert kit.blobs() == set()
    assert kit.snapshot_names() == set()


def test_a_stream_that_breaks_leaves_nothing(kit: Kit) -> None:
    kit.remove_builtin()
    raw = archive(*docker_archive(BASE))

    with pytest.raises(errors.Invalid, match="unexpected EOF"):
        list(kit.images.load([raw[: len(raw) // 2]]))

    kit.images.store.sweep()
    assert kit.blobs() == set()


def old_archive(*layers: bytes) -> list[Entry]:
    """As Docker wrote them before 1.10."""
    ids = [f"{number:064x}" for number, _ in enumerate(layers, 1)]
    files = []
    for number, (id, layer) in enumerate(zip(ids, layers, strict=True)):
        document = {
            "id": id,
            "created": "2015-01-01T00:00:00Z",
            "container_config": {"Cmd": ["/bin/sh", "-c", f"step {number}"]},
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"]},
        }
        if number:
            document["parent"] = ids[number - 1]
        files.append(entry(f"{id}/json", json.dumps(document).encode()))
        files.append(entry(f"{id}/layer.tar", layer))
    repositories = {"web": {"old": ids[-1]}}
    return [*files, entry("repositories", json.dumps(repositories).encode())]


def test_archives_of_old_are_loaded(kit: Kit) -> None:
    assert load(kit, *old_archive(BASE, TOP)) == ["web:old"]

    assert kit.file("web:old", "top") == b"1"
    assert kit.file("web:old", "etc/hostname") is None
    rows = kit.images.history("web:old")
    assert [row["CreatedBy"] for row in rows] == ["/bin/sh -c step 1", "/bin/sh -c step 0"]


def test_circles_of_parents_are_refused(kit: Kit) -> None:
    one = json.dumps({"id": "a", "parent": "a"}).encode()
    files = [entry("a/json", one), entry("a/layer.tar", BASE)]

    with pytest.raises(errors.Invalid, match="invalid target ID"):
        load(kit, *files, entry("repositories", b'{"web": {"x": "a"}}'))
    with pytest.raises(errors.Invalid, match="invalid target ID"):
        load(kit, *files, entry("repositories", b'{"web": {"x": "../a"}}'))
