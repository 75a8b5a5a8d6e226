"""What a RUN step is given besides its files: --mount and --device, from their fields to values.

Rule: the fields of a mount may hold variables, but for its `from`, which decides about stages
before any variable has a value. So a mount is read twice: `unexpanded` and `parse`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from pinnace.dockerfile import csv, golang
from pinnace.dockerfile.source import DockerfileError
from pinnace.dockerfile.suggest import hint

E = TypeVar("E", bound=Enum)


class MountType(Enum):
    BIND = "bind"
    CACHE = "cache"
    TMPFS = "tmpfs"
    SECRET = "secret"
    SSH = "ssh"


class Sharing(Enum):
    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    text: str
    """The flag's value as it is written."""
    type: MountType = MountType.BIND
    from_: str = ""
    source: str = ""
    target: str = ""
    readonly: bool = True
    size: int = 0
    id: str = ""
    sharing: Sharing | None = None
    required: bool = False
    env: str | None = None
    """The variable that shows a secret; "" is the one named after it, None is none."""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Device:
    name: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class _Field:
    text: str
    key: str
    value: str | None


_KEYS = (
    *("type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode"),
    *("uid", "gid", "src", "dst", "destination", "ro", "rw", "readwrite", "env"),
)
_WITH_OWNER = (MountType.SECRET, MountType.SSH, MountType.CACHE)
_WITH_REQUIRED = (MountType.SECRET, MountType.SSH)
_FLAGS = ("readonly", "ro", "readwrite", "rw", "required")
_UINT32 = (1 << 32) - 1


def unexpanded(text: str) -> Mount:
    """Where the mount is from, which can't hold variables, and its target as it is written."""
    from_ = target = ""
    for field in _fields(text, "mounts"):
        if field.value is None:
            continue
        if field.key in ("target", "dst", "destination"):
            target = field.value
        if field.key != "from":
            continue
        if "$" in field.value[:-1]:
            raise DockerfileError(
                "'from' doesn't support variable expansion, define alias stage instead"
            )
        from_ = field.value
    return Mount(text=text, from_=from_, target=target)


def parse(text: str, expand: Callable[[str], str] = str) -> Mount:
    """A --mount with its variables expanded. Raises DockerfileError."""
    reader = _MountReader(text)
    for field in _fields(text, "mounts"):
        if field.value is None:
            reader.flag(field)
        else:
            reader.read(field, expand(field.value))
    return reader.mount()


