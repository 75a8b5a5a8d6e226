"""An HTTP client for tests: one connection, answers as they are on the wire."""

import json
import socket
from typing import Any, NamedTuple

TIMEOUT = 10.0


class Answer(NamedTuple):
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Client:
    def __init__(self, path: str | tuple[str, int]) -> None:
        family = socket.AF_UNIX if isinstance(path, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.buffer = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(
        self,
        method: str,
        target: str,
        document: Any = None,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        """Send a request, with a document as JSON or a body as it is."""
        lines = {"Host": "d", **(headers or {})}
        if document is not None:
            body = json.dumps(document).encode()
            lines["Content-Type"] = "application/json"
        if body is not None:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))

    def ask(self, method: str, target: str, document: Any = None, **options: Any) -> Answer:
        self.request(method, target, document, **options)
        return self.answer(without_body=method == "HEAD")

    def get(self, target: str, **options: Any) -> Answer:
        return self.ask("GET", target, **options)

    def post(self, target: str, document: Any = None, **options: Any) -> Answer:
        return self.ask("POST", target, document, **options)

    def delete(self, target: str) -> Answer:
        return self.ask("DELETE", target)

    # Reading

    def more(self) -> bool:
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            assert self.more(), f"ended before {mark!r}: {self.buffer!r}"
        taken, self.buffer = self.buffer.split(mark, 1)
        return taken + mark

    def read_exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            assert self.more(), f"ended before {size} bytes: {self.buffer!r}"
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read_to_end(self) -> bytes:
        while self.more():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def head(self) -> tuple[int, str, dict[str, str]]:
        first, *lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")[:-2]
        _, status, reason = [*first.split(" ", 2), ""][:3]
        headers = dict(line.split(": ", 1) for line in lines)
        return int(status), reason, headers

    def chunk(self) -> bytes:
        """One chunk of a chunked body, b"" for the last."""
        size = int(self.read_until(b"\r\n"), 16)
        data = self.read_exactly(size)
        assert self.read_exactly(2) == b"\r\n"
        return data

    def answer(self, *, without_body: bool = False) -> Answer:
        status, reason, headers = self.head()
        if without_body or status in (204, 304):
            return Answer(status, reason, headers, b"")
        if headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        elif "Content-Length" in headers:
            body = self.read_exactly(int(headers["Content-Length"]))
        else:
            body = self.read_to_end()
        return Answer(status, reason, headers, body)
