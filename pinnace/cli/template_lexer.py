"""The text of a Go template → text and actions, and an action → tokens."""

from __future__ import annotations

from pinnace.cli.template_functions import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "a": "\a", "0": "\0"}


class Token:
    __slots__ = ("kind", "position", "spaced", "text", "value")

    def __init__(self, kind: str, text: str, position: int, *, spaced: bool, value: Any = None):
        self.kind = kind
        self.text = text
        self.position = position
        self.spaced = spaced  # whether white space stands before it
        self.value = value


def line(source: str, position: int) -> int:
    return source.count("\n", 0, position) + 1


def pieces(source: str) -> list[tuple[str, str, int]]:
    """Text and actions by turns; `{{-` and `-}}` take the white space beside them away."""
    found: list[tuple[str, str, int]] = []
    position, trim = 0, False
    while True:
        start = source.find("{{", position)
        text = source[position:] if start < 0 else source[position:start]
        if trim:
            text = text.lstrip(_SPACE)
        if start < 0:
            found.append(("text", text, position))
            return found
        inner = start + 2
        if source[inner : inner + 1] == "-" and source[inner + 1 : inner + 2] in _SPACE:
            text = text.rstrip(_SPACE)
            inner += 2
        found.append(("text", text, position))
        end = _action_end(source, inner)
        body = source[inner:end]
        trim = body.endswith("-") and body[-2:-1] in ("", *_SPACE)
        found.append(("action", body[:-1] if trim else body, inner))
        position = end + 2


def _action_end(source: str, position: int) -> int:
    """Where the action's `}}` is; braces inside quotes don't count."""
    quote = ""
    comment = source[position:].lstrip(_SPACE).startswith("/*")
    if comment:
        position = source.find("*/", position)
    while 0 <= position < len(source):
        char = source[position]
        if quote:
            if char == "\\" and quote != "`":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "\"'`":
            quote = char
        elif source.startswith("}}", position):
            return position
        position += 1
    fault = "unterminated quoted string" if quote else "unclosed action"
    raise TemplateError(f"template: :{line(source, len(source))}: {fault}")


def tokens(text: str, start: int) -> list[Token]:
    found: list[Token] = []
    position = 0
    stripped = text.strip(_SPACE)
    if stripped.startswith("/*"):
        return found
    while position < len(text):
        if text[position] in _SPACE:
            position += 1
            continue
        token, length = _token(text, position, start)
        found.append(token)
        position += length
    return found


def _token(text: str, position: int, start: int) -> tuple[Token, int]:
    char = text[position]
    where = start + position
    spaced = position == 0 or text[position - 1] in _SPACE
    if char in "\"'`":
        value, length = _string(text, position)
        return Token(
            "literal", text[position : position + length], where, spaced=spaced, value=value
        ), length
    if char == "." and not text[position + 1 : position + 2].isdigit():
        length = _run(text, position + 1)
        name = text[position + 1 : position + 1 + length] or "."
        return Token("field", name, where, spaced=spaced), length + 1
    if char == "$":
        length = _run(text, position + 1) + 1
        return Token("variable", text[position : position + length], where, spaced=spaced), length
    if char.isdigit() or char in "+-.":
        return _number(text, position, where, spaced=spaced)
    if char.isalpha() or char == "_":
        length = _run(text, position)
        name = text[position : position + length]
        if name in _CONSTANTS:
            return Token("literal", name, where, spaced=spaced, value=_CONSTANTS[name]), length
        return Token("name", name, where, spaced=spaced), length
    if text.startswith(":=", position):
        return Token("sign", ":=", where, spaced=spaced), 2
    if char in "()|,=":
        return Token("sign", char, where, spaced=spaced), 1
    raise TemplateError(f"template: :1: unexpected {char!r} in command")


_CONSTANTS = {"true": True, "false": False, "nil": None}


def _number(text: str, position: int, where: int, *, spaced: bool) -> tuple[Token, int]:
    length = 1
    while (
        position + length < len(text)
        and text[position + length] in "0123456789abcdefxoABCDEFXO._+-"
    ):
        length += 1
    word = text[position : position + length]
    value: int | float
    try:
        value = int(word, 0)
    except ValueError:
        try:
            value = float(word)
        except ValueError:
            raise TemplateError(f"template: :1: bad number syntax: {word!r}") from None
    return Token("literal", word, where, spaced=spaced, value=value), length


def _run(text: str, position: int) -> int:
    end = position
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return end - position


def _string(text: str, position: int) -> tuple[Any, int]:
    quote = text[position]
    end = position + 1
    out = []
    while end < len(text) and text[end] != quote:
        if text[end] == "\\" and quote != "`":
            end += 1
            out.append(_ESCAPES.get(text[end : end + 1], text[end : end + 1]))
        else:
            out.append(text[end])
        end += 1
    if end >= len(text):
        raise TemplateError("template: :1: unterminated quoted string")
    value = "".join(out)
    return (ord(value) if quote == "'" and len(value) == 1 else value), end - position + 1
