"""Requests to create a container, from old clients."""

from typing import Any

import msgspec
import pytest

from pinnace import errors
from pinnace.api import versions_create
from pinnace.api.messages import Version
from pinnace.engine import documents
from pinnace.engine.documents import CreateRequest, HostConfig, NetworkingConfig


def translate(version: Version, **body: Any) -> tuple[HostConfig, NetworkingConfig, list[str]]:
    """The translated host config, networking and warnings of a request body."""
    request = documents.decode_create(msgspec.json.encode({"Image": "busybox", **body}))
    translated, warnings = versions_create.create_request(request, version)
    assert translated.host_config and translated.networking_config
    return translated.host_config, translated.networking_config, warnings


def refusal(version: Version, **body: Any) -> str:
    with pytest.raises(errors.Invalid) as caught:
        translate(version, **body)
    return caught.value.message


NOW: Version = (1, 56)


def test_a_container_needs_a_config() -> None:
    with pytest.raises(errors.Invalid, match="config cannot be empty"):
        versions_create.create_request(CreateRequest(), NOW)


@pytest.mark.parametrize("mode", ["", "default"])
def test_the_default_network_is_the_bridge(mode: str) -> None:
    endpoint = {"Aliases": ["a"]}
    host, networking, _ = translate(
        NOW,
        HostConfig={"NetworkMode": mode},
        NetworkingConfig={"EndpointsConfig": {"default": endpoint}},
    )

    assert host.network_mode == "bridge"
    assert list(networking.endpoints_config) == ["bridge"]


def test_clients_before_1_25_remove_containers_themselves() -> None:
    body = {"HostConfig": {"AutoRemove": True}}

    assert not translate((1, 24), **body)[0].auto_remove
    assert translate((1, 25), **body)[0].auto_remove


def test_ipc_was_shareable_before_1_40() -> None:
    assert translate((1, 39))[0].ipc_mode == "shareable"
    assert translate((1, 40))[0].ipc_mode == ""


def test_kernel_memory_has_gone() -> None:
    body = {"HostConfig": {"KernelMemory": 1, "KernelMemoryTCP": 2}}

    def found(version: Version) -> tuple[int, int]:
        host, _, _ = translate(version, **body)
        return host.kernel_memory, host.kernel_memory_tcp

    assert found((1, 39)) == (1, 0)
    assert found((1, 41)) == (1, 2)
    assert found((1, 42)) == (0, 2)
    assert found((1, 52)) == (0, 0)


def test_the_console_has_a_size_since_1_42() -> None:
    body = {"HostConfig": {"ConsoleSize": [24, 80]}}

    assert translate((1, 41), **body)[0].console_size == (0, 0)
    assert translate((1, 42), **body)[0].console_size == (24, 80)


def test_annotations_came_with_1_43() -> None:
    body = {"HostConfig": {"Annotations": {"a": "b"}}}

    assert translate((1, 42), **body)[0].annotations == {}
    assert translate((1, 43), **body)[0].annotations == {"a": "b"}


@pytest.mark.parametrize("limit", [0, -1, -5])
def test_no_limit_of_processes_has_many_names(limit: int) -> None:
    assert translate(NOW, HostConfig={"PidsLimit": limit})[0].pids_limit is None


def test_the_start_interval_came_with_1_44() -> None:
    body = {"Healthcheck": {"StartInterval": 5_000_000}}
    request = documents.decode_create(msgspec.json.encode({"Image": "x", **body}))

    old, _ = versions_create.create_request(request, (1, 43))
    new, _ = versions_create.create_request(request, (1, 44))

    assert old.config and old.config.healthcheck and new.config and new.config.healthcheck
    assert old.config.healthcheck.start_interval == 0
    assert new.config.healthcheck.start_interval == 5_000_000


def test_one_network_only_before_1_44() -> None:
    endpoints: dict[str, Any] = {"a": {}, "b": {}}
    body = {"NetworkingConfig": {"EndpointsConfig": endpoints}}

    assert refusal((1, 43), **body) == (
        "Container cannot be created with multiple network endpoints: a, b"
    )
    assert len(translate((1, 44), **body)[1].endpoints_config) == 2


