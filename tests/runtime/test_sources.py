"""Overlays and device folders as the container's owner sees them, by both ways to mount them."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinnace.linux import mount, process
from pinnace.oci import spec
from pinnace.runtime import idmaps, sources, staging
from pinnace.runtime.idmaps import Owner
from pinnace.runtime.layers import Entry, Layers, Masks

pytestmark = pytest.mark.root

BASE = 300000


@pytest.fixture
def owner() -> Iterator[Owner]:
    pid, pidfd = process.clone(process.NAMESPACES["user"])
    if pid == 0:
        signal.pause()
    maps = [process.IDMap(0, BASE, 65536)]
    process.write_id_maps(pid, maps, maps)
    yield Owner(BASE, BASE, process.namespace_fd(pid, "user"))
    process.send_signal(pidfd, signal.SIGKILL)
    process.wait(pidfd)


@pytest.fixture
def stack(tmp_path: Path) -> Layers:
    for name in ("low", "high", "up"):
        (tmp_path / name / "fs").mkdir(parents=True)
    (tmp_path / "up/work").mkdir()
    (tmp_path / "low/fs/both").write_text("low")
    (tmp_path / "high/fs/both").write_text("high")
    (tmp_path / "low/fs/hidden").write_text("x")
    os.mknod(tmp_path / "high/fs/hidden", 0o020000, 0)
    lowers = [f"{tmp_path}/high/fs", f"{tmp_path}/low/fs"]
    return Layers(lowers, f"{tmp_path}/up/fs", f"{tmp_path}/up/work")


def names(fd: int) -> list[str]:
    return sorted(os.listdir(os.open(".", os.O_RDONLY, dir_fd=fd)))


def read(fd: int, name: str) -> str:
    with open(os.open(name, os.O_RDONLY, dir_fd=fd)) as file:
        return file.read()


@pytest.fixture(params=["by-fds", "by-staging"])
def overlay(request: pytest.FixtureRequest) -> Callable[[Layers, Owner], int]:
    if request.param == "by-staging":
        return staging.overlay
    if not mount.takes_fds("overlay", "lowerdir+"):
        pytest.skip("this kernel takes no descriptors for layers (Linux 6.13)")
    return sources.overlay


def test_layers_lie_over_each_other(
    stack: Layers, overlay: Callable[[Layers, Owner], int], tmp_path: Path
) -> None:
    fd = overlay(stack, Owner())

    assert names(fd) == ["both"] and read(fd, "both") == "high"
    os.mkdir("new", dir_fd=fd)
    assert (tmp_path / "up/fs/new").is_dir()


def test_the_owners_files_are_roots_on_disk(
    stack: Layers, owner: Owner, overlay: Callable[[Layers, Owner], int], tmp_path: Path
) -> None:
    fd = overlay(stack, owner)

    assert os.stat("both", dir_fd=fd).st_uid == BASE
    with process.file_identity(BASE + 7, BASE + 8):
        os.chown(".", BASE + 7, -1, dir_fd=fd)
        os.mkdir("new", dir_fd=fd)
    info = os.stat(tmp_path / "up/fs/new")
    assert (info.st_uid, info.st_gid) == (7, 8)


def test_an_overlay_says_nothing_of_the_host(
    stack: Layers, overlay: Callable[[Layers, Owner], int], tmp_path: Path
) -> None:
    from pinnace.linux import syscall
    from tests.linux import child

    fd = overlay(stack, Owner())

    def line() -> str:
        mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
        mount.attach_at(fd, str(tmp_path / "low"))
        entry = next(e for e in mount.mountinfo() if e.target == str(tmp_path / "low"))
        return f"{entry.root} {entry.source} {entry.super_options}"

    assert str(tmp_path) not in child.call(line, flags=syscall.CLONE_NEWNS)


def test_many_layers_fit(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}/fs").mkdir(parents=True)
        (tmp_path / f"{number}/fs/{number}").touch()
    stack = Layers([f"{tmp_path}/{number}/fs" for number in range(200)], "", "")

    assert len(names(staging.overlay(stack, Owner()))) == 200


def test_masks_lie_above_the_last_layer(tmp_path: Path, owner: Owner) -> None:
    (tmp_path / "low/secret").mkdir(parents=True)
    (tmp_path / "low/secret/key").touch()
    (tmp_path / "low/gone").touch()
    masks = Masks([Entry("", "directory"), Entry("secret", "opaque", 0o700, 3, 4),
                   Entry("gone", "whiteout")])  # fmt: skip

    fd = staging.overlay(Layers([f"{tmp_path}/low"], "", "", masks=masks), owner)

    assert names(fd) == ["secret"]
    assert names(os.open("secret", os.O_RDONLY, dir_fd=fd)) == []
    assert os.stat("secret", dir_fd=fd).st_uid == BASE + 3


def test_a_missing_layer_is_told(tmp_path: Path) -> None:
    stack = Layers([f"{tmp_path}/no/layer", f"{tmp_path}/no/other"], "", "")

    with pytest.raises(OSError):
        staging.overlay(stack, Owner())


def test_a_tmpfs_can_be_given_without_id_mapped_mounts(owner: Owner) -> None:
    fd = mount.filesystem("tmpfs")
    os.mkdir("folder", dir_fd=fd)
    os.mknod("folder/node", 0o020666, os.makedev(1, 3), dir_fd=fd)
    os.chown("folder/node", 5, 6, dir_fd=fd)
    os.symlink("nowhere", "folder/link", dir_fd=fd)

    idmaps._change_owners(fd, owner)

    for name, ids in ((".", 0), ("folder", 0), ("folder/node", 5), ("folder/link", 0)):
        assert os.stat(name, dir_fd=fd, follow_symlinks=False).st_uid == BASE + ids


def test_a_device_folder_belongs_to_the_owner(owner: Owner) -> None:
    entry = spec.Mount(destination="/dev", type="tmpfs", options=["mode=755", "nosuid"])
    device = spec.Device(path="/dev/x/fuse", type="c", major=10, minor=229, uid=5, file_mode=0o600)

    fd = sources.device_folder(entry, [device], owner)

    null, fuse = (os.stat(name, dir_fd=fd) for name in ("null", "x/fuse"))
    assert (null.st_uid, null.st_rdev) == (BASE, os.makedev(1, 3))
    assert (fuse.st_uid, fuse.st_rdev, fuse.st_mode & 0o777) == (
        BASE + 5,
        os.makedev(10, 229),
        0o600,
    )


def test_file_systems_without_id_mapped_mounts_are_named(owner: Owner) -> None:
    assert owner.userns_fd is not None
    assert not sources.idmappable("/proc", owner.userns_fd)
    entry = spec.Mount(destination="/x", source="/proc", options=["bind"])

    with pytest.raises(OSError, match="no id-mapped mounts") as raised:
        sources.bind(entry, owner)
    assert raised.value.filename == "/proc"
