"""A seccomp filter's listener: who decides about calls with SCMP_ACT_NOTIFY.

Source: runtime-spec, config-linux.md, "Seccomp" (listenerPath, "The Container Process State").
Rule: sendmsg(2) must not be among the calls that are notified of, since init is still to make
them, as runc has it with write(2).
"""

import socket

import msgspec

from pinnace.oci import spec


class _ProcessState(msgspec.Struct, frozen=True, rename="camel"):
    oci_version: str
    fds: list[str]
    pid: int
    metadata: str
    state: spec.State


def tell(path: str, state: spec.State, pid: int, metadata: str, listener_fd: int) -> None:
    """Hand the listener's fd to the process that waits at path."""
    message = _ProcessState(state.oci_version, ["seccompFd"], pid, metadata, state)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        socket.send_fds(connection, [msgspec.json.encode(message)], [listener_fd])
