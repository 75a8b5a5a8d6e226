"""JSON of a client ↔ typed documents, as forgiving and as strict as Go's encoding/json.

Names match in any case, null is absent, unknown names are ignored; a wrong type, a second
document behind the first and absurd depth are refused.
The way in is untyped decode → `_cleaner(type)` (names and nulls) → msgspec's typed conversion;
only when that fails does `_first_mismatch` walk the document again, to say where in Go's words.
"""

from collections.abc import Callable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Final, TypeAlias, TypeVar, Union, cast, get_args, get_origin

import msgspec

from pinnace import errors

T = TypeVar("T")
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Cleaner: TypeAlias = Callable[[Json], Json]

MAX_DEPTH: Final = 200

# Docker's StrSlice: a list, or one string that stands for a list of it; an exec's is a list only.
_STRING_OR_LIST: Final = frozenset({"Cmd", "Entrypoint", "Shell", "CapAdd", "CapDrop"})
_LISTS_ONLY: Final = "ExecConfig"

# What Go calls the types that are not plain ones; by field, then by document.
_GO_FIELDS: Final = {
    "Cgroup": "container.CgroupSpec",
    "CgroupnsMode": "container.CgroupnsMode",
    "Count": "int",
    "ExposedPorts": "nat.PortSet",
    "Interval": "time.Duration",
    "IpcMode": "container.IpcMode",
    "Isolation": "container.Isolation",
    "MaximumRetryCount": "int",
    "Mode": "fs.FileMode",
    "Mount.Type": "mount.Type",
    "NetworkMode": "container.NetworkMode",
    "OomScoreAdj": "int",
    "PidMode": "container.PidMode",
    "PortBindings": "nat.PortMap",
    "RestartPolicy.Name": "container.RestartPolicyMode",
    "Retries": "int",
    "StartInterval": "time.Duration",
    "StartPeriod": "time.Duration",
    "StopTimeout": "int",
    "Timeout": "time.Duration",
    "UTSMode": "container.UTSMode",
    "Ulimits": "[]*units.Ulimit",
    "UsernsMode": "container.UsernsMode",
}
_GO_DOCUMENTS: Final = {
    "BindOptions": "mount.BindOptions",
    "ContainerConfig": "container.Config",
    "Empty": "struct {}",
    "EndpointIPAMConfig": "network.EndpointIPAMConfig",
    "EndpointSettings": "network.EndpointSettings",
    "ExecConfig": "container.ExecOptions",
    "ExecStartConfig": "container.ExecStartOptions",
    "Mount": "mount.Mount",
    "NetworkingConfig": "network.NetworkingConfig",
    "PortBinding": "nat.PortBinding",
    "ThrottleDevice": "blkiodev.ThrottleDevice",
    "TmpfsOptions": "mount.TmpfsOptions",
    "Ulimit": "units.Ulimit",
    "VolumeCreateRequest": "volume.CreateOptions",
    "VolumeOptions": "mount.VolumeOptions",
    "WeightDevice": "blkiodev.WeightDevice",
}
# Documents that Go decodes into a struct without a name, so that its errors name none.
_NAMELESS: Final = frozenset({"CreateRequest", "ContainerConfig"})


def decode(raw: bytes, kind: type[T]) -> T:
    """Parse a request's body; raises errors.Invalid in Docker's words."""
    return convert(parse(raw), kind)


def parse(raw: bytes) -> Json:
    """The JSON of a request's body, its depth checked; raises errors.Invalid."""
    if not raw.strip():
        raise errors.Invalid("invalid JSON: got EOF while reading request body")
    try:
        value: Json = msgspec.json.decode(raw)
    except RecursionError:
        raise errors.Invalid("invalid JSON: exceeded max depth") from None
    except msgspec.DecodeError as error:
        raise errors.Invalid(_syntax_error(raw, str(error))) from None
    except UnicodeDecodeError:
        raise errors.Invalid("invalid JSON: invalid UTF-8") from None
    # Every level costs a bracket: few brackets, no need to look closer.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    return value


def convert(value: Json, kind: type[T]) -> T:
    """A parsed body as a document; null is the document with nothing set."""
    cleaned = _cleaner(kind)({} if value is None else value)
    try:
        return msgspec.convert(cleaned, kind)
    except msgspec.ValidationError as error:
        for path, found, wanted in _first_mismatch(cleaned, kind, (), ""):
            raise errors.Invalid(_type_error(_root(kind), path, found, wanted)) from None
        raise errors.Invalid(f"invalid JSON: {error}") from None


def encode(document: object) -> bytes:
    """Any document, or what `show` made of it, as JSON; what has its default is left out."""
    return msgspec.json.encode(document)


