"""--since and --until: '42m', '2013-01-02T13:23:37Z', '1136073600' → what the API takes."""

from __future__ import annotations

import time

from pinnace.cli import format, quantities


def timestamp(text: str) -> str:
    """Seconds since the epoch with nine decimals; empty stays empty, a bare number is kept.

    ValueError if it is no moment.
    """
    if not text:
        return ""
    if text == "0":
        return text  # the beginning of time, and no duration
    try:
        # By whole nanoseconds: a float of today's seconds has no room for them.
        return _shown(time.time_ns() - quantities.duration(text))
    except ValueError:
        pass
    if text.replace(".", "", 1).isdigit():
        return text
    return _shown(_date(text))


def _shown(nanoseconds: int) -> str:
    return f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}"


def _date(text: str) -> int:
    date, letter, clock = text.partition("T")
    if date.count("-") != 2 or (letter and not clock):
        raise ValueError(f'failed to parse value as time or duration: "{text}"')
    local = "Z" not in clock and "+" not in clock and "-" not in clock
    clock = clock or "00:00:00"
    plain, fraction = clock.rstrip("Z"), ""
    zone = ""
    for sign in "+-":
        if sign in plain:
            plain, _, offset = plain.partition(sign)
            zone = sign + offset
    plain, _, fraction = plain.partition(".")
    plain += ":00" * (2 - plain.count(":"))
    try:
        seconds = int(format.parse_time(f"{date}T{plain}{zone}"))
        if local:
            seconds -= time.localtime(seconds).tm_gmtoff
        return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or "0")
    except (ValueError, IndexError):
        raise ValueError(f'failed to parse value as time or duration: "{text}"') from None
