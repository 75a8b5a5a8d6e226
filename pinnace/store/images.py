"""Docker's image verbs, without HTTP: what `docker images, tag, rmi, import, load...` ask for.

Documents are Docker's, as dicts; errors are in Docker's words.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pinnace import errors
from pinnace.oci import reference, timestamp
from pinnace.oci.digest import Digest
from pinnace.store import archive, authoring, builtin, content, imagelist, leases, saving, streams
from pinnace.store.authoring import Commit
from pinnace.store.database import Database
from pinnace.store.imagelist import Filters, Shown
from pinnace.store.imagestore import Image, ImageStore
from pinnace.store.layers import Layers
from pinnace.store.removal import Notify, Removal, Uses, prunable
from pinnace.store.snapshots import Overlay

Archive = Iterable[bytes] | streams.Readable


def _unused(image: Digest) -> tuple[()]:
    return ()


def _silent(action: str, image: Digest, attributes: dict[str, str]) -> None:
    pass


class Images:
    """`uses` tells the containers of an image, `notify` is told of events (action, image id,
    attributes). `hidden` are folders that the image `host` must not show."""

    def __init__(
        self,
        root: Path | str,
        database: Database,
        snapshots: Overlay,
        *,
        uses: Uses = _unused,
        notify: Notify = _silent,
        hidden: Sequence[str] = (),
    ) -> None:
        self._database = database
        self._uses = uses
        self._notify = notify
        self._leases = leases.Leases(database)
        blobs = content.Store(root, database)
        self._layers = Layers(blobs, snapshots)
        self.store = ImageStore(database, blobs, snapshots)
        self._pruning = threading.Lock()
        self._add_builtin([*hidden, blobs.root, snapshots.root])
        self.store.sweep()

    def _add_builtin(self, hidden: Sequence[str]) -> None:
        builtin.add_host(self.store, hidden=hidden)
        if self._database.meta("builtin images") is None:
            with self._leases.hold() as lease:
                builtin.add(self.store, self._layers, lease, hidden=hidden)
                self._database.put_meta("builtin images", b"1")

    # Looking.

    def resolve(self, reference: str) -> Image:
        """By id, name, or beginning of an id. Raises NotFound ("No such image: ...")."""
        return self.store.resolve(reference)

    def list(
        self, *, all: bool = False, filters: Filters | None = None, shared_size: bool = False
    ) -> Sequence[Shown]:
        return imagelist.summaries(
            self.store, self._uses, all=all, filters=filters or {}, shared_size=shared_size
        )

    def inspect(self, reference: str) -> Shown:
        return imagelist.inspection(self.store, self.resolve(reference))

    def history(self, reference: str) -> Sequence[Shown]:
        return imagelist.history(self.store, self.resolve(reference))

    def layers_size(self) -> int:
        """Bytes of all layers, each counted once."""
        return sum(info.size for info in self.store.snapshots.all())

    # Names.

    def tag(self, reference: str, repo: str, tag: str = "") -> None:
        image = self.resolve(reference)
        name = _new_name(repo, tag)
        if name is None:
            raise errors.Invalid("invalid reference format")
        self._tag(name, image.id)

    def _tag(self, name: reference.Reference, id: Digest) -> None:
        self.store.tag(name, id)
        self._notify("tag", id, {"name": name.familiar})

    def remove(self, reference: str, *, force: bool = False, prune: bool = True) -> Sequence[Shown]:
        """What happened, in order: {"Untagged": name}, {"Deleted": image or layer}."""
        removal = Removal(self.store, self._uses, self._notify)
        removal.remove(reference, force=force, prune=prune)
        return removal.records

    def prune(self, filters: Filters) -> tuple[Sequence[Shown], int]:
        """Untagged images, or with dangling=false all that no container uses; bytes freed."""
        if not self._pruning.acquire(blocking=False):
            raise errors.Conflict("a prune operation is already running")
        try:
            return self._prune(filters)
        finally:
            self._pruning.release()

    def _prune(self, filters: Filters) -> tuple[Sequence[Shown], int]:
        dangling = imagelist.boolean(filters, "dangling", True)
        wanted = _prune_filter(filters)
        sizes = {info.key: info.size for info in self.store.snapshots.all()}
        records: list[Shown] = []
        for _, names in prunable(self.store, dangling=dangling, wanted=wanted):
            for name in names:
                removal = Removal(self.store, self._uses, self._notify)
                try:
                    removal.remove(name, force=False, prune=True)
                except (errors.Conflict, errors.NotFound):
                    continue  # in use, or gone with an image pruned before
                records += removal.records
        freed = sum(sizes.get(record.get("Deleted", ""), 0) for record in records)
        return records, freed

    # Coming and going.

    def import_(
        self,
        archive: Archive,
        *,
        repo: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str | None = None,
    ) -> str:
        name = _new_name(repo, tag)
        with self._leases.hold() as lease:
            id = authoring.import_image(
                self.store,
                self._layers,
                lease,
                _chunks(archive),
                message=message,
                instructions=changes,
                platform=platform,
            )
            if name:
                self._tag(name, id)
        self._notify("import", id, {"name": id})
        return id

    def commit(self, key: str, request: Commit, *, repo: str = "", tag: str = "") -> str:
        """An image of a container: `key` is its snapshot. It should stand still meanwhile."""
        name = _new_name(repo, tag)
        with self._leases.hold() as lease:
            id = authoring.commit(self.store, self._layers, lease, key, request)
            self._notify("create", id, {"name": id})
            if name:
                self._tag(name, id)
        return id

    def load(self, archive_: Archive) -> Iterator[str]:
        """Images of a `docker save` archive or an OCI layout; their names, ids if they have
        none. The work is done while the names are taken."""
        with self._leases.hold() as lease:
            loader = archive.Loader(self.store, self._layers, lease)
            for loaded in loader.load(_chunks(archive_)):
                for name in loaded.names:
                    self.store.tag(name, loaded.id)  # Docker has no event for this one.
                self._notify("load", loaded.id, {"name": loaded.id})
                yield from [name.familiar for name in loaded.names] or [loaded.id]

    def save(self, references: Sequence[str]) -> Iterator[bytes]:
        """An archive that both `docker load` and readers of OCI layouts understand."""
        chosen = saving.choose(self.store, references)
        for image, _ in chosen:
            self._notify("save", image.id, {"name": image.id})
        return saving.write(self.store, chosen)


def _new_name(repo: str, tag: str) -> reference.Reference | None:
    name = reference.repository_tag(repo, tag)
    if name is not None and name.familiar_name == "sha256":
        raise errors.Invalid("refusing to create an ambiguous tag using digest algorithm as name")
    return name


def _chunks(archive: Archive) -> Iterator[bytes]:
    # Files are iterable too, by lines.
    if isinstance(archive, streams.Readable):
        return streams.from_file(archive)
    return iter(archive)


def _prune_filter(filters: Filters) -> Callable[[Image], bool]:
    until = filters.get("until", [])
    if len(until) > 1:
        raise errors.Invalid("more than one until filter specified")
    limit = timestamp.ago(until[0], time.time_ns()) if until else None
    wanted, unwanted = filters.get("label", []), filters.get("label!", [])

    def matches(image: Image) -> bool:
        labels = imagelist.labels(image)
        if limit is not None and image.created > limit:
            return False
        if unwanted and imagelist.has_labels(unwanted, labels):
            return False
        return imagelist.has_labels(wanted, labels)

    return matches
