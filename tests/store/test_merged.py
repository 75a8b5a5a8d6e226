import os
import stat
from pathlib import Path

import pytest

from pinnace.store import merged

pytestmark = pytest.mark.root


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """upper, middle, bottom: one name for each way of hiding."""
    upper, middle, bottom = (tmp_path / name for name in ("upper", "middle", "bottom"))
    for layer in (upper, middle, bottom):
        (layer / "d").mkdir(parents=True)
    (bottom / "d/below").write_text("bottom")
    (bottom / "d/twice").write_text("bottom")
    (bottom / "d/gone").write_text("bottom")
    (bottom / "opaque").mkdir()
    (bottom / "opaque/hidden").write_text("bottom")
    (bottom / "was").mkdir()
    (bottom / "was/hidden").write_text("bottom")
    (middle / "d/twice").write_text("middle")
    (middle / "opaque").mkdir()
    os.setxattr(middle / "opaque", merged.OPAQUE, b"y")
    (middle / "was").write_text("a file now")
    os.mknod(upper / "d/gone", 0o20000, 0)
    return [str(upper), str(middle), str(bottom)]


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("d/below", 6),
        ("d/twice", 6),
        ("d/gone", None),
        ("d/never", None),
        ("opaque/hidden", None),
        ("was/hidden", None),
        ("was", 10),
        ("missing/x", None),
    ],
)
def test_find_shows_what_overlayfs_would(layers: list[str], path: str, size: int | None) -> None:
    with merged.Directory.open(layers) as root:
        status = root.find(path)

    assert (status and status.st_size) == size


def test_a_file_is_read_from_the_highest_layer(layers: list[str]) -> None:
    with merged.Directory.open(layers) as root, root.enter("d") as folder:
        fd = folder.open_file("twice")
        assert fd is not None
        assert os.read(fd, 100) == b"middle"
        os.close(fd)
        assert folder.open_file("gone") is None
        assert folder.open_file("never") is None


def test_no_layers_are_an_empty_tree() -> None:
    with merged.Directory.open([]) as root:
        assert not root
        assert root.stat() is None
        assert root.find("a/b") is None


def test_what_has_a_files_name_by_now_is_not_opened(tmp_path: Path) -> None:
    """The name may change between the look and the opening, here as early as can be."""
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (tmp_path / "link").symlink_to("/etc/passwd")

    with merged.Directory.open([str(tmp_path)]) as folder:
        assert [folder.open_file(name) for name in ("fifo", "device", "link")] == [None] * 3
