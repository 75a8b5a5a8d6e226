"""The user's side: writing out, and what a terminal can be asked.

Text goes out by write(2) as UTF-8 whatever the locale says, as Docker's does.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

STDIN, STDOUT, STDERR = 0, 1, 2
DEFAULT_DETACH_KEYS = b"\x10\x11"  # ctrl-p ctrl-q
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def write(text: str | bytes, fd: int = STDOUT) -> None:
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def say(line: str) -> None:
    write(line + "\n")


def warn(line: str) -> None:
    write(line + "\n", STDERR)


def is_terminal(fd: int) -> bool:
    return os.isatty(fd)


def size(fd: int = STDOUT) -> tuple[int, int]:
    """(rows, columns); (0, 0) if it has none."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return rows, columns


def width(fd: int = STDOUT, default: int = 80) -> int:
    return size(fd)[1] or default


def detach_keys(text: str) -> bytes:
    """'ctrl-p,ctrl-q' as the bytes that a terminal sends; ValueError if it names no key."""
    keys = bytearray()
    for word in text.split(","):
        if len(word) == 1:
            keys += word.encode()[:1]
            continue
        name = word.removeprefix("ctrl-")
        if name == word or len(name) != 1:
            raise ValueError(f"unknown character: '{word}'")
        if "a" <= name <= "z":
            keys.append(ord(name) - 96)
        elif name in _CONTROL:
            keys.append(_CONTROL[name])
        else:
            raise ValueError(f"unknown character: '{word}'")
    return bytes(keys)


class Raw:
    """The terminal on `fd` passes every key on unseen, until the block is left."""

    def __init__(self, fd: int = STDIN) -> None:
        self.fd = fd
        self._before: list[Any] | None = None

    def __enter__(self) -> Raw:
        if is_terminal(self.fd):
            import termios

            self._before = termios.tcgetattr(self.fd)
            termios.tcsetattr(self.fd, termios.TCSANOW, _raw(self._before))
        return self

    def restore(self) -> None:
        """At once, and only once."""
        before, self._before = self._before, None
        if before is None:
            return
        import termios

        try:
            termios.tcsetattr(self.fd, termios.TCSANOW, before)
        except termios.error:
            pass  # it hung up: there is nothing left to restore

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()


def _raw(attributes: list[Any]) -> list[Any]:
    """cfmakeraw(3). Output processing goes too: a lone line feed moves the cursor of an editor."""
    import termios as t

    i, o, c, lflag, ispeed, ospeed, cc = attributes
    o &= ~t.OPOST
    i &= ~(t.IGNBRK | t.BRKINT | t.PARMRK | t.ISTRIP | t.INLCR | t.IGNCR | t.ICRNL | t.IXON)
    c = (c & ~(t.CSIZE | t.PARENB)) | t.CS8
    lflag &= ~(t.ECHO | t.ECHONL | t.ICANON | t.ISIG | t.IEXTEN)
    cc = list(cc)
    cc[t.VMIN], cc[t.VTIME] = 1, 0
    return [i, o, c, lflag, ispeed, ospeed, cc]


class DetachScanner:
    """Finds the detach keys in what is typed; keys of an unfinished sequence wait."""

    __slots__ = ("_keys", "_matched", "found")

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """What is to be passed on; `found` says that the user wants to leave."""
        if not self._keys:
            return data
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self.found = True
                    break
                continue
            passed += self._keys[: self._matched]
            self._matched = 0
            if byte == self._keys[0]:
                self._matched = 1
            else:
                passed.append(byte)
        return bytes(passed)
