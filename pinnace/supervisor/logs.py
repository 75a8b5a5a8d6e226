"""Log drivers by Docker's names: what a container prints → files, and back to clients.

A supervisor writes (`open_driver`), the daemon reads (`Reader`). One writer at most, any number
of readers, in different processes, which share nothing but the files.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from pinnace.supervisor import logs_json, logs_local
from pinnace.supervisor.logs_file import Entries, LogFile
from pinnace.supervisor.logs_lines import Lines, Run
from pinnace.supervisor.logs_reader import Reader
from pinnace.supervisor.logs_settings import DRIVERS, Settings, parse, validate

__all__ = ["DRIVERS", "LogDriver", "Reader", "Settings", "open_driver", "parse", "validate"]


class LogDriver(Protocol):
    """Where one container's output goes. Nothing here raises or waits for what fails on disk."""

    @property
    def dropped_entries(self) -> int:
        """How many entries could not be written so far."""

    def write(self, stream: str, data: bytes, now_ns: int) -> None:
        """Output as it was read. A line's beginning is kept until its end comes, 16 KiB at most."""

    def flush_partial(self, stream: str | None = None, now_ns: int | None = None) -> None:
        """A stream, or each of them, has ended: its last line, if that has no newline."""

    def close(self) -> None:
        """Flush what is left and complete the files. Idempotent."""


class _Encoder(Protocol):
    def encode(self, stream: str, data: bytes, time_ns: int) -> bytes: ...


class _FileDriver:
    def __init__(self, encoder: _Encoder, file: LogFile) -> None:
        self._encoder = encoder
        self._file = file
        self._lines = {"stdout": Lines(), "stderr": Lines()}

    @property
    def dropped_entries(self) -> int:
        return self._file.dropped_entries

    def write(self, stream: str, data: bytes, now_ns: int) -> None:
        self._append(stream, self._lines[stream].feed(data, now_ns))

    def flush_partial(self, stream: str | None = None, now_ns: int | None = None) -> None:
        now_ns = time.time_ns() if now_ns is None else now_ns
        for name, lines in self._lines.items():
            if stream in (None, name):
                self._append(name, lines.flush(now_ns))

    def close(self) -> None:
        self.flush_partial()
        self._file.close()

    def _append(self, stream: str, runs: list[Run]) -> None:
        for data, time_ns in runs:
            self._file.append(self._encoder.encode(stream, data, time_ns), time_ns)


class _Nothing:
    """Docker's driver `none`."""

    dropped_entries = 0

    def write(self, stream: str, data: bytes, now_ns: int) -> None:
        pass

    def flush_partial(self, stream: str | None = None, now_ns: int | None = None) -> None:
        pass

    def close(self) -> None:
        pass


def open_driver(
    name: str,
    options: Mapping[str, str],
    path: str,
    *,
    attributes: Mapping[str, str] | None = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> LogDriver:
    """Open or go on with the log at path.

    `attributes` stand beside each entry (`logs_attributes.of` makes them of labels, env and tag);
    `report` is told, once, when output begins to be lost, and when that is over.
    Raises Invalid in Docker's words for options that `parse` refuses, OSError for the file.
    """
    settings = parse(name, options)
    attributes = attributes or {}
    formats: dict[str, tuple[_Encoder, Entries]] = {
        "json-file": (logs_json.Encoder(attributes), logs_json.Format()),
        "local": (logs_local.Encoder(attributes), logs_local.Format()),
    }
    if name not in formats:
        return _Nothing()
    encoder, entries = formats[name]
    return _FileDriver(encoder, LogFile(path, settings, entries, report))
