"""A volume gets what the image has in its place, and nothing from anywhere else."""

import os
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.engine import volume_content
from pinnace.engine.documents import Mount, MountPoint, VolumeOptions

root = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """One layer with a folder /data, a link to it, and links that lead out."""
    layer = tmp_path / "layer"
    data = layer / "data"
    (data / "sub").mkdir(parents=True)
    (data / "file").write_bytes(b"hello")
    os.link(data / "file", data / "same")
    (data / "sub" / "link").symlink_to("/etc/passwd")
    data.chmod(0o750)
    (layer / "alias").symlink_to("/data")
    (layer / "up").symlink_to("../../../data")
    (layer / "loop").symlink_to("loop")
    (layer / "plain").write_bytes(b"")
    return layer


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    path.mkdir()
    return path


def copy(image: Path, path: str, target: Path) -> None:
    volume_content.copy_up([str(image)], path, str(target))


@pytest.mark.parametrize("path", ["/data", "/alias", "/up", "/alias/sub/..", "/nope/../data"])
def test_an_empty_volume_is_filled(image: Path, target: Path, path: str) -> None:
    copy(image, path, target)

    if path.startswith("/nope"):
        assert list(target.iterdir()) == []
        return
    assert (target / "file").read_bytes() == b"hello"
    assert (target / "file").stat().st_ino == (target / "same").stat().st_ino
    assert os.readlink(target / "sub" / "link") == "/etc/passwd"
    assert target.stat().st_mode & 0o777 == 0o750
    assert (target / "file").stat().st_mtime_ns == (image / "data" / "file").stat().st_mtime_ns


def test_a_volume_with_anything_in_it_stays_as_it_is(image: Path, target: Path) -> None:
    (target / "own").touch()
    copy(image, "/data", target)
    assert [path.name for path in target.iterdir()] == ["own"]


def test_an_image_without_the_folder_gives_nothing(image: Path, target: Path) -> None:
    copy(image, "/none/below", target)
    copy(image, "/loop", target)
    assert list(target.iterdir()) == []


def test_a_file_in_its_place_is_refused(image: Path, target: Path) -> None:
    with pytest.raises(errors.Failed) as failed:
        copy(image, "/plain", target)
    assert failed.value.message == ("cannot mount volume over existing file, file exists /plain")


def test_upper_layers_hide_lower_ones(image: Path, target: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "data").mkdir(parents=True)
    (upper / "data" / "file").write_bytes(b"new")

    volume_content.copy_up([str(upper), str(image)], "/data", str(target))

    assert (target / "file").read_bytes() == b"new"
    assert (target / "same").read_bytes() == b"hello"


@root
def test_owners_attributes_and_special_files(image: Path, target: Path) -> None:
    data = image / "data"
    os.chown(data / "file", 33, 34)
    os.chown(data, 5, 6)
    (data / "tool").write_bytes(b"x")
    (data / "tool").chmod(0o4755)
    os.setxattr(data / "tool", "user.a", b"b")
    os.mkfifo(data / "fifo", 0o622)
    os.mknod(data / "null", 0o020666, os.makedev(1, 3))

    copy(image, "/data", target)

    assert (target.stat().st_uid, target.stat().st_gid) == (5, 6)
    assert ((target / "file").stat().st_uid, (target / "file").stat().st_gid) == (33, 34)
    assert (target / "tool").stat().st_mode & 0o7777 == 0o4755
    assert os.getxattr(target / "tool", "user.a") == b"b"
    assert (target / "fifo").is_fifo()
    assert (target / "null").is_char_device()


def test_size_counts_hard_links_once(image: Path) -> None:
    assert volume_content.size(str(image / "data")) == 5 + len("/etc/passwd")


def test_size_of_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    assert volume_content.size(str(tmp_path / "nope")) == 0


def test_a_subpath_can_not_leave_its_volume(image: Path, tmp_path: Path) -> None:
    (image / "data" / "out").symlink_to("../../../../etc")
    with pytest.raises(errors.Failed):
        volume_content.open_subpath(str(image / "data"), "out/passwd")

    fd = volume_content.open_subpath(str(image / "data"), "sub")
    try:
        assert os.path.samestat(os.fstat(fd), (image / "data" / "sub").stat())
    finally:
        os.close(fd)


def test_subpaths_are_pinned_by_an_fd_while_they_are_needed(image: Path) -> None:
    mount = Mount(type="volume", target="/d", volume_options=VolumeOptions(subpath="sub"))
    point = MountPoint(type="volume", source=str(image / "data"), destination="/d", mount=mount)

    with volume_content.pinned([point, MountPoint(type="bind", source="/", destination="/x")]) as (
        sources
    ):
        path = sources["/d"]
        assert os.path.samestat(os.stat(path), (image / "data" / "sub").stat())

    assert list(sources) == ["/d"]
    assert not os.path.exists(path)