def show(document: msgspec.Struct) -> dict[str, object]:
    """A document as Docker prints it: every field there, in its order, empty ones as Go has them.

    The document's class says which of its fields are left out (`OMITTED`) or null (`NULLED`)
    when they are empty.
    """
    shown: dict[str, object] = {}
    for attribute, name, when_empty in _fields_to_show(type(document)):
        value = getattr(document, attribute)
        if value or when_empty == _KEEP or (attribute in _POINTERS and value is not None):
            shown[name] = _show_value(value)
        elif when_empty == _NULL:
            shown[name] = None
    return shown


_KEEP: Final = 0
_NULL: Final = 1
_OMIT: Final = 2
# Empty, but given: Docker keeps these as pointers, so that 0 and [] are not "not given".
_POINTERS: Final = frozenset({"stop_timeout", "cmd", "entrypoint", "init"})


def _show_value(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return show(value)
    if isinstance(value, list):
        return [_show_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _show_value(item) for key, item in value.items()}
    return value


@cache
def _fields_to_show(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, int], ...]:
    fields = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    names = list(fields)
    if last_before := getattr(kind, "INHERITED_AFTER", ""):
        # Go prints an embedded struct where it stands, msgspec puts what is inherited first.
        own = list(kind.__annotations__)
        head = names[names.index(_first(own, fields)) : names.index(last_before) + 1]
        names = head + [name for name in names if name not in head]
    omitted: list[str] = getattr(kind, "OMITTED", "").split()
    nulled: list[str] = getattr(kind, "NULLED", "").split()
    return tuple(
        (name, fields[name], _OMIT if name in omitted else _NULL if name in nulled else _KEEP)
        for name in names
    )


def _first(names: list[str], among: dict[str, str]) -> str:
    return next(name for name in names if name in among)


# Names and nulls


def _same(value: Json) -> Json:
    return value


_cleaners: dict[object, Cleaner] = {}


def _cleaner(kind: object) -> Cleaner:
    """What makes a parsed value fit to be converted to `kind`; wrong types pass through."""
    known = _cleaners.get(kind)
    if known is None:
        known = _cleaners[kind] = _make_cleaner(_bare(kind))
    return known


def _make_cleaner(kind: object) -> Cleaner:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct_cleaner(kind)
    if get_origin(kind) is list:
        return _list_cleaner(get_args(kind)[0])
    if get_origin(kind) is dict:
        return _dict_cleaner(get_args(kind)[1])
    if get_origin(kind) is tuple:
        return _pair_cleaner(len(get_args(kind)))
    return _same


def _struct_cleaner(kind: type[msgspec.Struct]) -> Cleaner:
    entries: dict[str, tuple[str, Cleaner | None]] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        clean = _cleaner(field.type)
        if _is_string_or_list(kind, name):
            clean = _string_or_list
        entries[name] = entries[name.lower()] = (name, None if clean is _same else clean)

    def clean_struct(value: Json) -> Json:
        if type(value) is not dict:
            return value
        cleaned: dict[str, Json] = {}
        for key, item in value.items():
            entry = entries.get(key) or entries.get(key.lower())
            if item is None or entry is None:
                continue
            name, clean = entry
            cleaned[name] = clean(item) if clean else item
        return cleaned

    return clean_struct


def _list_cleaner(item_kind: object) -> Cleaner:
    clean = _cleaner(item_kind)
    zero = _zero(item_kind)

    def clean_list(value: Json) -> Json:
        if type(value) is not list or (clean is _same and None not in value):
            return value
        return [zero if item is None else clean(item) for item in value]

    return clean_list


def _dict_cleaner(item_kind: object) -> Cleaner:
    clean = _cleaner(item_kind)
    zero = _zero(item_kind)

    def clean_dict(value: Json) -> Json:
        if type(value) is not dict:
            return value
        return {key: zero if item is None else clean(item) for key, item in value.items()}

    return clean_dict


def _pair_cleaner(length: int) -> Cleaner:
    def clean_array(value: Json) -> Json:
        """Go fills or cuts an array to its length."""
        if type(value) is not list:
            return value
        return [0 if item is None else item for item in [*value, *[0] * length][:length]]

    return clean_array


def _is_string_or_list(kind: type[msgspec.Struct], name: str) -> bool:
    return name in _STRING_OR_LIST and kind.__name__ != _LISTS_ONLY


def _string_or_list(value: Json) -> Json:
    return [value] if type(value) is str else _list_cleaner(str)(value)


