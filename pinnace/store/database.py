"""The one SQLite file that says what should be: its schema, its migrations, its transactions.

Rule 1: what is queried or constrained is a column; Docker's documents are opaque columns.
Rule 2: a file or folder appears before its row and vanishes after it, so that a crash leaves
an orphan, which is swept at the next start, and never a row without content.
Rule 3: migrations are appended, never changed.

The tables, and which module owns their rows:

    containers  one per container: name is UNIQUE, document is the engine's   (engine)
    volumes     one per named volume                                          (engine)
    meta        single values: the engine's identity and the like             (anyone)
    snapshots   one per folder snapshots/<id>                                 (store.snapshots)
    blobs       one per file content/blobs/sha256/<hex>                       (store.content)
    images      id = digest of the config                                     (store.images)
    tags        docker.io/library/web:latest -> image                         (store.images)
    digests     docker.io/library/web@sha256:... -> image                     (store.images)
    leases      what must not be collected yet, and until when                (store.leases)
    edges       node -> node: image, lease or snapshot to what it needs       (store.leases)
    networks    one per network, the predefined ones too                      (network.register)
    endpoints   one per leg of a running container in a network               (network.register)
    addresses   which endpoint has an address: nobody else can                (network.register)
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

Value = str | int | bytes | None

MIGRATIONS = (
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created INTEGER NOT NULL,
        document BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        document BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        parent INTEGER REFERENCES snapshots (id),
        volatile INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,
        inodes INTEGER NOT NULL DEFAULT 0,
        created INTEGER NOT NULL
    );
    CREATE INDEX snapshots_by_parent ON snapshots (parent);
    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        created INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE images (
        id TEXT PRIMARY KEY,
        manifest TEXT NOT NULL,
        snapshot TEXT,
        parent TEXT NOT NULL DEFAULT '',
        size INTEGER NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX images_by_parent ON images (parent);
    CREATE TABLE tags (
        reference TEXT PRIMARY KEY,
        repository TEXT NOT NULL,
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX tags_by_image ON tags (image);
    CREATE TABLE digests (
        reference TEXT PRIMARY KEY,
        repository TEXT NOT NULL,
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX digests_by_image ON digests (image);
    CREATE TABLE leases (
        id TEXT PRIMARY KEY,
        created INTEGER NOT NULL,
        expires INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE edges (
        parent TEXT NOT NULL,
        child TEXT NOT NULL,
        PRIMARY KEY (parent, child)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE networks (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        document BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE endpoints (
        id TEXT PRIMARY KEY,
        network TEXT NOT NULL REFERENCES networks (id),
        container TEXT NOT NULL,
        document BLOB NOT NULL,
        UNIQUE (network, container)
    ) WITHOUT ROWID;
    CREATE TABLE addresses (
        network TEXT NOT NULL,
        address TEXT NOT NULL,
        endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
        PRIMARY KEY (network, address)
    ) WITHOUT ROWID;
    CREATE INDEX addresses_by_endpoint ON addresses (endpoint);
    """,
)


class Taken(Exception):
    """A UNIQUE column holds the value already; `column` is "table.column"."""

    def __init__(self, column: str) -> None:
        super().__init__(f"{column} is taken")
        self.column = column


class ContainerRow(NamedTuple):
    id: str
    name: str
    created: int
    document: bytes


class VolumeRow(NamedTuple):
    name: str
    document: bytes


class Transaction:
    """What happens inside `Database.transaction`: statements, and work for when it has ended."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.committed: list[Callable[[], None]] = []
        self.rolled_back: list[Callable[[], None]] = []

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.IntegrityError as error:
            kind, _, column = str(error).partition(" constraint failed: ")
            if kind == "UNIQUE":
                raise Taken(column) from error
            raise

    def on_commit(self, action: Callable[[], None]) -> None:
        """Run `action` once the rows are committed, outside the lock: removing files, say."""
        self.committed.append(action)

    def on_rollback(self, action: Callable[[], None]) -> None:
        """Run `action` if the transaction fails: undoing what was made on disk for its rows."""
        self.rolled_back.append(action)


class Database:
    """One connection, shared by all threads under one lock.

    A statement takes microseconds, so readers do not need connections of their own.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(self._path, 0o600)  # it holds containers' environments; its log inherits this
        self._lock = threading.RLock()
        self._current: Transaction | None = None
        self._connection = self._connect()
        self._migrate()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a commit is safe against kill -9 without an fsync; a power cut may lose the
        # last ones, but never mixes them.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # Writing back is the janitor's work (`checkpoint`): 32 MB is only the emergency limit.
        connection.execute("PRAGMA wal_autocheckpoint = 8000")
        return connection

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
            )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def checkpoint(self) -> None:
        """Write the log back into the file, without making anyone wait (own connection)."""
        connection = self._connect()
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing; a transaction inside another one of the same thread joins it."""
        with self._lock:
            if self._current is not None:
                yield self._current
                return
            transaction = Transaction(self._connection)
            self._connection.execute("BEGIN IMMEDIATE")
            self._current = transaction
            try:
                yield transaction
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled it back already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                for action in reversed(transaction.rolled_back):
                    action()
                raise
            finally:
                self._current = None
        for action in transaction.committed:
            action()

    def execute(self, sql: str, parameters: Sequence[Value] = ()) -> None:
        """One statement as a transaction of its own, or as part of the current one."""
        with self.transaction() as tx:
            tx.execute(sql, parameters)

    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    # The engine's documents.

    def put_container(self, id: str, name: str, created: int, document: bytes) -> None:
        """Raises Taken when the id or the name is in use."""
        self.execute("INSERT INTO containers VALUES (?, ?, ?, ?)", (id, name, created, document))

    def update_container(self, id: str, document: bytes) -> None:
        self.execute("UPDATE containers SET document = ? WHERE id = ?", (document, id))

    def rename_container(self, id: str, name: str, document: bytes | None = None) -> None:
        """Raises Taken when the name is in use; the document holds the name too."""
        self.execute(
            "UPDATE containers SET name = ?, document = coalesce(?, document) WHERE id = ?",
            (name, document, id),
        )

    def delete_container(self, id: str) -> None:
        self.execute("DELETE FROM containers WHERE id = ?", (id,))

    def containers(self) -> Iterator[ContainerRow]:
        rows = self.rows("SELECT id, name, created, document FROM containers ORDER BY created")
        return (ContainerRow(*row) for row in rows)  # type: ignore[arg-type]

    def put_volume(self, name: str, document: bytes) -> None:
        """Raises Taken when the name is in use."""
        self.execute("INSERT INTO volumes VALUES (?, ?)", (name, document))

    def update_volume(self, name: str, document: bytes) -> None:
        self.execute("UPDATE volumes SET document = ? WHERE name = ?", (document, name))

    def delete_volume(self, name: str) -> None:
        self.execute("DELETE FROM volumes WHERE name = ?", (name,))

    def volumes(self) -> Iterator[VolumeRow]:
        rows = self.rows("SELECT name, document FROM volumes ORDER BY name")
        return (VolumeRow(*row) for row in rows)  # type: ignore[arg-type]

    def meta(self, key: str) -> bytes | None:
        rows = self.rows("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None  # type: ignore[return-value]

    def put_meta(self, key: str, value: bytes) -> None:
        self.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )
