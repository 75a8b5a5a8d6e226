"""The networks that are there from the start: none, host, another container's."""

import os

import pytest

from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root


def test_the_built_in_networks_are_listed(engine: Engine) -> None:
    found = {network["Name"]: network for network in engine.get("/networks")}

    assert {"bridge", "host", "none"} <= set(found)
    assert found["none"]["Driver"] == "null"
    assert (found["host"]["Driver"], found["host"]["Scope"]) == ("host", "local")


def test_none_has_a_loopback_and_nothing_else(engine: Engine) -> None:
    script = (
        "ls /sys/class/net; ip route; nc -l -p 99 -e echo reached & usleep 100000; nc 127.0.0.1 99"
    )

    code, output = engine.finish("sh", "-c", script)

    assert (code, output) == (0, "lo\nreached\n")


@pytest.mark.ours
def test_host_is_the_host_s(engine: Engine) -> None:
    host = {"NetworkMode": "host"}

    _, links = engine.finish("ls", "/sys/class/net", HostConfig=host)
    _, name = engine.finish("hostname", HostConfig=host)

    assert set(links.split()) == set(os.listdir("/sys/class/net"))
    assert name.strip() == os.uname().nodename


def test_two_containers_share_a_network(engine: Engine) -> None:
    server = engine.start("sh", "-c", "while :; do nc -l -p 88 -e echo served; done")
    script = "until nc 127.0.0.1 88; do usleep 10000; done"

    code, output = engine.finish(
        "sh", "-c", script, HostConfig={"NetworkMode": f"container:{server}"}
    )

    assert (code, output) == (0, "served\n")


def test_whose_network_it_is_may_be_made_later(engine: Engine) -> None:
    name = "pinnace-test-later"
    ident = engine.create("hostname", HostConfig={"NetworkMode": f"container:{name}"})
    early = engine.request("POST", f"/containers/{ident}/start")
    other = engine.start(name=name, Hostname="bee")

    engine.ok("POST", f"/containers/{ident}/start")

    assert early.message == f"joining network namespace of container: No such container: {name}"
    assert engine.wait(ident) == 0
    assert engine.inspect(ident)["HostsPath"] == engine.inspect(other)["HostsPath"]


def test_inspect_says_which_network(engine: Engine) -> None:
    ident = engine.start()

    settings = engine.inspect(ident)["NetworkSettings"]

    assert list(settings["Networks"]) == ["none"]
    assert settings["Networks"]["none"]["IPAddress"] == ""


@pytest.mark.docker
def test_a_built_in_network_is_not_removed(docker: Docker) -> None:
    result = docker("network", "rm", "none")

    assert result.code == 1
    assert "none is a pre-defined network and cannot be removed" in result.err
