import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.store import tar
from pinnace.store.tarreader import Reader
from tests.store import trees


def read(chunks: list[bytes]) -> list[tuple[bytes, bytes]]:
    reader = Reader(chunks)
    return [(member.name, b"".join(reader.data())) for member in reader]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


FILES = [("a", b""), ("b" * 150, b"x" * 700), ("c", b"y" * 512), ("d", b"z" * 5000)]
ARCHIVE = trees.archive(*(trees.entry(name, data) for name, data in FILES))
EXPECTED = [(name.encode(), data) for name, data in FILES]


@pytest.mark.parametrize("size", [1, 7, 511, 512, 513, 4096, 1 << 20])
def test_it_does_not_matter_how_the_stream_is_cut(size: int) -> None:
    assert read(pieces(ARCHIVE, size)) == EXPECTED


@settings(max_examples=30)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_nor_where(sizes: list[int]) -> None:
    chunks, start = [], 0
    while start < len(ARCHIVE):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(ARCHIVE[start : start + size])
        start += size

    assert read(chunks) == EXPECTED


def test_data_that_nobody_takes_is_skipped() -> None:
    assert [member.name for member in Reader([ARCHIVE])] == [name for name, _ in EXPECTED]


def test_the_stream_is_read_to_its_end() -> None:
    chunks = iter([ARCHIVE, b"what comes after", b"more"])

    read(chunks)  # type: ignore[arg-type]

    assert next(chunks, None) is None


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_all_formats_have_their_way_with_long_names(format: int) -> None:
    name = "/".join(["p" * 70, "n" * 70])
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "l" * 90

    (member,) = Reader([info.tobuf(format) + tar.END])

    assert member.name == name.encode()
    assert member.link == b"l" * 90


def test_an_archive_may_end_without_its_end() -> None:
    end = ARCHIVE.rindex(b"z") + 1

    assert read([ARCHIVE[:end]]) == EXPECTED
    assert read([ARCHIVE[: end + 120]]) == EXPECTED
    assert read([]) == []


@pytest.mark.parametrize("length", [100, 600, 2000])
def test_but_not_in_the_middle(length: int) -> None:
    with pytest.raises(tar.Malformed, match="unexpected EOF"):
        read([ARCHIVE[:length]])


def test_one_zero_block_is_not_the_end_of_more() -> None:
    with pytest.raises(tar.Malformed):
        read([bytes(512) + ARCHIVE])


def test_global_headers_are_ignored() -> None:
    data = tar._record(b"path", b"evil")
    head = tar.header(tar.Member(b"g", tar.PAX_GLOBAL, 0, 0, 0, len(data), 0))

    assert read([head + data + tar.padding(len(data)) + ARCHIVE]) == EXPECTED


@pytest.mark.parametrize("kind", [tar.PAX, tar.GNU_LONG_NAME, tar.GNU_LONG_LINK])
def test_extensions_are_bounded(kind: bytes) -> None:
    size = tar.EXTENSION_LIMIT + 1
    head = tar.header(tar.Member(b"x", kind, 0, 0, 0, size, 0))

    with pytest.raises(tar.Malformed):
        read([head] + [b"9" * 4096] * 300)


def test_a_document_is_bounded() -> None:
    reader = Reader([ARCHIVE])
    for member in reader:
        if member.name == b"d":
            with pytest.raises(tar.Malformed):
                reader.read(4999)


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=["old", "0.0", "0.1", "1.0"],
)
def test_sparse_files_of_every_format_are_understood(options: list[str], tmp_path: object) -> None:
    from pathlib import Path

    root = Path(str(tmp_path))
    with (root / "sparse").open("wb") as file:
        for number in range(40):
            file.seek(number * 100_000)
            file.write(b"%d" % number)
        file.truncate(5_000_000)
    raw = trees.gnu_tar(root, "--sparse", *options)

    reader = Reader([raw])
    for member in reader:
        if member.type == tar.DIRECTORY:
            continue
        content = bytearray(member.size)
        assert member.segments is not None and len(member.segments) >= 40
        for segment in member.segments:
            data = b"".join(reader.data(segment.size))
            content[segment.offset : segment.offset + len(data)] = data

        assert member.name == b"./sparse"
        assert bytes(content) == (root / "sparse").read_bytes()


@settings(max_examples=200)
@given(st.binary(max_size=2000), st.integers(0, len(ARCHIVE) - 1))
def test_damage_is_malformed_or_harmless(damage: bytes, position: int) -> None:
    raw = ARCHIVE[:position] + damage + ARCHIVE[position + len(damage) :]

    try:
        read([raw])
    except tar.Malformed:
        pass
