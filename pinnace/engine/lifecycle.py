"""The life of a container as a table: what may happen to it in which status, and what it becomes.

Rule 1: every change of `State.status` goes through `next`; a refusal is in Docker's words.
Rule 2: verbs that only ask (stop, kill, exec, top ...) leave the status alone; the status moves
when what they asked for has happened (`EXITED`, `RETRY`).
Rule 3: the table has an entry for every pair, so that the type checker's and the reader's
question "and what if it is dead?" has an answer.
Words and classes as dockerd 28.5.2 gives them.
"""

from enum import Enum
from typing import Final, NamedTuple

from pinnace import errors
from pinnace.engine.documents import Status


class Event(Enum):
    # Asked for by clients
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    RESIZE = "resize"
    TOP = "top"
    EXEC = "exec"
    ATTACH = "attach"
    LOGS = "logs"
    UPDATE = "update"
    COMMIT = "commit"
    EXPORT = "export"
    CONNECT = "connect"
    REMOVE = "remove"
    REMOVE_BY_FORCE = "remove by force"
    # What the monitor sees or does
    EXITED = "exited"
    RETRY = "retry"
    STARTED_AGAIN = "started again"
    REMOVAL_FAILED = "removal failed"


class Refusal(NamedTuple):
    """An error's class, and its message with {id} and {ident} (as the client named it) to fill."""

    error: type[errors.PinnaceError]
    message: str


C, RU, PA, RE, RM, EX, DE = (
    Status.CREATED,
    Status.RUNNING,
    Status.PAUSED,
    Status.RESTARTING,
    Status.REMOVING,
    Status.EXITED,
    Status.DEAD,
)

_NOT_RUNNING: Final = Refusal(errors.Conflict, "container {id} is not running")
_NOT_KILLED: Final = Refusal(
    errors.Conflict, "cannot kill container: {ident}: container {id} is not running"
)
_IS_RESTARTING: Final = Refusal(
    errors.Conflict, "Container {id} is restarting, wait until the container is running"
)
_MARKED: Final = Refusal(errors.Conflict, "container is marked for removal and cannot be started")
_CANNOT_RESTART: Final = Refusal(
    errors.Conflict,
    "Cannot restart container {ident}: container is marked for removal and cannot be started",
)
_STOPPED: Final = Refusal(errors.NotModified, "container is already stopped")
_RUNNING: Final = Refusal(errors.NotModified, "container is already running")
# Docker says 500 here, since it forgot to give the error a class.
_NOT_PAUSED: Final = Refusal(errors.Failed, "Container {id} is not paused")
_NO_LOGS: Final = Refusal(
    errors.Conflict, "can not get logs from container which is dead or marked for removal"
)
_NO_UPDATE: Final = Refusal(
    errors.Conflict,
    'Cannot update container {id}: container is marked for removal and cannot be "update"',
)
_NO_NETWORK: Final = Refusal(
    errors.Conflict,
    "Container {id} is marked for removal and cannot be connected or disconnected to the network",
)
_IMPOSSIBLE: Final = Refusal(errors.Conflict, "container {id} has no process")


def _stop_first(what: str) -> Refusal:
    return Refusal(
        errors.Conflict,
        f'cannot remove container "{{ident}}": container is {what}: '
        "stop the container before removing or force remove",
    )


