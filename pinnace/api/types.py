"""Bodies of answers as Docker spells them, and Go's ways to write times and durations."""

from typing import Final

import msgspec

from pinnace.oci import timestamp
from pinnace.oci.timestamp import SECOND

NEVER: Final = "0001-01-01T00:00:00Z"


class Body(msgspec.Struct, rename="pascal", omit_defaults=False):
    """Base of the answers that have a fixed form."""


class CreateResponse(Body):
    id: str
    warnings: list[str] | None = msgspec.field(default_factory=list)


class Id(Body):
    id: str


class UpdateResponse(Body):
    warnings: list[str] | None = None


class WaitError(Body):
    message: str


class WaitResponse(Body, omit_defaults=True):
    status_code: int = msgspec.field(name="StatusCode")
    error: WaitError | None = None


class TopResponse(Body):
    processes: list[list[str]]
    titles: list[str]


class Change(Body):
    path: str
    kind: int


class ContainersPruned(Body):
    containers_deleted: list[str] | None
    space_reclaimed: int


class VolumesPruned(Body):
    volumes_deleted: list[str]
    space_reclaimed: int


class NetworksPruned(Body):
    networks_deleted: list[str] | None = None


class CachesPruned(Body):
    caches_deleted: list[str] | None = None
    space_reclaimed: int = 0


class ExecProcess(msgspec.Struct):
    tty: bool
    entrypoint: str
    arguments: list[str]
    privileged: bool
    user: str | msgspec.UnsetType = msgspec.UNSET


class ExecInspect(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID")
    running: bool
    exit_code: int | None
    process_config: ExecProcess
    open_stdin: bool
    open_stderr: bool
    open_stdout: bool
    can_remove: bool
    container_id: str = msgspec.field(name="ContainerID")
    detach_keys: str
    pid: int


def show_time(nanoseconds: int) -> str:
    """RFC3339Nano in UTC, as Go prints it; 0 is Go's zero time."""
    return timestamp.text(nanoseconds) if nanoseconds else NEVER


_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_MONTH: Final = 30 * _DAY
_YEAR: Final = 365 * _DAY


def human_duration(nanoseconds: int) -> str:
    """go-units' HumanDuration: "3 seconds", "About an hour"."""
    seconds = max(0, nanoseconds // SECOND)
    hours = (seconds + _HOUR // 2) // _HOUR  # rounded, as there
    for limit, words in (
        (1, "Less than a second"),
        (2, "1 second"),
        (_MINUTE, f"{seconds} seconds"),
        (2 * _MINUTE, "About a minute"),
        (_HOUR, f"{seconds // _MINUTE} minutes"),
    ):
        if seconds < limit:
            return words
    if hours == 1:
        return "About an hour"
    for limit, unit, name in (
        (2 * _DAY, _HOUR, "hours"),
        (2 * _WEEK, _DAY, "days"),
        (2 * _MONTH, _WEEK, "weeks"),
        (2 * _YEAR, _MONTH, "months"),
    ):
        if hours * _HOUR < limit:
            return f"{hours * _HOUR // unit} {name}"
    return f"{seconds // _YEAR} years"
