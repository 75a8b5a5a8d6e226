"""New images: from an archive (`docker import`), from a container (`docker commit`)."""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

import pinnace
from pinnace import errors
from pinnace.oci import image, timestamp
from pinnace.oci.digest import Digest
from pinnace.oci.image import Config, History, ImageConfig, RootFS
from pinnace.store import differ, leases
from pinnace.store.imagestore import ImageStore
from pinnace.store.layers import Layers


def changed(config: Config, instructions: Sequence[str]) -> Config:
    """The config after Dockerfile instructions, `changes.apply`; raises Invalid."""
    if not instructions:
        return config
    from pinnace.store import changes  # with the whole language, which most engines never need

    return changes.apply(config, instructions)


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What a container gives to the image made of it; `config` is that of the image."""

    container_id: str
    config: Config
    container_config: Config
    parent: Digest | None
    author: str = ""
    comment: str = ""


def import_image(
    images: ImageStore,
    layers: Layers,
    lease: leases.Lease,
    archive: Iterable[bytes],
    *,
    message: str,
    instructions: Sequence[str],
    platform: str | None,
) -> Digest:
    """One layer, from a tar that may be compressed."""
    target = image.parse_platform(platform) if platform else image.host_platform()
    if target.os != "linux":
        raise errors.Invalid("operating system is not supported")
    config = changed(Config(), instructions)
    layer = layers.add(archive, None, lease)
    created = timestamp.text(time.time_ns())
    document = ImageConfig(
        architecture=target.architecture,
        variant=target.variant,
        os=target.os,
        created=created,
        comment=message or None,
        docker_version=pinnace.__version__,
        config=config,
        rootfs=RootFS(diff_ids=[layer.diff_id]),
        history=[History(created=created, comment=message or None)],
    )
    return images.put(msgspec.json.encode(document), [layer], lease=lease).id


def commit(
    images: ImageStore, layers: Layers, lease: leases.Lease, key: str, request: Commit
) -> Digest:
    """A layer of what the container has written, on top of its image's."""
    parent = images.get(request.parent) if request.parent else None
    below = images.layers(parent) if parent else []
    upper = images.snapshots.mounts(key).upper
    empty = _is_empty(upper)
    if not empty:
        top = parent.snapshot if parent else None
        below = [*below, layers.add(differ.diff(upper), top, lease)]
    created = timestamp.text(time.time_ns())
    entry = History(
        created=created,
        created_by=" ".join(request.container_config.cmd or ()) or None,
        author=request.author or None,
        comment=request.comment or None,
        empty_layer=empty or None,
    )
    origin = parent.config if parent else None
    machine = origin.platform if origin else image.host_platform()
    document = ImageConfig(
        architecture=machine.architecture,
        variant=machine.variant,
        os=machine.os,
        os_version=machine.os_version,
        os_features=machine.os_features,
        created=created,
        author=request.author or None,
        container=request.container_id,
        container_config=request.container_config,
        docker_version=pinnace.__version__,
        config=request.config,
        rootfs=RootFS(diff_ids=[layer.diff_id for layer in below]),
        history=[*((origin and origin.history) or ()), entry],
    )
    raw = msgspec.json.encode(document)
    return images.put(raw, below, lease=lease, parent=request.parent).id


def _is_empty(upper: str) -> bool:
    with suppress(StopIteration), os.scandir(upper) as listing:
        next(listing)
        return False
    return True
