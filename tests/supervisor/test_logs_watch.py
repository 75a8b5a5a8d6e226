"""Followers of logs share one inotify instance and one thread."""

import os
import select
import threading
from pathlib import Path

import pytest

from pinnace.supervisor.logs_watch import Follow
from tests.harness.deadline import until


def woken(*follows: Follow, seconds: float = 5) -> list[Follow]:
    fds = select.select([f.wakeup.fd for f in follows], [], [], seconds)[0]
    return [follow for follow in follows if follow.wakeup.fd in fds]


def inotify_instances() -> int:
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(p) and "inotify" in os.readlink(p) for p in links)


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "pinnace-logs"]


def test_a_write_wakes_those_who_follow_in_its_folder_only(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = Follow(str(tmp_path / "a")), Follow(str(tmp_path / "a"))
    other = Follow(str(tmp_path / "b"))

    (tmp_path / "a/log").write_bytes(b"x")

    until(lambda: woken(first, second, other) == [first, second])
    for follow in (first, second, other):
        follow.close()


def test_a_cleared_wakeup_comes_again_with_the_next_write(tmp_path: Path) -> None:
    follow = Follow(str(tmp_path))
    (tmp_path / "log").touch()
    assert woken(follow)

    follow.wakeup.clear()
    follow.wakeup.clear()  # nothing to clear is no error
    with open(tmp_path / "log", "ab") as file:
        file.write(b"x")

    assert woken(follow)
    follow.close()


def test_two_hundred_followers_need_one_instance_and_leave_nothing(tmp_path: Path) -> None:
    until(lambda: not threads())
    before = len(os.listdir("/proc/self/fd"))
    follows = []
    for number in range(200):
        (tmp_path / str(number)).mkdir()
        follows.append(Follow(str(tmp_path / str(number))))

    assert inotify_instances() == 1
    assert len(threads()) == 1

    for follow in follows:
        follow.close()
    until(lambda: not threads())
    assert inotify_instances() == 0
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_removed_folder_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    follow = Follow(str(tmp_path / "gone"))

    (tmp_path / "gone").rmdir()
    until(lambda: not (tmp_path / "gone").exists())
    follow.close()

    until(lambda: not threads())


def test_a_missing_folder_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    until(lambda: not threads())
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(FileNotFoundError):
        Follow(str(tmp_path / "missing"))

    until(lambda: not threads())
    assert len(os.listdir("/proc/self/fd")) == before