def _bare(kind: object) -> object:
    """The type without `Annotated` and without `| None`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return _bare(next(arg for arg in get_args(kind) if arg is not NoneType))
    return kind


def _zero(kind: object) -> Json:
    bare = _bare(kind)
    if bare in (str, int, bool):
        return cast(Json, cast(type, bare)())
    return [] if get_origin(bare) in (list, tuple) else {}


# Errors


def _syntax_error(raw: bytes, reason: str) -> str:
    if "trailing characters" in reason:
        return "unexpected content after JSON"
    if "truncated" in reason:
        return "invalid JSON: unexpected EOF"
    head, _, position = reason.partition("(byte ")
    offset = position.rstrip(")")
    if not offset.isdigit() or int(offset) >= len(raw):
        return f"invalid JSON: {reason}"
    character = chr(raw[int(offset)])
    where = (
        "object key string" if "keys must be strings" in head or "in object" in head else "value"
    )
    return f"invalid JSON: invalid character {character!r} looking for beginning of {where}"


def _check_depth(value: Json) -> None:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    if any(isinstance(item, (dict, list)) for item in level):
        raise errors.Invalid("invalid JSON: exceeded max depth")


def _root(kind: object) -> str:
    name = cast(type, kind).__name__
    return "" if name in _NAMELESS else _go_name(kind, "").rpartition(".")[2]


def _type_error(root: str, path: tuple[str, ...], found: str, wanted: str) -> str:
    below = "".join("." + part.replace("~", "~0").replace("/", "~1") for part in path)
    pointer = root + below
    if not path:
        place = "Go value"
    elif path[-1].isdigit():
        place = pointer
    else:
        place = f"Go struct field {pointer}"
    return f"invalid JSON: json: cannot unmarshal {found} into {place} of type {wanted}"


def _first_mismatch(
    value: Json, kind: object, path: tuple[str, ...], name: str
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    bare = _bare(kind)
    wanted = _python_type(bare)
    if type(value) is not wanted or not _in_range(value, kind):
        yield path, _found(value, wanted), _go_name(kind, name)
    elif isinstance(value, dict) and isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        kinds = _fields_by_name(bare)
        for key, item in value.items():
            if _is_string_or_list(bare, key):
                yield from _mismatch_of_words(item)
            else:
                name = f"{bare.__name__}.{key}"
                yield from _first_mismatch(item, kinds[key], (*path, key), name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _first_mismatch(item, get_args(bare)[1], (*path, key), "")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _first_mismatch(item, get_args(bare)[0], (*path, str(index)), "")


def _mismatch_of_words(value: Json) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Go tries a list, then a string, and tells of the latter without saying where."""
    if type(value) is not list or any(type(word) is not str for word in value):
        yield (), _found(value, str), "string"


def _fields_by_name(kind: type[msgspec.Struct]) -> dict[str, object]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _python_type(bare: object) -> type:
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return dict
    origin = get_origin(bare)
    return list if origin is tuple else cast(type, origin or bare)


def _limits(kind: object) -> tuple[int, int] | None:
    """The bounds in an `Annotated[int, Meta(ge=, le=)]`, also behind `| None`."""
    if get_origin(kind) in (Union, UnionType):
        kind = next(arg for arg in get_args(kind) if arg is not NoneType)
    if get_origin(kind) is not Annotated:
        return None
    meta = get_args(kind)[1]
    return int(meta.ge), int(meta.le)


def _in_range(value: Json, kind: object) -> bool:
    bounds = _limits(kind)
    return bounds is None or (type(value) is int and bounds[0] <= value <= bounds[1])


def _found(value: Json, wanted: type) -> str:
    names = {bool: "bool", str: "string", list: "array", dict: "object"}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # Go prints the number when it is one that does not fit, not when any is out of place.
        return f"number {value}" if wanted is int else "number"
    return names[type(value)]


def _go_name(kind: object, name: str) -> str:
    field = name.rpartition(".")[2]
    if known := _GO_FIELDS.get(name) or _GO_FIELDS.get(field):
        return known
    bare = _bare(kind)
    if get_origin(bare) is list:
        return f"[]{_go_name(get_args(bare)[0], '')}"
    if get_origin(bare) is dict:
        return f"map[string]{_go_name(get_args(bare)[1], '')}"
    if get_origin(bare) is tuple:
        return f"[{len(get_args(bare))}]uint"
    if bare is int:
        low, high = _limits(kind) or (-1, 0)
        unsigned = "uint64" if low == 0 else "int64"
        return {2**16 - 1: "uint16", 2**32 - 1: "uint32"}.get(high, unsigned)
    if bare is str:
        return "string"
    label = cast(type, bare).__name__
    return _GO_DOCUMENTS.get(label, label if label == "bool" else f"container.{label}")
