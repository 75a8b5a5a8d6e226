"""The options of `run` and `create` → the body of POST /containers/create.

Pure but for the files that options name (--env-file, --label-file, a seccomp profile).
ValueError says what is wrong, in Docker's words and order.
"""

from __future__ import annotations

import os

from pinnace.cli import bindings, endpoints, host_config, ports, specifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pinnace.cli.arguments import Values

    Document = dict[str, Any]


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
    binds, volumes = bindings.volumes(arguments.texts("volume"))
    exposed, published = ports.published(arguments.texts("publish"))
    for spec in arguments.texts("expose"):
        exposed.update({port: {} for port in ports.expose(spec)})
    devices, cdi = bindings.devices(arguments.texts("device"))
    config = _config(arguments, image, words, proxies)
    config["Volumes"] = volumes
    host = host_config.host_config(arguments, binds, published)
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
            specifications.pair(text)
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
