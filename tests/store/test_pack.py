import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from pinnace.store import extract, merged, pack
from tests.store import trees

pytestmark = pytest.mark.root


def packed(*layers: Path, layer: bool = False) -> bytes:
    with merged.Directory.open([str(path) for path in layers]) as root:
        return b"".join(pack.pack(root, layer=layer))


def unpack(raw: bytes, target: Path) -> None:
    target.mkdir()
    fd = os.open(target, os.O_RDONLY)
    extract.extract([raw], fd)
    os.close(fd)


def in_seconds(found: dict[str, trees.Look]) -> dict[str, trees.Look]:
    return {path: (*item[:3], item[3] // 10**9, *item[4:]) for path, item in found.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    trees.make_everything(source)
    return source


def test_what_is_packed_is_unpacked_the_same(source: Path, tmp_path: Path) -> None:
    unpack(packed(source), tmp_path / "copy")

    assert in_seconds(trees.look(tmp_path / "copy")) == in_seconds(trees.look(source))


def test_gnu_tar_understands_it(source: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()

    trees.gnu_untar(packed(source), tmp_path / "theirs")

    assert in_seconds(trees.look(tmp_path / "theirs")) == in_seconds(trees.look(source))


def test_the_same_tree_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    raw = packed(source)
    unpack(raw, tmp_path / "copy")

    assert packed(source) == raw
    assert packed(tmp_path / "copy") == raw


def test_marks_of_a_layer_become_whiteouts_and_come_back(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    (layer / "d").mkdir(parents=True)
    os.mknod(layer / "gone", 0o20000, 0)
    os.mknod(layer / "d/gone", 0o20000, 0)
    os.setxattr(layer / "d", merged.OPAQUE, b"y")

    raw = packed(layer, layer=True)
    unpack(raw, tmp_path / "copy")

    with tarfile.open(fileobj=io.BytesIO(raw)) as file:
        assert file.getnames() == ["d", "d/.wh..wh..opq", "d/.wh.gone", ".wh.gone"]
    assert packed(tmp_path / "copy", layer=True) == raw
    assert os.getxattr(tmp_path / "copy/d", merged.OPAQUE) == b"y"


def test_of_several_layers_the_merged_tree_is_packed(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for path in (upper / "d", lower / "d"):
        path.mkdir(parents=True)
    (lower / "d/below").write_text("below")
    (lower / "d/gone").write_text("gone")
    (upper / "d/above").write_text("above")
    os.mknod(upper / "d/gone", 0o20000, 0)
    os.link(lower / "d/below", lower / "same")

    with tarfile.open(fileobj=io.BytesIO(packed(upper, lower))) as file:
        names = file.getnames()
        link = file.getmember("same")

    assert names == ["d", "d/above", "d/below", "same"]
    assert (link.type, link.linkname) == (tarfile.LNKTYPE, "d/below")


def test_sockets_are_left_out(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.close()

    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path))) as file:
        assert file.getnames() == []


def test_an_empty_tree_is_an_empty_archive(tmp_path: Path) -> None:
    # Docker knows layers that change nothing by the digest of just this.
    assert packed(tmp_path) == bytes(1024)


def test_deep_trees_need_no_recursion(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    before = len(os.listdir("/proc/self/fd"))

    assert len(packed(tmp_path)) > 400 * 512
    assert len(os.listdir("/proc/self/fd")) == before
