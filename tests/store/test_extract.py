import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinnace.store import extract, merged, tar
from tests.store import trees
from tests.store.trees import archive, entry, folder, hardlink, symlink

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where archives go; beside it lies what they must not reach."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    (victim / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture(autouse=True)
def untouched(root: Path) -> Iterator[None]:
    victim = root.parent / "victim"
    before = trees.look(root.parent / "victim")
    yield
    assert trees.look(victim) == before
    assert stat.S_IMODE(victim.stat().st_mode) == 0o700
    assert set(os.listdir(root.parent)) == {"victim", "root"} | EXTRA
    EXTRA.clear()


EXTRA: set[str] = set()


def unpack(raw: bytes, root: Path, **options: object) -> None:
    fd = os.open(root, os.O_RDONLY)
    try:
        extract.extract([raw], fd, **options)  # type: ignore[arg-type]
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "options",
    [["--format=posix"], ["--format=posix", "--sparse"], ["--format=gnu"]],
    ids=["pax", "sparse", "gnu"],
)
def test_it_does_what_gnu_tar_does(root: Path, options: list[str]) -> None:
    EXTRA.update({"source", "theirs"})
    source, theirs = root.parent / "source", root.parent / "theirs"
    source.mkdir()
    theirs.mkdir()
    trees.make_everything(source)
    raw = trees.gnu_tar(source, *options)

    unpack(raw, root)
    trees.gnu_untar(raw, theirs)

    assert trees.look(root) == trees.look(theirs)
    if "--format=posix" in options:
        assert trees.look(root) == trees.look(source)
        sparse = os.stat(root / "sparse")
        assert "--sparse" not in options or sparse.st_blocks * 512 < sparse.st_size / 2


def test_the_roots_own_entry_changes_nothing(root: Path) -> None:
    os.chmod(root, 0o755)

    unpack(archive(folder("./", mode=0o700, uid=5), entry("./x")), root)

    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    assert root.stat().st_uid == 0


def test_folders_that_are_not_in_the_archive_are_made(root: Path) -> None:
    unpack(archive(entry("a/b/c", b"x")), root)

    assert (root / "a/b/c").read_bytes() == b"x"
    assert stat.S_IMODE((root / "a/b").stat().st_mode) == 0o755


def test_they_look_like_those_of_the_layers_below(root: Path) -> None:
    EXTRA.add("below")
    below = root.parent / "below"
    (below / "a/b").mkdir(parents=True)
    os.chmod(below / "a/b", 0o1777)
    os.chown(below / "a/b", 7, 8)
    os.utime(below / "a/b", ns=(5, 5))

    with merged.Directory.open([str(below)]) as lower:
        unpack(archive(entry("a/b/c", b"x")), root, below=lower)

    status = (root / "a/b").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o1777, 7, 8)
    assert status.st_mtime_ns == 5


def test_later_members_replace_earlier_ones(root: Path) -> None:
    unpack(
        archive(
            entry("file", b"1"),
            entry("file", b"22"),
            folder("d"),
            entry("d/x", b"x"),
            entry("d", b"a file now"),
            symlink("link", "file"),
            entry("link", b"no link any more"),
            entry("e", b"a file"),
            folder("e"),
            entry("e/y", b"y"),
            folder("kept"),
            entry("kept/z", b"z"),
            folder("kept", mode=0o711),
        ),
        root,
    )

    assert (root / "file").read_bytes() == b"22"
    assert (root / "d").read_bytes() == b"a file now"
    assert (root / "link").read_bytes() == b"no link any more"
    assert (root / "e/y").read_bytes() == b"y"
    assert (root / "kept/z").read_bytes() == b"z"
    assert stat.S_IMODE((root / "kept").stat().st_mode) == 0o711


def test_links_inside_the_root_may_be_used(root: Path) -> None:
    unpack(archive(folder("usr"), symlink("lib", "usr"), entry("lib/x", b"x")), root)
    unpack(archive(symlink("abs", "/usr"), entry("abs/y", b"y")), root)

    assert (root / "usr/x").read_bytes() == b"x"
    assert (root / "usr/y").read_bytes() == b"y"


