import errno
import os
from pathlib import Path

import pytest

from pinnace.linux import mount, syscall
from pinnace.linux.mount import Option
from tests.linux import child

LINE = (
    r"36 35 98:0 /mnt\0401 /a\011b rw,noatime master:1 shared:7 "
    r"- ext4 /dev/root\134x rw,errors=continue"
    "\n"
)


def test_a_line_of_mountinfo() -> None:
    parsed = mount._parse(LINE)

    assert parsed == mount.MountInfo(
        36, 35, "98:0", "/mnt 1", "/a\tb", "rw,noatime", ["master:1", "shared:7"],
        "ext4", "/dev/root\\x", "rw,errors=continue",
    )  # fmt: skip


def test_our_own_root_is_in_mountinfo() -> None:
    assert "/" in [entry.target for entry in mount.mountinfo()]


@pytest.fixture
def tree(tmp_path: Path) -> int:
    """A root with a way out of it by every kind of link."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "absolute").symlink_to("/etc")
    (root / "up").symlink_to("../../../../../../etc")
    (root / "out").symlink_to(f"{tmp_path}/outside")
    (root / "file").write_text("x")
    return os.open(root, os.O_PATH)


def same(fd: int, path: str, root_fd: int) -> bool:
    return os.path.samestat(os.fstat(fd), os.stat(path, dir_fd=root_fd))


@pytest.mark.parametrize("path", ["/etc", "absolute", "up", "/../etc", "absolute/../up"])
def test_paths_are_resolved_inside_the_root(tree: int, path: str) -> None:
    assert same(mount.open_in_root(tree, path), "etc", tree)


def test_what_is_missing_is_made_inside(tree: int, tmp_path: Path) -> None:
    fd = mount.make_in_root(tree, "/absolute/a/b", directory=True)
    other = mount.make_in_root(tree, "new/file", directory=False)

    assert same(fd, "etc/a/b", tree)
    assert same(other, "new/file", tree) and (tmp_path / "root/new/file").is_file()


@pytest.mark.parametrize("path", ["out", "out/below"])
def test_a_link_that_leads_out_makes_nothing_there(tree: int, tmp_path: Path, path: str) -> None:
    with pytest.raises(OSError):
        mount.make_in_root(tree, path, directory=True)

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_folder_is_not_made_below_a_file(tree: int) -> None:
    with pytest.raises(NotADirectoryError):
        mount.make_in_root(tree, "/file/below", directory=True)


def test_magic_links_are_refused() -> None:
    root = os.open("/", os.O_PATH)

    with pytest.raises(OSError) as raised:
        mount.open_in_root(root, f"/proc/{os.getpid()}/root")

    assert raised.value.errno == errno.ELOOP


@pytest.mark.root
def test_a_file_system_is_made_detached_and_attached(tmp_path: Path) -> None:
    def make(path: str) -> tuple[list[str], str]:
        mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
        fd = mount.filesystem("tmpfs", [Option("size", "64k"), Option("mode", "750")])
        os.mkdir("inside", dir_fd=fd)
        target = os.open(path, os.O_PATH)
        mount.attach(fd, target)
        entry = next(e for e in mount.mountinfo() if e.target == path)
        return os.listdir(path), entry.super_options

    names, options = child.call(lambda: make(str(tmp_path)), flags=syscall.CLONE_NEWNS)

    assert names == ["inside"]
    assert "size=64k" in options and "mode=750" in options


@pytest.mark.root
def test_a_clone_has_attributes_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd = mount.clone(str(tmp_path))

    mount.set_attributes(fd, mount.MOUNT_ATTR_RDONLY)

    with pytest.raises(OSError) as raised:
        os.open("file", os.O_WRONLY, dir_fd=fd)
    assert raised.value.errno == errno.EROFS
    (tmp_path / "file").write_text("the original is writable")
    os.close(fd)


@pytest.mark.root
def test_the_kernels_reason_is_in_the_error() -> None:
    with pytest.raises(OSError, match=r"tmpfs option size: .*Bad value for 'size'"):
        mount.filesystem("tmpfs", [Option("size", "much")])


@pytest.mark.root
def test_the_old_root_is_out_of_sight(tmp_path: Path) -> None:
    def enter() -> tuple[list[str], list[str]]:
        mount.set_propagation("/", mount.MS_PRIVATE | mount.MS_REC)
        fd = mount.filesystem("tmpfs")
        os.mkdir("only", dir_fd=fd)
        target = os.open(tmp_path, os.O_PATH)
        mount.attach(fd, target)
        mount.enter_root(fd)
        return os.listdir("/"), os.listdir("/..")

    assert child.call(enter, flags=syscall.CLONE_NEWNS) == (["only"], ["only"])


@pytest.mark.root
def test_a_detached_mount_can_be_a_root() -> None:
    def enter() -> list[str]:
        fd = mount.filesystem("tmpfs")
        os.mkdir("only", dir_fd=fd)
        mount.change_root(fd)
        return os.listdir("/")

    assert child.call(enter) == ["only"]


@pytest.mark.root
def test_options_that_take_descriptors_are_known() -> None:
    assert mount.takes_fds("tmpfs", "size") is False
