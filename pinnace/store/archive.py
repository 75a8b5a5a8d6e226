"""Archives of images → the store: what `docker save` writes, old and new, and OCI layouts.

The archive is read once: every file goes into the content store as it passes, whatever it will
turn out to be, since what explains the files may come last. Then

    manifest.json           Docker since 1.10: configs, layers and tags by file name
    index.json              an OCI layout: descriptors by digest
    repositories, */json    Docker before 1.10

decides, in this order, as in Docker. Files that no image needed are collected afterwards.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from pinnace import errors
from pinnace.oci import image, reference
from pinnace.oci.digest import Digest
from pinnace.oci.reference import Reference
from pinnace.store import leases, legacy, streams
from pinnace.store.archivefiles import Files
from pinnace.store.content import Blob
from pinnace.store.imagestore import ImageStore
from pinnace.store.layers import Layer, Layers


class Loaded(NamedTuple):
    id: Digest
    names: list[Reference]


class _Item(msgspec.Struct, rename="pascal"):
    """One entry of manifest.json."""

    config: str
    layers: list[str] | None
    repo_tags: list[str] | None = None


class Loader:
    def __init__(self, images: ImageStore, layers: Layers, lease: leases.Lease) -> None:
        self._images = images
        self._layers = layers
        self._lease = lease
        self._files = Files(images.blobs)

    def load(self, archive: Iterable[bytes]) -> Iterator[Loaded]:
        """Raises Invalid; images that came before the mistake are loaded."""
        _, plain = streams.decompressed(archive)
        with streams.Ahead(plain) as chunks:
            self._files.take(chunks, self._lease)
        if self._files.find("manifest.json"):
            yield from self._load_docker()
        elif self._files.find("index.json"):
            yield from self._load_layout()
        elif self._files.find("repositories"):
            for item in legacy.convert(self._files, self._images.blobs, self._layers, self._lease):
                stored = self._images.put(item.config, item.layers, lease=self._lease)
                yield Loaded(stored.id, item.names)
        else:
            raise errors.Invalid(
                "invalid archive: no manifest.json, index.json or repositories file"
            )

    def _load_docker(self) -> Iterator[Loaded]:
        raw = self._files.document("manifest.json")
        items = image.decode(raw, list[_Item] | None, "manifest.json")  # type: ignore[arg-type]
        if items is None:
            raise errors.Invalid("invalid manifest, manifest cannot be null (but can be [])")
        for item in items:
            names = [_loaded_name(text) for text in item.repo_tags or ()]
            config = self._files.document(item.config)
            blobs = [self._files.blob(name) for name in item.layers or ()]
            yield Loaded(self._put(config, blobs, None), names)

    def _load_layout(self) -> Iterator[Loaded]:
        raw = self._files.document("index.json")
        for descriptor, names in self._manifests(raw, image.OCI_INDEX, depth=2):
            blob = self._files.at(descriptor.digest, descriptor.size)
            manifest = self._images.blobs.read(blob.digest, image.MANIFEST_LIMIT)
            decoded = image.decode_manifest(manifest, descriptor.media_type)
            if not isinstance(decoded, image.Manifest):
                raise errors.Invalid("invalid index: too many levels")
            config = self._files.at(decoded.config.digest, decoded.config.size)
            blobs = [self._files.at(layer.digest, layer.size) for layer in decoded.layers]
            document = self._images.blobs.read(config.digest, image.CONFIG_LIMIT)
            yield Loaded(self._put(document, blobs, manifest), names)

    def _manifests(
        self, raw: bytes, media_type: str, *, depth: int
    ) -> Iterator[tuple[image.Descriptor, list[Reference]]]:
        """The images of an index for this machine, each with the names it is given."""
        index = image.decode_manifest(raw, media_type)
        if not isinstance(index, image.Index):
            raise errors.Invalid("invalid index.json: it is a manifest")
        found: dict[Digest, tuple[image.Descriptor, list[Reference]]] = {}
        for descriptor in _for_this_machine(index.manifests):
            names = _annotated_names(descriptor)
            if descriptor.media_type in image.INDEXES:
                if depth == 0:
                    raise errors.Invalid("invalid index: too many levels")
                blob = self._files.at(descriptor.digest, descriptor.size)
                inner = self._images.blobs.read(blob.digest, image.MANIFEST_LIMIT)
                chosen = self._manifests(inner, descriptor.media_type, depth=depth - 1)
                for below, more in chosen:
                    found.setdefault(below.digest, (below, []))[1].extend([*names, *more])
            elif descriptor.media_type in image.MANIFESTS:
                found.setdefault(descriptor.digest, (descriptor, []))[1].extend(names)
        yield from found.values()

    def _put(self, config: bytes, blobs: list[Blob], manifest: bytes | None) -> Digest:
        decoded = image.decode_config(config)
        if decoded.platform.os != "linux":
            raise errors.Invalid(f"cannot load {decoded.platform.os} image on linux")
        if len(blobs) != len(decoded.diff_ids):
            raise errors.Invalid(
                f"invalid manifest, layers length mismatch: expected {len(blobs)},"
                f" got {len(decoded.diff_ids)}"
            )
        layers: list[Layer] = []
        for blob, diff_id in zip(blobs, decoded.diff_ids, strict=True):
            parent = layers[-1].chain_id if layers else None
            layers.append(self._layers.register(blob.digest, diff_id, parent, self._lease))
        return self._images.put(config, layers, lease=self._lease, manifest=manifest).id


def _loaded_name(text: str) -> Reference:
    name = reference.parse(text)
    if not name.tag or name.digest:
        raise errors.Invalid(f'invalid tag "{text}"')
    return name


def _annotated_names(descriptor: image.Descriptor) -> list[Reference]:
    """containerd's annotation holds a complete name; OCI's a tag, or whatever people put there."""
    annotations = descriptor.annotations or {}
    text = annotations.get("io.containerd.image.name")
    if not text:
        text = annotations.get("org.opencontainers.image.ref.name", "")
        if "/" not in text and ":" not in text:
            return []
    name = reference.parse(text).tagged()
    return [name] if name.tag and not name.digest else []


def _for_this_machine(descriptors: Iterable[image.Descriptor]) -> list[image.Descriptor]:
    """Those without a platform, and of those with one the ones that can run here."""
    machine = image.host_platform()
    # Attestations, listed beside the images, are for the platform unknown/unknown.
    return [
        descriptor
        for descriptor in descriptors
        if descriptor.platform is None
        or (descriptor.platform.os, descriptor.platform.architecture)
        == (machine.os, machine.architecture)
    ]
