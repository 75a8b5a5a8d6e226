"""What is measured. Each measure is a generator: all before the first `yield` is setup, each
`yield` gives one round's samples, and closing it tears down what was set up.

A row's name says the unit: `ms` and `KiB` are better when less, `/s` when more.
"""

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

from bench.side import Side, memory, per_thread
from bench.wire import Client, query

Samples = dict[str, list[float]]
Rounds = Generator[Samples, None, None]
Measure = Callable[[Side], Rounds]

LINE = "x" * 99
LOG_BYTES = 64_000_000
UNROTATED = {"Type": "json-file", "Config": {"max-size": "2g"}}


class Watch:
    """Milliseconds between the laps of one sequence of steps."""

    def __init__(self) -> None:
        self.began = self.last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        took, self.last = now - self.last, now
        return took * 1000

    def total(self) -> float:
        return (time.perf_counter() - self.began) * 1000


def add(samples: Samples, **values: float) -> None:
    for name, value in values.items():
        samples.setdefault(name, []).append(value)


def _cycles(side: Side, network: str, count: int = 10) -> Samples:
    samples: Samples = {}
    before = side.cpu()
    for _ in range(count):
        watch = Watch()
        ident = side.create("true", network=network)
        create = watch.lap()
        side.start(ident)
        start = watch.lap()
        side.wait(ident)
        wait = watch.lap()
        side.remove(ident)
        delete = watch.lap()
        add(samples, create=create, start=start, wait=wait, delete=delete, whole=watch.total())
    # Teardown may go on after the answer; it is paid for all the same.
    time.sleep(0.3)
    rows = {f"{network}: {name} ms": values for name, values in samples.items()}
    rows[f"{network}: CPU a cycle, ms"] = [(side.cpu() - before) / count * 1000]
    return rows


def cycle_none(side: Side) -> Rounds:
    while True:
        yield _cycles(side, "none")


def cycle_default(side: Side) -> Rounds:
    while True:
        yield _cycles(side, "default")


def parallel(side: Side) -> Rounds:
    shared, count = per_thread(side), 48

    def one(_: int) -> None:
        ident = shared.create("true")
        shared.start(ident)
        shared.wait(ident)
        shared.remove(ident)

    with ThreadPoolExecutor(16) as pool:
        while True:
            before, watch = side.cpu(), Watch()
            list(pool.map(one, range(count)))
            wall = watch.total() / count
            time.sleep(0.3)
            cpu = (side.cpu() - before) / count * 1000
            yield {"16 at once: wall a cycle, ms": [wall], "16 at once: CPU a cycle, ms": [cpu]}


def exec_(side: Side) -> Rounds:
    ident = side.idle()
    try:
        while True:
            samples: Samples = {}
            before = side.cpu()
            for _ in range(10):
                watch = Watch()
                _exec(side, ident)
                add(samples, **{"exec: create+start+EOF+inspect ms": watch.total()})
            add(samples, **{"exec: CPU each, ms": (side.cpu() - before) * 100})
            yield samples
    finally:
        side.remove(ident)


def _exec(side: Side, ident: str) -> None:
    body = {"AttachStdout": True, "AttachStderr": True, "Cmd": ["true"]}
    made = side.client.ok("POST", f"/containers/{ident}/exec", body).json()["Id"]
    connection, _, _ = side.client.hijack(f"/exec/{made}/start", {"Detach": False, "Tty": False})
    with connection:
        while connection.recv(4096):
            pass
    state = side.client.ok("GET", f"/exec/{made}/json").json()
    if state["ExitCode"] != 0:
        raise RuntimeError(f"exec: exit code {state['ExitCode']}")


def stop(side: Side) -> Rounds:
    while True:
        samples: Samples = {}
        for _ in range(5):
            ident = side.idle()
            watch = Watch()
            side.client.ok("POST", f"/containers/{ident}/stop")
            add(samples, **{"stop (TERM trapped) ms": watch.lap()})
            side.remove(ident)
        yield samples


def kill(side: Side) -> Rounds:
    while True:
        samples: Samples = {}
        for _ in range(5):
            ident = side.idle()
            watch = Watch()
            side.client.ok("POST", f"/containers/{ident}/kill")
            side.wait(ident)
            add(samples, **{"kill+wait ms": watch.lap()})
            side.remove(ident)
        yield samples


def remove(side: Side) -> Rounds:
    while True:
        samples: Samples = {}
        for _ in range(5):
            ident = side.idle()
            watch = Watch()
            side.remove(ident)
            add(samples, **{"rm -f of a running one ms": watch.lap()})
        yield samples


def pause(side: Side) -> Rounds:
    ident = side.idle()
    try:
        while True:
            samples: Samples = {}
            for _ in range(5):
                watch = Watch()
                side.client.ok("POST", f"/containers/{ident}/pause")
                add(samples, **{"pause ms": watch.lap()})
                side.client.ok("POST", f"/containers/{ident}/unpause")
                add(samples, **{"unpause ms": watch.lap()})
            side.client.ok("POST", f"/containers/{ident}/restart" + query(t=0))
            add(samples, **{"restart -t 0 ms": watch.lap()})
            yield samples
    finally:
        side.remove(ident)


