"""The conversation between the runtime and a container's init, and the channel it goes over.

    runtime (parent)                        init (child)
      clone ───────────────────────────────▶ waits
      id maps, cgroup
      Prepare ─────────────────────────────▶ becomes root, stages the standard mounts
            ◀─────────────────────── Prepared
      ── a pooled container waits here until it is wanted ──
      Setup + mount fds, stdio ────────────▶ root file system, names, identity, seccomp
            ◀── Want, as often as it asks for a mount in turn  ─▶ Proceed + the mount
            ◀── Mounted, before the root is changed, if there are hooks ─▶ Proceed
            ◀── Listening + the seccomp listener, if it has one ─▶ Proceed
            ◀── Ready (+ the console's master) or Failure
      network, rlimits
      Start ───────────────────────────────▶ execve
            ◀── end of file: it was executed; or Failure

An illegal message is an error, not something to skip. Every message is one frame: four bytes
of length, then JSON; file descriptors travel with the first byte.
"""

import array
import os
import socket
import struct
from typing import Any, TypeVar

import msgspec

from pinnace.oci import spec

_MAX_FDS = 253  # SCM_MAX_FD: what one message can carry (unix(7))
_MAX_FRAME = 64 << 20
_CLOEXEC = socket.MSG_CMSG_CLOEXEC


class Template(msgspec.Struct, frozen=True):
    """The part of a root file system that does not depend on the image."""

    mounts: list[spec.Mount] = []
    masked_paths: list[str] = []
    readonly_paths: list[str] = []
    mount_label: str = ""


class Prepare(msgspec.Struct, frozen=True, tag=True):
    """template's fds: one for each of its mounts that `rootfs.from_host` names, in order."""

    become_root: bool
    new_cgroup_namespace: bool
    new_mount_namespace: bool
    new_network_namespace: bool
    template: Template
    mount_fds: list[int] = []
    staged: bool = False


class Prepared(msgspec.Struct, frozen=True, tag=True):
    pass


class Setup(msgspec.Struct, frozen=True, tag=True):
    """fds: the root mount, then stdin, stdout, stderr unless it has a terminal, then mounts.

    `mount_fds` are the indexes in spec.mounts whose mounts come as fds, in order.
    The first `staged_mounts` of spec.mounts, and the masked and read-only paths if
    `staged_paths`, were made when the container was prepared.
    `deferred`: the last fd is a listening socket; who connects there later says Start.
    `hooked`: the parent has hooks to run before the root is changed.
    `state` is what hooks read on their standard input.
    `cgroup_path` is where the container is, for those that see the host's cgroup namespace.
    `user` is as Docker writes it (name[:group]) and looked up in the image; None takes the
    numbers of spec.process.user.
    """

    spec: spec.Spec
    mount_fds: list[int]
    staged_mounts: int = 0
    staged_paths: bool = False
    seccomp: bytes | None = None
    seccomp_flags: int = 0
    user: str | None = None
    groups: list[str] = []
    reaper: bool = False
    deferred: bool = False
    hooked: bool = False
    state: bytes = b""
    cgroup_path: str = ""


class Enter(msgspec.Struct, frozen=True, tag=True):
    """Setup's counterpart for a process that joins a running container (exec).

    fds: stdin, stdout, stderr unless it has a terminal.
    """

    process: spec.Process
    become_root: bool
    seccomp: bytes | None = None
    seccomp_flags: int = 0
    user: str | None = None
    groups: list[str] = []


class Ready(msgspec.Struct, frozen=True, tag=True):
    """With a terminal, the console's master comes along as an fd."""

    warnings: list[str] = []


class Want(msgspec.Struct, frozen=True, tag=True):
    """Init's request for the mount of spec.mounts[number], which `mount_fds` left out.

    Asked for in turn, mounts come to be in the specification's order, as mountinfo shows them.
    """

    number: int


class Mounted(msgspec.Struct, frozen=True, tag=True):
    """The root file system is complete, and init is not in it yet."""


class Listening(msgspec.Struct, frozen=True, tag=True):
    """The fd that comes along tells of calls that the seccomp filter leaves to a supervisor."""


class Proceed(msgspec.Struct, frozen=True, tag=True):
    pass


class Start(msgspec.Struct, frozen=True, tag=True):
    """`rlimits` are those that the parent may not set for a process of another user."""

    rlimits: list[spec.Rlimit] = []


class Failure(msgspec.Struct, frozen=True, tag=True):
    """What init could not do: the step, the errno (0 if none), and the sentence about it."""

    step: str
    errno: int
    message: str


class StartFailed(Exception):
    """Init's Failure, or its sudden end, as the parent raises it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


Message = (
    Prepare | Prepared | Setup | Enter | Want | Mounted | Listening | Proceed | Ready | Start
    | Failure
)  # fmt: skip
M = TypeVar("M")

_decoder = msgspec.json.Decoder(Message)
encode = msgspec.json.Encoder().encode


class Closed(Exception):
    """The other side is gone."""


class Channel:
    """Frames with file descriptors over a stream socket; blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    def hang_up(self) -> None:
        """Let the other side see the end, and return when it has gone."""
        self.socket.shutdown(socket.SHUT_WR)
        try:
            while self.socket.recv(4096):
                pass
        except ConnectionResetError:
            pass

    def send(self, message: Any, fds: list[int] | None = None) -> None:
        """Raises Closed if nobody is there to read it."""
        self.send_frame(encode(message), fds)

    def send_frame(self, frame: bytes, fds: list[int] | None = None) -> None:
        data = struct.pack("=I", len(frame)) + frame
        try:
            sent = socket.send_fds(self.socket, [data], fds or [])
            if sent < len(data):  # never an empty send: the reader may have gone, content
                self.socket.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive_frame(self) -> tuple[bytes, list[int]]:
        """The next frame's bytes and fds; raises Closed at a clean end."""
        try:
            head, fds = receive_fds(self.socket, 4)
            if not head:
                raise Closed
            while len(head) < 4:
                head += self._more(4 - len(head))
            (length,) = struct.unpack("=I", head)
            if length > _MAX_FRAME:
                raise Closed
            return self._exactly(length), fds
        except ConnectionResetError:
            raise Closed from None

    def receive(self) -> tuple[Message, list[int]]:
        frame, fds = self.receive_frame()
        return _decoder.decode(frame), fds

    def _exactly(self, length: int) -> bytes:
        data = self.socket.recv(length, socket.MSG_WAITALL) if length else b""
        while len(data) < length:
            data += self._more(length - len(data))
        return data

    def _more(self, size: int) -> bytes:
        data = self.socket.recv(size)
        if not data:
            raise Closed
        return data


def receive_fds(sock: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """As socket.recv_fds, which before Python 3.12 leaves the fds open across execve."""
    data, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(4 * _MAX_FDS), _CLOEXEC)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)


def close_fds(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
