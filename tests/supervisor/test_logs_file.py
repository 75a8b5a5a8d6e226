"""A log on disk: where it is rotated, what survives a kill, and what a full disk does."""

import gzip
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pinnace.supervisor import logs_json, logs_local
from pinnace.supervisor.logs_file import Entries, LogFile
from pinnace.supervisor.logs_selection import Selection
from pinnace.supervisor.logs_settings import Settings
from tests.supervisor.golden_logs import GOLDEN

JSON = logs_json.Format()
FORMATS: list[Entries] = [JSON, logs_local.Format()]
ENCODERS = [logs_json.Encoder({}), logs_local.Encoder({})]
FORMATS_AND_ENCODERS = list(zip(FORMATS, ENCODERS, strict=True))


def open_file(
    path: Path,
    max_size: int = 1000,
    max_files: int = 3,
    *,
    compress: bool = False,
    entries: Entries = JSON,
    said: list[str] | None = None,
) -> LogFile:
    report = (said if said is not None else []).append
    return LogFile(str(path), Settings(max_size, max_files, compress), entries, report)


def entry(number: int) -> bytes:
    return ENCODERS[0].encode("stdout", b"entry %06d\n" % number, 1)


def contents(folder: Path) -> dict[str, bytes]:
    """What each file holds, decompressed."""
    return {
        path.name: gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in folder.iterdir()
    }


@pytest.mark.parametrize("in_bulk", [False, True])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("four-files", Settings(2000, 4, compress=False)),
        ("one-file", Settings(2000, 1, compress=False)),
        ("three-files-compressed", Settings(1000, 3, compress=True)),
    ],
)
def test_files_are_cut_named_and_compressed_as_docker_does(
    name: str, settings: Settings, in_bulk: bool, tmp_path: Path
) -> None:
    expected = contents(GOLDEN / "rotated" / name)
    oldest_first = sorted(expected, reverse=True)
    data = b"".join(expected[file] for file in oldest_first)

    file = LogFile(str(tmp_path / "log"), settings, JSON, lambda _: None)
    for piece in [data] if in_bulk else data.splitlines(keepends=True):
        file.append(piece, 1)
    file.close()

    assert contents(tmp_path) == expected


def test_the_header_of_a_compressed_file_holds_the_last_time_as_dockers_does(
    tmp_path: Path,
) -> None:
    file = open_file(tmp_path / "log", max_size=10, compress=True)
    file.append(entry(1), 1_500_000_000)
    file.append(entry(2), 2_000_000_000)
    file.close()

    ours = (tmp_path / "log.1.gz").read_bytes()
    dockers = (GOLDEN / "rotated/three-files-compressed/log.1.gz").read_bytes()

    assert b'{"lastTime":"1970-01-01T00:00:01.5Z"' in ours[:60]
    assert ours[:10] == dockers[:10]


@pytest.mark.parametrize("compress", [False, True])
def test_the_oldest_file_goes(compress: bool, tmp_path: Path) -> None:
    file = open_file(tmp_path / "log", compress=compress)
    for number in range(200):
        file.append(entry(number), 1)
    file.close()

    kept = contents(tmp_path)

    suffix = ".gz" if compress else ""
    assert sorted(kept) == ["log", f"log.1{suffix}", f"log.2{suffix}"]
    everything = b"".join(entry(number) for number in range(200))
    assert everything.endswith(b"".join(kept[name] for name in sorted(kept, reverse=True)))


def test_an_existing_file_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(3):
        file = open_file(tmp_path / "log")
        file.append(entry(number), 1)
        file.close()

    assert contents(tmp_path) == {"log": entry(0) + entry(1) + entry(2)}


def test_compression_keeps_up_with_what_is_written(tmp_path: Path) -> None:
    lines = b"".join(entry(number) for number in range(1000))
    file = open_file(tmp_path / "log", max_size=len(lines), compress=True)
    file.append(lines, 1)

    written = 0
    while (tmp_path / "log.1").exists() or not written:
        file.append(entry(written), 1)
        written += 1

    assert written <= 1 + 1000 // 2
    assert gzip.decompress((tmp_path / "log.1.gz").read_bytes()) == lines
    file.close()


