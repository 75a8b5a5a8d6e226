"""The local driver's options (`type`, `device`, `o`): checking them, and mounting by them."""

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from typing import Final

from pinnace import errors
from pinnace.linux import mount as mounts
from pinnace.linux import syscall

_KNOWN: Final = ("type", "o", "device", "size")
_SIZE: Final = re.compile(r"[0-9]+(?:\.[0-9]+)* ?(?:[kKmMgGtTpP]?[iI]?[bB]?)")

# mount(2), as mount(8) names them; (flag, whether the word takes it away).
_FLAGS: Final = {
    "ro": (1, False), "rw": (1, True), "nosuid": (2, False), "suid": (2, True),
    "nodev": (4, False), "dev": (4, True), "noexec": (8, False), "exec": (8, True),
    "sync": (16, False), "async": (16, True), "remount": (32, False), "mand": (64, False),
    "nomand": (64, True), "dirsync": (128, False), "noatime": (1024, False),
    "atime": (1024, True), "nodiratime": (2048, False), "diratime": (2048, True),
    "bind": (4096, False), "rbind": (4096 | 16384, False), "relatime": (1 << 21, False),
    "norelatime": (1 << 21, True), "strictatime": (1 << 24, False),
    "nostrictatime": (1 << 24, True), "defaults": (0, False),
}  # fmt: skip
_BIND: Final = 4096


def problem(options: Mapping[str, str]) -> str:
    """What is wrong with them, in Docker's words; "" if nothing is."""
    for name in options:
        if name not in _KNOWN:
            return f'invalid option: "{name}"'
    if any("\0" in value for value in options.values()):
        return "invalid option: contains nul byte"
    if size := options.get("size"):
        return (
            "quota size requested but no quota support"
            if _SIZE.fullmatch(size)
            else f"invalid size: '{size}'"
        )
    if ("type" in options or "o" in options) and not options.get("device"):
        return 'missing required option: "device"'
    return ""


def parse(words: str) -> tuple[int, str]:
    """mount(8)'s words as mount(2)'s flags, and the file system's own options."""
    flags, data = 0, []
    for word in words.split(",") if words else []:
        if word not in _FLAGS:
            data.append(word)
            continue
        flag, cleared = _FLAGS[word]
        flags = flags & ~flag if cleared else flags | flag
    return flags, ",".join(data)


def mount(options: Mapping[str, str], target: str) -> None:
    """Mount the device on the volume's folder, unless a former engine did."""
    if any(entry.target == target for entry in mounts.mountinfo()):
        return
    kind, device = options.get("type", ""), options["device"]
    flags, data = parse(options.get("o", ""))
    if kind in ("nfs", "nfs4", "cifs"):
        data = _resolved(data)
    try:
        syscall.mount(device, target, kind, flags, data)
        if flags & _BIND and flags & 0xF:
            # The first call of a bind mount takes no other flags.
            syscall.mount("", target, "", flags | _FLAGS["remount"][0], "")
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise errors.Failed(
            f"error while mounting volume '{target}': failed to mount local volume: "
            f"mount {device}:{target}, flags: {flags:#x}{_shown(data)}: {reason}"
        ) from error


def _shown(data: str) -> str:
    hidden = re.sub(r"password=[^,]*", "password=********", data)
    return f", data: {hidden}" if hidden else ""


def _resolved(data: str) -> str:
    """The kernel wants `addr=` as a number."""
    words = []
    for word in data.split(","):
        key, _, value = word.partition("=")
        words.append(f"addr={_address(value)}" if key == "addr" else word)
    return ",".join(words)


def _address(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(name, None)[0][4][0])
    except OSError as error:
        raise errors.Failed(f"error resolving passed in network volume address: {error}") from None


def unmount(target: str) -> None:
    try:
        syscall.umount2(target, mounts.MNT_DETACH)
    except OSError:
        pass  # it is not mounted (any more)
