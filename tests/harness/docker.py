"""The real `docker` command line against one engine."""

import os
import pty
import select
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.harness.deadline import SLOW, Deadline, Expired


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Docker:
    """`docker(...)` runs a command to its end; its own configuration, nothing of the user's.

    `program` is the real command line, or ours, which takes the same words.
    """

    def __init__(self, host: str, config: Path, program: str = "docker") -> None:
        self.program = program
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")},
            "DOCKER_HOST": host,
            "DOCKER_CONFIG": str(config),
            "DOCKER_CLI_HINTS": "false",
        }

    def __call__(self, *args: str, stdin: bytes | None = None, timeout: float = 60) -> Result:
        done = subprocess.run(
            [self.program, *args],
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout * SLOW,
            check=False,
        )
        return Result(
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )

    def ok(self, *args: str, stdin: bytes | None = None, timeout: float = 60) -> str:
        """What the command wrote to stdout, stripped; a failing command fails the test."""
        code, out, err = self(*args, stdin=stdin, timeout=timeout)
        assert code == 0, f"docker {' '.join(args)}: exit {code}: {err.strip() or out.strip()}"
        return out.strip()

    def start(self, *args: str, **options: int | None) -> "subprocess.Popen[bytes]":
        """A command that goes on beside the test, with pipes."""
        return subprocess.Popen(
            [self.program, *args],
            env=self.environment,
            stdin=options.get("stdin", subprocess.PIPE),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def terminal(self, *args: str, rows: int = 24, columns: int = 80) -> "Terminal":
        return Terminal([self.program, *args], self.environment, rows, columns)


class Terminal:
    """A command on a pseudo-terminal of its own, as a person sits before it."""

    def __init__(
        self, command: list[str], environment: dict[str, str], rows: int, columns: int
    ) -> None:
        self.seen = b""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execvpe(command[0], command, {**environment, "TERM": "xterm"})
        self.pid = pid
        self.code: int | None = None
        self.resize(rows, columns)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def resize(self, rows: int, columns: int) -> None:
        import termios

        termios.tcsetwinsize(self.fd, (rows, columns))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str, *, seconds: float = 20) -> str:
        """Read until `text` has been shown; what was shown up to its end is consumed."""
        deadline, wanted = Deadline(seconds), text.encode()
        while wanted not in self.seen:
            if not self._read(deadline):
                raise Expired(f"{text!r} was not shown; seen: {self.seen!r}")
        before, _, self.seen = self.seen.partition(wanted)
        return before.decode(errors="replace")

    def wait(self, *, seconds: float = 20) -> int:
        """The exit code, after everything shown was read."""
        deadline = Deadline(seconds)
        while self._read(deadline):
            pass
        if not deadline.remaining:
            raise Expired(f"the command did not end; seen: {self.seen!r}")
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def _read(self, deadline: Deadline) -> bool:
        ready, _, _ = select.select([self.fd], [], [], deadline.remaining)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # EIO: the other side of the terminal is closed
            return False
        self.seen += data
        return bool(data)
