import os
from pathlib import Path

import pytest

from pinnace.store import trees

pytestmark = pytest.mark.root


def delete(parent: Path, name: str) -> int:
    fd = os.open(parent, os.O_RDONLY)
    try:
        return sum(1 for _ in trees.delete(fd, name))
    finally:
        os.close(fd)


def test_a_tree_is_deleted_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/b/file").write_text("x")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("x")
    (tmp_path / "tree/link").symlink_to(tmp_path / "kept")

    assert delete(tmp_path, "tree") == 4

    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept/file").exists()


def test_any_depth_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    fd = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 10, dir_fd=fd)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)

    delete(tmp_path, "tree")

    assert os.listdir(tmp_path) == []


def test_what_is_gone_is_deleted(tmp_path: Path) -> None:
    assert delete(tmp_path, "never") == 0


def test_a_link_instead_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "tree").symlink_to("kept")

    with pytest.raises(OSError):
        delete(tmp_path, "tree")

    assert (tmp_path / "kept").exists()


def test_measuring_counts_as_docker_does(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_bytes(b"12345")
    os.link(tmp_path / "d/a", tmp_path / "b")
    (tmp_path / "l").symlink_to("123")

    assert trees.measure(str(tmp_path)) == trees.Usage(size=8, inodes=4)
    assert trees.measure(str(tmp_path / "never")) == trees.Usage(size=0, inodes=1)


def test_measuring_follows_no_link_and_no_depth(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/usr")
    folder_fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder_fd)
        below_fd = os.open("d", os.O_RDONLY, dir_fd=folder_fd)
        os.close(folder_fd)
        folder_fd = below_fd
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder_fd))
    os.close(folder_fd)

    usage = trees.measure(str(tmp_path))

    assert usage == trees.Usage(size=len("/usr"), inodes=1 + 1 + 1500 + 1)
