"""Go's readings of text, where BuildKit's results and words depend on them."""

import re

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}
_SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_BINARY = {letter: 1 << (10 * power) for power, letter in enumerate("kmgtp", start=1)}

# Python counts the four separators of ASCII as spaces, unicode.IsSpace does not.
_SPACES = "".join(
    chr(code)
    for code in (*range(0x3001), 0x205F)
    if chr(code).isspace() and not 0x1C <= code <= 0x1F
)
SPACES = frozenset(_SPACES)


def trim(text: str) -> str:
    return text.strip(_SPACES)


def trim_left(text: str) -> str:
    return text.lstrip(_SPACES)


def quote(text: str) -> str:
    """strconv.Quote, the %q of messages."""
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def boolean(text: str) -> bool:
    """strconv.ParseBool."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def integer(text: str, *, low: int, high: int, base: int = 10) -> int:
    """strconv.ParseInt, or ParseUint where nothing below zero is allowed."""
    function = "ParseInt" if low else "ParseUint"
    wrong = f"strconv.{function}: parsing {quote(text)}: "
    digits = text[1:] if low and text[:1] in ("+", "-") else text
    allowed = "0123456789"[:base]
    if not digits or digits.strip(allowed):
        raise ValueError(wrong + "invalid syntax")
    # Longer than any number of 64 bits in base 8; int() is quadratic.
    number = int(digits, base) if len(digits) < 64 else high + 1
    number = -number if text[:1] == "-" else number
    if not low <= number <= high:
        raise ValueError(wrong + "value out of range")
    return number


def duration(text: str) -> int:
    """time.ParseDuration, in nanoseconds."""
    wrong = ValueError(f"time: invalid duration {quote(text)}")
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not rest:
        raise wrong
    total = 0
    while rest:
        number = re.match(r"[0-9]*(?:\.[0-9]*)?", rest)
        if number is None or not number[0].strip("."):
            raise wrong
        unit = re.match(r"[^0-9.]*", rest[number.end() :])
        name = unit[0] if unit else ""
        if not name:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if name not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(name)} in duration {quote(text)}")
        whole, _, fraction = number[0].partition(".")
        if len(whole) > 19:
            raise wrong
        total += int(whole or "0") * _UNITS[name]
        total += int(fraction[:18] or "0") * _UNITS[name] // 10 ** len(fraction[:18])
        if total > (1 << 63) - 1:
            raise wrong
        rest = rest[number.end() + len(name) :]
    return sign * total


def duration_text(nanoseconds: int) -> str:
    """time.Duration's String: 1m30s, 1.5ms, 0s."""
    if nanoseconds < 0:
        return "-" + duration_text(-nanoseconds)
    for unit in ("ns", "µs", "ms"):
        if nanoseconds < min(_UNITS[unit] * 1000, _SECOND):
            return "0s" if not nanoseconds else _decimal(nanoseconds, _UNITS[unit]) + unit
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return text + _decimal(rest, _SECOND) + "s"


def _decimal(number: int, scale: int) -> str:
    whole, rest = divmod(number, scale)
    fraction = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def memory(text: str) -> int:
    """units.RAMInBytes: 1g, 1.5 MiB, 64kb."""
    wrong = ValueError(f"invalid size: '{text}'")
    cut = max(text.rfind(letter) for letter in "0123456789. ")
    if cut < 0:
        raise wrong
    number, suffix = text[: cut + 1].removesuffix(" "), text[cut + 1 :].lower()
    if not _NUMBER(number) or number.startswith("-"):
        raise wrong
    size = float(number)
    if suffix not in ("", "b"):
        if suffix[0] not in _BINARY or suffix[1:] not in ("", "b", "ib"):
            raise wrong
        size *= _BINARY[suffix[0]]
    if size > (1 << 63) - 1:
        raise wrong
    return int(size)