class _MountReader:
    """Collects fields in their order: `required` and `size` depend on the type before them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._type = MountType.BIND
        self._strings: dict[str, str] = {}
        self._owner: dict[str, int] = {}
        self._readonly: bool | None = None
        self._sharing: Sharing | None = None
        self._required = False
        self._size = 0

    def flag(self, field: _Field) -> None:
        if field.key not in _FLAGS:
            raise DockerfileError(f"invalid field '{field.text}' must be a key=value pair")
        self._boolean(field.key, "true")

    def read(self, field: _Field, value: str) -> None:
        match key := field.key:
            case "type":
                self._type = _chosen(MountType, "mount type", value)
            case "sharing":
                self._sharing = _chosen(Sharing, "sharing value", value)
            case "from" | "id" | "env":
                self._strings[key] = value
            case "source" | "src":
                self._strings["source"] = value
            case "target" | "dst" | "destination":
                self._strings["target"] = value
            case "readonly" | "ro" | "readwrite" | "rw" | "required":
                self._boolean(key, value)
            case "size":
                self._read_size(value)
            case "mode" | "uid" | "gid":
                self._owner[key] = _number(key, value)
            case _:
                raise DockerfileError(f"unexpected key '{key}' in '{field.text}'{hint(key, _KEYS)}")

    def _boolean(self, key: str, value: str) -> None:
        if key == "required" and self._type not in _WITH_REQUIRED:
            raise self._unexpected(key)
        try:
            given = golang.boolean(value)
        except ValueError:
            raise _invalid(key, value) from None
        if key == "required":
            self._required = given
        else:
            self._readonly = given == (key in ("readonly", "ro"))

    def _read_size(self, value: str) -> None:
        if self._type is not MountType.TMPFS:
            raise self._unexpected("size")
        try:
            self._size = golang.memory(value)
        except ValueError:
            raise _invalid("size", value) from None

    def _unexpected(self, key: str) -> DockerfileError:
        return DockerfileError(f"unexpected key '{key}' for mount type '{self._type.value}'")

    def mount(self) -> Mount:
        writable = self._type in (MountType.CACHE, MountType.TMPFS)
        strings = self._strings
        mount = Mount(
            text=self._text,
            type=self._type,
            from_=strings.get("from", ""),
            source=strings.get("source", ""),
            target=strings.get("target", ""),
            readonly=not writable if self._readonly is None else self._readonly,
            size=self._size,
            id=strings.get("id", ""),
            sharing=self._sharing,
            required=self._required,
            env=strings.get("env"),
            mode=self._owner.get("mode"),
            uid=self._owner.get("uid"),
            gid=self._owner.get("gid"),
        )
        _check(mount)
        return mount


def _check(mount: Mount) -> None:
    if mount.type not in _WITH_OWNER:
        for name, value in (("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)):
            if value is not None:
                raise DockerfileError(f'{name} not allowed for "{mount.type.value}" type mounts')
    if mount.type is MountType.SECRET:
        _check_secret(mount)
    if mount.sharing is not None and mount.type is not MountType.CACHE:
        raise DockerfileError(f"invalid cache sharing set for {mount.type.value} mount")


def _check_secret(mount: Mount) -> None:
    if mount.from_:
        raise DockerfileError("secret mount should not have a from")
    if mount.sharing is not None:
        raise DockerfileError("secret mount should not define sharing")
    if not (mount.source or mount.target or mount.id):
        raise DockerfileError("invalid secret mount. one of source, target required")
    if mount.source and mount.id:
        raise DockerfileError("both source and id can't be set")


def _chosen(kind: type[E], what: str, value: str) -> E:
    try:
        return kind(value.lower())
    except ValueError:
        options = [each.value for each in kind]
        raise DockerfileError(
            f"unsupported {what} {golang.quote(value)}{hint(value, options)}"
        ) from None


def _number(key: str, value: str) -> int:
    try:
        return golang.integer(value, low=0, high=_UINT32, base=8 if key == "mode" else 10)
    except ValueError:
        raise DockerfileError(f"invalid value {value} for {key}") from None


def _invalid(key: str, value: str) -> DockerfileError:
    return DockerfileError(f"invalid value for {key}: {value}")


def device(text: str) -> Device:
    """--device=vendor.com/class=name,required or name=...,required=true."""
    name = ""
    required = False
    for field in _fields(text, "devices"):
        match field.key, field.value:
            case "required", None:
                required = True
            case "required", str(value):
                required = _required(value)
            case "name", str(value):
                if name:
                    raise DockerfileError(f"device name already set to {name}")
                name = value
            case _, _ if not name:
                name = field.text
            case _, None:
                raise DockerfileError(f"invalid field '{field.text}' must be a key=value pair")
            case key, _:
                options = ("name", "required")
                raise DockerfileError(
                    f"unexpected key '{key}' in '{field.text}'{hint(key, options)}"
                )
    return Device(name, required)


def _required(value: str) -> bool:
    try:
        return golang.boolean(value)
    except ValueError:
        raise _invalid("required", value) from None


def _fields(text: str, what: str) -> list[_Field]:
    try:
        found = csv.fields(text)
    except ValueError as error:
        raise DockerfileError(f"failed to parse csv {what}: {error}") from error
    return [_field(field) for field in found]


def _field(text: str) -> _Field:
    key, equals, value = text.partition("=")
    return _Field(text, key.lower(), value if equals else None)
