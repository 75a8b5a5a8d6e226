"""The pid 1 of `--init`: starts the program, hands signals on, reaps what is orphaned.

Source: the duties that tini documents; pid_namespaces(7), "The namespace init process".
"""

import os
import signal
from collections.abc import Callable
from typing import NoReturn

from pinnace.linux import process

# These come to us for what we did ourselves, or stop us: the program must not get them.
_OURS = {signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT,
         signal.SIGTRAP, signal.SIGSYS, signal.SIGTTIN, signal.SIGTTOU}  # fmt: skip


def run(program: Callable[[], NoReturn]) -> NoReturn:
    """Fork; the child calls program (which executes), we close all fds and stay as pid 1."""
    waited = set(signal.valid_signals()) - _OURS
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    child = process.plain_fork()
    if child == 0:
        _lead_terminal()
        program()
    # The channel, so that the start is known; and what is not the container's to have (I4):
    # mounts, a procfs without masks.
    process.close_all_but([])
    while True:
        number = signal.sigwait(waited)
        if number == signal.SIGCHLD:
            _reap(child)
        else:
            os.kill(child, number)


def _reap(child: int) -> None:
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        if pid == 0:
            return


def _lead_terminal() -> None:
    """A process group of its own, in the foreground where there is a terminal."""
    os.setpgid(0, 0)
    if os.isatty(0):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        os.tcsetpgrp(0, os.getpid())
