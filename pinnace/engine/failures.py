"""Why a program could not be executed: Docker's words and exit codes for what init has told."""

from pinnace import errors
from pinnace.engine.keepers import KeeperFailed

_NOT_FOUND, _NOT_EXECUTABLE, _NOT_STARTED = 127, 126, 128

_START = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: "
)
_EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "
_NO_FOLDER = "not a directory"
_HINT = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)


def of_start(error: Exception) -> tuple[int, errors.PinnaceError]:
    """(the container's exit code, what its starter reads)."""
    if isinstance(error, errors.PinnaceError):
        return _NOT_STARTED, error
    if not isinstance(error, KeeperFailed):
        return _NOT_STARTED, errors.Failed(str(error))
    step, told = error.failed.step, error.failed.message
    if step == "user":
        return _NOT_FOUND, errors.Failed(told)  # Docker looks users up itself
    message = _START + _hinted(told)
    if _NO_FOLDER in told:
        return _NOT_FOUND, errors.Invalid(message)
    if step == "exec":
        return _code(told), errors.Invalid(message)
    if step == "chdir":
        return _NOT_EXECUTABLE, errors.Invalid(message)
    return _NOT_STARTED, errors.Failed(message)


def of_exec(error: KeeperFailed) -> tuple[int, errors.PinnaceError]:
    """(the exec's exit code, what its starter reads)."""
    told = error.failed.message
    if error.failed.step == "user":
        return _code(told), errors.Failed(told)
    return _code(told), errors.Invalid(_EXEC + _hinted(told))


def _code(told: str) -> int:
    missing = ("not found", "no such file", _NO_FOLDER)
    return _NOT_FOUND if any(word in told for word in missing) else _NOT_EXECUTABLE


def _hinted(told: str) -> str:
    return told + _HINT if told.endswith(_NO_FOLDER) else told
