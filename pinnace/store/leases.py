"""What must be kept: reachability over images, leases and snapshots.

A node is "image:<id>", "blob:<digest>", "snapshot:<name>" or "lease:<id>"; an edge goes from
what needs to what is needed. Roots are images, leases, and snapshots that somebody uses.
Whoever brings something in that no image has yet, holds a lease meanwhile:

    with leases.hold() as lease:
        lease.keep(blob(digest))
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pinnace.store.database import Database, Transaction


def image(id: str) -> str:
    return f"image:{id}"


def blob(digest: str) -> str:
    return f"blob:{digest}"


def snapshot(name: str) -> str:
    return f"snapshot:{name}"


class Dead(NamedTuple):
    """What nothing needs; snapshots come with children before their parents."""

    blobs: list[str]
    snapshots: list[str]


class Lease:
    def __init__(self, database: Database, id: str) -> None:
        self._database = database
        self.id = id

    def keep(self, node: str) -> None:
        self._database.execute(
            "INSERT OR IGNORE INTO edges VALUES (?, ?)", (f"lease:{self.id}", node)
        )


class Leases:
    def __init__(self, database: Database) -> None:
        """Leases belong to work under way; after a restart there is none."""
        self._database = database
        with database.transaction() as tx:
            tx.execute("DELETE FROM edges WHERE parent LIKE 'lease:%'")
            tx.execute("DELETE FROM leases")

    @contextmanager
    def hold(self) -> Iterator[Lease]:
        id = secrets.token_hex(8)
        self._database.execute("INSERT INTO leases VALUES (?, ?, NULL)", (id, time.time_ns()))
        try:
            yield Lease(self._database, id)
        finally:
            with self._database.transaction() as tx:
                tx.execute("DELETE FROM edges WHERE parent = ?", (f"lease:{id}",))
                tx.execute("DELETE FROM leases WHERE id = ?", (id,))


_LIVE = """
    WITH RECURSIVE live (node) AS (
        SELECT 'image:' || id FROM images
        UNION SELECT 'lease:' || id FROM leases
        UNION SELECT 'snapshot:' || key FROM snapshots WHERE kind IN ('active', 'view', 'host')
        UNION SELECT child FROM edges JOIN live ON parent = node
        UNION SELECT 'snapshot:' || p.key
            FROM live
            JOIN snapshots s ON node LIKE 'snapshot:%' AND s.key = substr(node, 10)
            JOIN snapshots p ON p.id = s.parent
    )
"""


def dead(tx: Transaction) -> Dead:
    """To be asked and acted upon within one transaction.

    Init layers are not listed: they go together with the layer they belong to.
    """
    blobs = tx.execute(
        _LIVE + "SELECT digest FROM blobs WHERE 'blob:' || digest NOT IN live"
    ).fetchall()
    # A child is always younger than its parent.
    snapshots = tx.execute(
        _LIVE
        + "SELECT key FROM snapshots WHERE kind = 'committed' AND 'snapshot:' || key NOT IN live"
        " ORDER BY id DESC"
    ).fetchall()
    return Dead([row[0] for row in blobs], [row[0] for row in snapshots])
