"""--volume and --device: the short languages for what of the host a container sees."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Document = dict[str, Any]


def volumes(specs: Sequence[str]) -> tuple[list[str] | None, Document]:
    """(binds, anonymous volumes) of all --volume."""
    binds: list[str] = []
    volumes: Document = {}
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


def devices(specs: Sequence[str]) -> tuple[list[Document], list[str]]:
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
