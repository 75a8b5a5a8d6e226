"""Attached connections: what a client types, and what comes back, read with a deadline."""

import socket

from bench.wire import Client, Response, frames, query
from tests.harness.deadline import Deadline, Expired


class Attached:
    """A hijacked connection to a container's or an exec's streams."""

    def __init__(self, connection: socket.socket, head: Response, seen: bytes) -> None:
        self.connection, self.head, self.seen = connection, head, bytearray(seen)

    def __enter__(self) -> "Attached":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def close_write(self) -> None:
        """The client has nothing more to say, and goes on listening."""
        self.connection.shutdown(socket.SHUT_WR)

    def expect(self, text: bytes, *, seconds: float = 20) -> bytes:
        """All that came, once `text` is in it."""
        deadline, searched = Deadline(seconds), 0
        while self.seen.find(text, searched) < 0:
            # What was searched is not searched again, but for a beginning of the text at its end.
            searched = max(0, len(self.seen) - len(text))
            if not self._receive(deadline):
                raise Expired(f"the stream ended without {text!r}: {self.seen[-1000:]!r}")
        return bytes(self.seen)

    def rest(self, *, seconds: float = 20) -> bytes:
        """Everything until the engine closes the stream."""
        deadline = Deadline(seconds)
        while self._receive(deadline):
            pass
        return bytes(self.seen)

    def streams(self) -> dict[int, bytes]:
        """The payload of each stream, when the connection multiplexes them."""
        found: dict[int, bytes] = {}
        for stream, data in frames(self.rest()):
            found[stream] = found.get(stream, b"") + data
        return found

    def _receive(self, deadline: Deadline) -> bool:
        self.connection.settimeout(max(deadline.remaining, 0.001))
        try:
            data = self.connection.recv(1 << 20)
        except TimeoutError:
            raise Expired(
                f"nothing more came in time; seen: {bytes(self.seen[-1000:])!r}"
            ) from None
        self.seen += data
        return bool(data)


def attach(client: Client, ident: str, **parameters: object) -> Attached:
    wanted = {"stream": True, "stdout": True, "stderr": True, **parameters}
    return Attached(*client.hijack(f"/containers/{ident}/attach" + query(**wanted)))


def execute(client: Client, ident: str, *command: str, **settings: object) -> tuple[str, Attached]:
    """(exec id, its streams) of a command started in a running container."""
    body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command), **settings}
    made = str(client.ok("POST", f"/containers/{ident}/exec", body).json()["Id"])
    start = {"Detach": False, "Tty": bool(settings.get("Tty"))}
    return made, Attached(*client.hijack(f"/exec/{made}/start", start))
