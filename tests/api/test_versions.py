"""Answers for old clients."""

from typing import Any

import pytest

from pinnace.api import versions
from pinnace.api.messages import Version
from pinnace.engine.documents import (
    ExecConfig,
    ExecStartConfig,
    ThrottleDevice,
    UpdateConfig,
)


def test_updates_know_pids_since_1_40_and_devices_since_1_55() -> None:
    update = UpdateConfig(
        pids_limit=-1, blkio_device_read_bps=[ThrottleDevice(path="/dev/a")], kernel_memory=5
    )

    assert versions.update_config(update, (1, 39)) == UpdateConfig(kernel_memory=5)
    assert versions.update_config(update, (1, 42)) == UpdateConfig(pids_limit=0)
    assert versions.update_config(update, (1, 55)).blkio_device_read_bps
    assert versions.update_config(UpdateConfig(pids_limit=7), (1, 56)).pids_limit == 7
    assert not versions.update_config(UpdateConfig(kernel_memory_tcp=1), (1, 52)).kernel_memory_tcp


def test_execs_have_a_size_since_1_42_and_with_a_terminal() -> None:
    assert versions.exec_config(ExecConfig(console_size=(1, 2)), (1, 41)).console_size is None
    assert versions.exec_config(ExecConfig(console_size=(1, 2)), (1, 42)).console_size == (1, 2)
    with_terminal = ExecStartConfig(tty=True, console_size=(1, 2))
    assert versions.exec_start(with_terminal, (1, 41)).console_size is None
    assert versions.exec_start(with_terminal, (1, 42)).console_size == (1, 2)
    without = ExecStartConfig(console_size=(1, 2))
    assert versions.exec_start(without, (1, 42)).console_size is None


def test_a_stop_has_a_signal_since_1_42() -> None:
    assert versions.stop_signal("INT", (1, 41)) is None
    assert versions.stop_signal("INT", (1, 42)) == "INT"
    assert versions.stop_signal("", (1, 42)) is None


@pytest.mark.parametrize(
    ("version", "multiplexed", "kind"),
    [
        ((1, 41), True, "raw"),
        ((1, 42), True, "multiplexed"),
        ((1, 42), False, "raw"),
    ],
)
def test_streams_say_that_they_are_multiplexed_since_1_42(
    version: Version, multiplexed: bool, kind: str
) -> None:
    assert versions.stream_type(version, multiplexed=multiplexed) == (
        f"application/vnd.docker.{kind}-stream"
    )


def shown_container() -> dict[str, Any]:
    return {
        "Id": "0123456789abcdef",
        "HostConfig": {"NetworkMode": "mine", "KernelMemoryTCP": 1},
        "Config": {"Hostname": "h", "OnBuild": None, "MacAddress": "m"},
        "NetworkSettings": {
            "SandboxID": "",
            "SandboxKey": "",
            "Ports": {},
            "Networks": {
                "bridge": {
                    "Aliases": None,
                    "EndpointID": "e",
                    "Gateway": "g",
                    "GlobalIPv6Address": "",
                    "GlobalIPv6PrefixLen": 0,
                    "IPAddress": "i",
                    "IPPrefixLen": 16,
                    "IPv6Gateway": "",
                    "MacAddress": "m",
                },
                "mine": {"Aliases": ["a", "h"]},
            },
        },
    }


def test_an_inspect_of_1_52_has_lost_its_old_fields() -> None:
    shown = versions.container_inspect(shown_container(), (1, 52))

    assert shown["Config"] == {"Hostname": "h"}
    assert shown["HostConfig"] == {"NetworkMode": "mine"}
    assert set(shown["NetworkSettings"]) == {"SandboxID", "SandboxKey", "Ports", "Networks"}


def test_an_inspect_until_1_51_repeats_the_bridge() -> None:
    shown = versions.container_inspect(shown_container(), (1, 51))

    settings = shown["NetworkSettings"]
    assert settings["Gateway"] == "g"
    assert settings["IPAddress"] == "i"
    assert settings["Bridge"] == ""
    assert settings["SecondaryIPAddresses"] is None
    assert shown["Config"] == {"Hostname": "h", "OnBuild": None, "MacAddress": "m"}


def test_an_inspect_without_the_bridge_has_empty_settings() -> None:
    shown = shown_container()
    del shown["NetworkSettings"]["Networks"]["bridge"]

    settings = versions.container_inspect(shown, (1, 51))["NetworkSettings"]

    assert (settings["IPAddress"], settings["IPPrefixLen"]) == ("", 0)


def test_aliases_held_the_short_id_until_1_44() -> None:
    def aliases(version: Version) -> list[Any]:
        networks = versions.container_inspect(shown_container(), version)["NetworkSettings"]
        return [networks["Networks"][name]["Aliases"] for name in ("bridge", "mine")]

    assert aliases((1, 44)) == [None, ["a", "h", "0123456789ab"]]
    assert aliases((1, 45)) == [None, ["a", "h"]]


def shown_image() -> dict[str, Any]:
    return {"Id": "x", "Size": 5, "Config": {"Cmd": ["sh"]}, "Descriptor": 1, "Identity": 2}


def test_an_image_of_old() -> None:
    shown = versions.image_inspect(shown_image(), (1, 43))

    assert shown["VirtualSize"] == 5
    assert shown["Created"] == "0001-01-01T00:00:00Z"
    assert shown["ContainerConfig"]["AttachStdin"] is False
    assert shown["Config"]["AttachStdin"] is False
    assert shown["Config"]["Cmd"] == ["sh"]
    assert shown["Author"] == ""
    assert "Descriptor" not in shown


@pytest.mark.parametrize(
    ("field", "last"),
    [("VirtualSize", 43), ("ContainerConfig", 44), ("Parent", 51), ("Author", 51)],
)
def test_fields_that_images_had(field: str, last: int) -> None:
    assert field in versions.image_inspect(shown_image(), (1, last))
    assert field not in versions.image_inspect(shown_image(), (1, last + 1))


@pytest.mark.parametrize(("field", "since"), [("Descriptor", 48), ("Identity", 53)])
def test_fields_that_images_got(field: str, since: int) -> None:
    assert field not in versions.image_inspect(shown_image(), (1, since - 1))
    assert field in versions.image_inspect(shown_image(), (1, since))


def test_an_images_config_has_shrunk() -> None:
    def config(version: Version) -> dict[str, Any]:
        found: dict[str, Any] = versions.image_inspect(shown_image(), version)["Config"]
        return found

    assert "Hostname" in config((1, 49))
    assert "Hostname" not in config((1, 50))
    assert config((1, 50))["Entrypoint"] is None
    assert config((1, 52)) == {"Cmd": ["sh"]}


def shown_summary() -> dict[str, Any]:
    return {"RepoTags": [], "RepoDigests": [], "Size": 5, "Containers": 2, "Descriptor": 1}


def test_images_without_a_name_had_one_until_1_42() -> None:
    assert versions.image_summary(shown_summary(), (1, 42))["RepoTags"] == ["<none>:<none>"]
    assert versions.image_summary(shown_summary(), (1, 43))["RepoTags"] == []
    named = {**shown_summary(), "RepoTags": ["a:b"]}
    assert versions.image_summary(named, (1, 42))["RepoDigests"] == []


def test_lists_of_images_count_containers_since_1_51() -> None:
    assert versions.image_summary(shown_summary(), (1, 50))["Containers"] == -1
    assert versions.image_summary(shown_summary(), (1, 51))["Containers"] == 2


def test_lists_of_images_have_one_size_since_1_44() -> None:
    assert versions.image_summary(shown_summary(), (1, 43))["VirtualSize"] == 5
    assert "VirtualSize" not in versions.image_summary(shown_summary(), (1, 44))
    assert "Descriptor" not in versions.image_summary(shown_summary(), (1, 47))


