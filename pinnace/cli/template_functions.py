"""What a template can call, and how Go shows, compares and looks into values."""

from __future__ import annotations

from pinnace.cli import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class TemplateError(Exception):
    """The template can't be parsed or run."""


class CallError(Exception):
    """A function or a field refuses its arguments; the caller adds where."""


class Row:
    """A value whose fields are worked out when they are asked for."""

    __slots__ = ("fields", "kind", "source")

    def __init__(self, kind: str, fields: Mapping[str, Callable[..., Any]], source: Any) -> None:
        self.kind = kind
        self.fields = fields
        self.source = source

    def field(self, name: str, arguments: list[Any]) -> Any:
        found = self.fields.get(name)
        if found is None:
            raise CallError(f"can't evaluate field {name} in type {self.kind}")
        return found(self.source, *arguments)

    def everything(self) -> dict[str, Any]:
        """All fields that need no argument, by name."""
        plain = sorted(name for name in self.fields if name != "Label")
        return {name: self.fields[name](self.source) for name in plain}


# Fields that the API leaves out when they are empty, with what Go has in their place.
_OMITTED: dict[str, Any] = {
    "annotations": {},
    "argsescaped": False,
    "bindoptions": None,
    "cgroupspec": "",
    "command": "",
    "consolesize": [],
    "containeridfile": "",
    "cpupercent": 0,
    "devicerequests": [],
    "driveropts": {},
    "exposedports": {},
    "fromsource": "",
    "gwpriority": 0,
    "health": None,
    "healthcheck": None,
    "imagemanifestdescriptor": None,
    "init": None,
    "ipamconfig": None,
    "kernelmemory": 0,
    "kernelmemorytcp": 0,
    "labels": {},
    "log": [],
    "macaddress": "",
    "mounts": [],
    "name": "",
    "onbuild": [],
    "options": {},
    "repotags": [],
    "repodigests": [],
    "runtime": "",
    "shell": [],
    "sizerootfs": None,
    "sizerw": None,
    "stoponce": False,
    "stopsignal": "",
    "stoptimeout": None,
    "storageopt": {},
    "sysctls": {},
    "tmpfs": {},
    "usagedata": None,
    "variant": "",
    "volumeoptions": None,
}
# JSON's null stands for an empty list in Go, but in these fields for an empty map or a pointer.
_MAPS = frozenset(
    [
        "annotations",
        "driveropts",
        "exposedports",
        "labels",
        "options",
        "portbindings",
        "ports",
        "storageopt",
        "sysctls",
        "tmpfs",
        "volumes",
    ]
)
_POINTERS = frozenset(
    [
        "bindoptions",
        "clustervolume",
        "health",
        "healthcheck",
        "imagemanifestdescriptor",
        "imageoptions",
        "init",
        "ipamconfig",
        "memoryswappiness",
        "oomkilldisable",
        "pidslimit",
        "platform",
        "server",
        "sizerootfs",
        "sizerw",
        "stoptimeout",
        "tmpfsoptions",
        "usagedata",
        "volumeoptions",
    ]
)


class NullMap(dict[str, object]):
    """Go's nil map: empty, and null as JSON."""


class NullList(list[object]):
    """Go's nil slice: empty, and null as JSON."""


def field(value: Any, name: str, arguments: list[Any]) -> Any:
    """`value.name`; CallError in Go's words if there is none."""
    if isinstance(value, Row):
        return value.field(name, arguments)
    if isinstance(value, dict):
        if name in value:
            return _known(name, value[name])
        low = name.lower()
        for key, found in value.items():
            if key.lower() == low:
                return _known(name, found)
        if low in _OMITTED:
            return _OMITTED[low]
        raise CallError(f'map has no entry for key "{name}"')
    if value is None:
        raise CallError(f"nil pointer evaluating interface {{}}.{name}")
    raise CallError(f"can't evaluate field {name} in type {_kind(value)}")


def _known(name: str, value: Any) -> Any:
    low = name.lower()
    if value is not None or low in _POINTERS:
        return value
    return NullMap() if low in _MAPS else NullList()


def truth(value: Any) -> bool:
    return bool(value) or isinstance(value, Row)


def pairs(value: Any, pipeline: object) -> list[tuple[Any, Any]]:
    """What `range` goes over: index and element, or key and element in the order of the keys."""
    if value is None:
        return []
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(i, i) for i in range(value)]
    raise TemplateError(
        f'template: :1: executing "" at <{pipeline}>: range can\'t iterate over {show(value)}'
    )


