"""A daemon that says what it was told to say, and remembers what it was asked.

It serves the real docker command as well as ours, which is how the goldens are recorded.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONTAINER_ID = "8f3f2a60e1b1d3d4c5b6a79881726354a0b1c2d3e4f5061728394a5b6c7d8e9f"


@dataclass
class Request:
    method: str
    path: str  # without the API version, with the query
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body) if self.body.strip() else None


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    # With 101: what is done with the connection from then on.
    conversation: Callable[[socket.socket, bytes], None] | None = None
    chunked: bool = False


def document(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode() + b"\n", {"Content-Type": "application/json"})


def refusal(status: int, message: str) -> Answer:
    return document({"message": message}, status)


Responder = Callable[[Request], Answer | None]


class FakeDaemon:
    """Listens on a unix socket; `responders` are asked in turn, the last resort is 404."""

    def __init__(self, path: Path, *responders: Responder, api_version: str = "1.51") -> None:
        self.path = path
        self.api_version = api_version
        self.responders = [*responders, self._ping]
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> FakeDaemon:
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would leave accept() waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self.path)

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def asked(self, method: str, prefix: str) -> list[Request]:
        with self._lock:
            return [r for r in self.requests if r.method == method and r.path.startswith(prefix)]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffered = b""
        with connection:
            try:
                while (parsed := _read_request(connection, buffered)) is not None:
                    request, buffered = parsed
                    with self._lock:
                        self.requests.append(request)
                    answer = next(
                        (found for each in self.responders if (found := each(request))),
                        refusal(404, f"page not found: {request.path}"),
                    )
                    self._send(connection, request, answer)
                    if answer.conversation:
                        answer.conversation(connection, buffered)
                        return
            except (ConnectionError, OSError):
                return

    def _send(self, connection: socket.socket, request: Request, answer: Answer) -> None:
        headers = {"Api-Version": self.api_version, "Ostype": "linux", **answer.headers}
        body = b"" if answer.status in (204, 304) else answer.body
        if answer.conversation is None and answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (body,) if c) + b"0\r\n\r\n"
        elif answer.conversation is None and answer.status not in (204, 304):
            headers["Content-Length"] = str(len(body))
        if answer.status == 101:
            headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
        head = f"HTTP/1.1 {answer.status} Said\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        connection.sendall(head.encode() + (b"" if request.method == "HEAD" else body))

    def _ping(self, request: Request) -> Answer | None:
        return Answer(200, b"OK") if request.path == "/_ping" else None


def _read_request(connection: socket.socket, data: bytes) -> tuple[Request, bytes] | None:
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    if target.startswith("/v1."):
        target = "/" + target[1:].partition("/")[2]
    if headers.get("transfer-encoding") == "chunked":
        body, rest = _read_chunked(connection, rest)
    else:
        length = int(headers.get("content-length", 0))
        while len(rest) < length:
            rest += connection.recv(65536)
        body, rest = rest[:length], rest[length:]
    return Request(method, target, headers, body), rest


def _read_chunked(connection: socket.socket, data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        while b"\r\n" not in data:
            data += connection.recv(65536)
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        while len(data) < count + 2:
            data += connection.recv(65536)
        body += data[:count]
        data = data[count + 2 :]
        if count == 0:
            return body, data


def creating(request: Request) -> Answer | None:
    """Containers are created, whatever is asked for, and nothing else."""
    if request.method == "POST" and request.path.startswith("/containers/create"):
        return document({"Id": CONTAINER_ID, "Warnings": []}, 201)
    if request.method == "POST" and request.path.startswith(f"/containers/{CONTAINER_ID}/start"):
        return Answer(204)
    return None
