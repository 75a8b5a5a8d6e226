"""A container that is started and followed: attach, wait, start, carry its streams, its status.

The order matters: attach before start, or the first output is lost; wait before start, or a
container that is removed at once is never seen to end.
"""

from __future__ import annotations

from pinnace.cli import terminal
from pinnace.cli.arguments import Failure
from pinnace.cli.client import DaemonError, Unreachable
from pinnace.cli.streams import Conversation, SystemFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pinnace.cli.client import Pending
    from pinnace.cli.connection import Connection
    from pinnace.cli.invocation import Invocation


class NotStarted(Exception):
    """The container exists, and its process doesn't."""

    def __init__(self, reason: DaemonError | Unreachable) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Attached:
    """One container and what of it the user is attached to."""

    def __init__(
        self,
        invocation: Invocation,
        ident: str,
        *,
        tty: bool,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        removed: bool,
    ) -> None:
        self._invocation = invocation
        self._ident = ident
        self._path = f"/containers/{ident}"
        self._tty = tty
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._removed = removed
        self._keys = detach_keys(invocation)

    def start_and_follow(self, *, proxy: bool, start: dict[str, str | None] | None = None) -> int:
        """The status of the process that this starts; 0 if the user leaves before."""
        client = self._invocation.client
        connection = self._attach()
        condition = "removed" if self._removed else "next-exit"
        waiting = Exit(self._invocation, self._ident, condition)

        def begin() -> None:
            try:
                client.post(f"{self._path}/start", start)
            except (DaemonError, Unreachable) as error:
                if self._removed:
                    waiting.status()
                raise NotStarted(error) from None

        talk = self._conversation(connection, proxy=proxy, until=waiting.fd)
        carry(talk, after=begin)
        return 0 if talk.detached else waiting.status()

    def join(self, *, proxy: bool, recheck: Callable[[], object]) -> bool:
        """Follows what runs already; True if the user left before its end.

        `recheck` is called when we are attached: who attaches to what has just ended would wait
        for ever.
        """
        connection = self._attach()
        recheck()
        if self._resizes():
            # A change of size makes a shell draw its prompt again, which we have not seen.
            rows, columns = terminal.size()
            resizer(self._invocation, f"{self._path}/resize")(rows + 1, columns + 1)
        talk = self._conversation(connection, proxy=proxy, until=-1)
        carry(talk)
        return talk.detached

    def _resizes(self) -> bool:
        return self._tty and terminal.is_terminal(terminal.STDOUT)

    def _attach(self) -> Connection:
        query = {
            "stream": True,
            "stdin": self._stdin,
            "stdout": self._stdout,
            "stderr": self._stderr,
            "detachKeys": key_names(self._invocation) or None,
        }
        return self._invocation.new_client().hijack(f"{self._path}/attach", query)

    def _conversation(self, connection: Connection, *, proxy: bool, until: int) -> Conversation:
        resize = resizer(self._invocation, f"{self._path}/resize") if self._resizes() else None
        return Conversation(
            connection,
            tty=self._tty,
            stdin=self._stdin,
            output=self._stdout or self._stderr,
            keys=self._keys,
            resize=resize,
            proxy=self._pass_on if proxy else None,
            until=until,
        )

    def _pass_on(self, signal: str) -> None:
        try:
            self._invocation.client.post(f"{self._path}/kill", {"signal": signal})
        except (DaemonError, Unreachable):
            pass  # it has ended in the meantime: the stream's end will say so


class Exit:
    """The answer to POST wait, which comes when the container ends."""

    def __init__(self, invocation: Invocation, ident: str, condition: str | None) -> None:
        client = invocation.new_client()
        self._invocation = invocation
        self._pending: Pending = client.begin(
            "POST", f"/containers/{ident}/wait", {"condition": condition}
        )
        # The head of the answer says that the daemon is watching; only then may it be started.
        try:
            self._response = self._pending.finish()
            self._failure = ""
        except (DaemonError, Unreachable) as error:
            self._failure = str(error)

    @property
    def fd(self) -> int:
        return -1 if self._failure else self._response.fileno()

    def status(self) -> int:
        """Waits for the end; 125 if it can't be known."""
        if not self._failure:
            try:
                result = self._response.json()
            except (Unreachable, ValueError) as error:
                self._failure = str(error)
            else:
                self._failure = (result.get("Error") or {}).get("Message", "")
                if not self._failure:
                    return int(result["StatusCode"])
        terminal.warn(f"error waiting for container: {self._failure}")
        return 125


def carry(talk: Conversation, after: Callable[[], None] | None = None) -> None:
    """Runs a conversation to its end; a signal that ended it ends us."""
    try:
        talk.run(after)
    except SystemFailure as error:
        raise Failure(str(error)) from None
    if talk.killed_by:
        raise Failure(status=128 + talk.killed_by)


def resizer(invocation: Invocation, path: str) -> Callable[[int, int], bool]:
    """Tells the daemon the terminal's size; False if it can't be set yet."""

    def resize(rows: int, columns: int) -> bool:
        try:
            invocation.client.post(path, {"h": rows, "w": columns})
        except (DaemonError, Unreachable):
            return False
        return True

    return resize


def key_names(invocation: Invocation) -> str:
    return invocation["detach-keys"] or invocation.config.text("detachKeys")


def detach_keys(invocation: Invocation) -> bytes:
    names = key_names(invocation)
    if not names:
        return terminal.DEFAULT_DETACH_KEYS
    try:
        return terminal.detach_keys(names)
    except ValueError as error:
        terminal.warn(f"invalid detach escape keys, using default: {error}")
        return terminal.DEFAULT_DETACH_KEYS
