"""One of the two engines of a comparison: how to use it, and what it costs the machine."""

import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.wire import Client, path_of, query

CPUACCT = Path("/sys/fs/cgroup/cpuacct")
LABEL = "pinnace.bench"

# Ends by itself at TERM, and at once; says when it is ready for that.
IDLE = ["sh", "-c", "trap 'exit 0' TERM; echo ready; sleep 100000 & wait"]


class Side:
    def __init__(self, name: str, host: str, image: str, cgroup: str | None = None) -> None:
        self.name, self.host, self.image = name, host, image
        self.client = Client(host, timeout=120)
        self.pid = peer(host)
        self.cgroup = cgroup

    # What is done to it

    def create(self, *command: str, network: str = "none", **host: object) -> str:
        body = {
            "Image": self.image,
            "Cmd": list(command),
            "Labels": {LABEL: "1"},
            "HostConfig": {"NetworkMode": network, **host},
        }
        return str(self.client.ok("POST", "/containers/create", body).json()["Id"])

    def start(self, ident: str, client: Client | None = None) -> None:
        (client or self.client).ok("POST", f"/containers/{ident}/start")

    def wait(self, ident: str) -> int:
        path = f"/containers/{ident}/wait"
        return int(self.client.ok("POST", path).json()["StatusCode"])

    def remove(self, ident: str) -> None:
        self.client.ok("DELETE", f"/containers/{ident}" + query(force=True, v=True))

    def idle(self, network: str = "none") -> str:
        """Id of a started container that is ready to be stopped."""
        ident = self.create(*IDLE, network=network)
        self.start(ident)
        with self.client.stream(
            f"/containers/{ident}/logs" + query(stdout=True, follow=True)
        ) as lines:
            next(iter(lines))
        return ident

    def many(self, count: int, workers: int = 8) -> list[str]:
        """Ids of `count` containers, created and started by several clients at once."""

        def one(_: int) -> str:
            ident = side.create("sleep", "100000")
            side.start(ident)
            return ident

        with ThreadPoolExecutor(workers, initializer=lambda: None) as pool:
            side = _PerThread(self)
            return list(pool.map(one, range(count)))

    def remove_many(self, idents: list[str], workers: int = 8) -> None:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(_PerThread(self).remove, idents))

    @contextlib.contextmanager
    def live(self, count: int) -> Iterator[list[str]]:
        idents = self.many(count)
        try:
            yield idents
        finally:
            self.remove_many(idents)

    def clear(self) -> None:
        """Remove what an earlier, interrupted run has left."""
        found = self.client.ok(
            "GET", "/containers/json" + query(all=True, filters=f'{{"label":["{LABEL}"]}}')
        )
        self.remove_many([item["Id"] for item in found.json()])

    def docker(self, *arguments: str) -> None:
        subprocess.run(
            ["docker", *arguments],
            env={**os.environ, "DOCKER_HOST": self.host},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    # What it costs

    def cpu(self) -> float:
        """Seconds of processor time used so far by the engine and, with cgroups, its containers.

        Without a cgroup it is the sum over the daemon's process tree with its reaped children,
        which misses shims that were re-parented.
        """
        if self.cgroup is None:
            return sum(_cpu_of(pid) for pid in self.processes())
        return sum(
            int((CPUACCT / name.strip("/") / "cpuacct.usage").read_text()) / 1e9
            for name in self.cgroup.split(",")
        )

    def processes(self) -> list[int]:
        return [self.pid, *descendants(self.pid)]

    def supervisor_of(self, ident: str) -> int:
        """The process that waits for a container's first process: shim, conmon, supervisor."""
        state = self.client.ok("GET", f"/containers/{ident}/json").json()["State"]
        return parent(state["Pid"])


class _PerThread(Side):
    """The same engine with a connection for each thread."""

    def __init__(self, side: Side) -> None:
        import threading

        self.name, self.host, self.image = side.name, side.host, side.image
        self._local = threading.local()

    @property
    def client(self) -> Client:  # type: ignore[override]
        kept: Client | None = getattr(self._local, "client", None)
        if kept is None:
            kept = self._local.client = Client(self.host, timeout=120)
        return kept


def per_thread(side: Side) -> Side:
    return _PerThread(side)


def peer(host: str) -> int:
    """The process that listens at a unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path_of(host))
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", packed)[0])


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _cpu_of(pid: int) -> float:
    try:
        fields = _stat(pid)
    except FileNotFoundError:
        return 0.0
    return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> Iterator[int]:
    by_parent: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                by_parent.setdefault(parent(int(name)), []).append(int(name))
    todo = [pid]
    while todo:
        found = by_parent.get(todo.pop(), [])
        yield from found
        todo += found


def memory(pid: int) -> dict[str, float]:
    """KiB by the kernel's names: Pss, Private (clean and dirty)."""
    values: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        values[name] = float(rest.split()[0])
    values["Private"] = values["Private_Clean"] + values["Private_Dirty"]
    return values


@contextlib.contextmanager
def cgroups(sides: list[Side]) -> Iterator[None]:
    """Each engine's processes in a cpuacct group of their own, for as long as the block lasts.

    The containers' own group is counted too: what a runtime does between joining it and execve
    is charged there.
    """
    moved: list[tuple[int, str]] = []
    made: list[Path] = []
    try:
        for side in sides:
            folder = CPUACCT / f"pinnace-bench-{side.name}-{os.getpid()}"
            folder.mkdir()
            made.append(folder)
            for pid in side.processes():
                moved.append((pid, _cpuacct_of(pid)))
                (folder / "cgroup.procs").write_text(str(pid))
            side.cgroup = ",".join({f"/{folder.name}", _container_parent(side)})
        yield
    finally:
        for folder in made:
            _empty(folder, dict(moved))


def _empty(folder: Path, origin: dict[int, str]) -> None:
    """Move what is in the group to where it came from, children of it to the root; remove it."""
    for word in (folder / "cgroup.procs").read_text().split():
        home = CPUACCT / origin.get(int(word), "/").strip("/")
        with contextlib.suppress(OSError):
            (home / "cgroup.procs").write_text(word)
    for _ in range(50):
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.1)


def _cpuacct_of(pid: int) -> str:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            return path
    return "/"


def _container_parent(side: Side) -> str:
    """The group above the containers' own; the engine's where they have none of their own."""
    ident = side.idle()
    pid = side.client.ok("GET", f"/containers/{ident}/json").json()["State"]["Pid"]
    path = _cpuacct_of(pid)
    side.remove(ident)
    return path if path == _cpuacct_of(side.pid) else str(Path(path).parent)


def describe(side: Side) -> dict[str, Any]:
    version = side.client.ok("GET", "/version").json()
    return {"name": side.name, "host": side.host, "version": version["Version"]}
