"""The small languages inside options (`--mount type=bind,...`, `--ulimit nofile=1024`): text to API values.

Everything here is pure but for `variable`, which may take a value from our own environment.
ValueError says what is wrong, in Docker's words.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Document = dict[str, Any]

import os

import _socket
from pinnace.cli import quantities

_ULIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending "
    "stack".split()
)
_SYSCTLS = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax "
    "kernel.shmmni kernel.shm_rmid_forced".split()
)
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")


def csv(text: str) -> list[str]:
    """The fields of one line of comma-separated values, quoted ones read as RFC 4180 has it."""
    fields, position = [], 0
    while True:
        if text.startswith('"', position):
            field, position = _quoted_field(text, position + 1)
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field = text[position:end]
            if '"' in field:
                column = position + field.index('"') + 1
                raise ValueError(
                    f'parse error on line 1, column {column}: bare " in non-quoted-field'
                )
            position = end
        fields.append(field)
        if position >= len(text):
            break
        position += 1
    if fields == [""]:
        raise ValueError("EOF")
    return fields


def _quoted_field(text: str, position: int) -> tuple[str, int]:
    out = []
    while True:
        end = text.find('"', position)
        if end < 0:
            raise ValueError(
                f'parse error on line 1, column {len(text) + 1}: extraneous or missing " in '
                "quoted-field"
            )
        out.append(text[position:end])
        if not text.startswith('"', end + 1):
            if end + 1 < len(text) and text[end + 1] != ",":
                raise ValueError(
                    f'parse error on line 1, column {end + 2}: extraneous or missing " in '
                    "quoted-field"
                )
            return "".join(out), end + 1
        out.append('"')
        position = end + 2


def boolean(text: str) -> bool:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(f"not a boolean: {text}")


def attached(text: str) -> str:
    stream = text.lower()
    if stream not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return stream


def ip_address(text: str) -> str:
    """The address in its canonical form."""
    bare = text.strip()
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            return _socket.inet_ntop(family, _socket.inet_pton(family, bare))
        except (OSError, ValueError):
            continue
    raise ValueError(f"IP address is not correctly formatted: {text}")


def mac_address(text: str) -> str:
    groups = text.strip().replace("-", ":").split(":")
    if len(groups) == 1:
        groups = [part for quad in text.split(".") for part in (quad[:2], quad[2:])]
    if len(groups) not in (6, 8, 20) or not all(_is_byte(group) for group in groups):
        raise ValueError(f"{text} is not a valid mac address")
    return text


def _is_byte(text: str) -> bool:
    return len(text) == 2 and all(char in "0123456789abcdefABCDEF" for char in text)


def extra_host(text: str) -> str:
    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not separator or not name or ":" in name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address != "host-gateway":
        if address[:1] == "[" and address[-1:] == "]":
            address = address[1:-1]
        try:
            ip_address(address)
        except ValueError:
            raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{address}"


def domain(text: str) -> str:
    """A search domain; '.' means none."""
    bare = text.strip(" ")
    if bare == ".":
        return bare
    name = bare.rstrip().removesuffix(".")
    allowed = _LETTERS | _DIGITS | {"-"}
    good = len(name) < 255 and not _LETTERS.isdisjoint(name)
    for part in name.split("."):
        good = good and bool(part) and allowed.issuperset(part)
        good = good and part[0] != "-" and part[-1] != "-"
    if not good:
        raise ValueError(f"{text} is not a valid domain")
    return name


def variable(text: str) -> str:
    """NAME=value as it is; NAME alone with our own value if there is one."""
    name, separator, _ = text.partition("=")
    if not name:
        raise ValueError(f"invalid environment variable: {text}")
    if not separator and name in os.environ:
        return f"{name}={os.environ[name]}"
    return text


def label(text: str) -> str:
    key = text.partition("=")[0].lstrip(" \t")
    if not key:
        raise ValueError(f"invalid label '{text}': empty name")
    if " " in key or "\t" in key:
        raise ValueError(f"label '{key}' contains whitespaces")
    return text


def link(text: str) -> str:
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def sysctl(text: str) -> str:
    key, separator, _ = text.partition("=")
    known = key in _SYSCTLS or key.startswith(("net.", "fs.mqueue."))
    if not separator or not known:
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def device_rule(text: str) -> str:
    words = text.split(" ")
    numbers = words[1].split(":") if len(words) == 3 else []
    good = (
        len(numbers) == 2
        and words[0] in ("a", "b", "c")
        and all(number == "*" or (number.isascii() and number.isdigit()) for number in numbers)
        and 1 <= len(words[2]) <= 3
        and not words[2].strip("rwm")
    )
    if not good:
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def weight_device(text: str) -> Document:
    path, weight = _of_device(text)
    try:
        number = quantities.decimal(weight, 0, (1 << 16) - 1)
    except ValueError:
        number = 1
    if number and not 10 <= number <= 1000:
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": number}


def byte_rate(text: str) -> Document:
    path, rate = _of_device(text)
    try:
        return {"Path": path, "Rate": quantities.size(rate)}
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>"
            "[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        ) from None


def operation_rate(text: str) -> Document:
    path, rate = _of_device(text)
    try:
        return {"Path": path, "Rate": quantities.decimal(rate, 0, (1 << 64) - 1)}
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        ) from None


def _of_device(text: str) -> tuple[str, str]:
    path, separator, rest = text.partition(":")
    if not separator or not path:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")
    return path, rest


def ulimit(text: str) -> Document:
    name, separator, limits = text.partition("=")
    if not separator:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(
            f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        )
    hard = quantities.decimal(parts[-1])
    soft = quantities.decimal(parts[0])
    if hard != -1:
        wrong = "ulimit soft limit must be less than or equal to hard limit: "
        if soft == -1:
            raise ValueError(f"{wrong}soft: -1 (unlimited), hard: {hard}")
        if soft > hard:
            raise ValueError(f"{wrong}{soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def gpus(text: str) -> Document:
    """A request for devices: 'all', a count, or driver=,count=,device=,capabilities=,options=."""
    request: Document = {
        "Driver": "",
        "Count": 0,
        "DeviceIDs": None,
        "Capabilities": [["gpu"]],
        "Options": {},
    }
    seen: set[str] = set()
    for field in csv(text):
        key, separator, value = field.partition("=")
        if key in seen:
            raise ValueError(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if not separator:
            seen.add("count")
            request["Count"] = _gpu_count(key)
        elif key == "driver":
            request["Driver"] = value
        elif key == "count":
            request["Count"] = _gpu_count(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif key == "options":
            request["Options"] = dict(_pair(each) for each in csv(value))
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if "count" not in seen and request["DeviceIDs"] is None:
        request["Count"] = 1
    return request


def _gpu_count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f'invalid count ({text}): value must be either "all" or an integer: invalid syntax'
        ) from None


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


class Network:
    """What one --network says: a network and how to be connected to it."""

    __slots__ = (
        "aliases",
        "driver_options",
        "ip",
        "ip6",
        "link_local",
        "links",
        "mac",
        "priority",
        "target",
    )

    def __init__(self, target: str) -> None:
        self.target = target
        self.aliases: list[str] = []
        self.driver_options: dict[str, str] = {}
        self.links: list[str] = []
        self.ip = ""
        self.ip6 = ""
        self.link_local: list[str] = []
        self.mac = ""
        self.priority = 0


def network(text: str) -> Network:
    if not _has_keys(text):
        return Network(text)
    found = Network("")
    for field in csv(text):
        # Docker reads keys and values alike in small letters.
        key, separator, value = field.lower().partition("=")
        if not separator or not key:
            raise ValueError(f"invalid field {field}")
        _network_field(found, key.strip(), value.strip())
    if not found.target:
        raise ValueError("network name/id is not specified")
    return found


def _has_keys(text: str) -> bool:
    return any(
        _is_word(text[i - 1 : i]) and _is_word(text[i + 1 : i + 2])
        for i, char in enumerate(text)
        if char == "="
    )


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


def _network_field(found: Network, key: str, value: str) -> None:
    if key == "name":
        found.target = value
    elif key == "alias":
        found.aliases.append(value)
    elif key == "ip":
        found.ip = value
    elif key == "ip6":
        found.ip6 = value
    elif key == "mac-address":
        found.mac = value
    elif key == "link-local-ip":
        found.link_local.append(value)
    elif key == "driver-opt":
        name, separator, rest = value.partition("=")
        if not separator or not name:
            raise ValueError("invalid key value pair format in driver options")
        found.driver_options[name.strip()] = rest.strip()
    elif key == "gw-priority":
        try:
            found.priority = int(value)
        except ValueError:
            raise ValueError(f"invalid gw-priority ({value}): invalid syntax") from None
    else:
        raise ValueError(f"invalid field key {key}")


def mount(text: str) -> Document:
    """The API's Mount of one --mount."""
    found: Document = {"Type": "volume"}
    for field in csv(text):
        key, separator, value = field.partition("=")
        key = key.lower()
        if not separator:
            if key not in ("readonly", "ro", "volume-nocopy", "bind-nonrecursive"):
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        setter = _MOUNT_FIELDS.get(key)
        if setter is None:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
        try:
            setter(found, value)
        except quantities_error:
            raise ValueError(f"invalid value for {key}: {value}") from None
    _check_mount(found)
    return {key: value for key, value in found.items() if value not in ("", False)}


