"""Hooks: programs that a bundle wants run at points of a container's life.

Source: runtime-spec, config.md, "POSIX-platform Hooks".
"""

import errno
import os
import select
import signal
from collections.abc import Sequence

from pinnace.linux import process
from pinnace.oci import spec
from pinnace.runtime.launch import LaunchError

_NOT_EXECUTED = 127
_KEPT = 4096  # bytes of a failed hook's output that go into the message


def run(hooks: Sequence[spec.Hook], kind: str, state: bytes) -> None:
    """Run them in order with the container's state on their input; the first failure ends it."""
    for number, hook in enumerate(hooks):
        problem = _run(hook, state)
        if problem is not None:
            raise LaunchError("hook", 0, f"error running {kind} hook #{number}: {problem}")


def attempt(hooks: Sequence[spec.Hook], kind: str, state: bytes) -> list[str]:
    """Run them all in order; what fails is only told (runtime.md, "Lifecycle", on poststop)."""
    problems = ((number, _run(hook, state)) for number, hook in enumerate(hooks))
    return [f"error running {kind} hook #{n}: {what}" for n, what in problems if what is not None]


def _run(hook: spec.Hook, state: bytes) -> str | None:
    """What went wrong, in runc's words, or None."""
    input_fd = _file(state)
    output_fd = _file(b"")
    # Not clone3(2): a startContainer hook runs under the container's seccomp filter.
    pid = process.plain_fork()
    if pid == 0:
        _execute(hook, input_fd, output_fd)
    try:
        code = _wait(pid, hook.timeout)
        output = os.pread(output_fd, _KEPT, 0).decode(errors="replace").strip()
    except TimeoutError:
        return f"hook ran past specified timeout of {hook.timeout}s"
    finally:
        os.close(input_fd)
        os.close(output_fd)
    if code == 0:
        return None
    if code == _NOT_EXECUTED and output.startswith("fork/exec "):
        return output
    ended = f"exit status {code}" if code > 0 else f"signal: {signal.strsignal(-code)}"
    return f"{ended}, output: {output}" if output else ended


def _file(content: bytes) -> int:
    """A nameless file; unlike a pipe it holds whatever is written before anybody reads."""
    fd = os.memfd_create("hook", os.MFD_CLOEXEC)
    os.pwrite(fd, content, 0)
    return fd


def _execute(hook: spec.Hook, input_fd: int, output_fd: int) -> None:
    try:
        for source, target in ((input_fd, 0), (output_fd, 1), (output_fd, 2)):
            os.dup2(source, target)
        process.close_on_exec_from(3)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        env = dict(entry.partition("=")[::2] for entry in hook.env)
        os.execve(hook.path, hook.args or [hook.path], env)
    except OSError as error:
        os.write(2, f"fork/exec {hook.path}: {(error.strerror or '').lower()}".encode())
    finally:
        os._exit(_NOT_EXECUTED)


def _wait(pid: int, timeout: int | None) -> int:
    """Its exit code, or -N for signal N; raises TimeoutError when it was killed for its time."""
    if timeout is not None and not _ended(pid, timeout):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise TimeoutError(errno.ETIMEDOUT, "hook timed out")
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _ended(pid: int, timeout: float) -> bool:
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(pidfd)
