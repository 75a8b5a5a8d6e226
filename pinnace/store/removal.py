"""Which images may go, and what goes with them: Docker's rules for `rmi` and `prune`.

Removing a name removes the image only with its last name; removing an id removes all names, if
they are of one repository. A conflict is hard (a running container, a child image: never) or
soft (another name, a stopped container: unless forced). Sources: moby, daemon/images/
image_delete.go and image_prune.go, as of 28.5.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pinnace import errors
from pinnace.oci import reference
from pinnace.oci.digest import Digest, encoded
from pinnace.oci.reference import Reference
from pinnace.store.imagestore import Image, ImageStore


class Use(NamedTuple):
    """A container that was made from an image."""

    container: str
    running: bool


Uses = Callable[[Digest], Iterable[Use]]
Notify = Callable[[str, Digest, dict[str, str]], None]
Removed = dict[str, str]  # {"Untagged": name} or {"Deleted": id or chain id}


class _Refused(errors.Conflict):
    """`used`: by a container."""

    def __init__(self, id: Digest, reason: str, *, hard: bool, used: bool = False) -> None:
        force = "cannot be forced" if hard else "must be forced"
        super().__init__(f"conflict: unable to delete {short(id)} ({force}) - {reason}")
        self.used = used


class Removal:
    """One request; `records` is its answer, also of what was done before a failure."""

    def __init__(self, images: ImageStore, uses: Uses, notify: Notify) -> None:
        self._images = images
        self._uses = uses
        self._notify = notify
        self.records: list[Removed] = []

    def remove(self, text: str, *, force: bool, prune: bool) -> None:
        image = self._images.resolve(text)
        names = self._images.references(image.id)
        by_name = not _is_id_prefix(image.id, text)
        if by_name:
            if not force and _single(names):
                self._refuse_use(image, text)
            self._untag_requested(image, reference.parse(text).pinned().tagged())
            if self._images.references(image.id):
                return
        elif _single(names):
            self._check(image.id, names=False, stopped=not force)
            for name in names:
                self._untag(image, name)
        self._delete(image, force=force, prune=prune, quiet=by_name)

    def _refuse_use(self, image: Image, text: str) -> None:
        for use in self._uses(image.id):
            raise errors.Conflict(
                f'conflict: unable to remove repository reference "{text}" (must force) -'
                f" container {short(use.container)} is using its referenced image"
                f" {short(image.id)}"
            )

    def _untag_requested(self, image: Image, name: Reference) -> None:
        """With the last tag of a repository, its digests go too."""
        self._untag(image, name)
        if name.digest:
            return
        rest = self._images.references(image.id)
        same = [other for other in rest if other.repository == name.repository]
        if all(other.digest for other in same):
            for other in same:
                self._images.untag(other)
                self.records.append({"Untagged": other.familiar})

    def _untag(self, image: Image, name: Reference) -> None:
        self._images.untag(name)
        self._notify("untag", image.id, {"name": image.id})
        self.records.append({"Untagged": name.familiar})

    def _delete(self, image: Image, *, force: bool, prune: bool, quiet: bool) -> None:
        try:
            self._check(image.id, names=not force, stopped=not force)
        except _Refused as refused:
            if quiet and (refused.used or not self._dangling(image.id)):
                return
            raise
        for name in self._images.references(image.id):
            self._untag(image, name)
        self._notify("delete", image.id, {"name": image.id})
        layers = self._images.delete(image.id)
        self.records.append({"Deleted": image.id})
        self.records += [{"Deleted": layer} for layer in layers]
        if prune and image.parent and self._images.exists(image.parent):
            parent = self._images.get(image.parent)
            self._delete(parent, force=False, prune=True, quiet=True)

    def _check(self, id: Digest, *, names: bool, stopped: bool) -> None:
        if self._images.children(id):
            raise _Refused(id, "image has dependent child images", hard=True)
        uses = list(self._uses(id))
        for use in uses:
            if use.running:
                reason = f"image is being used by running container {short(use.container)}"
                raise _Refused(id, reason, hard=True, used=True)
        if names and self._images.references(id):
            raise _Refused(id, "image is referenced in multiple repositories", hard=False)
        if stopped and uses:
            reason = f"image is being used by stopped container {short(uses[0].container)}"
            raise _Refused(id, reason, hard=False, used=True)

    def _dangling(self, id: Digest) -> bool:
        return not self._images.references(id) and not self._images.children(id)


def prunable(
    images: ImageStore, *, dangling: bool, wanted: Callable[[Image], bool]
) -> list[tuple[Digest, list[str]]]:
    """Images that a prune looks at, and by which names or id it tries to remove each."""
    found: list[tuple[Digest, list[str]]] = []
    for image in images.all():
        children = images.children(image.id)
        names = images.references(image.id)
        if (children and (dangling or not names)) or not wanted(image):
            continue
        if not names:
            found.append((image.id, [encoded(image.id)]))
        elif not dangling or all(name.digest for name in names):
            found.append((image.id, [name.familiar for name in names]))
    return found


def short(id: str) -> str:
    """An id as Docker writes it in messages."""
    return id.removeprefix("sha256:")[:12]


def _is_id_prefix(id: Digest, text: str) -> bool:
    return id.startswith(text) or encoded(id).startswith(text)


def _single(names: Sequence[Reference]) -> bool:
    """One name, or one tag with digests of its own repository only."""
    if len(names) <= 1:
        return len(names) == 1
    tags = [name for name in names if not name.digest]
    if len(tags) > 1:
        return False
    main = (tags or names)[0].repository
    return {name.repository for name in names if name.digest} == {main}
