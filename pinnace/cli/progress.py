"""The daemon's messages about a transfer, drawn: on a terminal each layer has its line."""

from __future__ import annotations

import time

from pinnace.cli import format, terminal
from pinnace.cli.arguments import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Message = dict[str, Any]

_BAR = 50


def display(
    messages: Iterable[Message],
    *,
    fd: int = terminal.STDOUT,
    quiet: bool = False,
    aux: Callable[[Message], None] | None = None,
) -> None:
    """Draws until the end; Failure if the daemon says that it failed."""
    screen = Screen(fd, width=terminal.width(fd, 0) if terminal.is_terminal(fd) else 0)
    for message in messages:
        if "aux" in message:
            if aux is not None:
                aux(message["aux"])
            continue
        failure = message.get("errorDetail")
        if failure:
            raise Failure(failure.get("message") or message.get("error", ""))
        if not quiet:
            terminal.write(screen.draw(message), fd)


class Screen:
    """Which layer is on which line; a `width` of 0 says that it is no terminal."""

    def __init__(self, fd: int, width: int) -> None:
        self._fd = fd
        self._width = width
        self._lines: dict[str, int] = {}

    def draw(self, message: Message) -> str:
        ident = message.get("id", "")
        moving = "progressDetail" in message or "progress" in message
        if not ident or not moving:
            # What is not about a layer ends the block: its lines stay where they are.
            self._lines = {}
            return self._text(message)
        before = ""
        if ident not in self._lines:
            self._lines[ident] = len(self._lines)
            before = "\n" if self._width else ""
        if not self._width:
            return self._text(message)
        up = len(self._lines) - self._lines[ident]
        return f"{before}\x1b[{up}A{self._text(message)}\x1b[{up}B"

    def _text(self, message: Message) -> str:
        detail = message.get("progressDetail")
        bar = self._bar(detail) if detail else ""
        end = "\n"
        start = ""
        if self._width and "stream" not in message and detail is not None:
            start, end = "\x1b[2K\r", "\r"
        elif bar:
            return ""  # nothing to look at where nothing can be drawn twice
        if message.get("id"):
            start += f"{message['id']}: "
        if message.get("from"):
            start += f"(from {message['from']}) "
        if "stream" in message:
            return start + str(message["stream"])
        status = message.get("status", "")
        if detail is not None and self._width:
            return f"{start}{status} {bar}{end}"
        return f"{start}{status}{end}"

    def _bar(self, detail: Message) -> str:
        current, total = detail.get("current", 0), detail.get("total", 0)
        unit = detail.get("units", "")
        if current <= 0 and total <= 0:
            return ""
        if total <= 0:
            return f"{current} {unit}" if unit else f"{format.size(current):>8}"
        filled = min(int(current / total * 100) // 2, _BAR)
        bar = f"[{'=' * filled}>{' ' * (_BAR - filled)}] " if self._width > 110 else ""
        return bar + _numbers(detail, current, total, unit) + self._left(detail, filled)

    def _left(self, detail: Message, filled: int) -> str:
        """How long it will take if it goes on as it did."""
        current, start = detail.get("current", 0), detail.get("start", 0)
        if self._width <= 50 or current <= 0 or start <= 0 or filled >= _BAR:
            return ""
        seconds = (time.time() - start) / current * (detail.get("total", 0) - current)
        return f" {_clock(round(seconds))}"


def _numbers(detail: Message, current: int, total: int, unit: str) -> str:
    if detail.get("hidecounts"):
        return ""
    if unit:
        return f"{current} {unit}" if current > total else f"{current}/{total} {unit}"
    shown = f"{format.size(current):>8}"
    return shown if current > total else f"{shown}/{format.size(total)}"


def _clock(seconds: int) -> str:
    """1h2m3s."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{seconds}s"
