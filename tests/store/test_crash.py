"""A daemon that is killed in the middle: the next one finds a whole store, and nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.kit import BASE, Kit, docker_archive
from tests.store.trees import archive

pytestmark = pytest.mark.root

SCRIPT = """
import sys
from pathlib import Path
from tests.store.kit import Kit
kit = Kit(Path(sys.argv[1]))
for name in kit.images.load([Path(sys.argv[2]).read_bytes()]):
    print(name, flush=True)
kit.overlay.prepare("web", kit.images.resolve("web:1").snapshot)
kit.overlay.remove("web")
kit.images.remove("web:1")
"""


def run(tmp_path: Path, failpoint: str) -> int:
    here = str(Path(__file__).parents[2])
    environment = {**os.environ, "PINNACE_FAILPOINT": failpoint, "PYTHONPATH": here}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "store"), str(tmp_path / "archive")]
    return subprocess.run(command, env=environment, check=False, timeout=60).returncode


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    (tmp_path / "archive").write_bytes(archive(*docker_archive(BASE, pack=True)))
    first = Kit(tmp_path / "store")
    first.close()
    return tmp_path


@pytest.mark.parametrize(
    "point", ["content-commit", "snapshot-insert", "snapshot-commit", "layer-commit"]
)
def test_killed_anywhere_the_store_is_whole(kit: Path, point: str) -> None:
    assert run(kit, f"{point}:kill") == -signal.SIGKILL

    after = Kit(kit / "store")
    after.overlay.janitor.drain()

    assert after.leases() == []
    assert os.listdir(kit / "store/content/ingest") == []
    ids = {str(info.id) for info in after.overlay.all() if info.kind != "host"}
    assert set(os.listdir(after.overlay.root)) == ids
    reachable = set(after.blobs())
    after.images.store.sweep()
    assert after.blobs() == reachable
    for shown in after.images.list(all=True):
        after.images.inspect(shown["Id"])

    raw = (kit / "archive").read_bytes()
    assert list(after.images.load([raw])) == ["web:1"]
    assert after.file("web:1", "bin/sh") == b"#!"
    after.close()


def test_without_a_kill_nothing_is_left(kit: Path) -> None:
    before = Kit(kit / "store")
    blobs, names = before.blobs(), before.snapshot_names()
    before.close()

    assert run(kit, "") == 0

    after = Kit(kit / "store")
    after.overlay.janitor.drain()
    assert (after.blobs(), after.snapshot_names() - {"init:"}) == (blobs, names)
    after.close()
