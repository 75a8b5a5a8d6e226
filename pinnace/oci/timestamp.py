"""Points in time ↔ RFC 3339 text as Go writes it (nanoseconds without trailing zeros)."""

import re
from calendar import timegm
from datetime import UTC, datetime

from pinnace import errors

SECOND = 1_000_000_000

_match = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(Z|z|[+-]\d\d:?\d\d)?",
    re.ASCII,
).fullmatch


def text(nanoseconds: int) -> str:
    """2026-11-23T18:06:17.6255623Z"""
    seconds, fraction = divmod(nanoseconds, SECOND)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return f"{moment}{digits}Z"


def parse(value: str) -> int:
    """Nanoseconds since 1970; without a zone it is UTC. Raises Invalid."""
    match = _match(value)
    if match is None:
        raise errors.Invalid(f"cannot parse {value!r} as a time")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    try:
        datetime(year, month, day, hour, minute, min(second, 59))
    except ValueError as error:
        raise errors.Invalid(f"cannot parse {value!r} as a time: {error}") from error
    seconds = timegm((year, month, day, hour, minute, second))
    zone = match[8]
    if zone and zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= -offset if zone[0] == "-" else offset
    return seconds * SECOND + int((match[7] or "").ljust(9, "0"))


_UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_durations = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|µs|ns|h|m|s)").findall
_is_duration = re.compile(r"(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ms|us|µs|ns|h|m|s))+").fullmatch


def ago(value: str, now: int) -> int:
    """What Docker's filters `until` and `since` take: a duration before now, seconds since 1970
    (with a fraction), or a time."""
    if _is_duration(value):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _durations(value))
        return now - int(seconds * SECOND)
    whole, _, fraction = value.partition(".")
    if whole.removeprefix("-").isdigit() and (not fraction or fraction.isdigit()):
        return int(whole) * SECOND + int(fraction[:9].ljust(9, "0"))
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        value += "T00:00:00"
    elif re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d(:\d\d)?", value):
        value += ":00" * (3 - value.count(":") - 1)
    return parse(value)
