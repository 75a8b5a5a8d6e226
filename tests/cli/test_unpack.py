import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pinnace.cli import pack, unpack


def archive(*members: tuple[str, dict[str, object], bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, attributes, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def put(data: bytes, folder: Path, rename: Callable[[str], str] = lambda name: name) -> None:
    pieces = iter([data[i : i + 700] for i in range(0, len(data), 700)])
    unpack.unpack(unpack.Reader(pieces), str(folder), rename)


LINK = {"type": tarfile.SYMTYPE}
FOLDER = {"type": tarfile.DIRTYPE, "mode": 0o755}


def test_what_was_packed_is_there_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "inner").mkdir(parents=True)
    target.mkdir()
    (source / "file").write_bytes(b"x" * 100_000)
    (source / "file").chmod(0o4750)
    (source / "inner" / "empty").touch()
    (source / "link").symlink_to("file")
    os.link(source / "file", source / "inner" / "hard")
    os.mkfifo(source / "pipe", 0o600)
    os.utime(source / "file", (1_000_000_000, 1_000_000_000))
    (source / "inner").chmod(0o500)

    put(b"".join(pack.pack(str(tmp_path), "source", "copy")), target)

    copy = target / "copy"
    assert (copy / "file").read_bytes() == b"x" * 100_000
    assert stat.S_IMODE((copy / "file").stat().st_mode) == 0o4750
    assert (copy / "file").stat().st_mtime == 1_000_000_000
    assert os.readlink(copy / "link") == "file"
    assert (copy / "inner" / "hard").stat().st_ino == (copy / "file").stat().st_ino
    assert stat.S_ISFIFO((copy / "pipe").stat().st_mode)
    assert stat.S_IMODE((copy / "inner").stat().st_mode) == 0o500


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/../out", "a/..", ".."], ids=lambda name: name
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()

    with pytest.raises(unpack.Refused, match="outside"):
        put(archive((name, {}, b"evil")), target)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"]


def test_an_absolute_name_is_below_the_folder(tmp_path: Path) -> None:
    put(archive(("/etc/file", {}, b"x")), tmp_path)

    assert (tmp_path / "etc" / "file").read_bytes() == b"x"


def test_a_link_in_the_archive_is_not_followed(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    data = archive(("way", {**LINK, "linkname": str(outside)}, b""), ("way/file", {}, b"evil"))

    with pytest.raises(unpack.Refused):
        put(data, target)

    assert list(outside.iterdir()) == []


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.write_bytes(b"kept")
    target.mkdir()
    data = archive(("f", {**LINK, "linkname": str(outside)}, b""), ("f", {}, b"new"))

    put(data, target)

    assert outside.read_bytes() == b"kept"
    assert (target / "f").read_bytes() == b"new"


def test_a_hard_link_stays_inside(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.write_bytes(b"secret")
    target.mkdir()
    member = ("f", {"type": tarfile.LNKTYPE, "linkname": "../outside"}, b"")

    with pytest.raises(unpack.Refused):
        put(archive(member), target)

    assert list(target.iterdir()) == []


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()

    with pytest.raises(unpack.Refused, match="cannot overwrite directory"):
        put(archive(("name", {}, b"x")), tmp_path)


def test_a_file_is_not_used_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"x")

    with pytest.raises(unpack.Refused):
        put(archive(("name/inner", {}, b"x")), tmp_path)


def test_names_can_be_changed(tmp_path: Path) -> None:
    data = archive(
        ("old/", FOLDER, b""),
        ("old/a", {}, b"1"),
        ("old/b", {"type": tarfile.LNKTYPE, "linkname": "old/a"}, b""),
    )

    put(data, tmp_path, lambda name: name.replace("old", "new", 1))

    assert (tmp_path / "new" / "b").read_bytes() == b"1"
    assert not (tmp_path / "old").exists()


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(unpack.Refused, match="invalid archive"):
        put(b"no archive at all" * 100, tmp_path)
    with pytest.raises(unpack.Refused, match="invalid archive"):
        put(archive(("f", {}, b"x" * 5000))[:3000], tmp_path)
