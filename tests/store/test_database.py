import sqlite3
from pathlib import Path

import pytest

from pinnace.store import database


@pytest.fixture
def db(tmp_path: Path):
    db = database.Database(tmp_path / "pinnace.db")
    yield db
    db.close()


def test_containers_come_back_in_the_order_of_their_creation(db: database.Database) -> None:
    db.put_container("b", "second", 2, b"{2}")
    db.put_container("a", "first", 1, b"{1}")

    rows = list(db.containers())

    assert [row.name for row in rows] == ["first", "second"]
    assert rows[0] == ("a", "first", 1, b"{1}")


def test_a_used_name_is_taken(db: database.Database) -> None:
    db.put_container("a", "web", 1, b"{}")

    with pytest.raises(database.Taken) as caught:
        db.put_container("b", "web", 2, b"{}")

    assert caught.value.column == "containers.name"


def test_renaming_to_a_used_name_changes_nothing(db: database.Database) -> None:
    db.put_container("a", "web", 1, b"{}")
    db.put_container("b", "db", 1, b"{}")

    with pytest.raises(database.Taken):
        db.rename_container("b", "web", b"{new}")

    assert {(row.name, row.document) for row in db.containers()} == {("web", b"{}"), ("db", b"{}")}


def test_a_failed_transaction_leaves_nothing_and_undoes_what_it_made(
    db: database.Database,
) -> None:
    undone: list[str] = []

    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        db.put_volume("data", b"{}")
        tx.on_rollback(lambda: undone.append("folder"))
        tx.on_commit(lambda: undone.append("never"))
        raise ZeroDivisionError

    assert list(db.volumes()) == []
    assert undone == ["folder"]


def test_a_transaction_inside_another_joins_it(db: database.Database) -> None:
    order: list[str] = []

    with db.transaction() as outer:
        with db.transaction() as inner:
            inner.on_commit(lambda: order.append("committed"))
            db.put_volume("data", b"{}")
        order.append("still open")

    assert inner is outer
    assert order == ["still open", "committed"]


def test_foreign_keys_are_enforced(db: database.Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO tags VALUES ('a:b', 'a', 'sha256:missing')")


def test_migrations_run_once(tmp_path: Path) -> None:
    path = tmp_path / "pinnace.db"
    first = database.Database(path)
    first.put_meta("id", b"1")
    first.put_meta("id", b"2")
    first.checkpoint()
    first.close()

    again = database.Database(path)

    assert again.meta("id") == b"2"
    assert again.meta("other") is None
    again.close()
