"""What clients write about mounts (Binds, Mounts, Tmpfs, Volumes, VolumesFrom) → MountPoints.

Pure but for one question, whether a bind's source exists, which the caller answers.
A volume's MountPoint has no source yet, an anonymous one no name: `volumes` fills both in.
"""

import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from pinnace import errors
from pinnace.engine.documents import (
    BindOptions,
    ContainerConfig,
    HostConfig,
    Mount,
    MountPoint,
    TmpfsOptions,
    VolumeDriver,
    VolumeOptions,
)

Exists = Callable[[str], bool]

_ACCESS: Final = frozenset({"rw", "ro"})
_LABELS: Final = frozenset({"z", "Z"})
_COPY: Final = frozenset({"nocopy"})
_CONSISTENCY: Final = frozenset({"consistent", "cached", "delegated"})
_OWNER: Final = frozenset({"U"})
PROPAGATIONS: Final = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_GROUPS: Final = (_ACCESS, _LABELS, PROPAGATIONS, _COPY, _CONSISTENCY, _OWNER)


def clean(path: str) -> str:
    """Go's path.Clean: unlike normpath, two slashes at the front are one."""
    cleaned = posixpath.normpath(path) if path else "."
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def mount_points(
    config: ContainerConfig,
    host: HostConfig,
    *,
    exists: Exists,
    others: Callable[[str], Sequence[MountPoint]],
) -> list[MountPoint]:
    """All mounts of a new container but tmpfs ones of `Tmpfs`; the later ones win, as Docker's.

    others(ident) gives the mounts of another container, for VolumesFrom.
    """
    points: dict[str, MountPoint] = {}
    for word in host.volumes_from:
        ident, mode = parse_volumes_from(word)
        for point in others(ident):
            points[point.destination] = _borrowed(point, mode)
    taken: set[str] = set()
    for bind in host.binds:
        point = parse_bind(bind, host.volume_driver)
        if point.destination in taken or point.destination in host.tmpfs:
            raise _duplicate(point.destination)
        taken.add(point.destination)
        points[point.destination] = point
    for mount in host.mounts:
        point = from_mount(mount, exists)
        if point.destination in taken:
            raise _duplicate(mount.target)
        taken.add(point.destination)
        points[point.destination] = point
    for target in config.volumes:
        destination = clean("/" + target)
        if destination not in points and destination not in host.tmpfs:
            points[destination] = MountPoint(
                type="volume",
                destination=destination,
                driver=host.volume_driver,
                rw=True,
                copy_data=True,
                anonymous=True,
            )
    return list(points.values())


def _borrowed(point: MountPoint, mode: str) -> MountPoint:
    return msgspec.structs.replace(
        point, rw=point.rw and mode != "ro", mode="", copy_data=False, anonymous=False
    )


def _duplicate(target: str) -> errors.Invalid:
    return errors.Invalid(f"Duplicate mount point: {target}")


# Binds


def parse_bind(raw: str, volume_driver: str = "") -> MountPoint:
    """`[source:]target[:mode]`, where an absolute source is a path and any other a volume."""
    parts = raw.split(":", 3)
    if not parts[0] or len(parts) > 3 or (len(parts) == 2 and valid_mode(parts[1])):
        raise errors.Invalid(f"invalid volume specification: '{raw}'")
    source, target, mode = ["", *parts, ""] if len(parts) == 1 else [*parts, ""][:3]
    if not valid_mode(mode):
        raise errors.Invalid(f"invalid mode: {mode}")
    words = mode.split(",")
    mount = _mount_of_bind(source, target, words, volume_driver)
    try:
        point = from_mount(mount, exists=lambda path: True)
    except errors.Invalid as error:
        message = f"invalid volume specification: '{raw}': {error.message}"
        raise errors.Invalid(message) from None
    point.mode = mode
    point.create_source = point.type == "bind"
    point.chown = "U" in words
    return point


