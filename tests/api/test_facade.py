"""Both engines are what the API calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinnace.api import facade
from tests.api.fake_engine import FakeEngine

if TYPE_CHECKING:
    from pinnace.engine.engine import Engine


def use(engine: facade.Engine) -> facade.Engine:
    """mypy compares the signatures here."""
    return engine


def the_real_one(engine: Engine) -> facade.Engine:
    return use(engine)


def test_the_fake_one_has_every_part() -> None:
    engine = use(FakeEngine())

    for part in ("containers", "execs", "images", "volumes", "networks", "events", "system"):
        assert getattr(engine, part)
    assert engine.stats
