"""The client's config over the image's, and the defaults that are written down."""

import json
from pathlib import Path
from typing import Any

import pytest

from pinnace import errors
from pinnace.engine import codec, merge
from pinnace.engine.documents import (
    ContainerConfig,
    Empty,
    EndpointSettings,
    HealthConfig,
    HostConfig,
    LogConfig,
)
from pinnace.engine.facts import Machine, Support
from pinnace.oci import image

IMAGE = ContainerConfig(
    user="app",
    exposed_ports={"80/tcp": Empty()},
    env=["PATH=/img", "FOO=bar"],
    cmd=["serve"],
    entrypoint=["/start"],
    labels={"a": "image", "b": "image"},
    working_dir="/srv",
    volumes={"/data": Empty()},
    stop_signal="SIGQUIT",
    healthcheck=HealthConfig(test=["CMD", "check"], interval=5, retries=2),
)
DEFAULT_LOG = LogConfig(type="json-file", config={"max-size": "20m"})


def merged(**fields: Any) -> ContainerConfig:
    return merge.merged(ContainerConfig(**fields), IMAGE)


def test_what_the_client_leaves_out_is_the_images() -> None:
    assert merged() == IMAGE


def test_the_clients_words_win_and_sets_are_joined() -> None:
    made = merged(
        user="root",
        exposed_ports={"90/udp": Empty()},
        env=["FOO=own", "X"],
        labels={"a": "own"},
        working_dir="/",
        volumes={"/more": Empty()},
        stop_signal="9",
    )
    assert (made.user, made.working_dir, made.stop_signal) == ("root", "/", "9")
    assert made.env == ["FOO=own", "X", "PATH=/img"]
    assert made.labels == {"a": "own", "b": "image"}
    assert set(made.exposed_ports) == {"80/tcp", "90/udp"}
    assert set(made.volumes) == {"/data", "/more"}


@pytest.mark.parametrize(
    ("given", "entrypoint", "cmd"),
    [
        ({}, ["/start"], ["serve"]),
        ({"cmd": ["other"]}, ["/start"], ["other"]),
        ({"entrypoint": ["sh"]}, ["sh"], None),
        ({"entrypoint": ["sh"], "cmd": ["-c"]}, ["sh"], ["-c"]),
        ({"entrypoint": [""], "cmd": ["-c"]}, None, ["-c"]),
        ({"entrypoint": []}, [], ["serve"]),
        ({"cmd": []}, ["/start"], ["serve"]),
    ],
)
def test_an_entrypoint_makes_the_images_command_meaningless(
    given: dict[str, Any], entrypoint: list[str] | None, cmd: list[str] | None
) -> None:
    made = merged(**given)
    assert (made.entrypoint, made.cmd) == (entrypoint, cmd)


@pytest.mark.parametrize("given", [{}, {"entrypoint": [""]}, {"cmd": []}])
def test_something_must_be_run(given: dict[str, Any]) -> None:
    with pytest.raises(errors.Invalid) as refused:
        merge.merged(ContainerConfig(**given), ContainerConfig())
    assert refused.value.message == "no command specified"


def test_health_checks_are_merged_by_field() -> None:
    made = merged(healthcheck=HealthConfig(interval=9)).healthcheck
    assert made == HealthConfig(test=["CMD", "check"], interval=9, retries=2)
    own = HealthConfig(test=["NONE"])
    assert (
        merge.merged(ContainerConfig(cmd=["x"], healthcheck=own), ContainerConfig()).healthcheck
        == own
    )


def test_the_images_config_has_the_same_names() -> None:
    config = image.Config(
        env=["A=b"],
        volumes={"/v": {}},
        exposed_ports=None,
        healthcheck=image.Healthcheck(retries=3),
    )
    assert merge.of_image(config) == ContainerConfig(
        env=["A=b"], volumes={"/v": Empty()}, healthcheck=HealthConfig(retries=3)
    )
    assert merge.of_image(None) == ContainerConfig()


def test_what_is_executed() -> None:
    config = ContainerConfig(entrypoint=["a", "b"], cmd=["c"])
    assert merge.command(config) == ("a", ["b", "c"])


def test_a_hostname_is_given() -> None:
    machine, ident = Machine(hostname="host"), "0123456789abcdef"
    bare = ContainerConfig()
    assert merge.named(bare, HostConfig(), ident, machine).hostname == "0123456789ab"
    assert merge.named(bare, HostConfig(network_mode="host"), ident, machine).hostname == "host"
    own = ContainerConfig(hostname="web")
    assert merge.named(own, HostConfig(), ident, machine) == own


GOLDEN = Path(__file__).parent / "golden"
SENT = {
    "plain": {},
    "privileged": {"Privileged": True},
    "host-namespaces": {
        "NetworkMode": "host",
        "PidMode": "host",
        "IpcMode": "host",
        "UTSMode": "host",
    },
    "memory": {"Memory": 104857600},
    "ipc-shareable": {"IpcMode": "shareable"},
    "label-disable": {"SecurityOpt": ["label=disable"]},
}


@pytest.mark.parametrize("name", SENT)
def test_defaults_are_dockers(name: str) -> None:
    """But for the cgroup namespace, which is private here, and the longer list of masks."""
    recorded = json.loads((GOLDEN / f"{name}.json").read_bytes())["inspect"]["HostConfig"]
    machine = Machine(support=Support(oom_kill_disable=True))

    made = merge.completed(
        codec.convert(SENT[name], HostConfig), machine, LogConfig(type="json-file"), runtime="runc"
    )

    wanted = codec.convert({**recorded, "CgroupnsMode": "private"}, HostConfig)
    masked = wanted.masked_paths
    if masked is not None:
        assert made.masked_paths is not None
        assert made.masked_paths[: len(masked)] == masked
    differing = {
        field
        for field in HostConfig.__struct_fields__
        if getattr(made, field) != getattr(wanted, field)
    }
    assert differing <= {"masked_paths"}


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        (LogConfig(), DEFAULT_LOG),
        (
            LogConfig(config={"max-file": "3"}),
            LogConfig(type="json-file", config={"max-size": "20m", "max-file": "3"}),
        ),
        (LogConfig(type="local"), LogConfig(type="local")),
    ],
)
def test_log_options_of_the_engine_are_for_its_driver(wanted: LogConfig, made: LogConfig) -> None:
    assert merge.log_config(wanted, DEFAULT_LOG) == made


@pytest.mark.parametrize(
    ("mode", "asked", "legs"),
    [
        ("", {}, ["bridge"]),
        ("bridge", {"default": EndpointSettings()}, ["bridge"]),
        ("web", {}, ["web"]),
        ("web", {"web": EndpointSettings(), "db": EndpointSettings()}, ["web", "db"]),
        ("container:x", {"web": EndpointSettings()}, []),
        ("none", {}, ["none"]),
    ],
)
def test_legs(mode: str, asked: dict[str, EndpointSettings], legs: list[str]) -> None:
    assert list(merge.endpoints(HostConfig(network_mode=mode), asked)) == legs