def _mount_of_bind(source: str, target: str, words: Sequence[str], driver: str) -> Mount:
    propagation = next((word for word in words if word in PROPAGATIONS), "")
    is_volume = not source.startswith("/")
    volume = (
        VolumeOptions(
            no_copy="nocopy" in words,
            driver_config=VolumeDriver(name=driver) if driver and is_volume else None,
        )
        if "nocopy" in words or (driver and is_volume)
        else None
    )
    return Mount(
        type="volume" if is_volume else "bind",
        source=source,
        target=target,
        read_only="ro" in words,
        volume_options=volume,
        bind_options=BindOptions(propagation=propagation) if propagation else None,
    )


def valid_mode(mode: str) -> bool:
    """Known words, and of each kind at most one."""
    if not mode:
        return True
    words = mode.split(",")
    known = sum(1 for word in words if any(word in group for group in _GROUPS))
    return known == len(words) and all(
        sum(word in group for word in words) <= 1 for group in _GROUPS
    )


def parse_volumes_from(word: str) -> tuple[str, str]:
    """`container[:mode]` → (container, mode)."""
    if not word:
        raise errors.Invalid("volumes-from specification cannot be an empty string")
    ident, _, mode = word.partition(":")
    words = mode.split(",")
    if not valid_mode(mode) or any(w in PROPAGATIONS or w in _COPY for w in words):
        raise errors.Invalid(f"invalid mode: {mode}")
    return ident, "ro" if "ro" in words else "rw"


# Mounts


def from_mount(mount: Mount, exists: Exists) -> MountPoint:
    """Raises errors.Invalid in Docker's words for whatever is wrong with it."""
    check(mount, exists)
    point = MountPoint(
        type=mount.type,
        destination=clean(mount.target),
        rw=not mount.read_only,
        mount=mount,
    )
    if mount.type == "volume":
        options = mount.volume_options or VolumeOptions()
        point.name = mount.source
        point.driver = options.driver_config.name if options.driver_config else ""
        point.copy_data = not options.no_copy
        point.anonymous = not mount.source
    elif mount.type in ("bind", "image"):
        wanted = mount.bind_options.propagation if mount.bind_options else ""
        point.propagation = wanted or "rprivate"
        point.source = clean(mount.source) if mount.type == "bind" else mount.source
        point.rw = point.rw and mount.type == "bind"
        point.create_source = bool(mount.bind_options and mount.bind_options.create_mountpoint)
    return point


def check(mount: Mount, exists: Exists) -> None:
    problem = _problem(mount) or _PROBLEMS.get(mount.type, _unknown)(mount, exists)
    if problem:
        raise errors.Invalid(f'invalid mount config for type "{mount.type}": {problem}')


def _problem(mount: Mount) -> str:
    target = mount.target.replace("\\", "/")
    if not target:
        return "field Target must not be empty"
    if clean(target) == "/":
        return "invalid specification: destination can't be '/'"
    if "\0" in mount.target or "\0" in mount.source:
        return "invalid mount path: a path can't hold a null byte"
    return _not_absolute(mount.target)


def _not_absolute(path: str) -> str:
    if path.replace("\\", "/").startswith("/"):
        return ""
    return f"invalid mount path: '{path}' mount path must be absolute"


def _extra(mount: Mount, *names: str) -> str:
    """The first of the fields that is set and must not be, in Go's order of asking."""
    given = {
        "BindOptions": mount.bind_options,
        "VolumeOptions": mount.volume_options,
        "ImageOptions": mount.image_options,
        "Source": mount.source,
    }
    name = next((name for name in names if given[name]), "")
    return f"field {name} must not be specified" if name else ""


def _bind_problem(mount: Mount, exists: Exists) -> str:
    if not mount.source:
        return "field Source must not be empty"
    options = mount.bind_options or BindOptions()
    if options.propagation and options.propagation not in PROPAGATIONS:
        return f"invalid propagation mode: {options.propagation}"
    problem = _extra(mount, "VolumeOptions", "ImageOptions") or _not_absolute(mount.source)
    if not problem and not options.create_mountpoint and not exists(mount.source):
        problem = f"bind source path does not exist: {mount.source}"
    return problem


