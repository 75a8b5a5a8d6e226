"""What a container nests deeply does not keep the engine from measuring and removing it (I25)."""

import os

import pytest

from tests.harness.daemon import Daemon
from tests.harness.engine import Engine

pytestmark = [pytest.mark.root, pytest.mark.ours]

DEPTH = 1500
SCRIPT = f"cd /v; i=0; while [ $i -lt {DEPTH} ]; do mkdir d && cd d; i=$((i+1)); done; echo $i"


def test_a_volume_of_deep_folders_is_measured_and_removed(
    own_engine: Engine, daemon: Daemon
) -> None:
    host = {"Binds": ["deep:/v"]}
    assert own_engine.finish("sh", "-c", SCRIPT, HostConfig=host) == (0, f"{DEPTH}\n")

    [volume] = own_engine.get("/system/df")["Volumes"]
    own_engine.ok("DELETE", "/volumes/deep")

    assert volume["UsageData"]["Size"] == 0
    assert os.listdir(daemon.data_root / "volumes") == []
