"""Much output: no byte is lost, and memory stays where it was."""

import hashlib
from collections.abc import Iterator

import pytest

from bench.wire import Client, query
from tests.harness import kernel
from tests.harness.deadline import until
from tests.harness.engine import Engine
from tests.harness.streams import attach

pytestmark = pytest.mark.root

# A gigabyte of numbered lines: what is lost or doubled is seen in the sum.
LINES = 10_000_000
WIDTH = 100
SCRIPT = f"read go; awk 'BEGIN {{ for (i = 0; i < {LINES}; i++) printf \"%099d\\n\", i }}'"
MEGABYTE = 1024


def payload(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The data within multiplexed frames, which chunks may cut anywhere."""
    head, left = b"", 0
    for chunk in chunks:
        position = 0
        while position < len(chunk):
            if left:
                part = chunk[position : position + left]
                yield part
                position, left = position + len(part), left - len(part)
                continue
            wanted = 8 - len(head)
            head += chunk[position : position + wanted]
            position += wanted
            if len(head) == 8:
                head, left = b"", int.from_bytes(head[4:], "big")


def checked(chunks: Iterator[bytes]) -> tuple[int, str]:
    """(bytes, digest) of everything."""
    digest, size = hashlib.sha1(), 0
    for part in payload(chunks):
        digest.update(part)
        size += len(part)
    return size, digest.hexdigest()


@pytest.fixture(scope="module")
def expected() -> tuple[int, str]:
    digest = hashlib.sha1()
    for start in range(0, LINES, 100_000):
        digest.update(b"".join(b"%099d\n" % i for i in range(start, start + 100_000)))
    return LINES * WIDTH, digest.hexdigest()


def chunks_of(api: Client, ident: str, *, pause_every: int = 0) -> Iterator[bytes]:
    """An attached reader; a slow one stops now and then for longer than any buffer lasts."""
    with attach(api, ident, stdin=True, stderr=False) as attached:
        attached.send(b"go\n")
        attached.connection.settimeout(120)
        if attached.seen:
            yield bytes(attached.seen)
        size, since = 0, 0
        while data := attached.connection.recv(1 << 20):
            yield data
            size, since = size + len(data), since + len(data)
            if pause_every and since > pause_every:
                since = 0
                hold()


def hold() -> None:
    """A reader that does something else for a while."""
    import select

    select.select([], [], [], 0.5)


NO_LOG = {"LogConfig": {"Type": "none"}}
BIG_LOG = {"LogConfig": {"Type": "json-file", "Config": {"max-size": "4g", "max-file": "1"}}}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("pause_every", [0, 100_000_000], ids=["fast reader", "slow reader"])
def test_a_gigabyte_reaches_an_attached_reader(
    engine: Engine, api: Client, expected: tuple[int, str], pause_every: int
) -> None:
    ident = engine.start("sh", "-c", SCRIPT, OpenStdin=True, HostConfig=NO_LOG)
    before = memory(engine)

    seen = checked(chunks_of(api, ident, pause_every=pause_every))

    assert seen == expected
    assert engine.wait(ident) == 0
    assert memory(engine) < before + 16 * MEGABYTE


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gigabyte_is_logged_with_nobody_attached(
    engine: Engine, expected: tuple[int, str]
) -> None:
    script = SCRIPT.replace("read go; ", "")
    ident = engine.start("sh", "-c", script, HostConfig=BIG_LOG)
    before = memory(engine)
    with engine.client(timeout=500) as api:
        api.ok("POST", f"/containers/{ident}/wait")
        assert memory(engine) < before + 16 * MEGABYTE

        with api.stream(f"/containers/{ident}/logs" + query(stdout=True)) as stream:
            assert checked(iter(stream)) == expected

    assert memory(engine) < before + 32 * MEGABYTE


def memory(engine: Engine) -> int:
    """KiB private to the daemon and all that it has started; of a foreign engine, nothing."""
    if engine.daemon is None:
        return 0
    pids = kernel.processes_of(engine.daemon.mark, engine.daemon.cgroup_parent)
    ours = [
        pid for pid in pids if b"python" in kernel.read(pid, "cmdline") or pid == engine.daemon.pid
    ]
    return sum(kernel.private(pid) for pid in ours)


def test_short_output_before_the_end_is_never_lost(engine: Engine, api: Client) -> None:
    for number in range(20):
        ident = engine.create("echo", str(number))
        with attach(api, ident) as attached:
            engine.ok("POST", f"/containers/{ident}/start")
            assert attached.streams() == {1: f"{number}\n".encode()}
        assert engine.output(ident) == f"{number}\n"


def test_output_of_a_container_that_is_killed_is_kept(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "seq 1000; sleep 1000")
    until(lambda: engine.output(ident).endswith("1000\n"), "all lines")
    engine.ok("POST", f"/containers/{ident}/kill")
    engine.wait(ident)

    assert engine.output(ident).split() == [str(n) for n in range(1, 1001)]
