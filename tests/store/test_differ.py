import os
import resource
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.store import differ
from pinnace.store.differ import Kind
from tests.store import trees

pytestmark = pytest.mark.root


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """upper, lower"""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    for name in ("kept", "changed", "emptied", "opaque"):
        (lower / name).mkdir(parents=True)
        (lower / name / "file").write_text("old")
    (lower / "file").write_text("old")
    return upper, lower


def changes(layers: tuple[Path, Path]) -> list[tuple[Kind, str]]:
    upper, lower = layers
    return [tuple(change) for change in differ.changes(str(upper), [str(lower)])]  # type: ignore[misc]


def copy_folder(layers: tuple[Path, Path], name: str) -> Path:
    """What overlayfs does before it changes something inside."""
    upper, lower = layers
    (upper / name).mkdir()
    status = (lower / name).stat()
    os.utime(upper / name, ns=(status.st_mtime_ns, status.st_mtime_ns))
    return upper / name


def test_an_unused_container_has_no_changes(layers: tuple[Path, Path]) -> None:
    assert changes(layers) == []


def test_what_a_container_did_is_told_as_docker_does(layers: tuple[Path, Path]) -> None:
    upper, _ = layers
    (upper / "new").mkdir()
    (upper / "new/inside").write_text("x")
    (copy_folder(layers, "changed") / "file").write_text("new")
    os.mknod(copy_folder(layers, "emptied") / "file", 0o20000, 0)
    os.mknod(upper / "file", 0o20000, 0)

    assert changes(layers) == [
        (Kind.MODIFIED, "/changed"),
        (Kind.MODIFIED, "/changed/file"),
        (Kind.MODIFIED, "/emptied"),
        (Kind.DELETED, "/emptied/file"),
        (Kind.DELETED, "/file"),
        (Kind.ADDED, "/new"),
        (Kind.ADDED, "/new/inside"),
    ]


def test_a_folder_copied_up_for_nothing_is_unchanged(layers: tuple[Path, Path]) -> None:
    copy_folder(layers, "kept")

    assert changes(layers) == []


def test_a_folder_with_another_mode_is_changed(layers: tuple[Path, Path]) -> None:
    copy_folder(layers, "kept").chmod(0o700)

    assert changes(layers) == [(Kind.MODIFIED, "/kept")]


def test_a_folder_made_anew_has_lost_what_was_in_it(layers: tuple[Path, Path]) -> None:
    folder = copy_folder(layers, "opaque")
    os.setxattr(folder, "trusted.overlay.opaque", b"y")
    (folder / "other").write_text("x")

    assert changes(layers) == [
        (Kind.MODIFIED, "/opaque"),
        (Kind.DELETED, "/opaque/file"),
        (Kind.ADDED, "/opaque/other"),
    ]


def test_a_file_instead_of_a_folder_is_one_change(layers: tuple[Path, Path]) -> None:
    (layers[0] / "kept").write_text("a file")

    assert changes(layers) == [(Kind.MODIFIED, "/kept")]


def test_a_whiteout_of_nothing_is_no_change(layers: tuple[Path, Path]) -> None:
    os.mknod(layers[0] / "never", 0o20000, 0)

    assert changes(layers) == []


def test_what_is_nested_too_deep_is_told_and_closed(layers: tuple[Path, Path]) -> None:
    fd = os.open(layers[0], os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    before = len(os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))

    with pytest.raises(errors.Failed, match="too deep"):
        changes(layers)
    with pytest.raises(errors.Failed, match="too deep"):
        list(differ.diff(str(layers[0])))

    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(os.listdir("/proc/self/fd")) == before


def test_archives_have_whole_seconds(layers: tuple[Path, Path]) -> None:
    upper, lower = layers
    (upper / "file").write_text("old")
    os.utime(lower / "file", ns=(0, 5_000_000_000))
    os.utime(upper / "file", ns=(0, 5_123_456_789))

    assert changes(layers) == []


def test_a_diff_applied_is_the_same_layer(layers: tuple[Path, Path], tmp_path: Path) -> None:
    upper, lower = layers
    trees.make_everything(upper)
    os.mknod(upper / "file", 0o20000, 0)
    (tmp_path / "copy").mkdir()

    raw = list(differ.diff(str(upper)))
    differ.apply(raw, str(tmp_path / "copy"), [str(lower)])

    assert b"".join(differ.diff(str(tmp_path / "copy"))) == b"".join(raw)
    assert b"".join(differ.export([str(tmp_path / "copy"), str(lower)])) == b"".join(
        differ.export([str(upper), str(lower)])
    )


names = st.sampled_from(["a", "b", "c", ".wh", "n" * 120, "\udcff", " ", "-"])
contents = st.one_of(
    st.binary(max_size=2000),
    st.sampled_from(["whiteout", "fifo", "link", "hard"]),
)
modes = st.integers(0, 0o7777)
tree_of = st.recursive(
    st.tuples(contents, modes),
    lambda inner: st.tuples(st.dictionaries(names, inner, max_size=4), modes),
    max_leaves=12,
)


def plant(where: Path, node: tuple[object, int], files: list[Path]) -> None:
    content, mode = node
    match content:
        case dict():
            where.mkdir(exist_ok=True)
            for name, inner in content.items():
                plant(where / name, inner, files)
            if mode & 1:
                os.setxattr(where, "trusted.overlay.opaque", b"y")
        case "whiteout":
            os.mknod(where, 0o20000, 0)
            os.utime(where, ns=(0, 0))
            return
        case "fifo":
            os.mkfifo(where)
        case "link":
            where.symlink_to("../" * (mode % 5) + "x")
            os.utime(where, ns=(0, 0), follow_symlinks=False)
            return
        case "hard" if files:
            os.link(files[mode % len(files)], where)
            return
        case bytes(data):
            where.write_bytes(data)
            files.append(where)
        case _:
            where.write_bytes(b"")
    os.chown(where, mode, mode * 7)
    os.chmod(where, mode)
    os.utime(where, ns=(0, mode * 1_000_000_000))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, tree_of, max_size=5))
def test_any_layer_survives_the_journey(content: dict[str, tuple[object, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        target.mkdir()
        plant(source, (content, 0o755), [])

        raw = b"".join(differ.diff(str(source)))
        differ.apply([raw], str(target))

        assert trees.look(target) == trees.look(source)
        assert b"".join(differ.diff(str(target))) == raw
