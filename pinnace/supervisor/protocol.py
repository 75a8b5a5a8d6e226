"""What the daemon, the zygote and the supervisors say to one another.

Frames are those of `runtime.sync.Channel`. A request is answered by one reply on the channel
it came by; a channel that has sent Subscribe gets events instead from then on. Fields may be
added, with defaults, never renamed or dropped: a daemon of a newer version talks to
supervisors that an older one has started.

    daemon                          zygote                     supervisor
      Spawn + channel end ───────────▶ forks ───────────────────▶
      Prepare ──────────────────────────────────────────────────▶ namespaces, cgroup
            ◀──────────────────────────────────────────── Prepared
      Run (+ attached clients) ─────────────────────────────────▶ mounts, streams, execve
            ◀──────────────────────────── Started + pidfd, or Failed
      Exec, Attach, Resize, CloseStdin ─────────────────────────▶
            ◀──────────────────────────────────── Done, or Failed
            ◀──────────────────── Exited, ExecExited, OutOfMemory (events)
"""

import msgspec

from pinnace.oci import spec
from pinnace.runtime.container import Preparation
from pinnace.runtime.layers import Layers

VERSION = 1
SOCKET = "supervisor.sock"  # in the container's folder: where later daemons find it


class Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    pass


class Spawn(Message, frozen=True):
    """To the zygote; the fd is the supervisor's end of the control channel."""


class Prepare(Message, frozen=True, kw_only=True):
    preparation: Preparation


class Prepared(Message, frozen=True, kw_only=True):
    pid: int


class Log(msgspec.Struct, frozen=True):
    """A log driver, its options, the file it writes, and what stands beside each entry."""

    driver: str
    options: dict[str, str] = {}
    path: str = ""
    attributes: dict[str, str] = {}


class Client(msgspec.Struct, frozen=True):
    """A caller's connection that is handed to the supervisor, as one fd of the message.

    `head` is sent to it first. `initial` is what the caller sent ahead, to be taken as standard
    input. With `since_ns` it is first sent what the log has of later times: it has seen the log
    up to then.
    """

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    multiplexed: bool = True
    detach_keys: str = ""
    initial: bytes = b""
    head: bytes = b""
    since_ns: int = 0


class Run(Message, frozen=True, kw_only=True):
    """Turn the prepared shell into a container and start it.

    folder holds config.json and gets supervisor.sock and exit.json. The program
    is executed at once, or with `hold` after a Go. `runtime` names an OCI runtime binary to
    use in place of ours; `root` is then a folder or layers to be mounted for it.
    """

    id: str
    folder: str
    cgroup_path: str
    root: Layers | str
    log: Log
    preparation: Preparation | None = None
    seccomp: bytes | None = None
    user: str | None = None
    groups: list[str] = []
    reaper: bool = False
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    hold: bool = False
    runtime: list[str] = []
    clients: list[Client] = []


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a maker leaves to its supervisor: the container runs.

    fds: the daemon's channel, the folder, the pidfd, the mount namespace, the listening socket;
    our ends of the streams (`streams.Streams.take`); the clients'.
    """

    id: str
    folder: str
    cgroup_path: str
    log: Log
    pid: int
    started_at: int
    own_processes: bool
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    runtime: list[str] = []
    clients: list[Client] = []


class Go(Message, frozen=True):
    pass


class Ready(Message, frozen=True, kw_only=True):
    """Set up and held; the fd is the pidfd."""

    pid: int
    warnings: list[str] = []


class Started(Message, frozen=True, kw_only=True):
    """The fd is the pidfd of the container's first process; time in ns since the epoch."""

    pid: int
    started_at: int
    warnings: list[str] = []


class Launched(Message, frozen=True, kw_only=True):
    """A maker's answer to Exec. fds: the pidfd, and the console's master if it has a terminal."""

    pid: int
    warnings: list[str] = []


class Exec(Message, frozen=True, kw_only=True):
    """Run a further process; the fd, if any, is its client's."""

    id: str
    process: spec.Process
    seccomp: bytes | None = None
    user: str | None = None
    groups: list[str] = []
    open_stdin: bool = False
    client: Client | None = None


class Attach(Message, frozen=True, kw_only=True):
    """To the container, or to one of its execs; the fd is the client's."""

    client: Client
    exec_id: str = ""


class Resize(Message, frozen=True, kw_only=True):
    height: int
    width: int
    exec_id: str = ""


class ExecStatus(Message, frozen=True, kw_only=True):
    """Answered by Running or ExecExited: for who asks before the event has come through."""

    id: str


class Subscribe(Message, frozen=True):
    """Answered by Status with the pidfd, then by events."""


class Status(Message, frozen=True, kw_only=True):
    version: int
    pid: int
    started_at: int
    execs: dict[str, int] = {}


class Done(Message, frozen=True):
    pass


class Running(Message, frozen=True, kw_only=True):
    pid: int


class Failed(Message, frozen=True, kw_only=True):
    """Why a request was not carried out; step and errno as in `runtime.sync.Failure`."""

    message: str
    step: str = ""
    errno: int = 0


class Exited(Message, frozen=True, kw_only=True):
    """Also the content of exit.json; code as a shell counts, time in ns since the epoch."""

    code: int
    finished_at: int
    oom_killed: bool = False


class ExecExited(Message, frozen=True, kw_only=True):
    id: str
    code: int


class OutOfMemory(Message, frozen=True):
    pass


class Detached(Message, frozen=True, kw_only=True):
    """A client left by its detach keys."""

    exec_id: str = ""


Request = Spawn | Prepare | Run | Go | Exec | ExecStatus | Attach | Resize | Subscribe
SmallRequest = Exec | ExecStatus | Attach | Resize | Subscribe
Reply = Prepared | Ready | Started | Status | Running | Done | Failed
Event = Exited | ExecExited | OutOfMemory | Detached


keepings = msgspec.json.Decoder(Kept)
# Without the two large ones: a process pays for the memory that decoding touches.
small_requests = msgspec.json.Decoder(SmallRequest)
makings = msgspec.json.Decoder(Prepare | Run)
exec_answers = msgspec.json.Decoder(Launched | Failed)
answers = msgspec.json.Decoder(Reply | Event)
exit_record = msgspec.json.Decoder(Exited)
