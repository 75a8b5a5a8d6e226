"""Many threads at once: the daemon's workers share one store."""

import threading
from collections.abc import Callable

import pytest

from pinnace import errors
from tests.store.kit import BASE, Kit, docker_archive
from tests.store.trees import archive, entry

pytestmark = pytest.mark.root


def together(*jobs: Callable[[], object]) -> list[BaseException]:
    failures: list[BaseException] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> None:
        try:
            start.wait(10)
            job()
        except BaseException as error:  # noqa: BLE001 (a thread of the test: told at its end)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


def test_the_same_image_loaded_by_many_is_one_image(kit: Kit) -> None:
    raw = archive(*docker_archive(BASE, archive(entry("top"))))

    assert together(*[lambda: list(kit.images.load([raw]))] * 6) == []

    assert kit.images.inspect("web:1")["RepoTags"] == ["web:1"]
    kinds = [info.kind for info in kit.overlay.all()]
    assert kinds.count("active") == 0


def test_containers_come_and_go_while_images_do(kit: Kit) -> None:
    def containers(name: str) -> None:
        for number in range(30):
            kit.overlay.prepare(f"{name}-{number}", kit.images.resolve("hello").snapshot)
            kit.overlay.mounts(f"{name}-{number}")
            kit.overlay.remove(f"{name}-{number}")

    def images(name: str) -> None:
        for number in range(8):
            kit.make(name, entry("x", f"{name}{number}".encode()))
            kit.images.list()
            kit.images.remove(name)

    jobs = [
        lambda: containers("a"),
        lambda: containers("b"),
        lambda: images("c"),
        lambda: images("d"),
    ]

    assert together(*jobs) == []
    assert len(kit.images.list(all=True)) == 2


def test_an_image_that_is_removed_and_used_at_once_is_one_or_the_other(kit: Kit) -> None:
    for number in range(15):
        kit.make("web", entry("x", b"%d" % number))
        top = kit.images.resolve("web").snapshot

        failures = together(
            lambda top=top: kit.overlay.prepare("box", top),  # type: ignore[misc]
            lambda: kit.images.remove("web"),
        )

        assert all(isinstance(failure, errors.NotFound) for failure in failures)
        if not failures:
            assert kit.overlay.mounts("box").lowers
        kit.overlay.remove("box")
        kit.images.store.sweep()
