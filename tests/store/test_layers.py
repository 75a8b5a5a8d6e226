import bz2
import gzip
import os
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.oci import image
from pinnace.oci.digest import Mismatch, of
from pinnace.store import content, layers, leases
from pinnace.store.tar import Malformed
from tests.store import trees
from tests.store.kit import Kit

pytestmark = pytest.mark.root

RAW = trees.archive(trees.entry("a/b", b"hello"))
OTHER = trees.archive(trees.entry("c", b"bye"))


@pytest.fixture
def blobs(kit: Kit) -> content.Store:
    return kit.images.store.blobs


@pytest.fixture
def adder(kit: Kit, blobs: content.Store) -> layers.Layers:
    return layers.Layers(blobs, kit.overlay)


def lease(kit: Kit) -> leases.Leases:
    return leases.Leases(kit.db)


def actives(kit: Kit) -> list[str]:
    return [info.key for info in kit.overlay.all() if info.kind == "active"]


@pytest.mark.parametrize(
    ("pack", "suffix"), [(lambda raw: raw, ""), (gzip.compress, "+gzip")], ids=["plain", "gzip"]
)
def test_a_layer_is_a_blob_and_a_snapshot(
    kit: Kit, adder: layers.Layers, blobs: content.Store, pack: object, suffix: str
) -> None:
    packed = pack(RAW)  # type: ignore[operator]
    with lease(kit).hold() as held:
        layer = adder.add([packed], None, held)

        assert layer.diff_id == layer.chain_id == of(RAW)
        assert layer.blob == of(packed)
        assert layer.media_type == image.OCI_LAYER + suffix
        assert b"".join(blobs.chunks(layer.blob)) == packed
        (path,) = kit.overlay.mounts(layer.chain_id).lowers
        assert Path(path, "a/b").read_bytes() == b"hello"


def test_compressions_that_images_must_not_have_are_undone(kit: Kit, adder: layers.Layers) -> None:
    with lease(kit).hold() as held:
        assert adder.add([bz2.compress(RAW)], None, held).blob == of(RAW)


def test_layers_lie_on_each_other(kit: Kit, adder: layers.Layers) -> None:
    with lease(kit).hold() as held:
        lower = adder.add([RAW], None, held)
        upper = adder.add([OTHER], lower.chain_id, held)

        assert upper.chain_id == image.chain_ids([of(RAW), of(OTHER)])[1]
        assert len(kit.overlay.mounts(upper.chain_id).lowers) == 2


def test_the_same_layer_is_unpacked_once(
    kit: Kit, adder: layers.Layers, blobs: content.Store
) -> None:
    with lease(kit).hold() as held:
        first = adder.add([RAW], None, held)
        number = kit.overlay.stat(first.chain_id).id
        packed = blobs.put(gzip.compress(RAW), held)

        assert adder.add([RAW], None, held) == first
        assert adder.register(packed, first.diff_id, None, held).blob == packed
        assert kit.overlay.stat(first.chain_id).id == number
    assert actives(kit) == []


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("pack", [lambda raw: raw, gzip.compress], ids=["plain", "gzip"])
def test_a_layer_must_be_what_its_diff_id_says(
    kit: Kit, adder: layers.Layers, blobs: content.Store, pack: object, known: bool
) -> None:
    with lease(kit).hold() as held:
        if known:
            adder.add([RAW], None, held)
        other = blobs.put(pack(OTHER), held)  # type: ignore[operator]

        with pytest.raises(Mismatch, match="invalid diffID"):
            adder.register(other, of(RAW), None, held)
    assert actives(kit) == []


def test_a_bad_layer_leaves_nothing(kit: Kit, adder: layers.Layers) -> None:
    before = os.listdir(kit.overlay.root)

    with pytest.raises(Malformed), lease(kit).hold() as held:
        adder.add([trees.archive(trees.entry("ok"), trees.entry("../evil"))], None, held)

    kit.overlay.janitor.drain()
    assert os.listdir(kit.overlay.root) == before


def test_a_stream_that_breaks_leaves_nothing(kit: Kit, adder: layers.Layers) -> None:
    def broken() -> object:
        yield RAW[:1000]
        raise ConnectionError

    with pytest.raises(ConnectionError), lease(kit).hold() as held:
        adder.add(broken(), None, held)  # type: ignore[arg-type]

    assert actives(kit) == []


def test_what_was_unpacked_half_is_removed_at_the_next_start(kit: Kit) -> None:
    kit.overlay.prepare("unpack-1", None, init=False)
    kit.overlay.prepare("container", None)

    kit.reopen()

    assert actives(kit) == ["container"]


def test_an_image_has_no_more_layers_than_with_docker(kit: Kit, adder: layers.Layers) -> None:
    with lease(kit).hold() as held:
        top = None
        for _ in range(125):
            top = adder.add([RAW], top, held).chain_id

        with pytest.raises(errors.Failed, match="max depth exceeded"):
            adder.add([RAW], top, held)

    assert actives(kit) == []
