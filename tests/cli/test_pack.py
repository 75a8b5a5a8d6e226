import io
import os
import socket
import tarfile
from pathlib import Path

from pinnace.cli import pack


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {info.name: info for info in tar}


def packed(folder: Path, entry: str, name: str) -> bytes:
    return b"".join(pack.pack(str(folder), entry, name))


def test_a_file_is_packed_under_its_new_name(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello")

    data = packed(tmp_path, "f", "other")

    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        content = tar.extractfile("other")
        assert content is not None and content.read() == b"hello"
    assert len(data) % 512 == 0


def test_the_content_of_a_folder_has_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()

    assert set(members(packed(tmp_path, ".", "."))) == {".", "./a"}


def test_sockets_are_left_out(tmp_path: Path) -> None:
    here = socket.socket(socket.AF_UNIX)
    os.chdir(tmp_path)
    here.bind("sock")

    assert set(members(packed(tmp_path, ".", "x"))) == {"x"}
    here.close()


def test_long_and_strange_names_are_kept(tmp_path: Path) -> None:
    long = "n" * 200
    (tmp_path / long).touch()
    strange = os.fsdecode(b"\xff\xfe")
    (tmp_path / strange).touch()

    names = set(members(packed(tmp_path, ".", "d")))

    assert f"d/{long}" in names
    assert f"d/{strange}" in names


def test_a_file_that_shrinks_is_filled_up(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 600_000)
    pieces = pack.pack(str(tmp_path), "f", "f")
    data = next(pieces) + next(pieces)
    path.write_bytes(b"")

    data += b"".join(pieces)

    assert members(data)["f"].size == 600_000
    assert len(data) % 512 == 0
