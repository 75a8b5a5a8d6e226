"""A `pinnace daemon` of the test's own: own folders, socket and cgroup parent; ended by pid."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.wire import Client
from tests.harness import kernel
from tests.harness.deadline import Deadline


def command() -> list[str]:
    """How pinnace is run: the console script beside this interpreter."""
    given = os.environ.get("PINNACE_TEST_COMMAND")
    if given:
        return given.split()
    return [str(Path(sys.executable).parent / "pinnace")]


class Daemon:
    """One data root and runtime root, over any number of daemon processes after each other."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(6)
        # Short: the path of a unix socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix=f"pt{self.mark[:4]}", dir="/tmp"))
        self.folder.chmod(0o755)
        self.data_root = self.folder / "data"
        self.exec_root = self.folder / "run"
        self.socket = self.folder / "sock"
        self.log = self.folder / "log"
        self.cgroup_parent = f"/pinnace-test-{self.mark}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the daemon is not started"
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def client(self, **options: float) -> Client:
        return Client(self.host, timeout=options.get("timeout", 60))

    def start(self, *arguments: str, failpoint: str | None = None) -> "Daemon":
        """Start the daemon process and wait until it answers."""
        # PATH is what the daemon passes on to each process that it starts: the mark is in it, and
        # so every process says whose it is.
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/{self.mark}"}
        environment.pop("PINNACE_FAILPOINT", None)
        if failpoint is not None:
            environment["PINNACE_FAILPOINT"] = failpoint
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command(), "daemon", *self._arguments(), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        Deadline(30).until(self._answers, "the daemon's first answer")
        return self

    def stop(self) -> int:
        """End the daemon as a service manager does; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End the daemon as a power cut does; containers go on."""
        return self._end(signal.SIGKILL)

    def destroy(self) -> None:
        """Nothing is left: containers, processes, cgroups, folder."""
        if self.alive:
            self.stop()
        kernel.kill(kernel.processes_of(self.mark, self.cgroup_parent))
        kernel.remove_cgroups(self.cgroup_parent)
        kernel.unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _arguments(self) -> list[str]:
        return [
            *("--host", self.host),
            *("--data-root", str(self.data_root)),
            *("--exec-root", str(self.exec_root)),
            *("--cgroup-parent", self.cgroup_parent),
        ]

    def _answers(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"the daemon ended with {code}:\n{self.tail()}"
        try:
            with self.client(timeout=5) as client:
                return client.request("GET", "/_ping").status == 200
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def tail(self, size: int = 4000) -> str:
        return self.log.read_bytes()[-size:].decode(errors="replace")
