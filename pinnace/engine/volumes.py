"""Volumes of the local driver: named folders that outlive containers.

    volumes/<name>/_data     what containers see
    volumes/.removed-<hex>   a removed one, until its files are gone

Rule 1: a volume that a container refers to, running or not, is not removed (`_holders`).
Rule 2: only what carries a name of ours is ever swept: an unknown folder is somebody's data.
"""

import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from pinnace import errors
from pinnace.engine import documents, volume_content, volume_options
from pinnace.engine import filters as words
from pinnace.engine.documents import MountPoint, Record
from pinnace.engine.events import Events
from pinnace.engine.filters import Filters
from pinnace.store import trees
from pinnace.store.database import Database, Taken

Shown: TypeAlias = dict[str, Any]

DRIVER: Final = "local"
ANONYMOUS: Final = "com.docker.volume.anonymous"
CHARACTERS: Final = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_GRAMMAR: Final = re.compile(rf"{CHARACTERS}+\Z")
_REMOVED: Final = ".removed-"

_log = logging.getLogger(__name__)
_PRUNE: Final = frozenset({"label", "label!", "all"})


class Volume(Record):
    """A volume as the database keeps it; options and labels are None when none were given."""

    name: str
    created: int = 0
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None

    @property
    def anonymous(self) -> bool:
        return ANONYMOUS in (self.labels or {})