def command_line(side: Side) -> Rounds:
    while True:
        samples: Samples = {}
        for _ in range(5):
            watch = Watch()
            side.docker("run", "--rm", "--network", "none", side.image, "true")
            add(samples, **{"docker run --rm --network none ms": watch.lap()})
        yield samples


def live(count: int) -> Measure:
    """Rate and memory with `count` containers alive at once."""

    def measure(side: Side) -> Rounds:
        while True:
            watch = Watch()
            with side.live(count) as idents:
                took = watch.lap() / 1000
                keepers = [memory(side.supervisor_of(ident)) for ident in idents[:: count // 10]]
                samples = {
                    f"{count} live: started /s": [count / took],
                    f"{count} live: private a supervisor KiB": [m["Private"] for m in keepers],
                    f"{count} live: PSS a supervisor KiB": [m["Pss"] for m in keepers],
                }
                watch.lap()
            samples[f"{count} live: removed /s"] = [count / watch.lap() * 1000]
            yield samples

    return measure


def listing(side: Side) -> Rounds:
    with side.live(100):
        while True:
            yield {
                "GET /containers/json x100, 1 connection /s": [_rate(side, "/containers/json", 1)],
                "GET /containers/json x100, 8 connections /s": [_rate(side, "/containers/json", 8)],
            }


def inspect(side: Side) -> Rounds:
    ident = side.idle()
    try:
        while True:
            rate = _rate(side, f"/containers/{ident}/json", 1)
            yield {"inspect, 1 connection /s": [rate]}
    finally:
        side.remove(ident)


def ping(side: Side) -> Rounds:
    while True:
        yield {
            "_ping, 1 connection /s": [_rate(side, "/_ping", 1)],
            "_ping, 8 connections /s": [_rate(side, "/_ping", 8)],
        }


def _rate(side: Side, path: str, connections: int, seconds: float = 1.0) -> float:
    end = time.perf_counter() + seconds

    def ask(_: int) -> int:
        with Client(side.host) as client:
            done = 0
            while time.perf_counter() < end:
                client.ok("GET", path)
                done += 1
            return done

    watch = Watch()
    with ThreadPoolExecutor(connections) as pool:
        done = sum(pool.map(ask, range(connections)))
    return done / watch.total() * 1000


def logs(side: Side) -> Rounds:
    script = f"yes {LINE} | head -c {LOG_BYTES}"
    while True:
        ident = side.create("sh", "-c", script, LogConfig=UNROTATED)
        try:
            watch = Watch()
            before = side.cpu()
            side.start(ident)
            side.wait(ident)
            wrote = watch.lap()
            cpu = side.cpu() - before
            with side.client.stream(f"/containers/{ident}/logs" + query(stdout=True)) as body:
                read = sum(len(chunk) for chunk in body)
            took = watch.lap()
        finally:
            side.remove(ident)
        if read < LOG_BYTES:
            raise RuntimeError(f"logs: {read} of {LOG_BYTES} bytes")
        yield {
            "logs: written MB/s": [LOG_BYTES / wrote / 1000],
            "logs: CPU s a GB": [cpu / LOG_BYTES * 1e9],
            "logs: read MB/s": [LOG_BYTES / took / 1000],
        }


def attach(side: Side) -> Rounds:
    size = 4 * LOG_BYTES
    script = f"read go; dd if=/dev/zero bs=65536 count={size // 65536} 2>/dev/null"
    while True:
        body = {
            "Image": side.image,
            "Cmd": ["sh", "-c", script],
            "OpenStdin": True,
            "AttachStdin": True,
            "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "none"}},
        }
        ident = str(side.client.ok("POST", "/containers/create", body).json()["Id"])
        try:
            side.start(ident)
            connection, _, _ = side.client.hijack(
                f"/containers/{ident}/attach" + query(stream=True, stdin=True, stdout=True)
            )
            with connection:
                watch = Watch()
                connection.sendall(b"go\n")
                read = 0
                while data := connection.recv(1 << 20):
                    read += len(data)
            yield {"attach: stdout MB/s": [read / watch.lap() / 1000]}
        finally:
            side.remove(ident)


def idle_memory(side: Side) -> Rounds:
    while True:
        rows = [memory(pid) for pid in side.processes()]
        yield {
            "daemon and helpers: PSS KiB": [sum(row["Pss"] for row in rows)],
            "daemon and helpers: private KiB": [sum(row["Private"] for row in rows)],
        }


# name → (measure, rounds when none are asked for)
MEASURES: dict[str, tuple[Measure, int]] = {
    "memory": (idle_memory, 1),
    "none": (cycle_none, 5),
    "default": (cycle_default, 3),
    "parallel": (parallel, 3),
    "exec": (exec_, 4),
    "stop": (stop, 4),
    "kill": (kill, 4),
    "rm": (remove, 4),
    "pause": (pause, 2),
    "cli": (command_line, 4),
    "ping": (ping, 3),
    "inspect": (inspect, 3),
    "list": (listing, 3),
    "logs": (logs, 2),
    "attach": (attach, 2),
    "live200": (live(200), 1),
    "live1000": (live(1000), 1),
}

# Minutes with a slow engine: run when named.
ONLY_WHEN_NAMED = {"live1000"}
