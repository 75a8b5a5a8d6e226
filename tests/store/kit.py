"""A store in a folder of the test's own, with what an engine would tell it."""

import gzip
import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

from pinnace.store import builtin, merged
from pinnace.store.database import Database
from pinnace.store.images import Images
from pinnace.store.removal import Use
from pinnace.store.snapshots import Overlay
from tests.store.trees import archive, entry, folder

Entry = tuple[tarfile.TarInfo, bytes]

# A rootfs is small here: nothing is run.
BASE = archive(folder("etc"), entry("etc/hostname", b"base"), entry("bin/sh", b"#!", mode=0o755))


class Kit:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[tuple[str, str, str]] = []
        self.uses: dict[str, list[Use]] = {}
        self.open()

    def open(self) -> None:
        self.db = Database(self.path / "pinnace.db")
        self.overlay = Overlay(self.path / "snapshots", self.db, spares=0)
        self.images = Images(
            self.path / "content",
            self.db,
            self.overlay,
            uses=lambda image: self.uses.get(image, []),
            notify=lambda action, id, more: self.events.append((action, id, more["name"])),
        )

    def close(self) -> None:
        self.overlay.close()
        self.db.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def make(self, repo: str, *entries: Entry, **options: Any) -> str:
        """An image of one layer; its id."""
        raw = archive(*entries) if entries else BASE
        return self.images.import_([raw], repo=repo, **options)

    def remove_builtin(self) -> None:
        """For tests that count what there is."""
        for name in ("hello", "host"):
            self.images.remove(name)
        self.events.clear()

    def snapshot_names(self) -> set[str]:
        """Without the host's, which is no folder of ours."""
        return {info.key for info in self.overlay.all()} - {builtin.HOST_LAYER}

    def blobs(self) -> set[str]:
        """On disk and in the database: they must agree."""
        rows = {str(row[0]) for row in self.db.rows("SELECT digest FROM blobs")}
        files = {f"sha256:{name}" for name in os.listdir(self.path / "content/blobs/sha256")}
        assert rows == files
        return files

    def leases(self) -> list[object]:
        edges = self.db.rows("SELECT * FROM edges WHERE parent LIKE 'lease:%'")
        return [*edges, *self.db.rows("SELECT * FROM leases")]

    def file(self, image: str, path: str) -> bytes | None:
        """The content of a file of an image."""
        top = self.images.resolve(image).snapshot
        assert top is not None
        with merged.Directory.open(self.overlay.mounts(top).lowers) as root:
            *folders, name = path.split("/")
            for part in folders:
                root = root.enter(part)
            fd = root.open_file(name)
            if fd is None:
                return None
            with open(fd, "rb") as file:
                return file.read()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config(*layers: bytes, **changes: Any) -> bytes:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05.6Z",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(layer) for layer in layers]},
        "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(layers)],
        **changes,
    }
    return json.dumps(document).encode()


def docker_archive(
    *layers: bytes, tags: Any = ("web:1",), document: bytes | None = None, pack: bool = False
) -> list[Entry]:
    """What `docker save` writes, as it did before it wrote OCI layouts too."""
    document = config(*layers) if document is None else document
    files = [entry(f"{sha(document)}.json", document)]
    names = [f"{sha(layer)[:12]}-{number}/layer.tar" for number, layer in enumerate(layers)]
    for name, layer in zip(names, layers, strict=True):
        files.append(entry(name, gzip.compress(layer) if pack else layer))
    manifest = [{"Config": f"{sha(document)}.json", "RepoTags": tags, "Layers": names}]
    return [*files, entry("manifest.json", json.dumps(manifest).encode())]
