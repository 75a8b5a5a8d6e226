"""The engine under test: a daemon of our own, or the one that PINNACE_TEST_HOST names."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.wire import Client, Response, query
from tests.harness import rootfs
from tests.harness.daemon import Daemon
from tests.harness.docker import Docker

# Set: the black-box tests run against this engine (real Docker, to be the judge of the tests).
FOREIGN = os.environ.get("PINNACE_TEST_HOST", "")

# The command lines that the tests of commands are done with.
PROGRAMS = os.environ.get("PINNACE_TEST_CLI", "docker").split(",")

# The newest version that the recorded answers of real Docker (28.5) were given for.
VERSION = "/v1.51"

# Where bind mounts come from, by the test's name and by the engine's own: HERE:THERE.
FOLDERS = os.environ.get("PINNACE_TEST_FOLDER", "/tmp:/tmp")


class Shared(NamedTuple):
    """One folder: as the test names it, and as the engine does."""

    here: Path
    there: str


@contextlib.contextmanager
def shared_folder() -> Iterator[Shared]:
    here, _, there = FOLDERS.partition(":")
    name = f"pinnace-test-{secrets.token_hex(6)}"
    folder = Path(here) / name
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    try:
        yield Shared(folder, f"{there}/{name}")
    finally:
        shutil.rmtree(folder)


IDLE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]


class Engine:
    """An address, a CLI and a client for it, and the image that the tests use."""

    def __init__(self, host: str, folder: Path, daemon: Daemon | None = None) -> None:
        self.host = host
        self.daemon = daemon
        self.docker = Docker(host, folder)
        self.label = f"pinnace.test={secrets.token_hex(6)}"
        self.image = "pinnace-test/busybox:latest"
        self.timeout = 60.0

    def client(self, timeout: float | None = None) -> Client:
        return Client(self.host, timeout=timeout or self.timeout, version=VERSION)

    def request(self, method: str, path: str, body: object = None) -> Response:
        with self.client() as client:
            return client.request(method, path, body)

    def ok(self, method: str, path: str, body: object = None) -> Response:
        with self.client() as client:
            return client.ok(method, path, body)

    def get(self, path: str, **parameters: object) -> Any:
        return self.ok("GET", path + query(**parameters)).json()

    def load_image(self) -> None:
        """Import the busybox root file system once."""
        if self.request("GET", f"/images/{self.image}/json").status == 200:
            return
        repository, _, tag = self.image.partition(":")
        path = "/images/create" + query(fromSrc="-", repo=repository, tag=tag)
        self.ok("POST", path, rootfs.archive())

    def run(self, *command: str, options: tuple[str, ...] = (), **extra: Any) -> str:
        """Id of a container started in the background by `docker run -d`."""
        command = command or tuple(IDLE)
        return self.docker.ok(
            "run", "-d", "--label", self.label, *options, self.image, *command, **extra
        )

    def create(self, *command: str, **settings: Any) -> str:
        """Id of a container created through the API; `settings` are the body's."""
        host = {"NetworkMode": "none", **settings.pop("HostConfig", {})}
        key, _, value = self.label.partition("=")
        body = {
            "Image": self.image,
            "Cmd": list(command or IDLE),
            "Labels": {key: value, **settings.pop("Labels", {})},
            "HostConfig": host,
            **settings,
        }
        name = body.pop("name", None)
        made = self.ok("POST", "/containers/create" + query(name=name), body)
        return str(made.json()["Id"])

    def start(self, *command: str, **settings: Any) -> str:
        """Id of a container created and started through the API."""
        ident = self.create(*command, **settings)
        self.ok("POST", f"/containers/{ident}/start")
        return ident

    def finish(self, *command: str, **settings: Any) -> tuple[int, str]:
        """(exit code, output) of a container that runs to its end and is removed."""
        ident = self.start(*command, **settings)
        code = self.wait(ident)
        output = self.output(ident)
        self.remove(ident)
        return code, output

    def finish_terminal(self, *command: str, **settings: Any) -> tuple[int, str]:
        """`finish` for a command that runs on a terminal: one stream, without frames."""
        ident = self.start(*command, Tty=True, **settings)
        code = self.wait(ident)
        raw = self.ok("GET", f"/containers/{ident}/logs" + query(stdout=True)).body
        self.remove(ident)
        return code, raw.decode(errors="surrogateescape")

    def wait(self, ident: str, condition: str = "not-running") -> int:
        path = f"/containers/{ident}/wait" + query(condition=condition)
        return int(self.ok("POST", path).json()["StatusCode"])

    def output(self, ident: str, **parameters: object) -> str:
        """What the container wrote to both streams, in order."""
        from bench.wire import frames

        wanted = {"stdout": True, "stderr": True, **parameters}
        raw = self.ok("GET", f"/containers/{ident}/logs" + query(**wanted)).body
        return b"".join(data for _, data in frames(raw)).decode(errors="surrogateescape")

    def inspect(self, ident: str) -> Any:
        return self.get(f"/containers/{ident}/json")

    def remove(self, ident: str) -> None:
        self.request("DELETE", f"/containers/{ident}" + query(force=True, v=True))

    def mine(self) -> list[str]:
        """Ids of all containers that this run of the tests has made."""
        import json

        filters = json.dumps({"label": [self.label]})
        return [item["Id"] for item in self.get("/containers/json", all=True, filters=filters)]

    def clear(self) -> None:
        for ident in self.mine():
            self.remove(ident)


@contextlib.contextmanager
def engine(folder: Path, *arguments: str) -> Iterator[Engine]:
    """The foreign engine, or a daemon that lives as long as the block."""
    if FOREIGN:
        yield Engine(FOREIGN, folder)
        return
    daemon = Daemon()
    try:
        daemon.start(*arguments)
        yield Engine(daemon.host, folder, daemon)
    finally:
        daemon.destroy()
