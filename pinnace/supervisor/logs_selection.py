"""Which entries of a log a client asked for, and how each one is shown to it.

The rules are those of moby (loggerutils/logfile.go, forwarder; httputils/logstream): the first
entry that is not before `since` lets all later ones pass, because clocks are set back; the
first entry after `until` ends the log; what is shown is time, details, line.
"""

import time
from collections.abc import Iterable

from pinnace.supervisor import frames


class Selection:
    """State of one client's reading: `ended` when nothing that follows can be wanted."""

    def __init__(
        self,
        *,
        stdout: bool,
        stderr: bool,
        since_ns: int = 0,
        until_ns: int = 0,
        timestamps: bool = False,
        details: bool = False,
        multiplexed: bool = True,
    ) -> None:
        wanted = {"stdout": stdout, "stderr": stderr}
        self.streams = frozenset(name for name, is_wanted in wanted.items() if is_wanted)
        self.timestamps = timestamps
        self.details = details
        self.multiplexed = multiplexed
        self.ended = False
        self._since_ns = since_ns
        self._until_ns = until_ns

    @property
    def raw(self) -> bool:
        """Whether entries are shown as they are, so that it does not matter where they end."""
        return not (self.multiplexed or self.timestamps or self.details)

    @property
    def needs_times(self) -> bool:
        return bool(self._since_ns or self._until_ns)

    def passes(self, time_ns: int) -> bool:
        """Whether an entry of this time is within the window; to be asked of each in order."""
        if time_ns < self._since_ns:
            return False
        self._since_ns = 0
        if self._until_ns and time_ns > self._until_ns:
            self.ended = True
        return not self.ended

    def show(
        self, stream: str, lines: Iterable[bytes], *, stamp: str = "", details: bytes = b""
    ) -> bytes:
        """Entries of one stream and time as the client gets them; one frame for each."""
        prefix = stamp.encode() + b" " if self.timestamps else b""
        if self.details:
            prefix += details + b" "
        if prefix:
            lines = [prefix + line for line in lines]
        if not self.multiplexed:
            return b"".join(lines)
        pack, number = frames.HEADER.pack, frames.NUMBERS[stream]
        return b"".join([pack(number, len(line)) + line for line in lines])


def details_text(attributes: dict[str, str]) -> bytes:
    """Attributes as `docker logs --details` shows them: a=b,c=d, escaped as in a URL's query."""
    from urllib.parse import quote_plus  # only a reader needs it, and it is slow to import

    pairs = sorted(attributes.items())
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs).encode()


# Times. RFC 3339 with nine digits of fraction sorts as it reads; that is the form shown.


def stamp_of(time_ns: int) -> str:
    """Go's time.RFC3339Nano with all nine digits: "2026-11-23T17:45:03.651090400Z"."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def padded(text: str) -> str:
    """A time as it stands in a json file, with the zeros of its fraction that Go leaves out."""
    if len(text) == 30 and text[29] == "Z":
        return text  # as nine of ten are
    if text[-1:] == "Z" and text[19:20] == ".":
        return f"{text[:-1]:0<29.29}Z"
    base, rest = text[:19], text[19:]
    fraction = ""
    if rest[:1] == ".":
        digits = len(rest) - len(rest[1:].lstrip("0123456789"))
        fraction, rest = rest[1:digits], rest[digits:]
    return f"{base}.{fraction:0<9.9}{rest}"


def nanoseconds(text: str) -> int:
    """The moment that an RFC 3339 time means; ValueError if it is none."""
    full = padded(text)
    if full[4] + full[7] + full[10] + full[13] + full[16] != "--T::":
        raise ValueError(text)
    year, month, day = int(full[:4]), int(full[5:7]), int(full[8:10])
    hour, minute, second = int(full[11:13]), int(full[14:16]), int(full[17:19])
    seconds = _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    return (seconds - _offset(full[29:])) * 1_000_000_000 + int(full[20:29])


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":":
        raise ValueError(zone)
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar; years are counted from March."""
    if month <= 2:
        year, month = year - 1, month + 12
    return (
        365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469
    )
