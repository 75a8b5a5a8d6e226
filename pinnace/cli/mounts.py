"""--mount: 'type=bind,source=/a,target=/b' → the API's Mount."""

from __future__ import annotations

import os

from pinnace.cli import quantities, specifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Document = dict[str, Any]


def mount(text: str) -> Document:
    """The API's Mount of one --mount."""
    found: Document = {"Type": "volume"}
    for field in specifications.csv(text):
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
        except _Unreadable:
            raise ValueError(f"invalid value for {key}: {value}") from None
    _check_mount(found)
    return {key: value for key, value in found.items() if value not in ("", False)}


class _Unreadable(ValueError):
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
        return specifications.boolean(value)
    except ValueError:
        raise _Unreadable from None


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
    key, text = specifications.pair(value)
    options = _options(found, "VolumeOptions")
    if key:
        options.setdefault("Labels", {})[key] = text


def _volume_driver_option(found: Document, value: str) -> None:
    key, text = specifications.pair(value)
    driver = _options(found, "VolumeOptions")["DriverConfig"]
    if key:
        driver.setdefault("Options", {})[key] = text


def _tmpfs_size(found: Document, value: str) -> None:
    try:
        _options(found, "TmpfsOptions")["SizeBytes"] = quantities.size(value)
    except ValueError:
        raise _Unreadable from None


def _tmpfs_mode(found: Document, value: str) -> None:
    if not value or value.strip("01234567"):
        raise _Unreadable
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