def show(value: Any) -> str:
    """A value as Go's %v prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, list | tuple):
        return "[" + " ".join(show(each) for each in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{show(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, Row):
        return show(value.everything())
    return str(value)


def _float(value: float) -> str:
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value).replace("e-0", "e-0").replace("inf", "+Inf")


def _kind(value: Any) -> str:
    names = {str: "string", int: "int", float: "float64", bool: "bool", list: "[]interface {}"}
    return names.get(type(value), "interface {}")


def _json(value: Any) -> str:
    if isinstance(value, NullMap | NullList):
        return "null"
    if isinstance(value, Row):
        # Docker writes its own rows with Go's escapes for the sake of HTML, and the API's without.
        text = document.encode(value.everything())
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return document.encode(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None:
            raise CallError("index of untyped nil")
        if isinstance(value, dict):
            missing = "" if all(isinstance(each, str) for each in value.values()) else None
            value = value.get(key, missing)
        elif isinstance(value, list | tuple | str):
            if not isinstance(key, int):
                raise CallError(f"cannot index slice/array with type {_kind(key)}")
            if not 0 <= key < len(value):
                raise CallError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise CallError(f"can't index item of type {_kind(value)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= low <= high <= len(value):
        raise CallError(f"index out of range: {high}")
    return value[low:high]


def _length(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, int | float):
        raise CallError(f"len of type {_kind(value)}")
    return len(value)


def _printf(layout: str, *values: Any) -> str:
    """Go's verbs by Python's: %v and %s show, %q quotes, the rest are alike."""
    out = []
    rest = list(values)
    position = 0
    while position < len(layout):
        if layout[position] != "%":
            end = layout.find("%", position)
            end = len(layout) if end < 0 else end
            out.append(layout[position:end])
            position = end
            continue
        end = position + 1
        while end < len(layout) and layout[end] in "+-# 0123456789.*":
            end += 1
        flags, verb = layout[position + 1 : end], layout[end : end + 1]
        position = end + 1
        if verb == "%":
            out.append("%")
        elif not rest:
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_verb(flags, verb, rest.pop(0)))
    return "".join(out)


def _verb(flags: str, verb: str, value: Any) -> str:
    if verb in ("v", "s"):
        return f"%{flags}s" % show(value)
    if verb == "q":
        return f"%{flags}s" % document.encode(show(value))
    if verb == "t":
        return show(bool(value))
    if verb == "T":
        return _kind(value)
    numeric = isinstance(value, int | float)
    if verb in "dxXo" and isinstance(value, int):
        return f"%{flags}{verb}" % value
    if verb in "eEfFgG" and numeric:
        return f"%{flags}{verb}" % float(value)
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex()
    if verb == "c" and isinstance(value, int):
        return chr(value)
    return f"%!{verb}({_kind(value)}={show(value)})"


def _print(*values: Any) -> str:
    """Spaces only between operands that are both no strings."""
    out = ""
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            out += " "
        out += show(value)
    return out


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    return any(first == other and _alike(first, other) for other in others)


def _alike(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return True
    numbers = (int, float)
    same = type(one) is type(other) or (
        isinstance(one, numbers)
        and isinstance(other, numbers)
        and bool not in (type(one), type(other))
    )
    if not same:
        raise CallError("incompatible types for comparison")
    return True


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _html(text: Any) -> str:
    table = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}
    return "".join(table.get(char, char) for char in show(text))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": _equal,
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "html": _html,
    "index": _index,
    "join": lambda items, separator: separator.join(show(each) for each in items or ()),
    "json": _json,
    "le": lambda a, b: a <= b,
    "len": _length,
    "lower": lambda text: show(text).lower(),
    "lt": lambda a, b: a < b,
    "ne": lambda a, b: not _equal(a, b),
    "not": lambda value: not truth(value),
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(show(value) for value in values) + "\n",
    "slice": _slice,
    "split": lambda text, separator: show(text).split(separator),
    "title": lambda text: _title(show(text)),
    "truncate": lambda text, length: text[:length],
    "upper": lambda text: show(text).upper(),
}
# In the line of headers a column keeps its name whatever is done to its values.
HEADER_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **FUNCTIONS,
    **{name: (lambda text, *_: text) for name in ("json", "split", "join", "title", "lower")},
    **{name: (lambda text, *_: text) for name in ("upper", "truncate")},
}
