"""What Docker reads from a query string, by Go's rules and in Go's words.

Every refusal is an `errors.Invalid`, whatever older daemons answered (some had 500 here).
"""

import re
from typing import Final

import msgspec

from pinnace import errors

Query = dict[str, list[str]]
Filters = dict[str, list[str]]

_FALSE: Final = frozenset({"", "0", "no", "false", "none"})
_BAD_ESCAPE: Final = re.compile("%(?![0-9a-fA-F]{2})")
_ESCAPE: Final = re.compile(rb"%([0-9a-fA-F]{2})")
_INTEGER: Final = re.compile("[+-]?[0-9]+")
_MOST_DIGITS: Final = 20


def parse_query(text: str) -> Query:
    """url.ParseQuery: all values of each name; a semicolon or a broken escape is refused."""
    query: Query = {}
    for part in text.split("&"):
        if not part:
            continue
        if ";" in part:
            raise errors.Invalid("invalid semicolon separator in query")
        name, _, value = part.partition("=")
        query.setdefault(unescape(name, plus=True), []).append(unescape(value, plus=True))
    return query


def unescape(text: str, *, plus: bool = False) -> str:
    """url.QueryUnescape, or url.PathUnescape without `plus`; bytes that aren't UTF-8 are lost."""
    if plus:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if bad := _BAD_ESCAPE.search(text):
        raise errors.Invalid(f'invalid URL escape "{text[bad.start() : bad.start() + 3]}"')
    raw = _ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), text.encode())
    return raw.decode(errors="replace")


def boolean(value: str) -> bool:
    return value.strip().lower() not in _FALSE


def integer(value: str) -> int:
    """strconv.Atoi."""
    return _parsed_integer(value, "Atoi")


def _parsed_integer(value: str, function: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise errors.Invalid(f'strconv.{function}: parsing "{value}": invalid syntax')
    if len(value) > _MOST_DIGITS or not -(2**63) <= int(value) < 2**63:
        raise errors.Invalid(f'strconv.{function}: parsing "{value}": value out of range')
    return int(value)


def dimension(value: str, what: str) -> int:
    """A terminal's height or width."""
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise errors.Invalid(f'invalid resize {what} "{value}": invalid syntax')
    if value != digits or len(digits) > _MOST_DIGITS or int(digits) >= 2**32:
        raise errors.Invalid(f'invalid resize {what} "{value}": value out of range')
    return int(digits)


def nanoseconds(value: str) -> int:
    """Unix seconds with an optional fraction, as Docker's clients send times; "" is 0."""
    if not value:
        return 0
    seconds, _, fraction = value.partition(".")
    whole = _parsed_integer(seconds, "ParseInt")
    if not fraction:
        return whole * 10**9
    _parsed_integer(fraction, "ParseInt")
    return whole * 10**9 + int(fraction[:9].ljust(9, "0"))


def filters(value: str) -> Filters:
    """`{"label": ["a"]}`, or the older `{"label": {"a": true}}`, as lists."""
    if not value:
        return {}
    try:
        decoded = msgspec.json.decode(
            value, type=dict[str, dict[str, bool] | list[str | None] | None]
        )
    except (msgspec.DecodeError, RecursionError):
        raise errors.Invalid("invalid filter") from None
    return {
        name: list(dict.fromkeys(value or "" for value in values or ()))
        for name, values in decoded.items()
    }
