"""The Snapshotter over overlayfs: root file systems as stacks of folders.

On disk: snapshots/<n>/{fs,work}, n is the row's id and never used twice. Between image and
container lies an init layer (`store.initlayer`), itself a snapshot named "init:<chain id>".
"""

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pinnace import errors
from pinnace.linux import failpoint, syscall
from pinnace.runtime import layers
from pinnace.runtime.layers import Layers, Masks
from pinnace.store import initlayer, janitor, merged, trees
from pinnace.store.database import Database, Taken, Transaction, Value
from pinnace.store.snapshotter import Info, Kind
from pinnace.store.trees import Usage

__all__ = ["Info", "Kind", "Layers", "Masks", "Overlay"]


class _Chain(NamedTuple):
    """What every snapshot on top of the same parent has in common."""

    id: int | None
    lowers: list[str]
    mode: int
    uid: int
    gid: int
    masks: Masks | None


class _Host(NamedTuple):
    path: str
    masks: Callable[[], Masks]


_SELECT = """
    SELECT s.id, s.key, s.kind, p.key, s.volatile, s.size, s.inodes, s.created
    FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent
"""
_SCRATCH = _Chain(None, [], 0o755, 0, 0, None)

_Make = Callable[[str, _Chain], None]


def _nothing(folder: str, chain: _Chain) -> None:
    """A snapshot without a folder of ours."""


