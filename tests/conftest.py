"""Fixtures for whole engines. Tests of one module need none of these.

pytest tests/e2e                                     against a daemon of the tests' own
PINNACE_TEST_HOST=unix:///... pytest tests/e2e       the black-box tests, against any engine
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bench.wire import Client
from tests.harness import engine as engines
from tests.harness import kernel
from tests.harness.daemon import Daemon
from tests.harness.deadline import Expired, until
from tests.harness.docker import Docker
from tests.harness.engine import Engine, Shared

LOOKS = 8


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ours: looks behind the API; not for a foreign engine")
    config.addinivalue_line("markers", "docker: needs the docker command line")
    config.addinivalue_line("markers", "slow: takes more than ten seconds on a fast engine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name, reason in _missing().items():
            if name in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what the tests have written, by `rm`: some trees are deeper than Python's recursion,
    and pytest, which would remove them three sessions later, fails on them."""
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    if factory._basetemp is not None:
        subprocess.run(["rm", "-rf", str(factory._basetemp)], check=False)


def _missing() -> dict[str, str]:
    missing = {}
    if engines.FOREIGN:
        missing["ours"] = "not for a foreign engine"
    if os.geteuid() != 0:
        missing["root"] = "needs root"
    if shutil.which("docker") is None:
        missing["docker"] = "the docker command line is not installed"
    return missing


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if os.geteuid() != 0 and not engines.FOREIGN:
        pytest.skip("an engine of our own needs root")
    with engines.engine(tmp_path_factory.mktemp("docker")) as running:
        running.load_image()
        yield running
        running.clear()


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """The engine under test, with the image; the containers that the test makes are removed."""
    yield shared_engine
    shared_engine.clear()


@pytest.fixture
def image(engine: Engine) -> str:
    return engine.image


@pytest.fixture(params=engines.PROGRAMS)
def docker(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path) -> Docker:
    """The docker command line for the engine; skips when it is not installed."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"the {request.param} command line is not installed")
    return Docker(engine.host, tmp_path, program)


@pytest.fixture
def shared() -> Iterator[Shared]:
    """A folder for bind mounts."""
    with engines.shared_folder() as folder:
        yield folder


@pytest.fixture
def api(engine: Engine) -> Iterator[Client]:
    with engine.client() as client:
        yield client


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    """A daemon that only this test uses, to be killed and restarted at will."""
    if engines.FOREIGN:
        pytest.skip("not for a foreign engine")
    with engines.engine(tmp_path) as running:
        running.load_image()
        yield running


@pytest.fixture
def daemon(own_engine: Engine) -> Daemon:
    assert own_engine.daemon is not None
    return own_engine.daemon


@pytest.fixture
def leak_check(engine: Engine) -> Iterator[None]:
    """The engine holds nothing more in the kernel after the test than before it."""
    if engine.daemon is None:
        yield
        return
    # What an engine makes once, at its first container, is no leak.
    engine.finish("true")
    before = settled(engine.daemon)
    yield
    engine.clear()
    expect_nothing_beyond(engine.daemon, before)


def held(daemon: Daemon) -> kernel.Held:
    return kernel.held(daemon.mark, daemon.cgroup_parent, daemon.folder)


def settled(daemon: Daemon) -> kernel.Held:
    """What is held once the janitor and the pool are done: several equal looks in a row."""
    looks = [held(daemon)]

    def unchanged() -> bool:
        looks.append(held(daemon))
        return len(looks) > LOOKS and all(look == looks[-1] for look in looks[-LOOKS:])

    until(unchanged, "a quiet engine")
    return looks[-1]


def expect_nothing_beyond(daemon: Daemon, before: kernel.Held) -> None:
    """Teardown may end after the answer, so what is left is looked at until a deadline."""
    try:
        until(lambda: not held(daemon).beyond(before), "nothing leaked", seconds=15)
    except Expired:
        left = held(daemon).beyond(before)
        raise AssertionError(f"leaked: {left}") from None


# How quickly examples come says something of the machine, not of the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
