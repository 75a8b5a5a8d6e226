"""Layer archives, compressed or not → a blob and a committed snapshot, in one pass.

read ─ hash, write the blob ─ decompress ─ hash (diff id) ─ unpack
└──────── a thread ────────┘ └──── a thread ────┘
"""

import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from typing import NamedTuple

from pinnace import errors
from pinnace.linux import failpoint
from pinnace.oci import image
from pinnace.oci.digest import Digest, Digester, Mismatch
from pinnace.store import content, differ, leases, streams
from pinnace.store.database import Taken
from pinnace.store.snapshots import Overlay

# As Docker's images; overlayfs takes 500 layers, and each costs every start of a container.
_DEEPEST = 125
_SUFFIXES = {"": "", "gzip": "+gzip", "zstd": "+zstd"}


class Layer(NamedTuple):
    diff_id: Digest
    chain_id: Digest
    blob: Digest
    blob_size: int
    media_type: str


class Layers:
    def __init__(self, blobs: content.Store, snapshots: Overlay) -> None:
        self._blobs = blobs
        self._snapshots = snapshots
        for info in snapshots.all():
            # Unpacking that the last daemon did not finish.
            if info.key.startswith("unpack-"):
                snapshots.remove(info.key)

    def add(self, chunks: Iterable[bytes], parent: Digest | None, lease: leases.Lease) -> Layer:
        """A layer that is not known yet, on top of the parent's. The lease keeps it.

        gzip and zstd are kept as they are; other compressions are not allowed in images
        (image-spec, layer.md) and undone before.
        """
        head, source = streams.peek(chunks, streams.LONGEST_MAGIC)
        if streams.compression(head) not in _SUFFIXES:
            _, source = streams.decompressed(source)
        with self._blobs.ingest() as ingest:
            with streams.Ahead(streams.tee(source, ingest.write)) as raw:
                kind, name, diff_id = self._unpack(raw, parent)
            blob = ingest.commit(lease)
        media_type = image.OCI_LAYER + _SUFFIXES[kind]
        diff_id = diff_id or blob.digest
        layer = Layer(diff_id, _chain_id(parent, diff_id), *blob, media_type)
        return self._commit(name, layer, lease)

    def register(
        self, blob: Digest, diff_id: Digest, parent: Digest | None, lease: leases.Lease
    ) -> Layer:
        """A layer whose blob is here already. Raises Mismatch if it is not the one named.

        What is unpacked already, is not unpacked again.
        """
        size = self._blobs.size(blob) or 0
        layer = Layer(diff_id, _chain_id(parent, diff_id), blob, size, self._media_type(blob))
        lease.keep(leases.snapshot(layer.chain_id))
        if self._snapshots.exists(layer.chain_id):
            self._verify(blob, diff_id)
            return layer
        with streams.Ahead(self._blobs.chunks(blob)) as raw:
            _, name, actual = self._unpack(raw, parent)
        if (actual or blob) != diff_id:
            self._snapshots.remove(name)
            raise _mismatch(diff_id, actual or blob)
        return self._commit(name, layer, lease)

    def _verify(self, blob: Digest, diff_id: Digest) -> None:
        if blob == diff_id:
            return
        digester = Digester()
        with streams.Ahead(self._blobs.chunks(blob)) as raw:
            for _ in streams.hashed(streams.decompressed(raw)[1], digester):
                pass
        if digester.digest != diff_id:
            raise _mismatch(diff_id, digester.digest)

    def _unpack(self, raw: streams.Chunks, parent: Digest | None) -> tuple[str, str, Digest | None]:
        """How it was compressed, the active snapshot that holds it, its diff id; None if that
        is the blob's digest."""
        kind, plain = streams.decompressed(raw)
        digester = Digester()
        if kind:
            plain = streams.hashed(plain, digester)
        name = f"unpack-{secrets.token_hex(8)}"
        folders = self._snapshots.prepare(name, parent, init=False)
        with ExitStack() as undo:
            undo.callback(self._snapshots.remove, name)
            if len(folders.lowers) >= _DEEPEST:
                raise errors.Failed("max depth exceeded")
            if kind:
                with streams.Ahead(plain) as ahead:
                    differ.apply(ahead, folders.upper, folders.lowers)
            else:
                differ.apply(plain, folders.upper, folders.lowers)
            undo.pop_all()
        return kind, name, digester.digest if kind else None

    def _commit(self, name: str, layer: Layer, lease: leases.Lease) -> Layer:
        lease.keep(leases.snapshot(layer.chain_id))
        failpoint.hit("layer-commit")
        try:
            self._snapshots.commit(name, layer.chain_id)
        except Taken:
            self._snapshots.remove(name)  # somebody was quicker
        return layer

    def _media_type(self, blob: Digest) -> str:
        with self._blobs.open(blob) as file:
            kind = streams.compression(file.read(streams.LONGEST_MAGIC))
        return image.OCI_LAYER + _SUFFIXES.get(kind, "")


def _mismatch(expected: Digest, actual: Digest) -> Mismatch:
    return Mismatch(f'invalid diffID for layer: expected "{expected}", got "{actual}"')


def _chain_id(parent: Digest | None, diff_id: Digest) -> Digest:
    return image.chain_ids([parent, diff_id] if parent else [diff_id])[-1]
