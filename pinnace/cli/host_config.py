"""The options of `run` and `create` → HostConfig, the part about the host of a container."""

from __future__ import annotations

from pinnace.cli import endpoints, quantities, specifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pinnace.cli.arguments import Values

    Document = dict[str, Any]


def host_config(
    arguments: Values, binds: list[str] | None, bindings: dict[str, list[dict[str, str]]]
) -> Document:
    for key, name in (("pid", "PID"), ("uts", "UTS"), ("userns", "USER"), ("cgroupns", "CGROUP")):
        if not _is_mode(key, arguments.text(key)):
            raise ValueError(f"--{key}: invalid {name} mode")
    security, masked, readonly = _security(arguments.texts("security-opt"))
    restart = restart_policy(arguments.text("restart"))
    if arguments.flag("rm") and restart["Name"] not in ("", "no"):
        raise ValueError("conflicting options: cannot specify both --restart and --rm")
    host: Document = {
        "Binds": binds,
        "ContainerIDFile": arguments.text("cidfile"),
        "LogConfig": {"Type": arguments.text("log-driver"), "Config": _log_options(arguments)},
        "NetworkMode": endpoints.mode(arguments),
        "PortBindings": bindings,
        "RestartPolicy": restart,
        "AutoRemove": arguments.flag("rm"),
        "VolumeDriver": arguments.text("volume-driver"),
        "VolumesFrom": arguments.texts("volumes-from") or None,
        "CapAdd": _capabilities(arguments.texts("cap-add")),
        "CapDrop": _capabilities(arguments.texts("cap-drop")),
        "CgroupnsMode": arguments.text("cgroupns"),
        "Dns": arguments.texts("dns"),
        "DnsOptions": arguments.texts("dns-option"),
        "DnsSearch": arguments.texts("dns-search"),
        "ExtraHosts": arguments.texts("add-host") or None,
        "GroupAdd": arguments.texts("group-add") or None,
        "IpcMode": arguments.text("ipc"),
        "Cgroup": "",
        "Links": arguments.texts("link") or None,
        "OomScoreAdj": arguments.number("oom-score-adj"),
        "PidMode": arguments.text("pid"),
        "Privileged": arguments.flag("privileged"),
        "PublishAllPorts": arguments.flag("publish-all"),
        "ReadonlyRootfs": arguments.flag("read-only"),
        "SecurityOpt": security if "security-opt" in arguments.changed else None,
        "UTSMode": arguments.text("uts"),
        "UsernsMode": arguments.text("userns"),
        "ShmSize": arguments.number("shm-size"),
        "Isolation": arguments.text("isolation"),
        **_resources(arguments),
        "MaskedPaths": masked,
        "ReadonlyPaths": readonly,
    }
    optional: Document = {
        "StorageOpt": _storage_options(arguments.texts("storage-opt")),
        "Tmpfs": {k: v for k, _, v in (t.partition(":") for t in arguments.texts("tmpfs"))},
        "Sysctls": arguments["sysctl"],
        "Runtime": arguments.text("runtime"),
        "Mounts": arguments["mount"],
        "Annotations": arguments["annotation"],
    }
    host.update({key: value for key, value in optional.items() if value})
    if "init" in arguments.changed:
        host["Init"] = arguments.flag("init")
    return host


def _capabilities(names: Sequence[str]) -> list[str] | None:
    """All spelled alike, each once; the daemon compares them as they are."""
    upper = {name.strip().upper() for name in names}
    full = {name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper}
    return sorted(full) or None


def _is_mode(option: str, value: str) -> bool:
    if value in ("", "host"):
        return True
    if option == "pid":
        return value.startswith("container:") and len(value) > len("container:")
    return option == "cgroupns" and value == "private"


def _resources(arguments: Values) -> Document:
    number = arguments.number
    return {
        "CpuShares": number("cpu-shares"),
        "Memory": number("memory"),
        "NanoCpus": number("cpus"),
        "CgroupParent": arguments.text("cgroup-parent"),
        "BlkioWeight": number("blkio-weight"),
        "BlkioWeightDevice": arguments["blkio-weight-device"],
        "BlkioDeviceReadBps": arguments["device-read-bps"],
        "BlkioDeviceWriteBps": arguments["device-write-bps"],
        "BlkioDeviceReadIOps": arguments["device-read-iops"],
        "BlkioDeviceWriteIOps": arguments["device-write-iops"],
        "CpuPeriod": number("cpu-period"),
        "CpuQuota": number("cpu-quota"),
        "CpuRealtimePeriod": number("cpu-rt-period"),
        "CpuRealtimeRuntime": number("cpu-rt-runtime"),
        "CpusetCpus": arguments.text("cpuset-cpus"),
        "CpusetMems": arguments.text("cpuset-mems"),
        "DeviceCgroupRules": arguments.texts("device-cgroup-rule") or None,
        "MemoryReservation": number("memory-reservation"),
        "MemorySwap": number("memory-swap"),
        "MemorySwappiness": number("memory-swappiness"),
        "OomKillDisable": arguments.flag("oom-kill-disable"),
        "PidsLimit": number("pids-limit"),
        "Ulimits": _ulimits(arguments["ulimit"]),
        "CpuCount": number("cpu-count"),
        "CpuPercent": number("cpu-percent"),
        "IOMaximumIOps": number("io-maxiops"),
        "IOMaximumBandwidth": number("io-maxbandwidth"),
    }


def _ulimits(given: Sequence[Document]) -> list[Document]:
    """The last of each name, in the order of the names."""
    last = {limit["Name"]: limit for limit in given}
    return [last[name] for name in sorted(last)]


def restart_policy(text: str) -> Document:
    name, separator, count = text.partition(":")
    if separator and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    retries = 0
    if count:
        try:
            retries = quantities.decimal(count)
        except ValueError:
            raise ValueError(
                "invalid restart policy format: maximum retry count must be an integer"
            ) from None
    return {"Name": name, "MaximumRetryCount": retries}


def _log_options(arguments: Values) -> Document:
    options = arguments.texts("log-opt")
    driver = arguments.text("log-driver")
    if driver == "none" and options:
        raise ValueError(f"invalid logging opts for driver {driver}")
    return dict(specifications.pair(text) for text in options)


def _storage_options(given: Sequence[str]) -> Document:
    if any("=" not in text for text in given):
        raise ValueError("invalid storage option")
    return dict(specifications.pair(text) for text in given)


def _security(given: Sequence[str]) -> tuple[list[str], list[str] | None, list[str] | None]:
    """(options for the daemon, masked paths, read-only paths)."""
    kept, unmasked = [], False
    for text in given:
        if text == "systempaths=unconfined":
            unmasked = True
            continue
        key, separator, value = text.partition("=")
        if not separator and key != "no-new-privileges":
            key, separator, value = text.partition(":")
        if not value and key != "no-new-privileges":
            raise ValueError(f'Invalid --security-opt: "{text}"')
        if key == "seccomp" and value not in ("builtin", "unconfined"):
            text = f"seccomp={_profile(value)}"
        kept.append(text)
    return kept, [] if unmasked else None, [] if unmasked else None


def _profile(path: str) -> str:
    """A seccomp profile's file in as few characters as it can be said."""
    from pinnace.cli import document

    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        reason = f"open {path}: {(error.strerror or '').lower()}"
        raise ValueError(f"opening seccomp profile ({path}) failed: {reason}") from None
    try:
        return document.encode(document.decode(data))
    except ValueError as error:
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {error}") from None
