from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.kit import Kit


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    """Whatever a test does, no lease and no half-written blob is left."""
    kit = Kit(tmp_path)
    yield kit
    assert kit.leases() == []
    assert list((tmp_path / "content/ingest").iterdir()) == []
    kit.blobs()
    kit.close()
