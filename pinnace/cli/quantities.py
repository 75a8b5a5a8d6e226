"""Sizes, durations and numbers given by a user: text to number, refused in Go's words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SECOND = 1_000_000_000
_DURATION_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}


def size(text: str) -> int:
    """'512m', '1.5 GiB', '100b' in binary units."""
    cut = next((i for i in range(len(text), 0, -1) if text[i - 1] in "0123456789. "), 0)
    if cut == 0:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = text[:cut], text[cut:]
    if number.endswith(" "):
        number = number[:-1]
    try:
        if not number or number != number.strip() or "_" in number:
            raise ValueError
        value = float(number)
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax') from None
    if value < 0:
        raise ValueError(f"invalid size: '{text}'")
    return int(value * _multiplier(suffix))


def _multiplier(suffix: str) -> int:
    low = suffix.lower()
    if low in ("", "b"):
        return 1
    if low[0] not in _BINARY or low[1:] not in ("", "b", "ib"):
        shown = low if len(low) <= 3 else suffix
        raise ValueError(f"invalid suffix: '{shown}'")
    return _BINARY[low[0]]


def swap(text: str) -> int:
    """A size, or -1 for as much as there is."""
    return -1 if text == "-1" else size(text)


def cpus(text: str) -> int:
    """A number of processors as billionths of one; exact, as Docker reads it."""
    from fractions import Fraction

    try:
        if text != text.strip():
            raise ValueError
        nano = Fraction(text) * 1_000_000_000
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if nano.denominator != 1:
        raise ValueError("value is too precise")
    return int(nano)


def duration(text: str) -> int:
    """'1h30m', '1.5s', '100ms' in nanoseconds."""
    wrong = ValueError(f'time: invalid duration "{text}"')
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not rest:
        raise wrong
    total = 0
    while rest:
        cut = _length(rest, "0123456789.")
        number, rest = rest[:cut], rest[cut:]
        if number.count(".") > 1 or not number.strip("."):
            raise wrong
        cut = next((i for i, c in enumerate(rest) if c == "." or c.isdigit()), len(rest))
        unit, rest = rest[:cut], rest[cut:]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _DURATION_UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        whole, _, fraction = number.partition(".")
        scale = _DURATION_UNITS[unit]
        total += int(whole or "0") * scale
        total += int(fraction or "0") * scale // 10 ** len(fraction)
    return sign * total


def _length(text: str, letters: str) -> int:
    return next((i for i, c in enumerate(text) if c not in letters), len(text))


def integer(text: str) -> int:
    """A signed number of 64 bits; 0x, 0o and 0b are understood."""
    return _number("ParseInt", text, -(1 << 63), (1 << 63) - 1, base=0)


def unsigned(text: str) -> int:
    return _number("ParseUint", text, 0, (1 << 64) - 1, base=0)


def unsigned16(text: str) -> int:
    return _number("ParseUint", text, 0, (1 << 16) - 1, base=0)


def decimal(text: str, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> int:
    """A number in tens only, as a part of a longer specification has it."""
    return _number("ParseInt" if low else "ParseUint", text, low, high, base=10)


def _number(function: str, text: str, low: int, high: int, *, base: int) -> int:
    digits = text[1:] if text[:1] in ("+", "-") and low < 0 else text
    try:
        if not digits.isascii() or not digits[:1].isdigit() or (base == 10 and "_" in digits):
            raise ValueError
        leading = digits[:1] == "0" and digits[1:].isdigit()
        value = int(text, 8 if leading and base == 0 else base)
    except ValueError:
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax') from None
    if not low <= value <= high:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value


READERS: dict[str, Callable[[str], int]] = {
    "bytes": size,
    "decimal": cpus,
    "duration": duration,
    "int": integer,
    "uint": unsigned,
    "uint16": unsigned16,
}
