"""Each process dies, or fails, at each named point; what is left afterwards is legal and whole.

The points are found in the source, so a new `failpoint.hit("name")` is tested from its first day.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.wire import Refused, query
from tests.conftest import settled
from tests.harness import engine as engines
from tests.harness import kernel, rootfs
from tests.harness.deadline import until
from tests.harness.engine import Engine
from tests.harness.streams import execute

pytestmark = [pytest.mark.root, pytest.mark.ours]

SOURCE = Path(__file__).resolve().parent.parent.parent / "pinnace"
HIT = re.compile(r"""failpoint\.hit\(\s*["']([^"']+)["']\s*\)""")


def points() -> list[str]:
    return sorted(
        name
        for path in SOURCE.rglob("*.py")
        if path.name != "failpoint.py"
        for name in HIT.findall(path.read_text())
    )


def test_every_point_has_a_name_of_its_own() -> None:
    names = points()

    assert len(names) == len(set(names))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with engines.engine(tmp_path) as running:
        running.load_image()
        # An answer that has not come by then would not come at all.
        running.timeout = 15
        yield running


# What is done while a point is armed: together the steps pass every point.


def run_to_the_end(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "echo out; exit 3")
    engine.wait(ident)
    engine.output(ident)
    engine.ok("DELETE", f"/containers/{ident}")


def stop(engine: Engine) -> None:
    ident = engine.start()
    engine.ok("POST", f"/containers/{ident}/stop?t=1")


def exec_(engine: Engine) -> None:
    ident = engine.start()
    with engine.client(timeout=20) as api:
        _, running = execute(api, ident, "echo", "x")
        with running:
            running.rest(seconds=10)


def restart(engine: Engine) -> None:
    ident = engine.start()
    engine.ok("POST", f"/containers/{ident}/restart?t=0")


def remove(engine: Engine) -> None:
    engine.ok("DELETE", f"/containers/{engine.start()}?force=1&v=1")


def auto_remove(engine: Engine) -> None:
    ident = engine.start("true", HostConfig={"AutoRemove": True})
    until(lambda: engine.request("GET", f"/containers/{ident}/json").status == 404, seconds=5)


def import_an_image(engine: Engine) -> None:
    name = "pinnace-test/faults"
    engine.ok("POST", "/images/create" + query(fromSrc="-", repo=name), rootfs.archive())
    engine.ok("DELETE", f"/images/{name}")


def commit(engine: Engine) -> None:
    ident = engine.start("touch", "/made")
    engine.wait(ident)
    engine.ok("POST", "/commit" + query(container=ident, repo="pinnace-test/faults"))
    engine.ok("DELETE", "/images/pinnace-test/faults")


STEPS: list[Callable[[Engine], None]] = [
    run_to_the_end,
    stop,
    exec_,
    restart,
    remove,
    auto_remove,
    import_an_image,
    commit,
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("action", ["kill", "error"])
@pytest.mark.parametrize("point", points())
def test_what_is_left_is_legal(engine: Engine, point: str, action: str) -> None:
    daemon = engine.daemon
    assert daemon is not None
    before = held_after_a_start(engine)

    daemon.stop()
    for step in STEPS:
        _attempt(engine, f"{point}:{action}", step)
    if daemon.alive:
        daemon.kill()
    daemon.start()
    assert_legal(engine)
    engine.clear()
    engine.request("DELETE", "/images/pinnace-test/faults?force=1")
    assert engine.mine() == []

    after = held_after_a_start(engine)
    assert not after.beyond(before), f"leaked: {after.beyond(before)}"
    assert_folders_are_clean(engine)


def held_after_a_start(engine: Engine) -> kernel.Held:
    """What a new daemon and its first container leave: equal histories hold equal things."""
    daemon = engine.daemon
    assert daemon is not None
    daemon.stop()
    daemon.start()
    assert engine.finish("sh", "-c", "echo well; exit 5") == (5, "well\n")
    return settled(daemon)


def _attempt(engine: Engine, failpoint: str, step: Callable[[Engine], None]) -> None:
    """One step, however it ends, by a daemon with this point armed."""
    daemon = engine.daemon
    assert daemon is not None
    try:
        if not daemon.alive:
            daemon.start(failpoint=failpoint)
        step(engine)
    except (AssertionError, OSError, EOFError, Refused):
        return  # that something fails is meant; what it leaves is looked at afterwards


def assert_legal(engine: Engine) -> None:
    """Every container is in one state, and the kernel agrees."""
    for ident in engine.mine():
        state = engine.inspect(ident)["State"]
        assert state["Status"] in {"created", "running", "exited", "dead", "removing"}
        assert state["Running"] is (state["Status"] == "running")
        assert bool(state["Pid"]) is state["Running"]
        if state["Running"]:
            assert not kernel.gone(state["Pid"])


def assert_folders_are_clean(engine: Engine) -> None:
    """No folder, socket or half-written file is left for what no longer exists."""
    daemon = engine.daemon
    assert daemon is not None
    kept = {"pinnace.sock", "zygote.sock"}

    def left() -> list[str]:
        folders = [daemon.exec_root / "containers", daemon.data_root / "containers"]
        folders.append(daemon.data_root / "content" / "ingest")
        found = [str(path) for folder in folders if folder.exists() for path in folder.iterdir()]
        return [path for path in found if Path(path).name not in kept]

    until(lambda: not left(), "empty folders", seconds=10)
