"""The rows of images: what there is, what it is called, what it needs.

An image is a config, a manifest and the chain of its layers' snapshots; its id is the digest
of the config as it was given. Names point to ids. What Docker's users say and read about
images is in `store.images`.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pinnace import errors
from pinnace.oci import image, reference, timestamp
from pinnace.oci.digest import Digest
from pinnace.oci.image import Descriptor, ImageConfig, Manifest
from pinnace.oci.reference import Reference
from pinnace.store import content, leases
from pinnace.store.database import Database, Transaction
from pinnace.store.layers import Layer
from pinnace.store.snapshots import Overlay


class Image(NamedTuple):
    """`snapshot` is what a container's root is prepared on (None: no layers at all)."""

    id: Digest
    config: ImageConfig
    manifest: Digest
    snapshot: str | None
    parent: Digest | None
    size: int
    updated: int  # nanoseconds; when it was tagged last

    @property
    def created(self) -> int:
        """Nanoseconds; 0 if the config does not say, or not in a way that is understood."""
        try:
            return timestamp.parse(self.config.created or "")
        except errors.Invalid:
            return 0


class ImageStore:
    def __init__(self, database: Database, blobs: content.Store, snapshots: Overlay) -> None:
        self._database = database
        self.blobs = blobs
        self.snapshots = snapshots
        self._configs: dict[Digest, ImageConfig] = {}

    # Images.

    def put(
        self,
        config: bytes,
        layers: Sequence[Layer],
        *,
        lease: leases.Lease,
        manifest: bytes | None = None,
        parent: Digest | None = None,
    ) -> Image:
        """An image whose layers are here; nothing happens if it exists. Raises Invalid."""
        decoded = image.decode_config(config)
        if [layer.diff_id for layer in layers] != list(decoded.diff_ids):
            raise errors.Invalid("the layers of the image are not those of its config")
        id = self.blobs.put(config, lease)
        if manifest is None:
            manifest = _manifest(
                Descriptor(media_type=image.OCI_CONFIG, digest=id, size=len(config)), layers
            )
        manifest_digest = self.blobs.put(manifest, lease)
        snapshot = layers[-1].chain_id if layers else None
        size = sum(self.snapshots.usage(layer.chain_id).size for layer in layers)
        needs = [leases.blob(id), leases.blob(manifest_digest)]
        needs += [leases.blob(layer.blob) for layer in layers]
        needs += [leases.snapshot(snapshot)] if snapshot else []
        now = time.time_ns()
        with self._database.transaction() as tx:
            tx.execute(
                "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id, manifest_digest, snapshot, parent or "", size, now, 0),
            )
            for node in needs:
                tx.execute("INSERT OR IGNORE INTO edges VALUES (?, ?)", (leases.image(id), node))
        return self.get(id)

    def get(self, id: Digest) -> Image:
        rows = self._database.rows(_SELECT + "WHERE id = ?", (id,))
        if not rows:
            raise errors.NotFound(f"No such image: {id}")
        return self._image(rows[0])

    def all(self) -> list[Image]:
        return [self._image(row) for row in self._database.rows(_SELECT)]

    def exists(self, id: Digest) -> bool:
        return bool(self._database.rows("SELECT 1 FROM images WHERE id = ?", (id,)))

    def children(self, id: Digest) -> list[Digest]:
        """Images that were committed or built here from this one."""
        rows = self._database.rows("SELECT id FROM images WHERE parent = ?", (id,))
        return [str(row[0]) for row in rows]

    def config(self, id: Digest) -> bytes:
        return self.blobs.read(id, image.CONFIG_LIMIT)

    def delete(self, id: Digest) -> list[Digest]:
        """Forget an image and its names; the chain ids of the layers that went with it."""
        with self._database.transaction() as tx:
            tx.execute("UPDATE images SET parent = '' WHERE parent = ?", (id,))
            tx.execute("DELETE FROM edges WHERE parent = ?", (leases.image(id),))
            tx.execute("DELETE FROM images WHERE id = ?", (id,))
            tx.on_commit(lambda: self._forget(id))
            return self.collect(tx)

    def _forget(self, id: Digest) -> None:
        self._configs.pop(id, None)

    def layers(self, image_: Image) -> list[Layer]:
        """Its layers, lowest first, with the blobs that its manifest names."""
        manifest = image.decode_manifest(self.manifest(image_))
        if not isinstance(manifest, Manifest) or len(manifest.layers) != len(
            image_.config.diff_ids
        ):
            raise errors.Failed(f"the manifest of image {image_.id} does not fit its config")
        diff_ids = image_.config.diff_ids
        rows = zip(diff_ids, image.chain_ids(diff_ids), manifest.layers, strict=True)
        return [
            Layer(diff_id, chain_id, blob.digest, blob.size, blob.media_type)
            for diff_id, chain_id, blob in rows
        ]

    def manifest(self, image_: Image) -> bytes:
        return self.blobs.read(image_.manifest, image.MANIFEST_LIMIT)

    def collect(self, tx: Transaction) -> list[Digest]:
        """Delete what nothing needs any more; the names of the snapshots among it."""
        dead = leases.dead(tx)
        for name in dead.snapshots:
            self.snapshots.remove(name)
        for digest in dead.blobs:
            self.blobs.delete(digest)
        return dead.snapshots

    def sweep(self) -> None:
        """Delete what the last daemon has left unfinished."""
        with self._database.transaction() as tx:
            self.collect(tx)

    # Names.

    def resolve(self, text: str) -> Image:
        """By id, name or beginning of an id, in this order. Raises NotFound, Invalid."""
        id = reference.identifier(text)
        if id is not None:
            return self.get(id)
        name = reference.parse(text).pinned().tagged()
        found = self.named(name) or self._by_prefix(text)
        if found is None:
            raise errors.NotFound(f"No such image: {name.familiar}")
        return self.get(found)

    def named(self, name: Reference) -> Digest | None:
        table = "digests" if name.digest else "tags"
        rows = self._database.rows(f"SELECT image FROM {table} WHERE reference = ?", (str(name),))
        return str(rows[0][0]) if rows else None

    def _by_prefix(self, text: str) -> Digest | None:
        """None if there are several."""
        digits = text.removeprefix("sha256:")
        if not digits or set(digits) - set("0123456789abcdef"):
            return None
        start = f"sha256:{digits}"
        # "g" comes after all hex digits.
        rows = self._database.rows(
            "SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2", (start, start + "g")
        )
        return str(rows[0][0]) if len(rows) == 1 else None

    def references(self, id: Digest) -> list[Reference]:
        """Tags and digests, in the order of their complete names."""
        rows = self._database.rows(
            "SELECT reference FROM tags WHERE image = ?1"
            " UNION ALL SELECT reference FROM digests WHERE image = ?1 ORDER BY 1",
            (id,),
        )
        return [reference.parse(str(row[0])) for row in rows]

    def tagged(self, repository: str) -> list[tuple[Reference, Digest]]:
        """All tags of a repository."""
        rows = self._database.rows(
            "SELECT reference, image FROM tags WHERE repository = ? ORDER BY reference",
            (repository,),
        )
        return [(reference.parse(str(name)), str(id)) for name, id in rows]

    def tag(self, name: Reference, id: Digest) -> None:
        """The name belongs to this image from now on, whoever had it."""
        table = "digests" if name.digest else "tags"
        with self._database.transaction() as tx:
            tx.execute(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",
                (str(name), name.repository, id),
            )
            tx.execute("UPDATE images SET updated = ? WHERE id = ?", (time.time_ns(), id))

    def untag(self, name: Reference) -> None:
        """Raises NotFound."""
        table = "digests" if name.digest else "tags"
        with self._database.transaction() as tx:
            cursor = tx.execute(f"DELETE FROM {table} WHERE reference = ?", (str(name),))
            if cursor.rowcount == 0:
                raise errors.NotFound("reference does not exist")

    def _image(self, row: tuple[object, ...]) -> Image:
        id, manifest, snapshot, parent, size, updated = row
        id = str(id)
        config = self._configs.get(id)
        if config is None:
            config = self._configs[id] = image.decode_config(self.config(id))
        return Image(
            id,
            config,
            str(manifest),
            snapshot if isinstance(snapshot, str) else None,
            str(parent) or None,
            int(str(size)),
            int(str(updated)),
        )


_SELECT = "SELECT id, manifest, snapshot, parent, size, updated FROM images "


def _manifest(config: Descriptor, layers: Sequence[Layer]) -> bytes:
    """For images that came without one, or with one that does not fit what is kept."""
    descriptors = [
        Descriptor(media_type=layer.media_type, digest=layer.blob, size=layer.blob_size)
        for layer in layers
    ]
    manifest = Manifest(media_type=image.OCI_MANIFEST, config=config, layers=descriptors)
    return msgspec.json.encode(manifest)