class Overlay:
    """The Snapshotter for overlayfs; owns the folder `root` and the thread that tidies it."""

    def __init__(self, root: Path | str, database: Database, *, spares: int = 16) -> None:
        self.root = os.path.abspath(root)
        os.makedirs(self.root, 0o700, exist_ok=True)
        self._database = database
        self.janitor = janitor.Janitor(self.root, self._tidy)
        # Numbers whose folders are made already: on a disk with many files recently deleted,
        # ext4 takes a millisecond and more to make a folder, which no container should wait for.
        self._spares: deque[int] = deque()
        self._spares_wanted = spares
        self._chains: dict[str, _Chain] = {}
        self._inits: dict[str | None, _Chain] = {}
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()
        self._next = self._sweep()

    def close(self) -> None:
        self.janitor.close()
        while self._spares:
            folder = f"{self.root}/{self._spares.popleft()}"
            for path in (f"{folder}/work", f"{folder}/fs", folder):
                os.rmdir(path)

    def _tidy(self) -> None:
        """The janitor's chore, in a quiet moment."""
        self._database.checkpoint()
        while len(self._spares) < self._spares_wanted:
            number = self._take_number()
            _make_bare(f"{self.root}/{number}")
            self._spares.append(number)

    def _sweep(self) -> int:
        """Discard folders without a row; the first number that was never used."""
        used = {str(row[0]) for row in self._database.rows("SELECT id FROM snapshots")}
        highest = max(map(int, used), default=0)
        for name in os.listdir(self.root):
            if name.isdecimal():
                highest = max(highest, int(name))
            if name not in used:
                self.janitor.discard(name)
        return highest + 1

    # The protocol.

    def prepare(
        self, key: str, parent: str | None, *, init: bool = True, volatile: bool = False
    ) -> Layers:
        self.janitor.busy()
        chain = self._init_chain(parent) if init else self._chain(parent)
        number, make = self._take_spare()
        self._insert(key, Kind.ACTIVE, chain, number, make, volatile=volatile)
        return self._layers(number, chain, volatile=volatile)

    def view(self, key: str, parent: str | None) -> Layers:
        chain = self._chain(parent)
        self._insert(key, Kind.VIEW, chain, self._take_number(), _nothing)
        return Layers(chain.lowers, "", "", masks=chain.masks)

    def mounts(self, key: str) -> Layers:
        self.janitor.busy()
        info = self.stat(key)
        if info.kind is Kind.ACTIVE:
            if info.volatile:
                # overlayfs does not mount a volatile upper twice while this mark is there. It
                # guards against a machine's crash, after which nobody wants this snapshot.
                shutil.rmtree(f"{self.root}/{info.id}/work/work/incompat", ignore_errors=True)
            return self._layers(info.id, self._chain(info.parent), volatile=info.volatile)
        chain = self._chain(info.parent if info.kind is Kind.VIEW else key)
        return Layers(chain.lowers, "", "", masks=chain.masks)

    def commit(self, key: str, name: str) -> None:
        info = self.stat(key)
        if info.kind is not Kind.ACTIVE:
            raise errors.Conflict(f"snapshot {key} is not active")
        usage = self.usage(key)
        self._sync(info.id)
        failpoint.hit("snapshot-commit")
        with self._database.transaction() as tx:
            tx.execute(
                "UPDATE snapshots SET key = ?, kind = ?, size = ?, inodes = ?, volatile = 0"
                " WHERE id = ?",
                (name, Kind.COMMITTED.value, usage.size, usage.inodes, info.id),
            )
        shutil.rmtree(f"{self.root}/{info.id}/work", ignore_errors=True)

    def stat(self, key: str) -> Info:
        rows = self._database.rows(_SELECT + "WHERE s.key = ?", (key,))
        if not rows:
            raise errors.NotFound(f"snapshot {key} does not exist")
        return _info(rows[0])

    def exists(self, key: str) -> bool:
        return bool(self._database.rows("SELECT 1 FROM snapshots WHERE key = ?", (key,)))

    def all(self) -> list[Info]:
        return [_info(row) for row in self._database.rows(_SELECT)]

    def usage(self, key: str) -> Usage:
        info = self.stat(key)
        if info.kind is Kind.COMMITTED:
            return Usage(info.size, info.inodes)
        if info.kind is Kind.ACTIVE:
            return trees.measure(f"{self.root}/{info.id}/fs")
        return Usage(0, 0)

    def remove(self, key: str) -> None:
        self.janitor.busy()
        if not self.exists(key):
            return
        with self._database.transaction() as tx:
            self._remove(tx, f"init:{key}")
            self._remove(tx, key)

    def _remove(self, tx: Transaction, key: str) -> None:
        cursor = tx.execute("SELECT id FROM snapshots WHERE key = ?", (key,))
        row = cursor.fetchone()
        if row is None:
            return
        try:
            tx.execute("DELETE FROM snapshots WHERE id = ?", row)
        except sqlite3.IntegrityError as error:
            raise errors.Conflict(f"snapshot {key} has children") from error
        tx.on_commit(lambda: self._forget(key, row[0]))

    @contextmanager
    def folders(self, key: str) -> Iterator[tuple[str, list[str]]]:
        """The upper and the lowers of a snapshot, for reading (`differ.changes`, `export`).

        What has to be hidden of a host is hidden by a folder that exists meanwhile.
        """
        found = self.mounts(key)
        lowers = list(found.lowers)
        if found.masks is None:
            yield found.upper, lowers
            return
        number = self._take_number()
        try:
            _make_folder(f"{self.root}/{number}", found.masks.entries)
            lowers.insert(-1, f"{self.root}/{number}/fs")
            yield found.upper, lowers
        finally:
            self.janitor.discard(str(number))

    # The host's own root as the lowest layer.

    def add_host(self, name: str, path: str, masks: Callable[[], Masks]) -> None:
        """A committed snapshot that is a folder of the host, not ours; called at every start."""
        self._hosts[name] = _Host(path, masks)
        if not self.exists(name):
            self._insert(name, Kind.HOST, _SCRATCH, self._take_number(), _nothing)

    # How it is done.

    def _take_number(self) -> int:
        with self._lock:
            self._next += 1
            return self._next - 1

    def _forget(self, key: str, number: int) -> None:
        self._chains.pop(key, None)
        self._inits.pop(key.removeprefix("init:") or None, None)
        self.janitor.discard(str(number))

    def _take_spare(self) -> tuple[int, _Make]:
        """A number for an active snapshot, and what is left to make of its folder."""
        try:
            number = self._spares.popleft()
        except IndexError:
            return self._take_number(), _make_active
        finally:
            if len(self._spares) < self._spares_wanted / 2:
                self.janitor.wake()
        return number, _dress

    def _insert(
        self,
        key: str,
        kind: Kind,
        chain: _Chain,
        number: int,
        make: _Make,
        *,
        volatile: bool = False,
    ) -> None:
        """Folder, then row: a crash in between leaves an orphan for the next sweep."""
        try:
            make(f"{self.root}/{number}", chain)
            failpoint.hit("snapshot-insert")
            with self._database.transaction() as tx:
                tx.execute(
                    "INSERT INTO snapshots (id, key, kind, parent, volatile, created)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (number, key, kind.value, chain.id, volatile, time.time_ns()),
                )
                tx.on_rollback(lambda: self.janitor.discard(str(number)))
        except sqlite3.IntegrityError as error:
            # The parent was removed since its chain was cached.
            self._chains.clear()
            self._inits.clear()
            raise errors.NotFound(f"the parent of snapshot {key} does not exist") from error
        except BaseException:
            self.janitor.discard(str(number))
            raise

    def _layers(self, number: int, chain: _Chain, *, volatile: bool) -> Layers:
        folder = f"{self.root}/{number}"
        return Layers(chain.lowers, folder + "/fs", folder + "/work", bool(volatile), chain.masks)

    def _chain(self, name: str | None) -> _Chain:
        """The stack that ends with the committed snapshot `name`."""
        if name is None:
            return _SCRATCH
        chain = self._chains.get(name)
        if chain is not None:
            return chain
        info = self.stat(name)
        match info.kind:
            case Kind.ACTIVE | Kind.VIEW:
                raise errors.Conflict(f"snapshot {name} is not committed")
            case Kind.HOST:
                return self._host_chain(info)
            case Kind.COMMITTED | Kind.INIT:
                below = self._chain(info.parent)
                path = f"{self.root}/{info.id}/fs"
                chain = _chain_of(info.id, path, below)
        if chain.masks is None:
            self._chains[name] = chain
        return chain

    def _host_chain(self, info: Info) -> _Chain:
        """Never cached: what has to be hidden on the host may have changed."""
        host = self._hosts.get(info.key)
        if host is None:
            raise errors.NotFound(f"snapshot {info.key} does not exist")
        return _chain_of(info.id, host.path, _SCRATCH._replace(masks=host.masks()))

    def _init_chain(self, parent: str | None) -> _Chain:
        chain = self._inits.get(parent)
        if chain is not None:
            return chain
        if parent in self._hosts:
            return self._chain(parent)  # its masks hold the init layer's files
        name = f"init:{parent or ''}"
        if not self.exists(name):
            # Another thread may be quicker.
            with contextlib.suppress(Taken):
                number = self._take_number()
                self._insert(name, Kind.INIT, self._chain(parent), number, _make_init)
        chain = self._chain(name)
        if chain.masks is None:
            self._inits[parent] = chain
        return chain

    def _sync(self, number: int) -> None:
        fd = os.open(f"{self.root}/{number}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscall.syncfs(fd)
        finally:
            os.close(fd)


def _info(row: tuple[Value, ...]) -> Info:
    info = Info(*row)  # type: ignore[arg-type]
    return info._replace(kind=Kind(info.kind))


def _chain_of(number: int, path: str, below: _Chain) -> _Chain:
    status = os.stat(path)
    mode, uid, gid = status.st_mode & 0o7777, status.st_uid, status.st_gid
    return _Chain(number, [path, *below.lowers], mode, uid, gid, below.masks)


def _make_bare(folder: str) -> None:
    os.mkdir(folder, 0o700)
    os.mkdir(folder + "/fs", 0o700)
    os.mkdir(folder + "/work", 0o700)


def _make_active(folder: str, chain: _Chain) -> None:
    _make_bare(folder)
    _dress(folder, chain)


def _dress(folder: str, chain: _Chain) -> None:
    """The root of a container is its upper's root: it looks like the image's."""
    upper = folder + "/fs"
    if chain.uid or chain.gid:
        os.chown(upper, chain.uid, chain.gid)
    os.chmod(upper, chain.mode)


def _make_init(folder: str, below: _Chain) -> None:
    with merged.Directory.open(below.lowers) as image:
        _make_folder(folder, initlayer.plan(image))


def _make_folder(folder: str, entries: Sequence[layers.Entry]) -> None:
    os.mkdir(folder, 0o700)
    os.mkdir(folder + "/fs", 0o700)
    fd = os.open(folder + "/fs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        layers.make(entries, fd)
    finally:
        os.close(fd)
