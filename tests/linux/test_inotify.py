"""Events of files, through the kernel."""

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.linux import inotify
from pinnace.linux.inotify import IN_CREATE, IN_IGNORED, IN_MODIFY, IN_MOVED_TO, Event, Inotify


@pytest.fixture
def instance() -> Iterator[Inotify]:
    instance = Inotify()
    yield instance
    instance.close()


def test_what_happens_in_a_folder_is_told_with_names(instance: Inotify, tmp_path: Path) -> None:
    watch = instance.add(str(tmp_path), IN_CREATE | IN_MODIFY | IN_MOVED_TO)

    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "a").rename(tmp_path / "a name that is longer than one word of the kernel")

    assert [(e.watch, e.mask, e.name) for e in instance.read()] == [
        (watch, IN_CREATE, b"a"),
        (watch, IN_MODIFY, b"a"),
        (watch, IN_MOVED_TO, b"a name that is longer than one word of the kernel"),
    ]


def test_without_events_a_read_does_not_wait(instance: Inotify, tmp_path: Path) -> None:
    instance.add(str(tmp_path), IN_CREATE)

    assert instance.read() == []


def test_a_removed_watch_says_so(instance: Inotify, tmp_path: Path) -> None:
    watch = instance.add(str(tmp_path), IN_CREATE)

    instance.remove(watch)

    assert select.select([instance], [], [], 5)[0] == [instance]
    assert instance.read() == [Event(watch, IN_IGNORED, 0, b"")]


def test_a_missing_path_is_an_error_that_names_it(instance: Inotify) -> None:
    with pytest.raises(FileNotFoundError, match="/no/such/folder"):
        instance.add("/no/such/folder", IN_CREATE)


def test_only_folders_where_only_folders_are_wanted(instance: Inotify, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotADirectoryError):
        instance.add(str(tmp_path / "file"), IN_CREATE | inotify.IN_ONLYDIR)
