"""Images as Docker's API shows them: summaries and their filters, inspect, history. Pure reading.

The documents are those of the newest API version; the API takes away what older ones lack.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pinnace import errors
from pinnace.oci import image as oci
from pinnace.oci import reference, timestamp
from pinnace.oci.digest import Digest
from pinnace.oci.reference import Reference
from pinnace.store.imagestore import Image, ImageStore
from pinnace.store.removal import Uses

Filters = dict[str, list[str]]
Shown = dict[str, Any]

_ZERO_TIME = "0001-01-01T00:00:00Z"
# What image-spec has of a container's config, and what Docker adds (moby, dockerspec).
_CONFIG_FIELDS = frozenset(
    (
        "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
        "StopSignal", "ArgsEscaped", "Healthcheck", "OnBuild", "Shell",
    )
)  # fmt: skip


def boolean(filters: Filters, name: str, default: bool) -> bool:
    values = filters.get(name)
    if not values:
        return default
    truths = {_BOOLEANS.get(value) for value in values}
    if len(truths) != 1 or None in truths:
        raise errors.Invalid(f"invalid filter '{name}={values}'")
    return truths == {True}


_BOOLEANS = {
    "1": True, "t": True, "T": True, "true": True, "True": True, "TRUE": True,
    "0": False, "f": False, "F": False, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def has_labels(wanted: Sequence[str], labels: dict[str, str]) -> bool:
    """All of "key" or "key=value"."""
    for item in wanted:
        key, equals, value = item.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def labels(image: Image) -> dict[str, str]:
    return (image.config.config and image.config.config.labels) or {}


def summaries(
    images: ImageStore, uses: Uses, *, all: bool, filters: Filters, shared_size: bool
) -> list[Shown]:
    """Newest first."""
    dangling = boolean(filters, "dangling", False)
    wanted = _matching(images, filters)
    found: list[tuple[Image, Shown]] = []
    everything = images.all()
    for image in everything:
        if not wanted(image):
            continue
        children = images.children(image.id)
        if dangling and children:
            continue
        names = images.references(image.id)
        patterns = filters.get("reference")
        if patterns:
            names = [name for name in names if _named(name, patterns)]
        hidden = bool(children) and not all
        unlisted = hidden or patterns or ("dangling" in filters and not dangling)
        if not names and unlisted:
            continue
        if dangling and any(not name.digest for name in names):
            continue
        found.append((image, _summary(image, names, sum(1 for _ in uses(image.id)))))
    if shared_size:
        _add_shared_size(images, everything, found)
    found.sort(key=lambda item: item[0].created, reverse=True)
    return [shown for _, shown in found]


def _matching(images: ImageStore, filters: Filters) -> Callable[[Image], bool]:
    before, since = _period(images, filters)
    wanted = filters.get("label", [])

    def matches(image: Image) -> bool:
        if before is not None and not image.created < before:
            return False
        if since is not None and not image.created > since:
            return False
        return has_labels(wanted, labels(image))

    return matches


def _period(images: ImageStore, filters: Filters) -> tuple[int | None, int | None]:
    """Images must be older than the first and younger than the second."""
    ends = [images.resolve(name).created for name in filters.get("before", [])]
    ends += [timestamp.ago(value, time.time_ns()) for value in filters.get("until", [])]
    starts = [images.resolve(name).created for name in filters.get("since", [])]
    return min(ends, default=None), max(starts, default=None)


def _named(name: Reference, patterns: Sequence[str]) -> bool:
    return any(reference.matches(pattern, name) for pattern in patterns)


def _summary(image: Image, names: Sequence[Reference], containers: int) -> Shown:
    config = image.config.config
    return {
        "Id": image.id,
        "ParentId": image.parent or "",
        "RepoTags": [name.familiar for name in names if not name.digest],
        "RepoDigests": [name.familiar for name in names if name.digest],
        "Created": image.created // timestamp.SECOND,
        "Size": image.size,
        "SharedSize": -1,
        "Labels": config.labels if config else None,
        "Containers": containers,
    }


def _add_shared_size(
    images: ImageStore, everything: Sequence[Image], found: Sequence[tuple[Image, Shown]]
) -> None:
    chains = {image.id: oci.chain_ids(image.config.diff_ids) for image in everything}
    owners: dict[Digest, int] = {}
    for chain in chains.values():
        for layer in chain:
            owners[layer] = owners.get(layer, 0) + 1
    for image, shown in found:
        shared = [layer for layer in chains[image.id] if owners[layer] > 1]
        shown["SharedSize"] = sum(images.snapshots.usage(layer).size for layer in shared)


def inspection(images: ImageStore, image: Image) -> Shown:
    config, names = image.config, images.references(image.id)
    history = config.history or []
    comment = config.comment or (history[-1].comment if history else None)
    shown: Shown = {
        "Id": image.id,
        "RepoTags": [name.familiar for name in names if not name.digest],
        "RepoDigests": [name.familiar for name in names if name.digest],
        "Parent": image.parent,
        "Comment": comment,
        "Created": config.created,
        "DockerVersion": config.docker_version,
        "Author": config.author,
        "Architecture": config.architecture or "",
        "Variant": config.variant,
        "Os": config.os or "linux",
        "OsVersion": config.os_version,
        "Size": image.size,
        "GraphDriver": {"Data": _folders(images, image), "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Metadata": {"LastTagTime": timestamp.text(image.updated) if image.updated else _ZERO_TIME},
        "Config": _config(config.config),
    }
    return {name: value for name, value in shown.items() if value or name not in _OMITTED_EMPTY}


_OMITTED_EMPTY = frozenset(
    ("Parent", "Comment", "Created", "DockerVersion", "Author", "Variant", "OsVersion")
)


def _folders(images: ImageStore, image: Image) -> dict[str, str] | None:
    chain = oci.chain_ids(image.config.diff_ids)
    if not chain:
        return None
    top, *lowers = images.snapshots.mounts(chain[-1]).lowers
    own = top.removesuffix("/fs")
    data = {"MergedDir": f"{own}/merged", "UpperDir": top, "WorkDir": f"{own}/work"}
    return {"LowerDir": ":".join(lowers), **data} if lowers else data


def _config(config: oci.Config | None) -> Shown:
    shown: Shown = msgspec.to_builtins(config) if config else {}
    return {name: value for name, value in shown.items() if value and name in _CONFIG_FIELDS}


def history(images: ImageStore, image: Image) -> list[Shown]:
    """Newest first. Only images that were made here know the ids of what they are made from."""
    chain = iter(oci.chain_ids(image.config.diff_ids))
    rows: list[Shown] = []
    for entry in image.config.history or []:
        size = 0 if entry.empty_layer else images.snapshots.usage(next(chain)).size
        rows.append(
            {
                "Id": "<missing>",
                "Created": _seconds(entry.created),
                "CreatedBy": entry.created_by or "",
                "Tags": None,
                "Size": size,
                "Comment": entry.comment or "",
            }
        )
    rows.reverse()
    origin: Image | None = image
    for row in rows:
        if origin is None:
            break
        row["Id"] = origin.id
        tags = [name.familiar for name in images.references(origin.id) if not name.digest]
        row["Tags"] = tags or None
        parent = origin.parent
        origin = images.get(parent) if parent and images.exists(parent) else None
    return rows


def _seconds(text: str | None) -> int:
    try:
        return timestamp.parse(text or "") // timestamp.SECOND
    except errors.Invalid:
        return 0
