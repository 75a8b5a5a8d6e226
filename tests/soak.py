#!/usr/bin/env python3
"""Many containers, random verbs and sudden deaths for a while; then nothing may be left.

    tests/soak.py                           two minutes on a daemon of its own
    tests/soak.py --seconds 600 --live 300 --workers 50 --kills
    tests/soak.py --seed 7                  the same choices again

Prints what was done and what failed; exit status 1 when something leaked or a state is illegal.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.wire import Refused
from tests.conftest import expect_nothing_beyond, settled
from tests.harness import engine as engines
from tests.harness import kernel
from tests.harness.engine import Engine
from tests.harness.streams import attach, execute

Verb = Callable[[Engine, random.Random], None]


def cycle(engine: Engine, chance: random.Random) -> None:
    """Create, start, wait, read, remove; the code and the output have to be right."""
    code, word = chance.randrange(256), str(chance.random())
    told = engine.finish("sh", "-c", f"echo {word}; exit {code}")
    if told != (code, f"{word}\n"):
        raise AssertionError(f"wrong result: {told}, expected {(code, word)}")


def lifetime(engine: Engine, chance: random.Random) -> None:
    ident = engine.start(OpenStdin=True)
    verbs = ["pause", "unpause", "stop?t=1", "start", "restart?t=0", "kill", "kill?signal=TERM"]
    for verb in chance.choices(verbs, k=6):
        engine.request("POST", f"/containers/{ident}/{verb}")
    engine.remove(ident)


def executions(engine: Engine, chance: random.Random) -> None:
    ident = engine.start()
    with engine.client(timeout=20) as api:
        for number in range(chance.randrange(1, 5)):
            _, running = execute(api, ident, "echo", str(number), Tty=chance.random() < 0.5)
            with running:
                running.rest()
    engine.remove(ident)


def attached(engine: Engine, chance: random.Random) -> None:
    ident = engine.start("cat", OpenStdin=True)
    with engine.client(timeout=20) as api, attach(api, ident, stdin=True) as stream:
        stream.send(b"x" * chance.randrange(100_000) + b"end\n")
        stream.expect(b"end\n")
    engine.remove(ident)


def gone_client(engine: Engine, chance: random.Random) -> None:
    ident = engine.start("sh", "-c", "while :; do echo x; done")
    streams = [engine.client().stream(f"/containers/{ident}/logs?stdout=1&follow=1")]
    with attach(engine.client(), ident):
        for stream in streams:
            next(iter(stream))
            stream._connection.close()
    engine.remove(ident)


def failing(engine: Engine, chance: random.Random) -> None:
    ident = engine.create(chance.choice(["no-such-command", "/etc", "/etc/passwd"]))
    engine.request("POST", f"/containers/{ident}/start")
    engine.remove(ident)


def look(engine: Engine, chance: random.Random) -> None:
    for item in engine.get("/containers/json", all=True)[:20]:
        engine.request("GET", f"/containers/{item['Id']}/json")


VERBS: list[Verb] = [
    cycle,
    cycle,
    cycle,
    lifetime,
    executions,
    attached,
    gone_client,
    failing,
    look,
]


class Soak:
    def __init__(self, engine: Engine, seed: int, seconds: float) -> None:
        self.engine, self.seed = engine, seed
        self.end = time.monotonic() + seconds
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.killing = False

    def work(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        while time.monotonic() < self.end:
            verb = chance.choice(VERBS)
            try:
                verb(self.engine, chance)
            except (OSError, EOFError, AssertionError, Refused, ValueError) as error:
                self._note(self.failed, f"{verb.__name__}: {type(error).__name__}: {error}"[:150])
                time.sleep(0.05)
            else:
                self._note(self.done, verb.__name__)

    def kill(self) -> None:
        """End a process of the engine without warning, now and then; start the daemon again."""
        chance, daemon = random.Random(self.seed), self.engine.daemon
        assert daemon is not None
        while time.monotonic() < self.end:
            time.sleep(chance.uniform(1, 4))
            if chance.random() < 0.5:
                daemon.kill()
                time.sleep(chance.uniform(0, 0.3))
                daemon.start()
                self._note(self.done, "killed the daemon")
                continue
            others = kernel.processes_of(daemon.mark, daemon.cgroup_parent)
            ours = [pid for pid in others if pid != daemon.pid and _is_ours(pid)]
            if ours:
                _kill(chance.choice(ours))
                self._note(self.done, "killed a supervisor or the zygote")

    def _note(self, counter: Counter[str], what: str) -> None:
        with self.lock:
            counter[what] += 1


def _is_ours(pid: int) -> bool:
    return b"python" in kernel.read(pid, "cmdline") or b"pinnace" in kernel.read(pid, "cmdline")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> int:
    options = arguments()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder, engines.engine(Path(folder)) as engine:
        assert engine.daemon is not None, "the soak kills processes: it needs a daemon of its own"
        engine.load_image()
        for verb in set(VERBS):
            verb(engine, random.Random(0))
        engine.clear()
        before = settled(engine.daemon)
        print(f"{options.live} live containers ...", flush=True)
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: engine.start("sleep", "100000"), range(options.live)))
        soak = run(engine, options)
        report(soak)
        broken = illegal(engine)
        engine.clear()
        expect_nothing_beyond(engine.daemon, before)
    print("nothing leaked" if not broken else "\n".join(broken))
    return 1 if broken or (soak.failed and not options.kills) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--live", type=int, default=300)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--kills", action="store_true", help="kill our processes meanwhile")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser.parse_args()


def run(engine: Engine, options: argparse.Namespace) -> Soak:
    soak = Soak(engine, options.seed, options.seconds)
    threads = [
        threading.Thread(target=soak.work, args=(number,)) for number in range(options.workers)
    ]
    if options.kills:
        threads.append(threading.Thread(target=soak.kill))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return soak


def report(soak: Soak) -> None:
    for title, counter in (("done", soak.done), ("failed", soak.failed)):
        for what, count in counter.most_common(25):
            print(f"{title:8}{count:6}  {what}")


def illegal(engine: Engine) -> list[str]:
    """Containers whose state is none, or is not the kernel's."""
    found = []
    for ident in engine.mine():
        state = engine.inspect(ident)["State"]
        running = state["Status"] in ("running", "paused")
        if state["Running"] is not running or bool(state["Pid"]) is not running:
            found.append(f"{ident[:12]}: {state}")
        elif running and kernel.gone(state["Pid"]):
            found.append(f"{ident[:12]}: says running, and its process is gone")
    return found


if __name__ == "__main__":
    sys.exit(main())
