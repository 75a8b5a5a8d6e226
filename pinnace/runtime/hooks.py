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


def run(hooks: Sequence[spec.Hook], kind: str, state: bytes) -> None:
    """Run them in order with the container's state on their input; the first failure ends it."""
    for number, hook in enumerate(hooks):
        try:
            exit_code = _run(hook, state)
        except TimeoutError:
            message = f"error running {kind} hook #{number}: timed out after {hook.timeout}s"
            raise LaunchError("hook", errno.ETIMEDOUT, message) from None
        if exit_code:
            message = f"error running {kind} hook #{number}: exit status {exit_code}"
            raise LaunchError("hook", 0, message)


def _run(hook: spec.Hook, state: bytes) -> int:
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    _, pidfd = process.fork(lambda: _execute(hook, read_fd))
    os.close(read_fd)
    try:
        os.write(write_fd, state)
    except BrokenPipeError:
        pass  # it does not care for the state
    finally:
        os.close(write_fd)
    try:
        return _wait(pidfd, hook.timeout)
    finally:
        os.close(pidfd)


def _execute(hook: spec.Hook, state_fd: int) -> None:
    os.dup2(state_fd, 0)
    process.close_on_exec_from(3)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    env = dict(entry.partition("=")[::2] for entry in hook.env)
    os.execve(hook.path, hook.args or [hook.path], env)


def _wait(pidfd: int, timeout: int | None) -> int:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(timeout * 1000 if timeout else None):
        process.send_signal(pidfd, signal.SIGKILL)
        process.wait(pidfd)
        raise TimeoutError
    ended = process.wait(pidfd)
    return ended.code if ended else 0
