"""What differs between the API versions 1.24 and 1.56, as pure functions.

The handlers speak the newest version. A request of an older one is translated up
(`update_config`, ...; `create` fills `versions_create.py`), an answer down (`info`, ...).
Shapes up to 1.51 are what Docker 28.5.2 answers, later ones what the specification and
moby's api/docs/CHANGELOG.md say. Answers are changed in place and returned.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from pinnace.api.messages import Version
from pinnace.api.versions_create import has_networks
from pinnace.engine import documents

Shown: TypeAlias = dict[str, Any]

# Requests


def update_config(update: documents.UpdateConfig, version: Version) -> documents.UpdateConfig:
    changes: dict[str, Any] = {}
    if version < (1, 40):
        changes["pids_limit"] = None
    elif update.pids_limit is not None and update.pids_limit <= 0:
        changes["pids_limit"] = 0
    if version >= (1, 42):
        changes["kernel_memory"] = 0
    if version >= (1, 52):
        changes["kernel_memory_tcp"] = 0
    if version < (1, 55):
        changes |= {
            "blkio_weight_device": [],
            "blkio_device_read_bps": [],
            "blkio_device_write_bps": [],
            "blkio_device_read_iops": [],
            "blkio_device_write_iops": [],
        }
    return replace(update, **changes)


def exec_config(config: documents.ExecConfig, version: Version) -> documents.ExecConfig:
    return replace(config, console_size=None) if version < (1, 42) else config


def exec_start(start: documents.ExecStartConfig, version: Version) -> documents.ExecStartConfig:
    if version < (1, 42) or not start.tty:
        return replace(start, console_size=None)
    return start


def stop_signal(signal: str, version: Version) -> str | None:
    """`stop` and `restart` knew no signal before 1.42."""
    return signal or None if version >= (1, 42) else None


def stream_type(version: Version, *, multiplexed: bool) -> str:
    """The media type of a container's output; before 1.42 clients had to ask for `Tty`."""
    if multiplexed and version >= (1, 42):
        return "application/vnd.docker.multiplexed-stream"
    return "application/vnd.docker.raw-stream"


# Answers

_NO_NETWORK: Final[Mapping[str, str | int]] = {
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}


def container_inspect(shown: Shown, version: Version) -> Shown:
    config: Shown = shown["Config"]
    if version >= (1, 52):
        config.pop("MacAddress", None)
        if not config["OnBuild"]:
            del config["OnBuild"]
        shown["HostConfig"].pop("KernelMemoryTCP", None)
        return shown
    networks: dict[str, Shown] = shown["NetworkSettings"]["Networks"]
    if version < (1, 45):
        for name, end in networks.items():
            if has_networks(name) and name not in ("bridge", "default"):
                names = [*(end["Aliases"] or ()), shown["Id"][:12], config["Hostname"]]
                end["Aliases"] = list(dict.fromkeys(names))
    shown["NetworkSettings"] = _old_network_settings(shown["NetworkSettings"])
    return shown


def _old_network_settings(settings: Shown) -> Shown:
    bridge = settings["Networks"].get("bridge", _NO_NETWORK)
    return {
        "Bridge": "",
        "SandboxID": settings["SandboxID"],
        "SandboxKey": settings["SandboxKey"],
        "Ports": settings["Ports"],
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: bridge[name] for name in _NO_NETWORK},
        "Networks": settings["Networks"],
    }


_OLDEST_IMAGE_CONFIG: Final[Mapping[str, object]] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}
_OLD_IMAGE_CONFIG: Final[Mapping[str, object]] = {
    name: _OLDEST_IMAGE_CONFIG[name]
    for name in ("Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir")
}


