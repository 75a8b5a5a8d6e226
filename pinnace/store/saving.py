"""Images of the store → one archive for `docker load`, Podman, skopeo and OCI tools.

As Docker 28 writes it: an OCI layout whose layers are uncompressed, so that their file names are
their diff ids, and manifest.json and repositories beside it. Sizes are known before content, so
nothing is written to disk.
"""

import json
import os
from collections.abc import Iterator, Sequence

import msgspec

from pinnace import errors
from pinnace.oci import image as oci
from pinnace.oci import reference
from pinnace.oci.digest import Digest, Digester, Mismatch, encoded
from pinnace.oci.reference import Reference
from pinnace.store import streams, tar
from pinnace.store.imagestore import Image, ImageStore
from pinnace.store.layers import Layer
from pinnace.store.tar import Member

Chosen = list[tuple[Image, list[Reference]]]

_SECOND = 1_000_000_000


def choose(images: ImageStore, texts: Sequence[str]) -> Chosen:
    """The images, each with the tags it is saved under. A repository means all of its tags."""
    chosen: dict[Digest, tuple[Image, list[Reference]]] = {}

    def add(id: Digest, name: Reference | None) -> None:
        _, names = chosen.setdefault(id, (images.get(id), []))
        if name is not None and name not in names:
            names.append(name)

    for text in texts:
        if (id := reference.identifier(text)) is not None:
            add(id, None)
            continue
        name = reference.parse(text).pinned()
        tags = [] if name.tag or name.digest else images.tagged(name.repository)
        for tag, id in tags:
            add(id, tag)
        if not tags:
            found = _only(images, text, name)
            known = images.named(name.tagged()) is not None
            add(found.id, name.tagged() if known and not name.digest else None)
    return list(chosen.values())


def _only(images: ImageStore, text: str, name: Reference) -> Image:
    try:
        return images.resolve(text)
    except errors.NotFound:
        told = "reference does not exist" if name.tag or name.digest else f"No such image: {text}"
        raise errors.NotFound(told) from None


def write(images: ImageStore, chosen: Chosen) -> Iterator[bytes]:
    saver = _Saver(images)
    for image, names in chosen:
        yield from saver.image(image, names)
    yield from saver.documents()
    yield tar.END


class _Saver:
    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._written: set[str] = set()
        self._items: list[dict[str, object]] = []
        self._descriptors: list[oci.Descriptor] = []
        self._repositories: dict[str, dict[str, str]] = {}

    def image(self, image: Image, names: Sequence[Reference]) -> Iterator[bytes]:
        layers = self._images.layers(image)
        if not layers:
            raise errors.Failed("empty export - not implemented")
        time = image.created
        config = self._images.config(image.id)
        descriptors: list[oci.Descriptor] = []
        for layer in layers:
            size = self._size(layer)
            descriptors.append(
                oci.Descriptor(media_type=oci.OCI_LAYER, digest=layer.diff_id, size=size)
            )
            yield from self._blob(layer.diff_id, size, self._content(layer), time)
        yield from self._blob(image.id, len(config), iter([config]), time)
        manifest = msgspec.json.encode(
            oci.Manifest(
                media_type=oci.OCI_MANIFEST,
                config=oci.Descriptor(media_type=oci.OCI_CONFIG, digest=image.id, size=len(config)),
                layers=descriptors,
            )
        )
        digest = oci_digest(manifest)
        yield from self._blob(digest, len(manifest), iter([manifest]), 0)
        self._list(image, names, layers, digest, len(manifest))

    def documents(self) -> Iterator[bytes]:
        """What is in the archive, for every kind of reader."""
        index = oci.Index(media_type=oci.OCI_INDEX, manifests=self._descriptors)
        yield from self._file("index.json", msgspec.json.encode(index))
        yield from self._file("manifest.json", _json(self._items))
        yield from self._file("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        if self._repositories:
            yield from self._file("repositories", _json(self._repositories))

    def _list(
        self,
        image: Image,
        names: Sequence[Reference],
        layers: Sequence[Layer],
        manifest: Digest,
        size: int,
    ) -> None:
        descriptor = oci.Descriptor(media_type=oci.OCI_MANIFEST, digest=manifest, size=size)
        for name in names:
            annotations = {
                "io.containerd.image.name": str(name),
                "org.opencontainers.image.ref.name": name.tag or "",
            }
            named = msgspec.structs.replace(descriptor, annotations=annotations)
            self._descriptors.append(named)
            tags = self._repositories.setdefault(name.familiar_name, {})
            tags[name.tag or ""] = encoded(layers[-1].diff_id)
        if not names:
            self._descriptors.append(descriptor)
        self._items.append(
            {
                "Config": _path(image.id),
                "RepoTags": [name.familiar for name in names] or None,
                "Layers": [_path(layer.diff_id) for layer in layers],
            }
        )

    def _content(self, layer: Layer) -> Iterator[bytes]:
        return streams.decompressed(self._images.blobs.chunks(layer.blob))[1]

    def _size(self, layer: Layer) -> int:
        """Of the uncompressed archive. A compressed one does not say, and has to be counted."""
        if layer.media_type.endswith(".tar") and self._images.blobs.size(layer.blob) is not None:
            head, _ = streams.peek(self._images.blobs.chunks(layer.blob), streams.LONGEST_MAGIC)
            if not streams.compression(head):
                return os.stat(self._images.blobs.path(layer.blob)).st_size
        if self._images.blobs.size(layer.blob) is None:
            raise errors.Unsupported(
                "an image made of this machine's own root file system cannot be saved"
            )
        digester = Digester()
        for chunk in self._content(layer):
            digester.update(chunk)
        return digester.size

    def _blob(
        self, digest: Digest, size: int, content: Iterator[bytes], time: int
    ) -> Iterator[bytes]:
        """Raises Mismatch when the content is not what its name says: the archive is then cut."""
        path = _path(digest)
        if path in self._written:
            return
        yield from self._folders(time)
        self._written.add(path)
        yield tar.header(Member(path.encode(), tar.REGULAR, 0o644, 0, 0, size, time))
        digester = Digester()
        for chunk in content:
            digester.update(chunk)
            yield chunk
        if digester.digest != digest or digester.size != size:
            raise Mismatch(f"content has digest {digester.digest}, expected {digest}")
        yield tar.padding(size)

    def _folders(self, time: int) -> Iterator[bytes]:
        for path in ("blobs/", "blobs/sha256/"):
            if path not in self._written:
                self._written.add(path)
                yield tar.header(Member(path.encode(), tar.DIRECTORY, 0o755, 0, 0, 0, time))

    def _file(self, name: str, data: bytes) -> Iterator[bytes]:
        header = tar.header(Member(name.encode(), tar.REGULAR, 0o644, 0, 0, len(data), 0))
        yield header + data + tar.padding(len(data))


def oci_digest(data: bytes) -> Digest:
    digester = Digester()
    digester.update(data)
    return digester.digest


def _path(digest: Digest) -> str:
    return f"blobs/sha256/{encoded(digest)}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
