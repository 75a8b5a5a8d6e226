"""The options of `run` and `create` → the body of POST /containers/create.

Pure but for the files that options name (--env-file, --label-file, a seccomp profile).
ValueError says what is wrong, in Docker's words and order.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pinnace.cli.arguments import Values

    Document = dict[str, Any]

import os

from pinnace.cli import endpoints, ports, quantities, specifications


def body(
    arguments: Values,
    image: str,
    words: Sequence[str],
    *,
    proxies: Mapping[str, str],
    console: tuple[int, int],
) -> Document:
    """What the daemon is asked to create; `console` is the terminal's (rows, columns)."""
    if mac := arguments.text("mac-address"):
        specifications.mac_address(mac)
    swappiness = arguments.number("memory-swappiness")
    if not -1 <= swappiness <= 100:
        raise ValueError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    binds, volumes = _volumes(arguments.texts("volume"))
    exposed, bindings = ports.published(arguments.texts("publish"))
    for spec in arguments.texts("expose"):
        exposed.update({port: {} for port in ports.expose(spec)})
    devices, cdi = _devices(arguments.texts("device"))
    config = _config(arguments, image, words, proxies)
    config["Volumes"] = volumes
    host = _host_config(arguments, binds, bindings)
    host["ConsoleSize"] = list(console)
    host["Devices"] = devices
    requests = list(arguments["gpus"])
    if cdi:
        requests.append(
            {"Driver": "cdi", "Count": 0, "DeviceIDs": cdi, "Capabilities": None, "Options": None}
        )
    host["DeviceRequests"] = requests or None
    networks = endpoints.config(arguments)
    if exposed:
        config["ExposedPorts"] = exposed
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": networks}}


def _config(
    arguments: Values, image: str, words: Sequence[str], proxies: Mapping[str, str]
) -> Document:
    attach = arguments.texts("attach")
    stdin = arguments.flag("interactive")
    config: Document = {
        "Hostname": arguments.text("hostname"),
        "Domainname": arguments.text("domainname"),
        "User": arguments.text("user"),
        "AttachStdin": stdin or "stdin" in attach,
        "AttachStdout": not attach or "stdout" in attach,
        "AttachStderr": not attach or "stderr" in attach,
        "Tty": arguments.flag("tty"),
        "OpenStdin": stdin,
        "StdinOnce": stdin,
        "Env": environment(arguments, proxies) or None,
        "Cmd": list(words) or None,
        "Image": image,
        "WorkingDir": arguments.text("workdir"),
        "Entrypoint": _entrypoint(arguments),
        "OnBuild": None,
        "Labels": dict(
            specifications._pair(text)
            for text in key_values(arguments.texts("label-file"), arguments.texts("label"))
        ),
    }
    if health := _health(arguments):
        config["Healthcheck"] = health
    if arguments.text("stop-signal"):
        config["StopSignal"] = arguments.text("stop-signal")
    if "stop-timeout" in arguments.changed:
        config["StopTimeout"] = arguments.number("stop-timeout")
    return config


def _entrypoint(arguments: Values) -> list[str] | None:
    # `--entrypoint=` takes the image's away; the API says that with one empty string.
    given = "entrypoint" in arguments.changed
    return [arguments.text("entrypoint")] if given else None


def environment(arguments: Values, proxies: Mapping[str, str]) -> list[str]:
    """Variables of the files, then the given ones, each name once, then the user's proxies."""
    given: dict[str, str] = {}
    for text in arguments.texts("env"):
        given[text.partition("=")[0]] = text
    for name, value in proxies.items():
        given.setdefault(name, f"{name}={value}")
    return key_values(arguments.texts("env-file"), list(given.values()), os.environ.get)


def key_values(
    files: Sequence[str],
    given: Sequence[str],
    lookup: Callable[[str], str | None] = lambda _: None,
) -> list[str]:
    """The lines of `files` and then what was `given`; names without a value are looked up."""
    found: list[str] = []
    for path in files:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ValueError(f"open {path}: {(error.strerror or '').lower()}") from None
        try:
            found += _file_lines(data, lookup)
        except ValueError as error:
            raise ValueError(f"invalid env file ({path}): {error}") from None
    return [*found, *given]


