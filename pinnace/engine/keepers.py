"""The daemon's side of the zygote and the supervisors: spawn them, talk to them, find them again.

Rule: the daemon itself never forks (it has threads); it executes the zygote, which does.
"""

import os
import socket
import threading
from typing import TypeVar

from pinnace import errors
from pinnace.linux import failpoint, process
from pinnace.linux.process import IDMap
from pinnace.runtime.container import Preparation
from pinnace.runtime.sync import Channel, Closed, close_fds
from pinnace.supervisor import protocol, zygote

R = TypeVar("R")


class KeeperFailed(Exception):
    """A supervisor's refusal."""

    def __init__(self, failed: protocol.Failed) -> None:
        super().__init__(failed.message)
        self.failed = failed


class Zygote:
    """The fork server, executed when first needed and again when it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self.pid = 0

    def spawn(self) -> Channel:
        """The control channel of a new supervisor."""
        ours, theirs = Channel.pair()
        try:
            with self._lock:
                try:
                    self._running().send(protocol.Spawn(), [theirs.fileno()])
                except Closed:
                    self._stop()
                    self._running().send(protocol.Spawn(), [theirs.fileno()])
        finally:
            theirs.close()
        return ours

    def _running(self) -> Channel:
        if self._channel is None:
            ours, theirs = Channel.pair()
            env = {"PATH": os.environ.get("PATH", "")}
            env |= {name: value for name, value in os.environ.items() if name == failpoint.VARIABLE}
            self.pid = process.spawn(zygote.command(), [theirs.fileno()], env)
            theirs.close()
            self._channel = ours
        return self._channel

    def _stop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            os.waitpid(self.pid, 0)

    def close(self) -> None:
        """Let it go; the supervisors stay."""
        with self._lock:
            self._stop()


def ask(
    channel: Channel, request: protocol.Message, kind: type[R], fds: list[int] | None = None
) -> tuple[R, list[int]]:
    """Send a request and return its reply of the kind expected, with the fds that came along.

    Raises KeeperFailed for a refusal, errors.Unavailable when the supervisor is gone.
    """
    try:
        channel.send(request, fds)
        frame, received = channel.receive_frame()
    except (Closed, OSError) as error:
        raise errors.Unavailable("the container's supervisor is gone") from error
    reply = protocol.answers.decode(frame)
    if isinstance(reply, protocol.Failed):
        close_fds(received)
        raise KeeperFailed(reply)
    if not isinstance(reply, kind):
        raise errors.Failed(f"unexpected reply of the supervisor: {reply}")
    return reply, received


def connect(folder: str) -> Channel:
    """A connection to the supervisor that keeps the container in folder; raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder_fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # By the folder's fd: an address has room for 107 bytes, a path may be longer (unix(7)).
        connection.connect(f"/proc/self/fd/{folder_fd}/{protocol.SOCKET}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder_fd)
    return Channel(connection)


def request(
    folder: str, message: protocol.Message, kind: type[R], fds: list[int] | None = None
) -> R:
    """One request on a connection of its own."""
    try:
        channel = connect(folder)
    except OSError as error:
        raise errors.Unavailable("the container's supervisor is gone") from error
    try:
        reply, received = ask(channel, message, kind, fds)
        close_fds(received)
        return reply
    finally:
        channel.close()


def prepare(zygote: Zygote, preparation: Preparation) -> Channel:
    """A supervisor with a prepared shell, on its control channel."""
    channel = zygote.spawn()
    try:
        ask(
            channel,
            protocol.Prepare(preparation=preparation),
            protocol.Prepared,
        )
    except BaseException:
        channel.close()
        raise
    return channel


def user_namespace(zygote: Zygote) -> int:
    """An fd of a user namespace to try things with: `sources.idmappable`."""
    maps = [IDMap(0, 0x7000_0000, 65536)]
    channel = zygote.spawn()
    try:
        preparation = Preparation(new=["user"], uid_maps=maps, gid_maps=maps)
        request = protocol.Prepare(preparation=preparation)
        prepared, _ = ask(channel, request, protocol.Prepared)
        return process.namespace_fd(prepared.pid, "user")
    finally:
        channel.close()