class quantities_error(ValueError):  # noqa: N801 - used as a marker only
    """A value can't be read; the caller names the key."""


def _check_mount(found: Document) -> None:
    kind = found["Type"]
    if not kind:
        raise ValueError("type is required")
    if not found.get("Target"):
        raise ValueError("target is required")
    for option, owner in (
        ("VolumeOptions", "volume"),
        ("ImageOptions", "image"),
        ("BindOptions", "bind"),
        ("TmpfsOptions", "tmpfs"),
    ):
        if option in found and kind != owner:
            raise ValueError(f"cannot mix '{owner}-*' options with mount type '{kind}'")
    bind = found.get("BindOptions", {})
    needs = "requires 'readonly' to be specified in conjunction"
    if bind.get("ReadOnlyNonRecursive") and not found.get("ReadOnly"):
        raise ValueError(f"option 'bind-recursive=writable' {needs}")
    if bind.get("ReadOnlyForceRecursive"):
        if not found.get("ReadOnly"):
            raise ValueError(f"option 'bind-recursive=readonly' {needs}")
        if bind.get("Propagation") != "rprivate":
            raise ValueError(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
                "specified in conjunction"
            )


def _mount_source(found: Document, value: str) -> None:
    found["Source"] = os.path.abspath(value) if value.startswith(".") else value