def test_networks_have_priorities_since_1_48() -> None:
    body = {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"GwPriority": 3}}}}

    assert translate((1, 47), **body)[1].endpoints_config["bridge"].gw_priority == 0
    assert translate((1, 48), **body)[1].endpoints_config["bridge"].gw_priority == 3


# Mounts


def mounted(version: Version, **mount: Any) -> documents.Mount:
    return translate(version, HostConfig={"Mounts": [mount]})[0].mounts[0]


@pytest.mark.parametrize(
    ("options", "kind"),
    [("VolumeOptions", "bind"), ("BindOptions", "volume"), ("TmpfsOptions", "volume")],
)
def test_options_of_another_type_are_refused_since_1_42(options: str, kind: str) -> None:
    mount = {"Type": kind, "Target": "/a", options: {}}

    assert refusal((1, 42), HostConfig={"Mounts": [mount]}) == (
        f'{options} must not be specified on mount type "{kind}"'
    )
    old = mounted((1, 41), **mount)
    assert old.volume_options is None
    assert old.tmpfs_options is None


def test_binds_of_old_clients_know_fewer_options() -> None:
    mount = {
        "Type": "bind",
        "Target": "/a",
        "BindOptions": {"NonRecursive": True, "CreateMountpoint": True},
    }

    options = [mounted(version, **mount).bind_options for version in ((1, 39), (1, 40), (1, 42))]

    found = [(o.non_recursive, o.create_mountpoint) for o in options if o]
    assert found == [(False, False), (True, False), (True, True)]


def test_read_only_was_not_recursive_before_1_44() -> None:
    mount = {"Type": "bind", "Target": "/a", "ReadOnly": True}

    old, new = mounted((1, 43), **mount), mounted((1, 44), **mount)

    assert old.bind_options and old.bind_options.read_only_non_recursive
    assert new.bind_options is None


@pytest.mark.parametrize(
    ("version", "mount", "message"),
    [
        (
            (1, 43),
            {"Type": "bind", "BindOptions": {"ReadOnlyForceRecursive": True}},
            "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
        ),
        (
            (1, 44),
            {"Type": "volume", "VolumeOptions": {"Subpath": "a"}},
            "VolumeOptions.Subpath needs API v1.45 or newer",
        ),
        ((1, 47), {"Type": "image"}, 'Mount type "Image" needs API v1.48 or newer'),
    ],
)
def test_what_old_clients_can_not_mean_is_refused(
    version: Version, mount: dict[str, Any], message: str
) -> None:
    assert refusal(version, HostConfig={"Mounts": [mount]}) == message
    mounted((version[0], version[1] + 1), **mount)


def test_a_volume_driver_does_not_count_for_mounts() -> None:
    def warnings(version: Version, driver_config: dict[str, str] | None) -> list[str]:
        mount = {"Type": "volume", "VolumeOptions": {"DriverConfig": driver_config}}
        host = {"VolumeDriver": "x", "Mounts": [mount]}
        return translate(version, HostConfig=host)[2]

    assert len(warnings((1, 48), None)) == 1
    assert warnings((1, 48), {"Name": "y"}) == []
    assert warnings((1, 47), None) == []


# MAC addresses

MAC = "02:42:ac:11:00:02"


def test_the_mac_address_of_old_clients_goes_to_their_network() -> None:
    _, networking, warnings = translate((1, 43), MacAddress=MAC)

    assert networking.endpoints_config["bridge"].mac_address == MAC
    assert warnings == []


