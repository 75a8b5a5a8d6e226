"""The containers that exist: in memory to be found, in the database to stay.

Rule 1: whoever changes a record holds its lock and calls `save`.
Rule 2: no lock is held while waiting for a client or for a container to stop.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pinnace import errors
from pinnace.engine import documents
from pinnace.engine.documents import Container
from pinnace.store.database import Database, Taken


class Registry:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._by_id: dict[str, Container] = {}
        self._by_name: dict[str, str] = {}
        self._locks: dict[str, threading.RLock] = {}
        for row in database.containers():
            self._remember(documents.unpack_container(row.document))

    def _remember(self, container: Container) -> None:
        self._by_id[container.id] = container
        self._by_name[container.name] = container.id
        self._locks[container.id] = threading.RLock()

    def add(self, container: Container) -> None:
        """Raises Conflict if its name is taken; then nothing is added."""
        with self._guard:
            self._check_name(container.name)
            self._by_name[container.name] = container.id
        try:
            document = documents.pack(container)
            self._database.put_container(container.id, container.name, container.created, document)
        except BaseException:
            with self._guard:
                del self._by_name[container.name]
            raise
        with self._guard:
            self._remember(container)

    def _check_name(self, name: str) -> None:
        if (owner := self._by_name.get(name)) is not None:
            raise errors.Conflict(
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{owner}". You have to remove (or rename) that container to be able to reuse '
                "that name."
            )

    def get(self, ident: str) -> Container:
        """By id, name, or the beginning of an id that fits one container only."""
        container = self._by_id.get(ident)
        if container is not None:
            return container
        name = ident.removeprefix("/")
        if (owner := self._by_name.get(name)) is not None and owner in self._by_id:
            return self._by_id[owner]
        return self._by_prefix(ident)

    def _by_prefix(self, ident: str) -> Container:
        with self._guard:
            found = [c for key, c in self._by_id.items() if ident and key.startswith(ident)]
        if len(found) > 1:
            raise errors.Invalid(f"multiple IDs found with provided prefix: {ident}")
        if not found:
            raise errors.NotFound(f"No such container: {ident}")
        return found[0]

    def all(self) -> list[Container]:
        """Newest first."""
        with self._guard:
            containers = list(self._by_id.values())
        return sorted(containers, key=lambda container: container.created, reverse=True)

    @contextmanager
    def locked(self, ident: str) -> Iterator[Container]:
        """The container, which nobody else changes meanwhile."""
        container = self.get(ident)
        lock = self._locks.get(container.id)
        if lock is None:
            raise errors.NotFound(f"No such container: {ident}")
        with lock:
            if container.id not in self._by_id:
                raise errors.NotFound(f"No such container: {ident}")
            yield container

    def save(self, container: Container) -> None:
        container.version += 1
        self._database.update_container(container.id, documents.pack(container))

    def rename(self, container: Container, name: str) -> None:
        """Raises Conflict if the name is taken."""
        with self._guard:
            self._check_name(name)
            self._by_name[name] = container.id
        old, container.name = container.name, name
        container.version += 1
        try:
            self._database.rename_container(container.id, name, documents.pack(container))
        except (Taken, sqlite3.Error):
            container.name = old
            with self._guard:
                del self._by_name[name]
            raise
        with self._guard:
            del self._by_name[old]

    def remove(self, container: Container) -> None:
        self._database.delete_container(container.id)
        with self._guard:
            self._by_id.pop(container.id, None)
            self._by_name.pop(container.name, None)
            self._locks.pop(container.id, None)
