"""The files of an archive of images, by name, wherever their content went.

Every file goes into the content store as it passes, whatever it will turn out to be, since what
explains the files may come last. Nothing is written under a name that the archive chose.
"""

from collections.abc import Iterable

from pinnace import errors
from pinnace.oci import digest as digests
from pinnace.oci import image
from pinnace.oci.digest import Digest, Mismatch
from pinnace.store import content, leases, tar
from pinnace.store.content import Blob
from pinnace.store.tarreader import Reader

_DOCUMENT_LIMIT = image.CONFIG_LIMIT
_LINKS = 8  # how many links lead from a name to a file


class Files:
    """What was in the archive: names → blobs, also by way of links (old archives share layers
    by them)."""

    def __init__(self, store: content.Store) -> None:
        self._store = store
        self._blobs: dict[str, Blob] = {}
        self._links: dict[str, str] = {}

    def take(self, archive: Iterable[bytes], lease: leases.Lease) -> None:
        reader = Reader(archive)
        for member in reader:
            name = _decode(tar.relative(member.name))
            if member.type == tar.REGULAR and member.segments is None:
                self._blobs[name] = self._ingest(reader, member, lease)
                self._links.pop(name, None)
            elif member.type in (tar.LINK, tar.SYMLINK):
                self._links[name] = _target(name, member)
                self._blobs.pop(name, None)
            elif member.type != tar.DIRECTORY:
                raise errors.Invalid(f"invalid archive: {name} is not a file")

    def _ingest(self, reader: Reader, member: tar.Member, lease: leases.Lease) -> Blob:
        with self._store.ingest(size=member.stored) as ingest:
            for piece in reader.data():
                ingest.write(piece)
            return ingest.commit(lease)

    def names(self) -> list[str]:
        return [*self._blobs, *self._links]

    def find(self, name: str) -> Blob | None:
        name = _decode(tar.relative(name.encode("utf-8", "surrogateescape")))
        for _ in range(_LINKS):
            if name not in self._links:
                return self._blobs.get(name)
            name = self._links[name]
        return None

    def blob(self, name: str) -> Blob:
        found = self.find(name)
        if found is None:
            raise errors.Invalid(f"invalid archive: file {name!r} is missing")
        return found

    def document(self, name: str) -> bytes:
        return self._store.read(self.blob(name).digest, _DOCUMENT_LIMIT)

    def at(self, digest: Digest, size: int) -> Blob:
        """A blob of an OCI layout; its content must be what its name says."""
        blob = self.blob(f"blobs/sha256/{digests.encoded(digest)}")
        if blob.digest != digest:
            raise Mismatch(f"content has digest {blob.digest}, expected {digest}")
        if blob.size != size:
            raise Mismatch(f"content {digest} is {blob.size} bytes long, expected {size}")
        return blob


def _decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _target(name: str, member: tar.Member) -> str:
    """Where a link leads, below the archive's root; a hard link's target is complete."""
    link = member.link
    if member.type == tar.SYMLINK and not link.startswith(b"/"):
        folder = name.rpartition("/")[0].encode("utf-8", "surrogateescape")
        link = folder + b"/" + link
    return _decode(tar.relative(link))