def test_old_clients_could_not_give_a_network_a_mac_address() -> None:
    body = {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": MAC}}}}

    assert translate((1, 43), **body)[1].endpoints_config["bridge"].mac_address == ""
    assert translate((1, 44), **body)[1].endpoints_config["bridge"].mac_address == MAC


def test_old_clients_networks_are_theirs_whatever_the_mode_says() -> None:
    body = {"NetworkingConfig": {"EndpointsConfig": {"other": {}}}, "MacAddress": MAC}

    assert translate((1, 43), **body)[1].endpoints_config["other"].mac_address == MAC


def test_a_mac_address_needs_a_network() -> None:
    host = {"HostConfig": {"NetworkMode": "host"}}

    assert refusal((1, 43), MacAddress=MAC, **host) == (
        "conflicting options: mac-address and the network mode"
    )
    assert len(translate((1, 44), MacAddress=MAC, **host)[2]) == 1


def test_a_container_wide_mac_address_is_on_its_way_out() -> None:
    _, networking, warnings = translate((1, 44), MacAddress=MAC)

    assert networking.endpoints_config["bridge"].mac_address == MAC
    assert warnings == [
        "The container-wide MacAddress field is now deprecated. "
        "It should be specified in EndpointsConfig instead."
    ]
    assert refusal((1, 52), MacAddress=MAC) == (
        "container-wide MAC address no longer supported; use endpoint-specific MAC address instead"
    )


def test_two_mac_addresses_must_be_one() -> None:
    def body(endpoint: str, name: str = "bridge") -> dict[str, Any]:
        endpoints = {name: {"MacAddress": endpoint}}
        return {"MacAddress": MAC, "NetworkingConfig": {"EndpointsConfig": endpoints}}

    translate((1, 44), **body(MAC))
    assert "must match" in refusal((1, 44), **body("02:42:ac:11:00:09"))
    assert "must match the identity of a network" in refusal((1, 44), **body("", "other"))


# Sysctls

SYSCTL = "net.ipv4.conf.eth0.log_martians"
OPTION = versions_create.ENDPOINT_SYSCTLS


def test_a_sysctl_of_an_interface_moves_to_its_endpoint() -> None:
    endpoints = {"bridge": {"DriverOpts": {OPTION: "x=y"}}}
    host, networking, warnings = translate(
        (1, 47),
        HostConfig={"Sysctls": {SYSCTL: "1", "net.ipv4.ip_forward": "1"}},
        NetworkingConfig={"EndpointsConfig": endpoints},
    )

    moved = "net.ipv4.conf.IFNAME.log_martians=1"
    assert host.sysctls == {"net.ipv4.ip_forward": "1"}
    assert networking.endpoints_config["bridge"].driver_opts == {OPTION: f"{moved},x=y"}
    assert warnings == [f'Migrated sysctl "{SYSCTL}" to DriverOpts{{"{OPTION}":"{moved}"}}.']


def test_newer_clients_must_use_the_endpoint() -> None:
    assert refusal((1, 48), HostConfig={"Sysctls": {SYSCTL: "1"}}) == (
        f'interface specific sysctl setting "{SYSCTL}" must be supplied using driver option '
        f"'{OPTION}'"
    )


def test_which_interface_is_not_guessed() -> None:
    sysctls = {"net.ipv4.conf.eth1.x": "1"}

    assert "unable to determine network endpoint" in refusal(
        (1, 47), HostConfig={"Sysctls": sysctls}
    )


def test_sysctls_with_the_hosts_network_are_for_others_to_judge() -> None:
    host, _, warnings = translate(NOW, HostConfig={"NetworkMode": "host", "Sysctls": {SYSCTL: "1"}})

    assert host.sysctls == {SYSCTL: "1"}
    assert warnings == []


# Ports


def test_a_port_bound_nowhere_is_bound_anywhere() -> None:
    body = {"HostConfig": {"PortBindings": {"80/tcp": [], "81/tcp": [{"HostPort": "1"}]}}}

    host, _, warnings = translate((1, 51), **body)

    assert host.port_bindings["80/tcp"] == [documents.PortBinding()]
    assert host.port_bindings["81/tcp"] == [documents.PortBinding(host_port="1")]
    assert warnings == []
    assert "80/tcp. Such bindings" in translate((1, 52), **body)[2][0]
