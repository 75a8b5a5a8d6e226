"""The documents a client reads: every field of real Docker's, with the same kind of value.

recorded/shapes.json holds what dockerd 28.5.2 answers, reduced to kinds. To record again:
    PINNACE_RECORD=1 PINNACE_TEST_HOST=unix:///... pytest tests/e2e/test_shapes.py
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.engine import Engine
from tests.harness.streams import execute

pytestmark = pytest.mark.root

RECORDED = Path(__file__).parent / "recorded" / "shapes.json"
RECORDING = "PINNACE_RECORD" in os.environ

# Objects whose keys are data and not fields.
MAPS = {
    "Labels", "Annotations", "Sysctls", "Tmpfs", "Networks", "PortBindings", "Ports", "Volumes",
    "ExposedPorts", "Config", "Options", "Data", "Runtimes", "Containers", "stats", "DriverOpts",
    "StorageOpt", "IndexConfigs", "networks", "Attributes",
}  # fmt: skip


# What Docker tells of parts that we don't have.
ABSENT = {"info.Containerd"}


def shape(value: object, name: str = "") -> object:
    """The kinds of a document's values: what a client's types have to fit."""
    if isinstance(value, dict):
        if name in MAPS and name != "Config":
            return "map"
        if name == "Config" and "Hostname" not in value:
            return "map"
        return {key: shape(item, key) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0], name)] if value else []
    if isinstance(value, bool):
        return "bool"
    return {str: "string", int: "number", float: "number", type(None): "null"}[type(value)]


def differences(path: str, ours: object, theirs: object) -> list[str]:
    """Where a client that was made for `theirs` would stumble over `ours`."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found = []
        for key in sorted(theirs.keys() | ours.keys()):
            here = f"{path}.{key}"
            if key not in ours and here not in ABSENT:
                found.append(f"{here} is missing")
            elif key in ours and key in theirs:
                found += differences(here, ours[key], theirs[key])
        return found
    if isinstance(theirs, list) and isinstance(ours, list):
        return differences(f"{path}[]", ours[0], theirs[0]) if ours and theirs else []
    # Docker writes null for an empty list or object in some places, and clients read both.
    if "null" in (ours, theirs) and not isinstance(ours, str | bool):
        return []
    if "null" in (ours, theirs) and {ours, theirs} <= {"null", "map"}:
        return []
    return [] if ours == theirs else [f"{path} is {ours}, not {theirs}"]


def created(engine: Engine) -> str:
    return engine.create("true", name="pinnace-test-shape")


def inspect_created(engine: Engine) -> Any:
    return engine.inspect(created(engine))


def inspect_running(engine: Engine) -> Any:
    device = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}
    settings = {
        "Memory": 64 << 20,
        "NanoCpus": 10**9,
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 1024}],
        "Devices": [device],
        "Tmpfs": {"/t": ""},
        "CapAdd": ["NET_ADMIN"],
        "ExtraHosts": ["a:1.2.3.4"],
    }
    ident = engine.start(
        Env=["A=b"], Volumes={"/data": {}}, ExposedPorts={"80/tcp": {}}, HostConfig=settings
    )
    return engine.inspect(ident)


def inspect_exited(engine: Engine) -> Any:
    ident = engine.start("false")
    engine.wait(ident)
    return engine.get(f"/containers/{ident}/json", size=True)


def listed(engine: Engine) -> Any:
    engine.start(Volumes={"/data": {}})
    filters = json.dumps({"label": [engine.label]})
    return engine.get("/containers/json", all=True, size=True, filters=filters)


def exec_inspected(engine: Engine) -> Any:
    with engine.client() as api:
        made, running = execute(api, engine.start(), "true")
        with running:
            running.rest()
        return engine.get(f"/exec/{made}/json")


def stats(engine: Engine) -> Any:
    ident = engine.start()
    return engine.get(f"/containers/{ident}/stats", stream=False)


def stats_of_exited(engine: Engine) -> Any:
    ident = engine.start("true")
    engine.wait(ident)
    return engine.get(f"/containers/{ident}/stats", stream=False)


def create_answer(engine: Engine) -> Any:
    body = {"Image": engine.image, "Cmd": ["true"], "Labels": dict([engine.label.split("=")])}
    return engine.ok("POST", "/containers/create", body).json()


def wait_answer(engine: Engine) -> Any:
    return engine.ok("POST", f"/containers/{engine.start('true')}/wait").json()


def prune_answer(engine: Engine) -> Any:
    filters = '{"label":["no-such-label-here"]}'
    return engine.ok("POST", f"/containers/prune?filters={filters}").json()


DOCUMENTS: dict[str, Callable[[Engine], Any]] = {
    "created container": inspect_created,
    "running container": inspect_running,
    "exited container": inspect_exited,
    "list of containers": listed,
    "exec": exec_inspected,
    "stats": stats,
    "stats of an exited container": stats_of_exited,
    "top": lambda engine: engine.get(f"/containers/{engine.start()}/top"),
    "answer to create": create_answer,
    "answer to wait": wait_answer,
    "answer to prune": prune_answer,
    "version": lambda engine: engine.get("/version"),
    "info": lambda engine: engine.get("/info"),
    "image": lambda engine: engine.get(f"/images/{engine.image}/json"),
    "list of images": lambda engine: engine.get("/images/json"),
    "history of an image": lambda engine: engine.get(f"/images/{engine.image}/history"),
    "list of networks": lambda engine: engine.get("/networks"),
    "network": lambda engine: engine.get("/networks/none"),
    "list of volumes": lambda engine: engine.get("/volumes"),
    "disk usage": lambda engine: engine.get("/system/df"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_shape(engine: Engine, name: str) -> None:
    ours = shape(DOCUMENTS[name](engine))

    recorded = dict(json.loads(RECORDED.read_text())) if RECORDED.exists() else {}
    if RECORDING:
        RECORDED.write_text(json.dumps(recorded | {name: ours}, indent=1, sort_keys=True) + "\n")
        return
    found = differences(name, ours, recorded[name])
    assert not found, "\n".join(found)


# The values that clients depend on, where they are not an accident of the machine.


def test_the_defaults_of_a_created_container(engine: Engine) -> None:
    found = engine.inspect(created(engine))

    assert (found["Name"], found["Path"], found["Args"]) == ("/pinnace-test-shape", "true", [])
    assert (found["Driver"], found["Platform"], found["RestartCount"]) == ("overlay2", "linux", 0)
    assert found["Image"] == engine.get(f"/images/{engine.image}/json")["Id"]
    assert found["State"] == {
        "Status": "created", "Running": False, "Paused": False, "Restarting": False,
        "OOMKilled": False, "Dead": False, "Pid": 0, "ExitCode": 0, "Error": "",
        "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z",
    }  # fmt: skip
    host = found["HostConfig"]
    assert host["ShmSize"] == 64 << 20
    assert host["LogConfig"]["Type"] == "json-file"
    assert (host["IpcMode"], host["PidMode"], host["UTSMode"]) == ("private", "", "")
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert "/proc/kcore" in host["MaskedPaths"]
    assert "/proc/sys" in host["ReadonlyPaths"]
    config = found["Config"]
    assert config["Hostname"] == found["Id"][:12]
    assert (config["Cmd"], config["Entrypoint"], config["Image"]) == (["true"], None, engine.image)
    # The image names none, so PATH is added when the process is started.
    assert not config["Env"]
