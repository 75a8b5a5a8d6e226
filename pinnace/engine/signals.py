"""Names of signals and of keys, as clients write them (pure)."""

import signal
from typing import Final

from pinnace import errors

_LAST: Final = 64
_NAMES: Final[dict[str, int]] = {
    **{
        entry.name.removeprefix("SIG"): int(entry)
        for entry in signal.Signals
        if entry.name not in ("SIGRTMIN", "SIGRTMAX")
    },
    "CLD": int(signal.SIGCHLD),
    "IOT": int(signal.SIGABRT),
    "POLL": int(signal.SIGIO),
    # 32 and 33 are the C library's; RTMIN is where the kernel's programs may begin.
    "RTMIN": 34,
    **{f"RTMIN+{n}": 34 + n for n in range(1, 16)},
    **{f"RTMAX-{n}": 64 - n for n in range(1, 15)},
    "RTMAX": 64,
    "STKFLT": 16,
}
_KEYS: Final = {
    **{f"ctrl-{chr(ord('a') + n)}": n + 1 for n in range(26)},
    "ctrl-@": 0,
    "ctrl-[": 27,
    "ctrl-\\": 28,
    "ctrl-]": 29,
    "ctrl-^": 30,
    "ctrl-_": 31,
    "DEL": 127,
}
DEFAULT_DETACH_KEYS: Final = b"\x10\x11"  # ctrl-p, ctrl-q


def parse(text: str) -> int:
    """`SIGTERM`, `term`, `15`, `RTMIN+3` → its number; raises errors.Invalid as Docker does."""
    digits = text.removeprefix("-").removeprefix("+")
    if digits.isascii() and digits.isdigit():
        number = int(text) if len(digits) < 10 else _LAST + 1
        if number == 0:
            raise errors.Invalid(f"invalid signal: {text}")
        if not 0 < number <= _LAST or number in (32, 33):
            raise errors.Invalid(f"the linux daemon does not support signal {text}")
        return number
    number = _NAMES.get(text.upper().removeprefix("SIG"), 0)
    if not number:
        raise errors.Invalid(f"invalid signal: {text}")
    return number


def detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or single characters → the bytes; "" is none given."""
    codes = bytearray()
    for key in text.split(",") if text else []:
        if len(key) == 1 and ord(key) < 128:
            codes.append(ord(key))
        elif key in _KEYS:
            codes.append(_KEYS[key])
        else:
            raise errors.Invalid(f"Invalid escape keys ({text}) provided")
    return bytes(codes)
