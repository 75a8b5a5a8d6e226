"""/system/df: the engine's figures in the two forms that clients know.

The engine gives `{"containers": [(Container, rw, root)], "images": [summaries],
"layers_size": n, "volumes": [volumes with UsageData]}`.
"""

from typing import Any, Final, TypeAlias

import msgspec

from pinnace import errors
from pinnace.api.container_json import Summaries
from pinnace.api.messages import Request, Version

Shown: TypeAlias = dict[str, Any]

KINDS: Final = ("container", "image", "volume", "build-cache")
_summaries = Summaries()


def wanted(request: Request) -> tuple[str, ...]:
    if request.version < (1, 42) or "type" not in request.query:
        return KINDS
    for kind in request.texts("type"):
        if kind not in KINDS:
            raise errors.Invalid(f"unknown object type: {kind}")
    return tuple(request.texts("type"))


def show(figures: Shown, kinds: tuple[str, ...], request: Request) -> Shown:
    """Before 1.52 the objects themselves; then totals; both unless the client asks `verbose`."""
    version = request.version
    verbose = version >= (1, 52) and request.flag("verbose")
    items = {
        "container": [
            msgspec.Raw(_summaries.item(container, container.config.image, (rw, root), version))
            for container, rw, root in figures["containers"]
        ],
        "image": [_image(image, version) for image in figures["images"]],
        "volume": list(figures["volumes"]),
        "build-cache": [],
    }
    shown: Shown = {}
    if not verbose:
        shown["LayersSize"] = figures["layers_size"] if "image" in kinds else 0
        for kind, name in zip(
            KINDS, ("Containers", "Images", "Volumes", "BuildCache"), strict=True
        ):
            if kind in kinds:
                shown[name] = items[kind]
            elif version < (1, 52):
                shown[name] = None
    if version >= (1, 52):
        usage = _usage(figures)
        for kind, name in zip(
            KINDS, ("ContainerUsage", "ImageUsage", "VolumeUsage", "BuildCacheUsage"), strict=True
        ):
            if kind in kinds:
                shown[name] = _without_zeros(usage[kind])
                if verbose and items[kind]:
                    shown[name]["Items"] = items[kind]
    return shown


def _image(image: Shown, version: Version) -> Shown:
    # Containers are counted here in every version, unlike in the list of images.
    return {**image, "VirtualSize": image["Size"]} if version < (1, 44) else image


def _usage(figures: Shown) -> dict[str, Shown]:
    containers, images, volumes = figures["containers"], figures["images"], figures["volumes"]
    stopped = [rw for container, rw, _ in containers if not container.state.running]
    unused_images = [image for image in images if image["Containers"] == 0]
    unused_volumes = [v for v in volumes if not v["UsageData"]["RefCount"]]
    return {
        "container": {
            "ActiveCount": len(containers) - len(stopped),
            "Reclaimable": sum(stopped),
            "TotalCount": len(containers),
            "TotalSize": sum(rw for _, rw, _ in containers),
        },
        "image": {
            "ActiveCount": len(images) - len(unused_images),
            "Reclaimable": sum(
                image["Size"] - max(image["SharedSize"], 0) for image in unused_images
            ),
            "TotalCount": len(images),
            "TotalSize": figures["layers_size"],
        },
        "volume": {
            "ActiveCount": len(volumes) - len(unused_volumes),
            "Reclaimable": sum(max(v["UsageData"]["Size"], 0) for v in unused_volumes),
            "TotalCount": len(volumes),
            "TotalSize": sum(max(v["UsageData"]["Size"], 0) for v in volumes),
        },
        "build-cache": {},
    }


def _without_zeros(usage: Shown) -> Shown:
    return {name: value for name, value in usage.items() if value}