def _file_lines(data: bytes, lookup: Callable[[str], str | None]) -> list[str]:
    found = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode().lstrip()
        except UnicodeDecodeError:
            raise ValueError(f"invalid utf8 bytes at line {number}: {list(raw)}") from None
        if not line or line.startswith("#"):
            continue
        name, separator, _ = line.partition("=")
        if not name:
            raise ValueError(f"no variable name on line '{line}'")
        if " " in name or "\t" in name:
            raise ValueError(f"variable '{name}' contains whitespaces")
        if separator:
            found.append(line)
        elif (value := lookup(name)) is not None:
            found.append(f"{name}={value}")
    return found


def _health(arguments: Values) -> Document | None:
    durations = {
        "Interval": "health-interval",
        "Timeout": "health-timeout",
        "StartPeriod": "health-start-period",
        "StartInterval": "health-start-interval",
        "Retries": "health-retries",
    }
    found: Document = {key: arguments.number(name) for key, name in durations.items()}
    command = arguments.text("health-cmd")
    wanted = bool(command) or any(found.values())
    if arguments.flag("no-healthcheck"):
        if wanted:
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not wanted:
        return None
    for key, name in durations.items():
        if found[key] < 0:
            raise ValueError(f"--{name} cannot be negative")
    found = {key: value for key, value in found.items() if value}
    return {"Test": ["CMD-SHELL", command], **found} if command else found


def _volumes(specs: Sequence[str]) -> tuple[list[str] | None, Document]:
    """(binds, anonymous volumes) of all --volume."""
    binds, volumes = [], {}
    for spec in dict.fromkeys(specs):
        source, target = _volume_parts(spec)
        if not source:
            volumes[target] = {}
            continue
        if source.startswith("."):
            spec = os.path.abspath(source) + spec[len(source) :]
        binds.append(spec)
    return binds or None, volumes


def _volume_parts(spec: str) -> tuple[str, str]:
    if not spec:
        raise ValueError("invalid empty volume spec")
    if len(spec) <= 2:
        return "", spec
    parts = _sections(spec)
    if "" in parts:
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    return ("", spec) if len(parts) == 1 else (parts[0], parts[1])


def _sections(spec: str) -> list[str]:
    """Parts between colons; a single letter and its colon stay together.

    Docker takes them for a drive of Windows, wherever it runs.
    """
    sections = [""]
    for char in spec:
        last = sections[-1]
        if char == ":" and not (len(last) == 1 and last.isalpha()):
            sections.append("")
        else:
            sections[-1] += char
    return sections


def _devices(specs: Sequence[str]) -> tuple[list[Document], list[str]]:
    """(device mappings, names of the container device interface) of all --device."""
    mappings, named = [], []
    for spec in specs:
        if _is_cdi(spec):
            named.append(spec)
        else:
            mappings.append(_device(spec))
    return mappings, named


def _is_cdi(text: str) -> bool:
    kind, separator, name = text.partition("=")
    vendor, slash, category = kind.partition("/")
    words = (vendor.replace(".", "").replace("-", "").replace("_", ""), category.replace("-", ""))
    named = all(word.isalnum() for word in words) and vendor[:1].isalpha()
    return bool(separator and slash and name) and named


def _device(spec: str) -> Document:
    parts = spec.split(":")
    if len(parts) > 3 or not parts[0]:
        raise ValueError(f"bad format for path: {spec}")
    source, target, access = parts[0], "", "rwm"
    if len(parts) == 3:
        target, access = parts[1], parts[2]
        if not _is_access(access):
            raise ValueError(f"bad mode specified: {access}")
    elif len(parts) == 2 and _is_access(parts[1]):
        source, access = os.path.normpath(source), parts[1]
    elif len(parts) == 2:
        target = os.path.normpath(parts[1])
    else:
        source = os.path.normpath(source)
    inside = target or source
    if not inside.startswith("/"):
        raise ValueError(f"{inside} is not an absolute path")
    return {"PathOnHost": source, "PathInContainer": inside, "CgroupPermissions": access}


def _is_access(text: str) -> bool:
    return bool(text) and not text.strip("rwm") and len(set(text)) == len(text)


def _host_config(
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
    return dict(specifications._pair(text) for text in options)


def _storage_options(given: Sequence[str]) -> Document:
    if any("=" not in text for text in given):
        raise ValueError("invalid storage option")
    return dict(specifications._pair(text) for text in given)


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
