from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.engine.documents import Container
from pinnace.engine.registry import Registry
from pinnace.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "db")
    yield opened
    opened.close()


@pytest.fixture
def registry(database: Database) -> Registry:
    registry = Registry(database)
    registry.add(Container(id="aa11" * 16, name="web", created=1))
    registry.add(Container(id="aa22" * 16, name="data", created=2))
    return registry


@pytest.mark.parametrize("ident", ["aa11" * 16, "web", "/web", "aa11"])
def test_found_by_id_name_and_beginning(registry: Registry, ident: str) -> None:
    assert registry.get(ident).name == "web"


def test_a_beginning_of_two_is_refused(registry: Registry) -> None:
    with pytest.raises(errors.PinnaceError, match="multiple IDs found with provided prefix: aa"):
        registry.get("aa")


@pytest.mark.parametrize("ident", ["", "nope", "bb"])
def test_what_is_not_there_is_said_in_dockers_words(registry: Registry, ident: str) -> None:
    with pytest.raises(errors.NotFound, match=f"No such container: {ident}"):
        registry.get(ident)


def test_a_taken_name_is_refused_and_nothing_added(registry: Registry) -> None:
    with pytest.raises(errors.Conflict, match='name "/web" is already in use by container "aa11'):
        registry.add(Container(id="cc" * 32, name="web"))

    assert len(registry.all()) == 2


def test_newest_first(registry: Registry) -> None:
    assert [container.name for container in registry.all()] == ["data", "web"]


def test_the_next_daemon_finds_what_was_saved(registry: Registry, database: Database) -> None:
    with registry.locked("web") as container:
        container.state.exit_code = 7
        registry.save(container)
    registry.rename(registry.get("data"), "store")

    again = Registry(database)

    assert again.get("web").state.exit_code == 7
    assert again.get("store").id == "aa22" * 16
    with pytest.raises(errors.NotFound):
        again.get("data")


def test_a_rename_to_a_taken_name_changes_nothing(registry: Registry) -> None:
    with pytest.raises(errors.Conflict):
        registry.rename(registry.get("web"), "data")

    assert registry.get("web").name == "web"


def test_a_removed_one_gives_its_name_back(registry: Registry) -> None:
    registry.remove(registry.get("web"))

    registry.add(Container(id="cc" * 32, name="web"))
    assert registry.get("web").id == "cc" * 32


def test_a_version_goes_up_with_each_change(registry: Registry) -> None:
    container = registry.get("web")
    before = container.version
    registry.save(container)

    assert container.version == before + 1
