"""Archives that Docker wrote before 1.10: one folder per layer, each with a config of its own.

<id>/json        what the image was after this layer; "parent" is the id below
<id>/layer.tar   the layer
repositories     {"busybox": {"latest": "<id>"}}
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from pinnace import errors
from pinnace.oci import image, reference
from pinnace.oci.reference import Reference
from pinnace.store import content, leases
from pinnace.store.archivefiles import Files
from pinnace.store.layers import Layer, Layers

# Fields of the old config that the new one has in other places, or not at all.
_DROPPED = ("id", "parent", "Size", "parent_id", "layer_id", "throwaway")


class Converted(NamedTuple):
    config: bytes
    layers: list[Layer]
    names: list[Reference]


def convert(
    files: Files, blobs: content.Store, layers: Layers, lease: leases.Lease
) -> Iterator[Converted]:
    """One image for every id that has a name."""
    raw = files.document("repositories")
    repositories = image.decode(raw, dict[str, dict[str, str]], "repositories file")
    names: dict[str, list[Reference]] = {}
    for repository, tags in repositories.items():
        for tag, id in tags.items():
            name = reference.with_tag(reference.parse(repository), tag)
            names.setdefault(id, []).append(name)
    for id, own in names.items():
        yield _convert(files, blobs, layers, lease, id)._replace(names=own)


def _convert(
    files: Files, blobs: content.Store, layers: Layers, lease: leases.Lease, id: str
) -> Converted:
    chain = _ancestry(files, id)
    made: list[Layer] = []
    history: list[dict[str, Any]] = []
    for name, document in chain:
        parent = made[-1].chain_id if made else None
        blob = files.blob(f"{name}/layer.tar").digest
        made.append(layers.add(blobs.chunks(blob), parent, lease))
        history.append(_history(document))
    _, top = chain[-1]
    config = {key: value for key, value in top.items() if key not in _DROPPED}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in made]}
    config["history"] = history
    return Converted(msgspec.json.encode(config), made, [])


def _ancestry(files: Files, id: str) -> list[tuple[str, dict[str, Any]]]:
    """Ids and configs from the lowest layer up."""
    chain: list[tuple[str, dict[str, Any]]] = []
    seen: set[str] = set()
    while id:
        if id in seen or "/" in id or files.find(f"{id}/json") is None:
            raise errors.Invalid(f"invalid target ID: {id}")
        seen.add(id)
        document = image.decode(files.document(f"{id}/json"), dict[str, Any], "image config")
        chain.append((id, document))
        parent = document.get("parent", "")
        id = parent if isinstance(parent, str) else ""
    return chain[::-1]


def _history(document: dict[str, Any]) -> dict[str, Any]:
    made_by = document.get("container_config") or {}
    command = made_by.get("Cmd") if isinstance(made_by, dict) else None
    entry = {
        "created": document.get("created"),
        "author": document.get("author"),
        "created_by": " ".join(command) if isinstance(command, list) else None,
        "comment": document.get("comment"),
    }
    return {key: value for key, value in entry.items() if value}
