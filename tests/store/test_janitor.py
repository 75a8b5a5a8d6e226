import os
from pathlib import Path

import pytest

from pinnace.store import janitor as module
from pinnace.store.janitor import Janitor
from tests.harness.deadline import until

pytestmark = pytest.mark.root


def test_discarded_folders_are_deleted_after_the_chore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.0)
    monkeypatch.setattr(module, "STEP", 2)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    for number in range(10):
        (tmp_path / "1/fs").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"1/fs/{number}").write_text("x")
    seen: list[list[str]] = []
    janitor = Janitor(str(tmp_path), lambda: seen.append(os.listdir(tmp_path)))
    janitor.discard("1")
    until(lambda: os.listdir(tmp_path) == [])
    janitor.close()

    assert seen == [["1"]]


def test_a_busy_engine_is_not_disturbed(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    janitor = Janitor(str(tmp_path))

    janitor.busy()
    janitor.discard("1")
    janitor.close()

    # It waited for quiet, and closing does not wait for it.
    assert os.listdir(tmp_path) == ["1"]


def test_closing_one_that_never_ran_is_quick(tmp_path: Path) -> None:
    Janitor(str(tmp_path)).close()