def escapes(target: Path) -> dict[str, list[tuple[tarfile.TarInfo, bytes]]]:
    up = "../" * 20 + str(target).lstrip("/")
    path = str(target)
    return {
        "dotdot": [entry(up + "/evil", b"x")],
        "absolute": [entry(path + "/evil", b"x")],
        "symlink then write": [symlink("l", path), entry("l/evil", b"x")],
        "relative symlink": [symlink("l", up), entry("l/evil", b"x")],
        "symlink overwritten": [symlink("s", path + "/secret"), entry("s", b"evil")],
        "hard link": [hardlink("h", up + "/secret"), entry("h", b"evil")],
        "absolute hard link": [hardlink("h", path + "/secret"), entry("h", b"evil")],
        "hard link by symlink": [symlink("l", path), hardlink("h", "l/secret")],
        "hard link to symlink": [symlink("l", path + "/secret"), hardlink("h", "l")],
        "two symlinks": [symlink("a", ".."), symlink("a/b", up), entry("a/b/evil", b"x")],
        "chmod by symlink": [symlink("d", path), folder("d/", mode=0o777)],
        "folder to symlink": [folder("d"), entry("d/x"), symlink("d", path), entry("d/evil")],
        "folder of the end": [folder("d"), folder("d/secret"), symlink("d", path)],
        "whiteout": [symlink("l", path), entry("l/.wh.secret"), entry("l/.wh..wh..opq")],
        "devices": [
            symlink("l", path),
            entry("l/evil", type=tarfile.FIFOTYPE),
            entry("l/evil2", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        ],
        "pax path": [entry("ok", b"x", pax={"path": up + "/evil"})],
        "pax linkpath": [
            entry("p", type=tarfile.SYMTYPE, linkname="x", pax={"linkpath": path}),
            entry("p/evil", b"x"),
        ],
        "proc": [symlink("p", "/proc/self/cwd"), entry("p/evil", b"x")],
    }


@pytest.mark.parametrize("name", escapes(Path("/x")))
def test_nothing_leaves_the_root(root: Path, name: str) -> None:
    """The fixture `untouched` looks at what must not change."""
    entries = escapes(root.parent / "victim")[name]

    try:
        unpack(archive(*entries), root)
    except tar.Malformed:
        pass

    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert b"secret" not in [path.read_bytes() for path in files]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry("../x")], "'../x' is outside"),
        ([entry("a/../../x")], "outside"),
        ([hardlink("x", "missing")], "No such file"),
        ([hardlink("x", "../y")], "outside"),
        ([hardlink("x", "")], "invalid link target"),
        ([folder("d"), hardlink("x", "d")], "not permitted"),
        ([entry("x", type=b"V")], "unhandled tar header type 86"),
        ([entry("x", uid=2**32 - 1)], "invalid owner"),
        ([entry("n" * 300)], "name too long"),
        ([symlink("a", "b"), symlink("b", "a"), entry("a/x")], "symbolic links"),
        ([symlink("a", "nowhere"), entry("a/x")], "File exists"),
        ([entry("f"), entry("f/x")], "File exists"),
        ([entry(".wh...")], "invalid whiteout"),
        ([entry("d/.wh..")], "invalid whiteout"),
        ([entry(".wh.")], "invalid whiteout"),
        ([entry("x", pax={"path": "a\0b"})], "zero byte"),
    ],
)
def test_bad_archives_are_refused(
    root: Path, entries: list[tuple[tarfile.TarInfo, bytes]], message: str
) -> None:
    with pytest.raises(tar.Malformed, match=message):
        unpack(archive(*entries), root)


@pytest.mark.parametrize(
    "name",
    ["trusted.overlay.opaque", "user.overlay.opaque", "trusted.overlay.redirect", "trusted.x"],
)
def test_archives_do_not_set_overlayfs_attributes(root: Path, name: str) -> None:
    unpack(archive(folder("d", pax={f"SCHILY.xattr.{name}": "y"})), root)

    assert os.listxattr(root / "d") == []


def test_whiteouts_become_overlayfs_marks(root: Path) -> None:
    unpack(
        archive(folder("d"), entry("d/.wh.gone"), entry("d/.wh..wh..opq"), entry("x/.wh.y")), root
    )

    assert merged.is_whiteout(os.lstat(root / "d/gone"))
    assert merged.is_whiteout(os.lstat(root / "x/y"))
    assert os.getxattr(root / "d", merged.OPAQUE) == b"y"


def test_a_folder_that_replaces_a_deleted_one_shows_nothing_of_it(root: Path) -> None:
    unpack(
        archive(
            entry(".wh.first"),
            folder("first"),
            folder("second"),
            entry(".wh.second"),
            entry(".wh.third"),
            entry("third/x", b"x"),
        ),
        root,
    )

    for name in ("first", "second", "third"):
        assert os.getxattr(root / name, merged.OPAQUE) == b"y"


def test_a_file_that_replaces_a_deleted_one_stays(root: Path) -> None:
    unpack(archive(entry(".wh.a"), entry("a", b"new"), entry("b", b"new"), entry(".wh.b")), root)

    assert (root / "a").read_bytes() == (root / "b").read_bytes() == b"new"


def test_what_aufs_kept_for_itself_is_left_out(root: Path) -> None:
    unpack(archive(folder(".wh..wh.plnk"), entry(".wh..wh.plnk/x"), entry(".wh..wh.aufs")), root)

    assert os.listdir(root) == []


def test_elsewhere_than_in_layers_whiteouts_are_files(root: Path) -> None:
    unpack(archive(entry(".wh.x", b"x"), entry("g", b"y", mode=0o640)), root, whiteouts=False)

    assert (root / ".wh.x").read_bytes() == b"x"
    assert stat.S_IMODE((root / "g").stat().st_mode) == 0o640


def test_many_folders_do_not_need_many_files(root: Path) -> None:
    entries = [entry(f"d{number}/x") for number in range(1500)]
    before = len(os.listdir("/proc/self/fd"))

    unpack(archive(*entries), root)

    assert len(os.listdir(root)) == 1500
    assert len(os.listdir("/proc/self/fd")) == before


def test_deep_folders_are_replaced_without_recursion(root: Path) -> None:
    path = "d"
    entries = [folder(path)]
    for _ in range(1100):
        path += "/d"
        entries.append(folder(path))

    unpack(archive(*entries, entry("d", b"flat")), root)

    assert (root / "d").read_bytes() == b"flat"


def test_special_bits_of_folders_do_not_spread(root: Path) -> None:
    unpack(archive(folder("s", mode=0o2777, gid=50), entry("s/x"), folder("s/d")), root)

    assert (root / "s/x").stat().st_gid == 0
    assert stat.S_IMODE((root / "s/d").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "s").stat().st_mode) == 0o2777


def test_impossible_times_are_1970(root: Path) -> None:
    unpack(archive(entry("x", mtime=-5), entry("y", mtime=1 << 60)), root)

    assert (root / "x").stat().st_mtime == (root / "y").stat().st_mtime == 0
