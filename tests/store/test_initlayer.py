import os
from pathlib import Path

import pytest

from pinnace.runtime import layers
from pinnace.store import initlayer, merged

pytestmark = pytest.mark.root


def made(tmp_path: Path, *folders: Path) -> Path:
    target = tmp_path / "init"
    target.mkdir()
    with merged.Directory.open([str(folder) for folder in folders]) as image:
        entries = initlayer.plan(image)
    fd = os.open(target, os.O_RDONLY)
    layers.make(entries, fd)
    os.close(fd)
    return target


def test_every_mount_target_is_there(tmp_path: Path) -> None:
    init = made(tmp_path)

    for path in initlayer.DIRECTORIES:
        assert (init / path).is_dir() and not (init / path).is_symlink()
    for path in initlayer.FILES:
        assert (init / path).is_file()
        assert (init / path).stat().st_mode & 0o7777 == 0o755
    assert os.readlink(init / "etc/mtab") == "/proc/mounts"


def test_existing_folders_keep_how_they_look(tmp_path: Path) -> None:
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    os.chown(image / "etc", 7, 8)
    os.chmod(image / "etc", 0o2750)
    os.utime(image / "etc", ns=(1, 1_500_000_000_000_000_001))
    os.utime(image, ns=(1, 1_400_000_000_000_000_001))

    init = made(tmp_path, image)

    status = (init / "etc").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (7, 8, 0o2750)
    assert status.st_mtime_ns == 1_500_000_000_000_000_001
    assert init.stat().st_mtime_ns == 1_400_000_000_000_000_001


def test_links_of_the_image_are_replaced_by_real_folders(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.mkdir()
    for name in ("proc", "sys", "dev", "etc"):
        (image / name).symlink_to("/tmp")

    init = made(tmp_path, image)

    for name in ("proc", "sys", "dev", "etc", "dev/pts"):
        assert (init / name).is_dir() and not (init / name).is_symlink()
