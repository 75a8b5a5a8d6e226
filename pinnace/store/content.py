"""Blobs by digest: a write is not visible before it is complete and proved right.

    content/blobs/sha256/<hex>     never changed
    content/ingest/<random>        being written; deleted at the next start

What is kept: the configs and manifests of images, and the tar of every layer as it came in
(compressed or not), beside the folder it was unpacked to. So any image can be saved or pushed
byte for byte, at the price of its compressed size.
"""

import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pinnace import errors
from pinnace.linux import failpoint
from pinnace.oci.digest import Digest, Digester, Mismatch, encoded
from pinnace.store import leases, streams
from pinnace.store.database import Database


class Blob(NamedTuple):
    digest: Digest
    size: int


class Ingest:
    """A blob that is being written."""

    def __init__(self, store: "Store", path: str, expected: Digest | None, size: int | None):
        self._store = store
        self._path = path
        self._expected = expected
        self._size = size
        self._digester = Digester()
        self._file = open(path, "xb", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        self._digester.update(data)
        if self._size is not None and self._digester.size > self._size:
            raise Mismatch(f"content is longer than the expected {self._size} bytes")
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def commit(self, lease: leases.Lease) -> Blob:
        """Make it visible, kept by the lease. Raises Mismatch if it is not what was promised."""
        blob = Blob(self._digester.digest, self._digester.size)
        if self._size is not None and blob.size != self._size:
            raise Mismatch(f"content is {blob.size} bytes long, expected {self._size}")
        if self._expected is not None and blob.digest != self._expected:
            raise Mismatch(f"content has digest {blob.digest}, expected {self._expected}")
        self._file.close()
        lease.keep(leases.blob(blob.digest))
        failpoint.hit("content-commit")
        self._store.publish(self._path, blob)
        return blob

    def close(self) -> None:
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)


class Store:
    def __init__(self, root: Path | str, database: Database) -> None:
        self.root = os.path.abspath(root)
        self._database = database
        self._blobs = f"{self.root}/blobs/sha256"
        self._ingest = f"{self.root}/ingest"
        # A blob must not be published between its row's deletion and its file's.
        self._lock = threading.Lock()
        os.makedirs(self.root, 0o700, exist_ok=True)
        os.makedirs(self._blobs, 0o700, exist_ok=True)
        os.makedirs(self._ingest, 0o700, exist_ok=True)
        self._sweep()

    def _sweep(self) -> None:
        """What a crash has left: unfinished files, and files without a row."""
        for name in os.listdir(self._ingest):
            os.unlink(f"{self._ingest}/{name}")
        known = {str(row[0]) for row in self._database.rows("SELECT digest FROM blobs")}
        for name in os.listdir(self._blobs):
            if f"sha256:{name}" not in known:
                os.unlink(f"{self._blobs}/{name}")

    @contextmanager
    def ingest(self, expected: Digest | None = None, size: int | None = None) -> Iterator[Ingest]:
        """Write, then commit; leaving the block without that forgets what was written."""
        path = f"{self._ingest}/{secrets.token_hex(8)}"
        ingest = Ingest(self, path, expected, size)
        try:
            yield ingest
        finally:
            ingest.close()

    def put(self, data: bytes, lease: leases.Lease) -> Digest:
        """A document, as a blob."""
        with self.ingest() as ingest:
            ingest.write(data)
            return ingest.commit(lease).digest

    def publish(self, path: str, blob: Blob) -> None:
        with self._lock:
            os.rename(path, self.path(blob.digest))
            self._database.execute(
                "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?)",
                (blob.digest, blob.size, time.time_ns()),
            )

    def path(self, digest: Digest) -> str:
        return f"{self._blobs}/{encoded(digest)}"

    def size(self, digest: Digest) -> int | None:
        """None: there is no such blob."""
        rows = self._database.rows("SELECT size FROM blobs WHERE digest = ?", (digest,))
        return int(rows[0][0] or 0) if rows else None

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return open(self.path(digest), "rb", buffering=0)
        except FileNotFoundError as error:
            raise errors.NotFound(f"content {digest} does not exist") from error

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        with self.open(digest) as file:
            yield from streams.from_file(file)

    def read(self, digest: Digest, limit: int) -> bytes:
        """A document."""
        with self.open(digest) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise errors.Invalid(f"content {digest} is larger than {limit} bytes")
        return data

    def delete(self, digest: Digest) -> None:
        """Idempotent. The file goes when the transaction is committed."""
        with self._database.transaction() as tx:
            tx.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
            tx.on_commit(lambda: self._unlink(digest))

    def _unlink(self, digest: Digest) -> None:
        with self._lock:
            if self.size(digest) is None:
                with suppress(FileNotFoundError):
                    os.unlink(self.path(digest))
