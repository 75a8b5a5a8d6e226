"""The attributes that stand beside each entry of a log: chosen labels and variables, and a tag.

Made once, in the daemon, when a container starts (moby daemon/logger/loginfo.go, log_tag.go).
A tag is a Go template; of that language there is what tags are written in: fields, pipelines,
strings, numbers and Docker's functions. Conditions and loops are refused.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from pinnace import errors


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A container as its log driver knows it."""

    id: str
    name: str  # with or without Docker's slash in front
    image_id: str = ""
    image_name: str = ""
    path: str = ""
    args: list[str] = []
    env: list[str] = []
    labels: dict[str, str] = {}


def of(options: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """Raises Invalid for a tag or an expression that can't be understood."""
    variables = dict(v.split("=", 1) for v in facts.env if "=" in v)
    chosen: dict[str, str] = {}
    for option, values in (("labels", facts.labels), ("env", variables)):
        names = options.get(option, "").split(",")
        chosen |= {name: values[name] for name in names if name in values}
        if pattern := options.get(f"{option}-regex"):
            matches = _expression(pattern).search
            chosen |= {name: value for name, value in values.items() if matches(name)}
    if tag := render(options.get("tag", ""), options, facts):
        chosen["tag"] = tag
    return chosen


def _expression(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise errors.Invalid(f"error parsing regexp: {error}: `{pattern}`") from error


# Tags

Value = str | int | list[str] | dict[str, str]


def render(template: str, options: Mapping[str, str], facts: Facts) -> str:
    fields = _fields(options, facts)
    return "".join(
        _shown(_evaluate(piece, fields)) if is_action else piece
        for is_action, piece in _pieces(template)
    )


def _fields(options: Mapping[str, str], facts: Facts) -> dict[str, Value]:
    name = facts.name.removeprefix("/")
    return {
        "ID": facts.id[:12],
        "FullID": facts.id,
        "Name": name,
        "Command": " ".join([facts.path, *facts.args]),
        # Docker cuts here without taking "sha256:" off, unlike everywhere else (28.5).
        "ImageID": facts.image_id[:12],
        "ImageFullID": facts.image_id,
        "ImageName": facts.image_name,
        "Hostname": os.uname().nodename,
        "DaemonName": "docker",
        "Config": dict(options),
        "ContainerID": facts.id,
        "ContainerName": f"/{name}",
        "ContainerEntrypoint": facts.path,
        "ContainerArgs": facts.args,
        "ContainerImageID": facts.image_id,
        "ContainerImageName": facts.image_name,
        "ContainerEnv": facts.env,
        "ContainerLabels": facts.labels,
    }


def _pieces(template: str) -> Iterator[tuple[bool, str]]:
    """(False, text) and (True, the inside of {{ }}) in turn; trimmed where "-" says so."""
    trim = False
    while True:
        text, opened, rest = template.partition("{{")
        inside, closed, template = rest.partition("}}")
        text = text.lstrip() if trim else text
        if not opened:
            yield False, text
            return
        if not closed:
            raise _invalid("unclosed action")
        if inside.startswith("- "):
            inside, text = inside[2:], text.rstrip()
        trim = inside.endswith(" -")
        inside = inside[:-2] if trim else inside
        yield False, text
        if not (inside.startswith("/*") and inside.endswith("*/")):
            yield True, inside


_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*"|`[^`]*`)|(-?\d+)|(\.[\w.]*)|(\w+)|(\|))')


def _evaluate(pipeline: str, fields: dict[str, Value]) -> Value:
    commands: list[list[Value | Callable[..., Value]]] = [[]]
    position = 0
    while pipeline[position:].strip():
        match = _TOKEN.match(pipeline, position)
        if match is None:
            raise _invalid(f"unexpected {pipeline[position:].strip()!r} in command")
        position = match.end()
        if match[5]:
            commands.append([])
        else:
            commands[-1].append(_operand(match, fields))
    result: list[Value] = []
    for command in commands:
        result = [_call(command, result)]
    return result[0]


def _operand(match: re.Match[str], fields: dict[str, Value]) -> Value | Callable[..., Value]:
    string, number, field, function, _ = match.groups()
    if string:
        is_raw = string[0] == "`"
        return string[1:-1] if is_raw else msgspec.json.decode(string.encode(), type=str)
    if number:
        return int(number)
    if field:
        return _field(field, fields)
    if function not in _FUNCTIONS:
        raise _invalid(f'function "{function}" not defined')
    return _FUNCTIONS[function]


def _field(path: str, fields: dict[str, Value]) -> Value:
    name, _, key = path[1:].partition(".")
    value = fields.get(name)
    if value is None:
        raise _invalid(
            f'executing "log-tag" at <{path}>: '
            f"can't evaluate field {name} in type *logger.Info", ":2"
        )  # fmt: skip
    if key:
        return value.get(key, "<no value>") if isinstance(value, dict) else "<no value>"
    return value


def _call(command: list[Value | Callable[..., Value]], piped: list[Value]) -> Value:
    if not command:
        raise _invalid("missing value for command")
    first, *arguments = command
    if not callable(first):
        if arguments or piped:
            raise _invalid("can't give argument to non-function")
        return first
    try:
        return first(*arguments, *piped)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise _invalid(f'executing "log-tag": {error}') from error


def _json(value: Value) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _index(value: list[str] | dict[str, str], key: str | int) -> str:
    return value.get(str(key), "") if isinstance(value, dict) else value[int(key)]


def _printf(pattern: str, *values: Value) -> str:
    """Without widths and the like, which a tag has no use for."""
    rest = iter(values)
    return re.sub("%[svd]", lambda _: _shown(next(rest, "%!(MISSING)")), pattern)


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "index": _index,
    "join": lambda values, separator: separator.join(values),
    "json": _json,
    "lower": lambda value: value.lower(),
    "pad": lambda value, before, after: value and " " * before + value + " " * after,
    "printf": _printf,
    "split": lambda value, separator: value.split(separator),
    "title": lambda value: value.title(),
    "truncate": lambda value, length: value[:length],
    "upper": lambda value: value.upper(),
}


def _shown(value: Value) -> str:
    """As Go prints it."""
    if isinstance(value, list):
        return f"[{' '.join(value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{value[key]}' for key in sorted(value))}]"
    return str(value)


def _invalid(what: str, column: str = "") -> errors.Invalid:
    return errors.Invalid(f"template: log-tag:1{column}: {what}")
