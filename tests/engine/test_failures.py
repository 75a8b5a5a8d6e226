"""What dockerd 28.5.2 said of programs that could not be executed, with its exit codes."""

import pytest

from pinnace import errors
from pinnace.engine import failures
from pinnace.engine.keepers import KeeperFailed
from pinnace.supervisor import protocol

START = (
    "failed to create task for container: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: "
)
EXEC = "OCI runtime exec failed: exec failed: unable to start container process: "
HINT = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified "
    "host path exists and is the expected type"
)


def failed(step: str, message: str) -> KeeperFailed:
    return KeeperFailed(protocol.Failed(message=message, step=step))


@pytest.mark.parametrize(
    ("step", "message", "code", "hint"),
    [
        ("exec", 'exec: "nope": executable file not found in $PATH', 127, ""),
        ("exec", 'exec: "/nope": stat /nope: no such file or directory', 127, ""),
        ("exec", 'exec: "/etc": is a directory: permission denied', 126, ""),
        ("exec", 'exec: "/etc/passwd": permission denied', 126, ""),
        ("exec", 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory', 127, HINT),
        ("mount", "error mounting /etc/passwd: not a directory", 127, HINT),
    ],
)
def test_what_cannot_be_executed(step: str, message: str, code: int, hint: str) -> None:
    error = failed(step, message)

    of_start, of_exec = failures.of_start(error), failures.of_exec(error)

    assert (of_start[0], of_start[1].message) == (code, START + message + hint)
    assert (of_exec[0], of_exec[1].message) == (code, EXEC + message + hint)
    assert isinstance(of_start[1], errors.Invalid)
    assert isinstance(of_exec[1], errors.Invalid)


def test_an_unknown_user_is_told_without_the_runtime() -> None:
    message = "unable to find user nope: no matching entries in passwd file"

    code, told = failures.of_start(failed("user", message))

    assert (code, told.message, type(told)) == (127, message, errors.Failed)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(errors.Conflict("x"), errors.Conflict), (OSError("x"), errors.Failed)],
)
def test_what_is_not_init_s(error: Exception, kind: type[errors.PinnaceError]) -> None:
    code, told = failures.of_start(error)

    assert (code, told.message, type(told)) == (128, "x", kind)