def shown_info() -> dict[str, Any]:
    return {
        "KernelVersion": "",
        "OperatingSystem": "x",
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"],
        "RegistryConfig": {"Mirrors": None},
        "Runtimes": {"runc": {"path": "runc", "status": {}}},
        "RuncCommit": {"ID": "r"},
        "Containerd": {},
        "FirewallBackend": {},
        "DiscoveredDevices": [],
        "NRI": {},
    }


@pytest.mark.parametrize(
    ("field", "since"),
    [("Containerd", 46), ("FirewallBackend", 49), ("DiscoveredDevices", 50), ("NRI", 53)],
)
def test_info_has_grown(field: str, since: int) -> None:
    assert field not in versions.info(shown_info(), (1, since - 1))
    assert field in versions.info(shown_info(), (1, since))


def test_info_for_old_clients() -> None:
    shown = versions.info(shown_info(), (1, 24))

    assert shown["SecurityOptions"] == ["seccomp", "userns"]
    assert shown["KernelVersion"] == "<unknown>"
    assert shown["Runtimes"] == {"runc": {"path": "runc"}}
    assert shown["RegistryConfig"]["AllowNondistributableArtifactsCIDRs"] is None
    assert shown["RuncCommit"] == {"ID": "r", "Expected": "r"}
    assert shown["InitCommit"] == {"ID": "", "Expected": ""}
    assert shown["BridgeNfIptables"] is False


@pytest.mark.parametrize(
    ("version", "changed"),
    [
        ((1, 25), {"SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"]}),
        ((1, 39), {"KernelVersion": ""}),
        ((1, 44), {"Runtimes": {"runc": {"path": "runc", "status": {}}}}),
        ((1, 47), {"RegistryConfig": {"Mirrors": None}}),
        ((1, 49), {"RuncCommit": {"ID": "r"}}),
    ],
)
def test_info_has_changed(version: Version, changed: dict[str, Any]) -> None:
    assert changed.items() <= versions.info(shown_info(), version).items()


def test_info_of_the_newest_version_is_as_it_is() -> None:
    assert versions.info(shown_info(), (1, 56)) == shown_info()


def shown_event(kind: str, action: str) -> dict[str, Any]:
    actor = {"ID": "x", "Attributes": {"image": "busybox"}}
    return {"Type": kind, "Action": action, "Actor": actor}


def test_events_said_things_twice_until_1_51() -> None:
    event = shown_event("container", "start")

    assert versions.event(event, (1, 51)) == {
        "status": "start",
        "id": "x",
        "from": "busybox",
        **event,
    }
    assert versions.event(event, (1, 52)) == event


def test_events_of_images_have_no_from() -> None:
    shown = versions.event(shown_event("image", "tag"), (1, 51))

    assert shown is not None
    assert "from" not in shown
    assert shown["id"] == "x"


def test_events_of_volumes_never_had_old_fields() -> None:
    event = shown_event("volume", "create")

    assert versions.event(event, (1, 24)) == event


def test_images_are_created_since_1_46() -> None:
    assert versions.event(shown_event("image", "create"), (1, 45)) is None
    assert versions.event(shown_event("image", "create"), (1, 46)) is not None
    assert versions.event(shown_event("container", "create"), (1, 45)) is not None


def test_events_have_their_own_media_type_since_1_52() -> None:
    assert versions.events_type((1, 51)) == "application/json"
    assert versions.events_type((1, 52)) == "application/jsonl"


def test_lists_of_networks_lost_their_containers() -> None:
    network = {"Name": "a", "Containers": {"c": {}}}

    assert versions.network_summaries([network], (1, 27)) == [network]
    assert versions.network_summaries([network], (1, 28)) == [{"Name": "a", "Containers": {}}]
    assert versions.network_summaries([network], (1, 52)) == [{"Name": "a"}]
    assert network["Containers"] == {"c": {}}


def test_networks_have_a_status_since_1_52() -> None:
    assert versions.network_inspect({"Status": 1}, (1, 51)) == {}
    assert versions.network_inspect({"Status": 1}, (1, 52)) == {"Status": 1}
