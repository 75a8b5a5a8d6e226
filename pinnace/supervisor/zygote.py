"""The process that forks supervisors: one thread, everything imported, nothing else to do.

A fork from here costs a quarter of a millisecond and about a megabyte of private memory; a
fresh interpreter would cost 40 and 6. The daemon executes it and talks to it over fd 3; when
the daemon is gone, so is the zygote, and the supervisors go on.
"""

import gc
import os
import signal
import socket
import sys

from pinnace.linux import cgroup, process
from pinnace.runtime.sync import Channel, Closed
from pinnace.supervisor import supervisor

_CHANNEL_FD = 3
_UMASK = 0o022  # a container's too, as with runc, whatever the daemon's is


def command() -> list[str]:
    """What to execute: an interpreter that reads no site files and no environment."""
    # An editable installation is found by an import hook, which the zygote does not have.
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = [ours, *(path for path in sys.path if path and path != ours)]
    code = (
        f"import sys; sys.path[:] = {paths!r}\nfrom pinnace.supervisor import zygote; zygote.main()"
    )
    return [sys.executable, "-I", "-S", "-c", code]


def main() -> None:
    process.set_title("pinnace:zygote")
    process.hide_from_tracers()
    process.restore_hidden_signals()
    os.umask(_UMASK)
    os.set_inheritable(_CHANNEL_FD, False)
    channel = Channel(socket.socket(fileno=_CHANNEL_FD))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are nobody's business but theirs
    cgroup.detect()
    gc.collect()
    gc.freeze()  # collections must not touch, and so copy, the pages that children share
    while True:
        try:
            _, fds = channel.receive_frame()
        except Closed:
            os._exit(0)
        _spawn(channel, fds)


def _spawn(channel: Channel, fds: list[int]) -> None:
    """The frame is an empty Spawn; its fd is the control channel of the new supervisor."""
    pid, pidfd = process.clone()
    if pid:
        for fd in (*fds, pidfd):
            os.close(fd)
        return
    channel.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    supervisor.main(Channel(socket.socket(fileno=fds[0])))
