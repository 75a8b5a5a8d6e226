import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.runtime.layers import Entry, Layers, Masks
from pinnace.store import janitor, snapshots
from pinnace.store.database import Database, Taken
from pinnace.store.trees import Usage
from tests.harness.deadline import until

pytestmark = pytest.mark.root


class Store:
    """A database and snapshots in a folder of the test's own; `reopen` is a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> None:
        self.db = Database(self.path / "pinnace.db")
        self.overlay = snapshots.Overlay(self.path / "snapshots", self.db, spares=0)

    def close(self) -> None:
        self.overlay.close()
        self.db.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def layer(self, name: str, parent: str | None = None, files: tuple[str, ...] = ()) -> str:
        """Commit a layer with some empty files; the path of its folder."""
        layers = self.overlay.prepare("unpack", parent, init=False)
        for file in files:
            target = Path(layers.upper, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"x")
        self.overlay.commit("unpack", name)
        return layers.upper

    def folders(self) -> set[str]:
        return set(os.listdir(self.overlay.root))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_layers_are_listed_top_first_with_the_init_layer_above_the_image(store: Store) -> None:
    one = store.layer("one")
    two = store.layer("two", "one")

    layers = store.overlay.prepare("web", "two")

    assert layers.lowers[1:] == [two, one]
    assert os.path.exists(layers.lowers[0] + "/.dockerenv")
    assert os.path.isdir(layers.upper) and os.path.isdir(layers.work)
    assert store.overlay.mounts("web") == layers


def test_the_init_layer_is_made_once(store: Store) -> None:
    store.layer("one")

    first = store.overlay.prepare("a", "one")
    second = store.overlay.prepare("b", "one")
    store.reopen()
    third = store.overlay.prepare("c", "one")

    assert first.lowers == second.lowers == third.lowers


def test_the_upper_looks_like_the_images_root(store: Store) -> None:
    layers = store.overlay.prepare("unpack", None, init=False)
    os.chown(layers.upper, 5, 6)
    os.chmod(layers.upper, 0o1771)
    store.overlay.commit("unpack", "one")

    status = os.stat(store.overlay.prepare("web", "one").upper)

    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (5, 6, 0o1771)


def test_a_key_can_be_used_once(store: Store) -> None:
    store.overlay.prepare("web", None)
    store.overlay.janitor.drain()
    before = store.folders()

    with pytest.raises(Taken):
        store.overlay.prepare("web", None)

    store.overlay.janitor.drain()
    assert store.folders() == before


def test_an_unknown_parent_is_not_found(store: Store) -> None:
    with pytest.raises(errors.NotFound):
        store.overlay.prepare("web", "missing")


def test_an_active_snapshot_is_no_parent(store: Store) -> None:
    store.overlay.prepare("web", None)

    with pytest.raises(errors.Conflict):
        store.overlay.prepare("other", "web")


def test_removed_snapshots_vanish_from_disk(store: Store) -> None:
    layers = store.overlay.prepare("web", None)
    deep = Path(layers.upper, *["d"] * 200)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x")
    before = store.folders()

    store.overlay.remove("web")
    store.overlay.remove("web")
    store.overlay.janitor.drain()

    number = os.path.basename(os.path.dirname(layers.upper))
    assert store.folders() == before - {number}
    with pytest.raises(errors.NotFound):
        store.overlay.mounts("web")


def test_a_snapshot_with_children_stays(store: Store) -> None:
    store.layer("one")
    store.overlay.prepare("web", "one")

    with pytest.raises(errors.Conflict):
        store.overlay.remove("one")

    store.overlay.remove("web")
    store.overlay.remove("one")
    assert [info.key for info in store.overlay.all()] == []


def test_a_layer_removed_behind_our_back_is_not_found(store: Store) -> None:
    store.layer("one")
    store.overlay.prepare("web", "one")
    store.db.execute("DELETE FROM snapshots WHERE key = 'web'")
    store.db.execute("DELETE FROM snapshots WHERE key = 'init:one'")
    store.db.execute("DELETE FROM snapshots WHERE key = 'one'")

    for _ in range(2):
        with pytest.raises(errors.NotFound):
            store.overlay.prepare("again", "one")


def test_orphans_of_a_crash_are_swept_at_the_next_start(store: Store) -> None:
    layers = store.overlay.prepare("web", None)
    Path(store.overlay.root, "900/fs/x").mkdir(parents=True)
    Path(store.overlay.root, "trash-1").mkdir()

    store.reopen()
    store.overlay.janitor.drain()
    second = store.overlay.prepare("next", None)

    assert "900" not in store.folders() and "trash-1" not in store.folders()
    assert os.path.isdir(layers.upper)
    assert second.upper.endswith("/901/fs")


def test_a_rolled_back_transaction_takes_the_folder_with_it(store: Store) -> None:
    store.overlay.prepare("warm", None)
    before = store.folders()

    with pytest.raises(ZeroDivisionError), store.db.transaction():
        store.overlay.prepare("web", None)
        raise ZeroDivisionError
    store.overlay.janitor.drain()

    assert store.folders() == before
    assert not store.overlay.exists("web")


def test_committing_twice_under_one_name_keeps_the_first(store: Store) -> None:
    store.layer("one")
    store.overlay.prepare("again", None, init=False)

    with pytest.raises(Taken):
        store.overlay.commit("again", "one")

    assert store.overlay.stat("again").kind is snapshots.Kind.ACTIVE


def test_usage_counts_hard_links_once_and_no_folders(store: Store) -> None:
    layers = store.overlay.prepare("unpack", None, init=False)
    Path(layers.upper, "d").mkdir()
    Path(layers.upper, "d/a").write_bytes(b"12345")
    os.link(layers.upper + "/d/a", layers.upper + "/d/b")

    active = store.overlay.usage("unpack")
    store.overlay.commit("unpack", "one")

    assert active == store.overlay.usage("one") == Usage(size=5, inodes=3)
    assert os.listdir(os.path.dirname(layers.upper)) == ["fs"]


def test_volatile_is_remembered(store: Store) -> None:
    layers = store.overlay.prepare("web", None, volatile=True)

    assert layers.volatile
    assert store.overlay.mounts("web").volatile


def test_a_view_has_no_upper(store: Store) -> None:
    one = store.layer("one")

    layers = store.overlay.view("look", "one")

    assert layers == store.overlay.mounts("look") == Layers([one], "", "")
    store.overlay.remove("look")


def test_the_host_is_the_last_lower_and_carries_masks(store: Store, tmp_path: Path) -> None:
    masks = Masks([Entry("", "directory")])
    store.overlay.add_host("host", str(tmp_path), lambda: masks)
    top = store.layer("top", "host")

    direct = store.overlay.prepare("a", "host")
    derived = store.overlay.prepare("b", "top")

    assert direct.lowers == [str(tmp_path)] and direct.masks == masks
    assert derived.lowers[1:] == [top, str(tmp_path)] and derived.masks == masks


def test_a_volatile_snapshot_can_be_mounted_again(store: Store) -> None:
    layers = store.overlay.prepare("web", None, volatile=True)
    Path(layers.work, "work/incompat/volatile").mkdir(parents=True)

    store.overlay.mounts("web")

    assert not Path(layers.work, "work/incompat").exists()


def test_folders_are_made_before_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "QUIET", 0.0)
    db = Database(tmp_path / "pinnace.db")
    overlay = snapshots.Overlay(tmp_path / "snapshots", db, spares=3)
    overlay.prepare("first", None)
    # The first one, its init layer, three in stock.
    until(lambda: len(os.listdir(overlay.root)) == 5)
    stock = set(os.listdir(overlay.root))

    layers = overlay.prepare("second", None)
    overlay.close()

    assert os.path.basename(os.path.dirname(layers.upper)) in stock
    assert os.stat(layers.upper).st_mode & 0o7777 == 0o755
    assert len(os.listdir(overlay.root)) == 3
    db.close()