_TABLE: Final[dict[Event, dict[Status, Status | Refusal]]] = {
    Event.START: {
        C: RU,
        RU: _RUNNING,
        PA: Refusal(errors.Conflict, "cannot start a paused container, try unpause instead"),
        RE: _RUNNING,
        RM: _MARKED,
        EX: RU,
        DE: _MARKED,
    },
    Event.STOP: {C: _STOPPED, RU: RU, PA: PA, RE: RE, RM: _STOPPED, EX: _STOPPED, DE: _STOPPED},
    # A stop where there is something to stop, then a start: the caller performs both.
    Event.RESTART: {C: C, RU: RU, PA: PA, RE: RE, RM: _CANNOT_RESTART, EX: EX, DE: _CANNOT_RESTART},
    Event.KILL: {
        C: _NOT_KILLED,
        RU: RU,
        PA: PA,
        RE: RE,
        RM: _NOT_KILLED,
        EX: _NOT_KILLED,
        DE: _NOT_KILLED,
    },
    Event.PAUSE: {
        C: _NOT_RUNNING,
        RU: PA,
        PA: Refusal(errors.Conflict, "Container {id} is already paused"),
        RE: _IS_RESTARTING,
        RM: _NOT_RUNNING,
        EX: _NOT_RUNNING,
        DE: _NOT_RUNNING,
    },
    Event.UNPAUSE: {
        C: _NOT_PAUSED,
        RU: _NOT_PAUSED,
        PA: RU,
        RE: _NOT_PAUSED,
        RM: _NOT_PAUSED,
        EX: _NOT_PAUSED,
        DE: _NOT_PAUSED,
    },
    # Docker answers 404 for the resize of a restarting container, out of containerd's mouth.
    Event.RESIZE: {
        C: _NOT_RUNNING,
        RU: RU,
        PA: PA,
        RE: _IS_RESTARTING,
        RM: _NOT_RUNNING,
        EX: _NOT_RUNNING,
        DE: _NOT_RUNNING,
    },
    Event.TOP: {
        C: _NOT_RUNNING,
        RU: RU,
        PA: PA,
        RE: _IS_RESTARTING,
        RM: _NOT_RUNNING,
        EX: _NOT_RUNNING,
        DE: _NOT_RUNNING,
    },
    Event.EXEC: {
        C: _NOT_RUNNING,
        RU: RU,
        PA: Refusal(
            errors.Conflict,
            "Container {ident} is paused, unpause the container before exec",
        ),
        RE: _IS_RESTARTING,
        RM: _NOT_RUNNING,
        EX: _NOT_RUNNING,
        DE: _NOT_RUNNING,
    },
    # `docker run` attaches before it starts; the client says what it thinks of a stopped one.
    Event.ATTACH: {
        C: C,
        RU: RU,
        PA: Refusal(
            errors.Conflict,
            "container {ident} is paused, unpause the container before attach",
        ),
        RE: Refusal(
            errors.Conflict,
            "container {ident} is restarting, wait until the container is running",
        ),
        RM: RM,
        EX: EX,
        DE: DE,
    },
    Event.LOGS: {C: C, RU: RU, PA: PA, RE: RE, RM: _NO_LOGS, EX: EX, DE: _NO_LOGS},
    Event.UPDATE: {C: C, RU: RU, PA: PA, RE: RE, RM: _NO_UPDATE, EX: EX, DE: _NO_UPDATE},
    Event.COMMIT: {
        C: C,
        RU: RU,
        PA: PA,
        RE: RE,
        RM: Refusal(errors.Conflict, "You cannot commit container {id} which is being removed"),
        EX: EX,
        DE: Refusal(errors.Conflict, "You cannot commit container {id} which is Dead"),
    },
    Event.EXPORT: {
        C: C,
        RU: RU,
        PA: PA,
        RE: RE,
        RM: Refusal(errors.Conflict, "You cannot export container {id} which is being removed"),
        EX: EX,
        DE: Refusal(errors.Conflict, "You cannot export container {id} which is Dead"),
    },
    Event.CONNECT: {C: C, RU: RU, PA: PA, RE: RE, RM: _NO_NETWORK, EX: EX, DE: _NO_NETWORK},
    Event.REMOVE: {
        C: RM,
        RU: _stop_first("running"),
        PA: Refusal(
            errors.Conflict,
            'cannot remove container "{ident}": container is paused and must be unpaused first',
        ),
        RE: _stop_first("restarting"),
        RM: Refusal(errors.Conflict, "removal of container {ident} is already in progress"),
        EX: RM,
        DE: RM,
    },
    Event.REMOVE_BY_FORCE: {
        C: RM,
        RU: RM,
        PA: RM,
        RE: RM,
        RM: Refusal(errors.Conflict, "removal of container {ident} is already in progress"),
        EX: RM,
        DE: RM,
    },
    # A container that is being removed by force exits under it, and stays "removing".
    Event.EXITED: {C: EX, RU: EX, PA: EX, RE: EX, RM: RM, EX: EX, DE: DE},
    Event.RETRY: {
        C: _IMPOSSIBLE,
        RU: RE,
        PA: RE,
        RE: RE,
        RM: _MARKED,
        EX: RE,
        DE: _MARKED,
    },
    Event.STARTED_AGAIN: {
        C: _IMPOSSIBLE,
        RU: _RUNNING,
        PA: _RUNNING,
        RE: RU,
        RM: _MARKED,
        EX: _NOT_RUNNING,
        DE: _MARKED,
    },
    Event.REMOVAL_FAILED: {C: C, RU: RU, PA: PA, RE: RE, RM: DE, EX: EX, DE: DE},
}


def next(status: Status, event: Event, *, ident: str, id: str) -> Status:
    """The status after the event; raises what Docker answers when it may not happen."""
    outcome = _TABLE[event][status]
    if isinstance(outcome, Refusal):
        raise outcome.error(outcome.message.format(id=id, ident=ident))
    return outcome


def allowed(status: Status, event: Event) -> bool:
    return isinstance(_TABLE[event][status], Status)
