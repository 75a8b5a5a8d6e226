"""The operands of one instruction, split as its grammar wants: words, a JSON array, name=value."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pinnace.dockerfile import golang
from pinnace.dockerfile.source import DockerfileError

_split = re.compile(r"[\t\v\f\r ]+").split


@dataclass(frozen=True, slots=True)
class Operands:
    values: tuple[str, ...] = ()
    json: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A logical line in its parts: keyword --flag=... operands."""

    keyword: str
    flags: tuple[str, ...]
    rest: str


def statement(line: str, escape: str) -> Statement:
    keyword, *rest = _split(golang.trim(line), maxsplit=1)
    if not rest:
        return Statement(keyword, (), "")
    flags, operands = _flags(rest[0], escape)
    return Statement(keyword, flags, golang.trim(operands))


def parse(keyword: str, rest: str, escape: str) -> Operands:
    """Raises DockerfileError without a place; unknown instructions have no operands."""
    grammar = _GRAMMARS.get(keyword.lower())
    return grammar(rest, escape) if grammar else Operands()


def _flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The words that begin with --, without their quotes and escapes, and what follows them."""
    flags: list[str] = []
    at = 0
    while True:
        at = _after_spaces(text, at)
        if not text.startswith("--", at):
            return tuple(flags), text[at:]
        flag, at = _flag(text, at, escape)
        if flag == "--":
            return tuple(flags), text[at:]
        flags.append(flag)


def _flag(text: str, at: int, escape: str) -> tuple[str, int]:
    word: list[str] = []
    quote = ""
    while at < len(text):
        character = text[at]
        if not quote and character in golang.SPACES:
            break
        at += 1
        if character == quote:
            quote = ""
        elif not quote and character in ("'", '"'):
            quote = character
        elif character == escape:
            word.append(text[at : at + 1])
            at += 1
        else:
            word.append(character)
    return "".join(word), min(at, len(text))


def words(text: str, escape: str) -> list[str]:
    """Split at spaces that are neither quoted nor escaped; quotes and escapes are kept."""
    found: list[str] = []
    at = _after_spaces(text, 0)
    while at < len(text):
        word, at = _word(text, at, escape)
        if word:
            found.append(word)
        at = _after_spaces(text, at)
    return found


def _word(text: str, at: int, escape: str) -> tuple[str, int]:
    word: list[str] = []
    quote = ""
    while at < len(text):
        character = text[at]
        if not quote and character in golang.SPACES:
            break
        at += 1
        if character == quote:
            quote = ""
        elif not quote and character in ("'", '"'):
            quote = character
        # Within single quotes nothing can be escaped.
        elif character == escape and quote != "'":
            if at == len(text):
                break
            character += text[at]
            at += 1
        word.append(character)
    return "".join(word), at


def _after_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at] in golang.SPACES:
        at += 1
    return at


def _list(rest: str, escape: str) -> Operands:
    return Operands(tuple(_split(rest))) if rest else Operands()


def _string(rest: str, escape: str) -> Operands:
    return Operands((rest,)) if rest else Operands()


def _words(rest: str, escape: str) -> Operands:
    return Operands(tuple(words(rest, escape)))


def _json_or_string(rest: str, escape: str) -> Operands:
    return _json(rest) or _string(rest, escape)


def _json_or_list(rest: str, escape: str) -> Operands:
    return _json(rest) or _list(rest, escape)


def _json(rest: str) -> Operands | None:
    """An array of strings; None for what is no array, so that it is taken as it is written."""
    if not golang.trim_left(rest).startswith("["):
        return None
    try:
        values = msgspec.json.decode(rest, type=list[object])
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    strings = tuple(value for value in values if isinstance(value, str))
    if len(strings) != len(values):
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    return Operands(strings, json=True)


def _health(rest: str, escape: str) -> Operands:
    """NONE, or CMD with a command: the kind is followed by what RUN has."""
    cut = next((i for i, c in enumerate(rest) if c in golang.SPACES), len(rest))
    if not cut:
        return Operands()
    command = _json_or_string(golang.trim_left(rest[cut:]), escape)
    return Operands((rest[:cut], *command.values), command.json)


def _pairs(keyword: str) -> Callable[[str, str], Operands]:
    """name=value ..., or the old form: name, a space, and all the rest as its value.

    Three values for each pair: name, value, and the "=" or "" that was between them.
    """

    def parse(rest: str, escape: str) -> Operands:
        found = words(rest, escape)
        if not found:
            return Operands()
        if "=" not in found[0]:
            parts = _split(rest, maxsplit=1)
            if len(parts) < 2:
                raise DockerfileError(f"{keyword} must have two arguments")
            return Operands((parts[0], parts[1], ""))
        values: list[str] = []
        for word in found:
            name, equals, value = word.partition("=")
            if not equals:
                raise DockerfileError(
                    f"Syntax error - can't find = in {golang.quote(word)}. "
                    "Must be of the form: name=value"
                )
            values += (name, value, equals)
        return Operands(tuple(values))

    return parse


_GRAMMARS: dict[str, Callable[[str, str], Operands]] = {
    "add": _json_or_list,
    "arg": _words,
    "cmd": _json_or_string,
    "copy": _json_or_list,
    "entrypoint": _json_or_string,
    "env": _pairs("ENV"),
    "expose": _list,
    "from": _list,
    "healthcheck": _health,
    "label": _pairs("LABEL"),
    "maintainer": _string,
    "run": _json_or_string,
    "shell": _json_or_string,
    "stopsignal": _string,
    "user": _string,
    "volume": _json_or_list,
    "workdir": _string,
}

# The frequent ones first: of two that are as near to a slip, the first is suggested.
KEYWORDS = tuple(dict.fromkeys(("run", "copy", "env", "from", *_GRAMMARS, "onbuild")))