def _mount_readonly(found: Document, value: str) -> None:
    found["ReadOnly"] = _mount_boolean(value)


def _mount_boolean(value: str) -> bool:
    try:
        return boolean(value)
    except ValueError:
        raise quantities_error from None


def _options(found: Document, kind: str) -> Document:
    fresh: Document = {"DriverConfig": {}} if kind == "VolumeOptions" else {}
    options: Document = found.setdefault(kind, fresh)
    return options


def _bind_recursive(found: Document, value: str) -> None:
    flags = {
        "enabled": "",
        "disabled": "NonRecursive",
        "writable": "ReadOnlyNonRecursive",
        "readonly": "ReadOnlyForceRecursive",
    }
    if value not in flags:
        raise ValueError(
            f"invalid value for bind-recursive: {value} "
            '(must be "enabled", "disabled", "writable", or "readonly")'
        )
    if flags[value]:
        _options(found, "BindOptions")[flags[value]] = True


def _bind_nonrecursive(found: Document, value: str) -> None:
    options = _options(found, "BindOptions")
    if _mount_boolean(value):
        options["NonRecursive"] = True


def _volume_nocopy(found: Document, value: str) -> None:
    options = _options(found, "VolumeOptions")
    if _mount_boolean(value):
        options["NoCopy"] = True


def _volume_label(found: Document, value: str) -> None:
    key, text = _pair(value)
    options = _options(found, "VolumeOptions")
    if key:
        options.setdefault("Labels", {})[key] = text


def _volume_driver_option(found: Document, value: str) -> None:
    key, text = _pair(value)
    driver = _options(found, "VolumeOptions")["DriverConfig"]
    if key:
        driver.setdefault("Options", {})[key] = text


def _tmpfs_size(found: Document, value: str) -> None:
    try:
        _options(found, "TmpfsOptions")["SizeBytes"] = quantities.size(value)
    except ValueError:
        raise quantities_error from None


def _tmpfs_mode(found: Document, value: str) -> None:
    if not value or value.strip("01234567"):
        raise quantities_error
    _options(found, "TmpfsOptions")["Mode"] = int(value, 8)


def _plain(name: str, *, low: bool = False) -> Callable[[Document, str], None]:
    def keep(found: Document, value: str) -> None:
        found[name] = value.lower() if low else value

    return keep


def _option(kind: str, name: str, *, low: bool = False) -> Callable[[Document, str], None]:
    def keep(found: Document, value: str) -> None:
        options = _options(found, kind)
        if value:
            options[name] = value.lower() if low else value

    return keep


def _volume_driver(found: Document, value: str) -> None:
    driver = _options(found, "VolumeOptions")["DriverConfig"]
    if value:
        driver["Name"] = value


_MOUNT_FIELDS: dict[str, Callable[[Document, str], None]] = {
    "type": _plain("Type", low=True),
    "source": _mount_source,
    "src": _mount_source,
    "target": _plain("Target"),
    "dst": _plain("Target"),
    "destination": _plain("Target"),
    "readonly": _mount_readonly,
    "ro": _mount_readonly,
    "consistency": _plain("Consistency", low=True),
    "bind-propagation": _option("BindOptions", "Propagation", low=True),
    "bind-nonrecursive": _bind_nonrecursive,
    "bind-recursive": _bind_recursive,
    "volume-subpath": _option("VolumeOptions", "Subpath"),
    "volume-nocopy": _volume_nocopy,
    "volume-label": _volume_label,
    "volume-driver": _volume_driver,
    "volume-opt": _volume_driver_option,
    "image-subpath": _option("ImageOptions", "Subpath"),
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}
