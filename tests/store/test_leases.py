from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.store import leases
from pinnace.store.database import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "db")
    for blob in "abcd":
        db.execute("INSERT INTO blobs VALUES (?, 1, 1)", (blob,))
    for id, name, kind, parent in (
        (1, "base", "committed", None),
        (2, "top", "committed", 1),
        (3, "init:top", "init", 2),
        (4, "other", "committed", 1),
        (5, "web", "active", 3),
        (6, "host", "host", None),
    ):
        db.execute(
            "INSERT INTO snapshots (id, key, kind, parent, created) VALUES (?, ?, ?, ?, 1)",
            (id, name, kind, parent),
        )
    yield db
    db.close()


def dead(db: Database) -> leases.Dead:
    with db.transaction() as tx:
        return leases.dead(tx)


def image(db: Database, id: str, *needs: str) -> None:
    db.execute("INSERT INTO images VALUES (?, '', NULL, '', 0, 0, 0)", (id,))
    for node in needs:
        db.execute("INSERT INTO edges VALUES (?, ?)", (leases.image(id), node))


def test_a_container_keeps_the_layers_below_it(db: Database) -> None:
    assert dead(db) == leases.Dead(["a", "b", "c", "d"], ["other"])


def test_children_die_before_their_parents(db: Database) -> None:
    db.execute("DELETE FROM snapshots WHERE key = 'web'")

    assert dead(db).snapshots == ["other", "top", "base"]


def test_an_image_keeps_what_it_needs(db: Database) -> None:
    image(db, "i", leases.blob("a"), leases.blob("b"), leases.snapshot("other"))

    assert dead(db) == leases.Dead(["c", "d"], [])


def test_a_lease_keeps_until_it_is_given_back(db: Database) -> None:
    with leases.Leases(db).hold() as lease:
        lease.keep(leases.blob("c"))
        lease.keep(leases.snapshot("other"))
        lease.keep(leases.blob("not here yet"))

        assert dead(db) == leases.Dead(["a", "b", "d"], [])

    assert dead(db) == leases.Dead(["a", "b", "c", "d"], ["other"])
    assert db.rows("SELECT * FROM edges") == []


def test_leases_of_a_dead_daemon_are_forgotten(db: Database) -> None:
    holding = leases.Leases(db).hold()
    holding.__enter__().keep(leases.blob("a"))

    leases.Leases(db)

    assert "a" in dead(db).blobs
