"""Compression in slices, and what the header says."""

import gzip
from pathlib import Path

import pytest

from pinnace.supervisor import logs_gzip
from pinnace.supervisor.logs_gzip import Compression, Origin, identity, read_origin

TEXT = b"".join(b"line %d of a log\n" % i for i in range(20_000))


@pytest.mark.parametrize("amount", [None, 1000, 1 << 20])
@pytest.mark.parametrize("text", [TEXT, b""], ids=["text", "empty"])
def test_gzip_reads_what_was_compressed_in_slices(
    amount: int | None, text: bytes, tmp_path: Path
) -> None:
    (tmp_path / "log").write_bytes(text)
    compression = Compression.of(str(tmp_path / "log"), 1)
    assert compression is not None

    while not compression.step(amount):
        assert not (tmp_path / "log.gz").exists()

    assert [p.name for p in tmp_path.iterdir()] == ["log.gz"]
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == text


def test_zlib_does_where_isal_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

    monkeypatch.setattr(logs_gzip, "_deflate", lambda: zlib)
    (tmp_path / "log").write_bytes(TEXT)
    compression = Compression.of(str(tmp_path / "log"), 1)

    assert compression is not None and compression.step(None)
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == TEXT


def test_the_header_tells_what_the_file_was(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(TEXT)
    compression = Compression.of(str(tmp_path / "log"), 1_000_000_001)

    with open(tmp_path / "log", "rb") as source:
        assert compression is not None and compression.step(None)
        with open(tmp_path / "log.gz", "rb") as made:
            origin = read_origin(made.fileno())

        assert origin == Origin("1970-01-01T00:00:01.000000001Z", identity(source.fileno()))


@pytest.mark.parametrize(
    "data", [b"", gzip.compress(TEXT), b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\2\0hi"]
)
def test_a_header_of_others_tells_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "log.gz").write_bytes(data)

    with open(tmp_path / "log.gz", "rb") as file:
        assert read_origin(file.fileno()) == Origin()


def test_what_is_not_there_is_not_compressed(tmp_path: Path) -> None:
    assert Compression.of(str(tmp_path / "log"), 1) is None


def test_without_room_the_file_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(TEXT)
    (tmp_path / "log.gz.new").mkdir()

    assert Compression.of(str(tmp_path / "log"), 1) is None
    assert (tmp_path / "log").read_bytes() == TEXT
