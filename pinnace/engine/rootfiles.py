"""A container's root file system as files: its changes, sizes, export and commit."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from pinnace import errors
from pinnace.engine import merge
from pinnace.engine.documents import Container, ContainerConfig
from pinnace.oci import image as oci
from pinnace.store import differ
from pinnace.store.authoring import Commit, changed
from pinnace.store.images import Images
from pinnace.store.snapshots import Overlay


class RootFiles:
    def __init__(self, images: Images, snapshots: Overlay) -> None:
        self._images = images
        self._snapshots = snapshots

    def changes(self, container: Container) -> Sequence[tuple[int, str]]:
        with self._snapshots.folders(container.id) as (upper, lowers):
            return [(int(change.kind), change.path) for change in differ.changes(upper, lowers)]

    def sizes(self, container: Container) -> tuple[int, int]:
        own = self._snapshots.usage(container.id).size
        below = self._images.store.get(container.image).size if container.image else 0
        return own, own + below

    def export(self, container: Container) -> Iterator[bytes]:
        with self._snapshots.folders(container.id) as (upper, lowers):
            yield from differ.export([upper, *lowers])

    def commit(
        self,
        container: Container,
        *,
        repo: str,
        tag: str,
        comment: str,
        author: str,
        changes: Sequence[str],
        config: ContainerConfig | None,
    ) -> str:
        asked = changed(_of_container(config or ContainerConfig()), changes)
        merged = merge.merged(merge.of_image(asked), container.config)
        request = Commit(
            container_id=container.id,
            config=_of_container(merged),
            container_config=_of_container(container.config),
            parent=container.image or None,
            author=author,
            comment=comment,
        )
        return self._images.commit(container.id, request, repo=repo, tag=tag)

    def descendants(self, reference: str) -> Iterable[str]:
        """Ids of an image and of those built on it; none if there is no such image."""
        store = self._images.store
        try:
            found = [store.resolve(reference).id]
        except errors.NotFound:
            return []
        for ident in found:
            found += store.children(ident)
        return found


def _of_container(config: ContainerConfig) -> oci.Config:
    return msgspec.convert(msgspec.to_builtins(config), oci.Config)