# Kills


@pytest.mark.parametrize(("entries", "encoder"), FORMATS_AND_ENCODERS)
def test_an_entry_after_a_torn_one_can_be_read(
    entries: Entries, encoder: logs_json.Encoder, tmp_path: Path
) -> None:
    whole = encoder.encode("stdout", b"whole\n", 1)
    (tmp_path / "log").write_bytes(whole + encoder.encode("stdout", b"torn\n", 1)[:25])

    file = open_file(tmp_path / "log", entries=entries)
    file.append(whole, 1)
    file.close()

    selection = Selection(stdout=True, stderr=True, multiplexed=False)
    data = (tmp_path / "log").read_bytes()
    assert entries.whole(data) == len(data)
    assert entries.render(data, selection) == b"whole\nwhole\n"  # type: ignore[attr-defined]


def test_a_rotation_that_was_killed_halfway_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(entry(1))
    os.link(tmp_path / "log", tmp_path / "log.1")
    (tmp_path / "log.new").write_bytes(b"")

    open_file(tmp_path / "log").close()

    assert contents(tmp_path) == {"log": entry(1)}


def test_a_compression_that_was_killed_halfway_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(entry(2))
    (tmp_path / "log.1").write_bytes(entry(1))
    (tmp_path / "log.1.gz.new").write_bytes(b"half")

    open_file(tmp_path / "log", compress=True).close()

    assert contents(tmp_path) == {"log": entry(2), "log.1.gz": entry(1)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1.gz"]


# Full disks and other people's hands


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file can grow beyond size: a write that would is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("entries", "encoder"), FORMATS_AND_ENCODERS)
def test_what_does_not_fit_is_dropped_counted_and_told_once(
    entries: Entries, encoder: logs_json.Encoder, tmp_path: Path
) -> None:
    said: list[str] = []
    file = open_file(tmp_path / "log", 1 << 20, entries=entries, said=said)
    batch = b"".join(encoder.encode("stdout", b"x" * 50 + b"\n", 1) for _ in range(10))

    with disk_of(len(batch) + len(batch) // 4):
        for _ in range(4):
            file.append(batch, 1)
    full = (tmp_path / "log").read_bytes()
    file.append(batch, 1)
    file.close()

    assert entries.whole(full) == len(full)
    assert entries.count(full) == 12
    assert file.dropped_entries == 28
    assert file.dropped_bytes == 4 * len(batch) - len(full)
    assert (tmp_path / "log").read_bytes() == full + batch
    assert [("fails" in s, "again" in s) for s in said] == [(True, False), (False, True)]
    assert "File too large" in said[0]
    assert "28 entries" in said[1]


def test_a_rotation_that_fails_drops_and_is_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    file = open_file(tmp_path / "log", max_size=1, said=said)
    file.append(entry(1), 1)
    (tmp_path / "log.new").mkdir()

    file.append(entry(2), 1)
    (tmp_path / "log.new").rmdir()
    file.append(entry(3), 1)
    file.close()

    assert contents(tmp_path) == {"log": entry(3), "log.1": entry(1)}
    assert file.dropped_entries == 1
    assert len(said) == 2


def test_a_truncated_file_is_not_rotated_before_it_is_full_again(tmp_path: Path) -> None:
    file = open_file(tmp_path / "log", max_size=2 * len(entry(0)))
    file.append(entry(1) + entry(2), 1)

    os.truncate(tmp_path / "log", 0)
    file.append(entry(3), 1)
    file.close()

    assert contents(tmp_path) == {"log": entry(3)}


def test_a_removed_file_is_made_again_at_the_next_rotation(tmp_path: Path) -> None:
    file = open_file(tmp_path / "log", max_size=1)
    file.append(entry(1), 1)

    (tmp_path / "log").unlink()
    file.append(entry(2), 1)
    file.close()

    assert contents(tmp_path) == {"log": entry(2)}


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        open_file(tmp_path / "log")


def test_the_file_is_for_its_owner_and_group_only(tmp_path: Path) -> None:
    file = open_file(tmp_path / "new" / "log")
    file.close()

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new/log").stat().st_mode & 0o137 == 0