class Volumes:
    def __init__(self, database: Database, folder: str, events: Events) -> None:
        self._database = database
        self._folder = folder
        self._events = events
        self._lock = threading.RLock()
        self._holders: dict[str, set[str]] = {}
        self._mounted: dict[str, set[str]] = {}
        os.makedirs(folder, 0o701, exist_ok=True)
        rows = (msgspec.json.decode(row.document, type=Volume) for row in database.volumes())
        self._volumes: dict[str, Volume] = {volume.name: volume for volume in rows}
        for row in database.containers():
            known = documents.unpack_container(row.document)
            self._hold(known.mounts, known.id)
        self._sweep()

    def _sweep(self) -> None:
        for name in os.listdir(self._folder):
            if name.startswith(_REMOVED):
                self._delete(name)

    def data(self, name: str) -> str:
        """Where a volume's files are."""
        return f"{self._folder}/{name}/_data"

    # Docker's verbs

    def create(
        self,
        name: str,
        driver: str,
        options: Mapping[str, str] | None,
        labels: Mapping[str, str] | None,
    ) -> Shown:
        """Make a volume; one of that name that exists already is as good."""
        with self._lock:
            return self._shown(self._create(name, driver, options, labels))

    def _create(
        self,
        name: str,
        driver: str,
        options: Mapping[str, str] | None,
        labels: Mapping[str, str] | None,
    ) -> Volume:
        labels = dict(labels) if labels else None
        if not name:
            name = secrets.token_hex(32)
            labels = {**(labels or {}), ANONYMOUS: ""}
        _check(name, driver, options)
        if (known := self._volumes.get(name)) is not None:
            return known
        volume = Volume(
            name=name,
            created=time.time_ns(),
            options=dict(options) if options is not None else None,
            labels=labels,
        )
        self._store(volume)
        self._events.volume("create", name, {"driver": DRIVER})
        return volume

    def _store(self, volume: Volume) -> None:
        """The folder first: a row always has one."""
        os.makedirs(f"{self._folder}/{volume.name}", 0o701, exist_ok=True)
        os.makedirs(self.data(volume.name), 0o755, exist_ok=True)
        try:
            self._database.put_volume(volume.name, msgspec.json.encode(volume))
        except Taken:
            pass  # its row survived something that our memory did not
        self._volumes[volume.name] = volume

    def inspect(self, name: str) -> Shown:
        with self._lock:
            return self._shown(self._get(name))

    def _get(self, name: str) -> Volume:
        try:
            return self._volumes[name]
        except KeyError:
            raise errors.NotFound(f"get {name}: no such volume") from None

    def list(self, filters: Filters) -> tuple[Sequence[Shown], Sequence[str]]:
        """Volumes by name, and warnings of drivers, of which there are none."""
        words.check(filters, words.VOLUMES)
        dangling = words.boolean(filters, "dangling")
        with self._lock:
            chosen = [
                volume
                for volume in sorted(self._volumes.values(), key=lambda volume: volume.name)
                if words.matches(filters, "name", volume.name)
                and words.exact(filters, "driver", DRIVER)
                and words.labels(filters, volume.labels or {})
                and ("dangling" not in filters or dangling != bool(self._holders.get(volume.name)))
            ]
            return [self._shown(volume) for volume in chosen], []

    def remove(self, name: str, *, force: bool = False) -> None:
        with self._lock:
            if force and name not in self._volumes:
                return
            removed = self._remove(self._get(name))
        self._delete(removed)

    def _delete(self, name: str) -> None:
        path = f"{self._folder}/{name}"
        try:
            folder_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            for entry in os.listdir(folder_fd):
                for _ in trees.delete(folder_fd, entry):
                    pass
            os.rmdir(path)
        except OSError as error:
            _log.warning("what a volume was stays in %s: %s", path, error)
        finally:
            os.close(folder_fd)

    def _remove(self, volume: Volume) -> str:
        """Forget a volume that nothing refers to; its folder's name now, to be deleted."""
        if holders := self._holders.get(volume.name):
            listed = ", ".join(sorted(holders))
            raise errors.Conflict(f"remove {volume.name}: volume is in use - [{listed}]")
        self._database.delete_volume(volume.name)
        del self._volumes[volume.name]
        # Out of the way by one rename: files may be many, and the name is free at once.
        removed = f"{_REMOVED}{secrets.token_hex(8)}"
        try:
            os.rename(f"{self._folder}/{volume.name}", f"{self._folder}/{removed}")
        except FileNotFoundError:
            pass
        self._events.volume("destroy", volume.name, {"driver": DRIVER})
        return removed

    def prune(self, filters: Filters) -> tuple[Sequence[str], int]:
        """Remove what nothing refers to: anonymous volumes, with `all` named ones too."""
        words.check(filters, _PRUNE)
        named = _all(filters)
        removed: dict[str, str] = {}
        with self._lock:
            for volume in list(self._volumes.values()):
                unwanted = named or volume.anonymous
                if self._holders.get(volume.name) or not unwanted:
                    continue
                if words.prunable(filters, volume.labels or {}):
                    removed[volume.name] = self._remove(volume)
        reclaimed = 0
        for name in removed.values():
            reclaimed += volume_content.size(f"{self._folder}/{name}")
            self._delete(name)
        self._events.volume("prune", "", {"reclaimed": str(reclaimed)})
        return list(removed), reclaimed

    def usage(self) -> Sequence[Shown]:
        """All volumes with what they take, for `system df`."""
        with self._lock:
            known = [(self._shown(v), len(self._holders.get(v.name, ()))) for v in self._all()]
        for shown, holders in known:
            shown["UsageData"] = {
                "Size": volume_content.size(shown["Mountpoint"]),
                "RefCount": holders,
            }
        return [shown for shown, _ in known]

    def _all(self) -> Iterable[Volume]:
        return sorted(self._volumes.values(), key=lambda volume: volume.name)

    def _shown(self, volume: Volume) -> Shown:
        created = datetime.fromtimestamp(volume.created // 10**9, UTC)
        return {
            "CreatedAt": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Driver": DRIVER,
            "Labels": volume.labels,
            "Mountpoint": self.data(volume.name),
            "Name": volume.name,
            "Options": volume.options,
            "Scope": "local",
        }

    # For containers

    def provide(self, points: Sequence[MountPoint], ident: str, layers: Sequence[str]) -> None:
        """Make the volumes that a new container's mounts name, hold them for it and fill them.

        Fills in the points' names, sources and drivers; layers (top first) are the container's
        own. When one can't be made, what was made for this container alone is gone again.
        """
        try:
            with self._lock:
                for point in points:
                    if point.type == "volume":
                        self._resolve(point, ident)
            for point in points:
                if point.type == "volume" and point.copy_data:
                    volume_content.copy_up(layers, point.destination, point.source)
        except BaseException:
            self.release(ident, points)
            raise

    def _resolve(self, point: MountPoint, ident: str) -> None:
        options = point.mount.volume_options if point.mount else None
        wanted = options.driver_config.options if options and options.driver_config else None
        labels = options.labels if options else None
        volume = self._create(point.name, point.driver, wanted, labels)
        point.name = volume.name
        point.source = self.data(volume.name)
        point.driver = DRIVER
        if point.mount is not None and not point.mode:
            point.mode = "z"  # Docker's word for "to be shared"; shown by inspect
        self._holders.setdefault(volume.name, set()).add(ident)

    def _hold(self, points: Iterable[MountPoint], ident: str) -> None:
        for point in points:
            if point.type == "volume" and point.name:
                self._holders.setdefault(point.name, set()).add(ident)

    def release(self, ident: str, points: Iterable[MountPoint] = ()) -> None:
        """A container is gone, and with it those of its mounts in points that are its own.

        With no points (a removal that keeps volumes) it just lets go of all.
        """
        removed: list[str] = []
        with self._lock:
            self.unmount(ident)
            for name, holders in list(self._holders.items()):
                holders.discard(ident)
                if not holders:
                    del self._holders[name]
            for point in points:
                own = point.type == "volume" and point.anonymous
                # Another container may have it, by --volumes-from.
                if own and point.name in self._volumes and point.name not in self._holders:
                    removed.append(self._remove(self._volumes[point.name]))
        for name in removed:
            self._delete(name)

    # Around a run

    def mount(self, points: Iterable[MountPoint], ident: str) -> None:
        """Before a start: make missing bind sources, and mount volumes that have a device.

        The first container of such a volume mounts it, the last one takes it down (`unmount`).
        """
        for point in points:
            if point.type == "bind":
                _ensure_source(point)
        with self._lock:
            for point in points:
                volume = self._volumes.get(point.name) if point.type == "volume" else None
                if volume is not None and (volume.options or {}).get("device"):
                    if not self._mounted.get(volume.name):
                        volume_options.mount(volume.options or {}, self.data(volume.name))
                    self._mounted.setdefault(volume.name, set()).add(ident)

    def unmount(self, ident: str) -> None:
        """After an exit: the last container of a volume unmounts it."""
        with self._lock:
            for name, users in list(self._mounted.items()):
                users.discard(ident)
                if not users:
                    del self._mounted[name]
                    volume_options.unmount(self.data(name))


def _ensure_source(point: MountPoint) -> None:
    """Docker makes a missing folder of `-v`, but not that of `--mount`."""
    if os.path.exists(point.source):
        return
    if not point.create_source:
        raise errors.Failed(
            f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
        )
    try:
        os.makedirs(point.source, 0o755, exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise errors.Failed(
            f"error while creating mount source path '{point.source}': "
            f"mkdir {point.source}: {reason}"
        ) from error


def _check(name: str, driver: str, options: Mapping[str, str] | None) -> None:
    if driver not in ("", DRIVER):
        raise errors.NotFound(
            f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        )
    if len(name) == 1:
        raise errors.Invalid(
            f"create {name}: volume name is too short, "
            "names should be at least two alphanumeric characters"
        )
    if not _GRAMMAR.match(name) or len(name) > 255:
        raise errors.Invalid(
            f'create {name}: "{name}" includes invalid characters for a local volume name, '
            f'only "{CHARACTERS}" are allowed. If you intended to pass a host directory, '
            "use absolute path"
        )
    if problem := volume_options.problem(options or {}):
        raise errors.Invalid(f"create {name}: {problem}")


def _all(filters: Filters) -> bool:
    values = filters.get("all", ())
    if len(values) > 1:
        raise errors.Invalid(
            f"invalid filter 'all=[{' '.join(values)}]': only one value is expected"
        )
    try:
        return words.boolean(filters, "all")
    except errors.Invalid:
        raise errors.Invalid(
            f"invalid filter 'all': strconv.ParseBool: parsing \"{values[0]}\": invalid syntax"
        ) from None