def _volume_problem(mount: Mount, exists: Exists) -> str:
    if problem := _extra(mount, "BindOptions", "ImageOptions"):
        return problem
    subpath = mount.volume_options.subpath if mount.volume_options else ""
    if subpath and not mount.source:
        return "must not set Subpath when using anonymous volumes"
    if subpath and not is_local(subpath):
        return "subpath must be a relative path within the volume"
    if mount.read_only and not mount.source:
        return "must not set ReadOnly mode when using anonymous volumes"
    return ""


def _tmpfs_problem(mount: Mount, exists: Exists) -> str:
    if problem := _extra(mount, "BindOptions", "ImageOptions", "Source"):
        return problem
    options = mount.tmpfs_options or TmpfsOptions()
    if options.size_bytes < 0:
        return f"invalid size: {options.size_bytes}"
    return next(filter(None, map(_tmpfs_word_problem, options.options)), "")


def _image_problem(mount: Mount, exists: Exists) -> str:
    if problem := _extra(mount, "BindOptions", "VolumeOptions"):
        return problem
    if not mount.source:
        return "field Source must not be empty"
    subpath = mount.image_options.subpath if mount.image_options else ""
    if subpath and not is_local(subpath):
        return "subpath must be a relative path within the volume"
    return ""


def _unknown(mount: Mount, exists: Exists) -> str:
    return "mount type unknown"


_PROBLEMS: Final = {
    "bind": _bind_problem,
    "volume": _volume_problem,
    "tmpfs": _tmpfs_problem,
    "image": _image_problem,
}


def is_local(path: str) -> bool:
    """Go's filepath.IsLocal: relative, and never above where it starts."""
    return bool(path) and not path.startswith("/") and clean(path).split("/")[0] != ".."


# Tmpfs

# Words that exclude one another: the last of a group wins.
_TMPFS_FLAGS: Final = {
    word: group
    for group, words in enumerate(
        (
            "ro rw", "suid nosuid", "dev nodev", "exec noexec", "sync async", "dirsync",
            "remount", "mand nomand", "atime noatime", "diratime nodiratime",
            "relatime norelatime", "strictatime nostrictatime",
            "bind rbind unbindable runbindable private rprivate shared rshared slave rslave",
        )
    )
    for word in words.split()
}  # fmt: skip
_TMPFS_DATA: Final = frozenset({"", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})


def merge_tmpfs_options(options: Sequence[str]) -> list[str]:
    """Each flag and each key once, the last one given; raises errors.Invalid on others."""
    seen: set[int | str] = set()
    merged: list[str] = []
    for option in reversed(options):
        if option == "defaults":
            continue
        key, equals, _ = option.partition("=")
        kind: int | str = _TMPFS_FLAGS.get(option, key)
        if isinstance(kind, str) and (not equals or key not in _TMPFS_DATA):
            raise errors.Invalid(f'invalid tmpfs option "{key}"')
        if kind not in seen:
            seen.add(kind)
            merged.append(option)
    return merged[::-1]


def tmpfs_words(options: TmpfsOptions | None, *, read_only: bool) -> str:
    """TmpfsOptions as the option string that `Tmpfs` would have."""
    options = options or TmpfsOptions()
    words = ["ro"] if read_only else []
    if options.mode:
        words.append(f"mode={options.mode:o}")
    if options.size_bytes:
        words.append(f"size={_size(options.size_bytes)}")
    words += ["=".join(word) for word in options.options]
    return ",".join(words)


def _size(size: int) -> str:
    for suffix, unit in (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)):
        if size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def _tmpfs_word_problem(word: Sequence[str]) -> str:
    if not 1 <= len(word) <= 2:
        return "invalid option array length"
    return "" if word[0] in ("exec", "noexec") else f"invalid option: {word[0]}"


def has_mount_for(points: Iterable[MountPoint], destination: str) -> bool:
    return any(point.destination == clean(destination) for point in points)