def image_inspect(shown: Shown, version: Version) -> Shown:
    if version < (1, 44):
        shown["VirtualSize"] = shown["Size"]
        shown.setdefault("Created", "0001-01-01T00:00:00Z")
    if version < (1, 45):
        shown.setdefault("Container", "")
        shown["ContainerConfig"] = dict(_OLDEST_IMAGE_CONFIG)
    if version < (1, 48):
        shown.pop("Descriptor", None)
        shown.pop("Manifests", None)
    if version < (1, 52):
        legacy = _OLDEST_IMAGE_CONFIG if version < (1, 50) else _OLD_IMAGE_CONFIG
        shown["Config"] = {**legacy, **(shown.get("Config") or {})}
        for name in ("Parent", "Comment", "DockerVersion", "Author"):
            shown.setdefault(name, "")
    if version < (1, 53):
        shown.pop("Identity", None)
    return shown


def image_summary(shown: Shown, version: Version) -> Shown:
    if version < (1, 43) and not (shown["RepoTags"] or shown["RepoDigests"]):
        shown["RepoTags"], shown["RepoDigests"] = ["<none>:<none>"], ["<none>@<none>"]
    if version < (1, 44):
        shown["VirtualSize"] = shown["Size"]
    if version < (1, 48):
        shown.pop("Descriptor", None)
    if version < (1, 51):
        shown["Containers"] = -1
    return shown


_UNTIL_1_46: Final = (
    "AllowNondistributableArtifactsCIDRs",
    "AllowNondistributableArtifactsHostnames",
)


def info(shown: Shown, version: Version) -> Shown:
    for since, name in (
        ((1, 46), "Containerd"),
        ((1, 49), "FirewallBackend"),
        ((1, 50), "DiscoveredDevices"),
        ((1, 53), "NRI"),
    ):
        if version < since:
            shown.pop(name, None)
    if version < (1, 50):
        shown |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
        _old_info(shown, version)
    return shown


def _old_info(shown: Shown, version: Version) -> None:
    if version < (1, 49):
        for name in ("ContainerdCommit", "RuncCommit", "InitCommit"):
            commit = shown.get(name) or {"ID": ""}
            shown[name] = {**commit, "Expected": commit["ID"]}
    if version < (1, 47):
        registries = shown.get("RegistryConfig") or {}
        shown["RegistryConfig"] = {**registries, **dict.fromkeys(_UNTIL_1_46)}
    if version < (1, 44):
        for runtime in (shown.get("Runtimes") or {}).values():
            runtime.pop("status", None)
    if version < (1, 39):
        for name in ("KernelVersion", "OperatingSystem"):
            shown[name] = shown[name] or "<unknown>"
    if version < (1, 25):
        shown["SecurityOptions"] = [
            option.partition(",")[0].removeprefix("name=")
            for option in shown["SecurityOptions"] or ()
        ]


def event(shown: Shown, version: Version) -> Shown | None:
    """An event, None where it is not to be told."""
    kind, action = shown["Type"], shown["Action"]
    if version < (1, 46) and (kind, action) == ("image", "create"):
        return None
    if version >= (1, 52) or kind not in ("container", "image"):
        return shown
    actor = shown["Actor"]
    legacy: Shown = {"status": action, "id": actor["ID"]}
    if kind == "container" and (image := actor["Attributes"].get("image")):
        legacy["from"] = image
    return legacy | shown


def events_type(version: Version) -> str:
    return "application/jsonl" if version >= (1, 52) else "application/json"


def stats(shown: Shown, version: Version) -> Shown:
    if version < (1, 52):
        shown.pop("os_type", None)
    return shown


def network_summaries(shown: Iterable[Shown], version: Version) -> list[Shown]:
    """The list of networks: with their containers long ago, then without, then not even a field."""
    networks = [dict(network) for network in shown]
    for network in networks:
        if version >= (1, 52):
            network.pop("Containers", None)
        elif version >= (1, 28):
            network["Containers"] = {}
    return networks


def network_inspect(shown: Shown, version: Version) -> Shown:
    if version < (1, 52):
        shown.pop("Status", None)
    return shown
