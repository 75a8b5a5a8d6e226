"""The small languages inside options (`--mount type=bind,...`): text to the API's values.

Everything here is pure but for `variable`, which may take a value from our own environment.
ValueError says what is wrong, in Docker's words.
"""

from __future__ import annotations

import _socket
import os

from pinnace.cli import quantities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]

_ULIMITS = frozenset(
    [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)
_SYSCTLS = frozenset(
    [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ]
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
            request["Options"] = dict(pair(each) for each in csv(value))
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


def pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value
