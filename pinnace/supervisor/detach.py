"""The key sequence that detaches a client from a terminal (`--detach-keys`), without I/O."""

from pinnace import errors

DEFAULT = "ctrl-p,ctrl-q"
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse(text: str) -> bytes:
    """The bytes of a comma-separated list of letters and ctrl-<value>; "" is the default."""
    return bytes(_key(item) for item in (text or DEFAULT).split(","))


def _key(item: str) -> int:
    if len(item) == 1:
        return ord(item)
    prefix, _, key = item.partition("-")
    if prefix == "ctrl" and len(key) == 1:
        if "a" <= key <= "z":
            return ord(key) - ord("a") + 1
        if key in _CONTROL:
            return _CONTROL[key]
    raise errors.Invalid(f"Invalid escape keys ({item}) provided")


class Watch:
    """Finds the sequence in what a client types, across reads; holds back a partial match."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what to pass on, whether the sequence was completed)."""
        if not self._matched and self._keys[0] not in data:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(out), True
                continue
            if self._matched:
                out += self._keys[: self._matched]
                self._matched = 0
                if byte == self._keys[0]:
                    self._matched = 1
                    continue
            out.append(byte)
        return bytes(out), False
