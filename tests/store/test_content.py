from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.oci.digest import Mismatch, of
from pinnace.store.content import Store
from pinnace.store.database import Database
from pinnace.store.leases import Lease, Leases


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "db")
    yield db
    db.close()


@pytest.fixture
def lease(db: Database) -> Iterator[Lease]:
    with Leases(db).hold() as lease:
        yield lease


@pytest.fixture
def store(tmp_path: Path, db: Database) -> Store:
    return Store(tmp_path / "content", db)


def files(store: Store) -> list[str]:
    return sorted(path.name for path in Path(store.root).rglob("*") if path.is_file())


def test_what_is_committed_can_be_read(store: Store, lease: Lease) -> None:
    with store.ingest(of(b"hello"), 5) as ingest:
        ingest.write(b"hel")
        ingest.write(memoryview(b"lo"))
        blob = ingest.commit(lease)

    assert blob == (of(b"hello"), 5)
    assert store.size(blob.digest) == 5
    assert b"".join(store.chunks(blob.digest)) == store.read(blob.digest, 5) == b"hello"


def test_what_is_not_committed_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.ingest() as ingest:
        ingest.write(b"x")
        raise ZeroDivisionError

    assert files(store) == []


@pytest.mark.parametrize(
    ("expected", "size"), [(of(b"y"), None), (None, 0), (None, 2)], ids=["digest", "long", "short"]
)
def test_broken_promises_are_not_committed(
    store: Store, lease: Lease, expected: str | None, size: int | None
) -> None:
    with pytest.raises(Mismatch), store.ingest(expected, size) as ingest:
        ingest.write(b"x")
        ingest.commit(lease)

    assert files(store) == []


def test_the_same_blob_twice_is_one(store: Store, lease: Lease) -> None:
    assert store.put(b"x", lease) == store.put(b"x", lease)

    assert len(files(store)) == 1


def test_a_deleted_blob_is_gone(store: Store, lease: Lease, db: Database) -> None:
    digest = store.put(b"x", lease)

    with pytest.raises(ZeroDivisionError), db.transaction():
        store.delete(digest)
        raise ZeroDivisionError
    assert store.read(digest, 9) == b"x"

    store.delete(digest)
    store.delete(digest)
    assert store.size(digest) is None
    assert files(store) == []
    with pytest.raises(errors.NotFound):
        store.open(digest)


def test_reading_a_document_is_bounded(store: Store, lease: Lease) -> None:
    digest = store.put(b"12345", lease)

    with pytest.raises(errors.Invalid):
        store.read(digest, 4)


def test_what_a_crash_has_left_is_swept(store: Store, lease: Lease, db: Database) -> None:
    digest = store.put(b"kept", lease)
    (Path(store.root) / "ingest/half").write_bytes(b"x")
    (Path(store.root) / "blobs/sha256" / of(b"orphan")[7:]).write_bytes(b"orphan")

    Store(store.root, db)

    assert files(store) == [digest[7:]]
