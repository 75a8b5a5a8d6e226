"""What every implementation of linux.cgroup.Cgroup does, on the kernel's own hierarchies.

v1 with and without the unified hierarchy beside it, and v2: on a v1 machine on its unified
hierarchy, which has no controllers there, so tests of limits skip those.
"""

import errno
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from pinnace.linux import cgroup
from pinnace.linux.cgroup import V1, V2, Cgroup
from pinnace.oci import spec
from pinnace.runtime import resources
from tests.harness.deadline import until
from tests.linux import cgroup_roots

pytestmark = pytest.mark.root

TOP = f"/pinnace-test-{os.getpid()}"
MIB = 1 << 20

Make = Callable[[str], Cgroup]


def v1(path: str) -> Cgroup:
    return V1(cgroup.detect().controllers, path)


def hybrid(path: str) -> Cgroup:
    unified = cgroup.detect().unified
    return V1(cgroup.detect().controllers, path, unified.target if unified else None)


def v2(path: str) -> Cgroup:
    unified = cgroup.detect().unified
    assert unified is not None
    return V2(unified.target, path, unified.controllers)


def implementations() -> list[Make]:
    try:
        system = cgroup.detect()
    except OSError:
        return []
    if system.version == 2:
        return [v2]
    return [v1, hybrid, v2] if system.unified else [v1]


@pytest.fixture(params=implementations(), ids=lambda make: str(make.__name__))
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    implementation: Make = request.param
    with cgroup_roots.restored():
        yield implementation
        rest = implementation(TOP)
        rest.kill()
        rest.remove()
    for hierarchy in cgroup.detect().hierarchies:
        assert not os.path.exists(hierarchy.target + TOP)


@pytest.fixture
def group(make: Make) -> Cgroup:
    made = make(f"{TOP}/parent/container")
    made.create()
    return made


class Child:
    """A process that runs one line of Python when told to."""

    def __init__(self, line: str = "") -> None:
        program = f"import os, sys; sys.stdin.readline(); {line or 'sys.stdin.read()'}"
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self.process.pid

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self) -> int:
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def child(group: Cgroup) -> Iterator[Child]:
    """A process in the cgroup."""
    running = Child()
    group.add(running.pid)
    yield running
    running.close()


def memberships(pid: int) -> list[str]:
    with open(f"/proc/{pid}/cgroup") as file:
        return [line.rstrip("\n").split(":", 2)[2] for line in file]


def test_an_added_process_is_in_every_hierarchy_of_the_cgroup(group: Cgroup, child: Child) -> None:
    found = memberships(child.pid)

    everywhere = len(found) if isinstance(group, V1) else 1
    assert found.count(group.path) >= everywhere - 1  # v1 alone leaves the unified one out
    assert group.processes() == [child.pid]


def test_a_new_cgroup_has_no_processes(group: Cgroup) -> None:
    assert group.processes() == []


def test_creating_twice_gives_a_fresh_cgroup(make: Make, group: Cgroup) -> None:
    make(f"{group.path}/left-behind").create()

    group.create()

    assert group.processes() == []
    with pytest.raises(FileNotFoundError):
        make(f"{group.path}/left-behind").read("cgroup.procs")


def test_creating_over_a_populated_cgroup_is_busy(group: Cgroup, child: Child) -> None:
    with pytest.raises(OSError) as caught:
        group.create()

    assert caught.value.errno == errno.EBUSY
    assert group.processes() == [child.pid]


def test_a_process_that_is_gone_cannot_be_added(group: Cgroup) -> None:
    gone = Child()
    gone.close()

    with pytest.raises(ProcessLookupError) as caught:
        group.add(gone.pid)

    assert str(caught.value.filename).endswith("/cgroup.procs")


def test_killing_returns_when_no_process_is_left(group: Cgroup) -> None:
    forks = Child("[os.fork() for _ in range(4)]; sys.stdin.read()")
    group.add(forks.pid)
    forks.go()
    until(lambda: len(group.processes()) == 16)

    group.kill()

    assert group.processes() == []
    assert forks.end() == -signal.SIGKILL


def test_a_process_that_forks_all_the_time_is_killed(group: Cgroup) -> None:
    bomb = Child("\nwhile True:\n if os.fork(): os._exit(0)")
    group.add(bomb.pid)
    bomb.go()
    assert bomb.end() == 0

    group.kill()

    assert group.processes() == []


def test_killing_reaches_cgroups_below(make: Make, group: Cgroup) -> None:
    below = make(f"{group.path}/below/further")
    below.create()
    running = Child()
    below.add(running.pid)
    assert group.processes() == [running.pid]

    group.kill()

    assert running.end() == -signal.SIGKILL


def test_another_signal_is_sent_and_not_waited_for(group: Cgroup, child: Child) -> None:
    group.kill(signal.SIGTERM)

    assert child.end() == -signal.SIGTERM


def test_killing_works_on_a_frozen_cgroup(group: Cgroup, child: Child) -> None:
    group.freeze()

    group.kill()

    assert child.end() == -signal.SIGKILL


def test_killing_an_absent_cgroup_does_nothing(make: Make) -> None:
    make(f"{TOP}/never").kill()

    assert make(f"{TOP}/never").processes() == []


def test_a_frozen_process_does_nothing_until_it_is_thawed(group: Cgroup) -> None:
    running = Child("print('moved', flush=True); sys.stdin.read()")
    group.add(running.pid)
    assert running.process.stdout is not None
    assert not group.frozen

    group.freeze()
    running.go()
    assert group.frozen
    assert select.select([running.process.stdout], [], [], 0.05)[0] == []
    group.thaw()

    assert running.process.stdout.readline() == b"moved\n"
    until(lambda: not group.frozen)
    running.close()


def test_an_empty_cgroup_can_be_frozen(group: Cgroup) -> None:
    group.freeze()

    assert group.frozen


def test_removal_takes_cgroups_below_with_it_and_is_idempotent(make: Make, group: Cgroup) -> None:
    make(f"{group.path}/below/further").create()

    group.remove()
    group.remove()

    with pytest.raises(FileNotFoundError):
        group.read("cgroup.procs")


def test_removal_of_a_populated_cgroup_is_busy(group: Cgroup, child: Child) -> None:
    with pytest.raises(OSError) as caught:
        group.remove(timeout=0.01)

    assert caught.value.errno == errno.EBUSY


def test_removal_waits_for_processes_that_are_leaving(group: Cgroup, child: Child) -> None:
    # A sibling kills the child in a moment; nobody here waits for that.
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.05; kill -9 {child.pid}"])

    group.remove(timeout=10)

    killer.wait()


def test_statistics_of_an_absent_cgroup_are_an_error(make: Make) -> None:
    absent = make(f"{TOP}/never")

    for read in (absent.memory, absent.cpu, absent.pids):
        if isinstance(absent, V1) or read == absent.cpu:
            with pytest.raises(FileNotFoundError):
                read()


def test_cpu_time_is_counted(group: Cgroup) -> None:
    before = group.cpu()
    busy = Child(
        "\nimport time\nend = time.process_time() + 0.05\nwhile time.process_time() < end: pass"
    )
    group.add(busy.pid)
    busy.go()
    busy.end()

    after = group.cpu()

    assert before is not None and after is not None
    assert before.total < 40_000_000
    assert 40_000_000 <= after.total < 5_000_000_000
    assert after.user + after.system <= after.total * 2
    if isinstance(group, V1):
        assert sum(after.per_cpu) == after.total


# Limits: where the hierarchy has the controllers.


def limited(group: Cgroup, limits: spec.LinuxResources) -> list[str]:
    version = 1 if isinstance(group, V1) else 2
    return group.write(resources.update(limits, version))


def needs(group: Cgroup, what: object) -> None:
    if what is None:
        pytest.skip("this hierarchy does not have the controller")


def test_memory_is_limited_and_the_oom_killer_counted(group: Cgroup) -> None:
    needs(group, group.memory())
    watch_fd = group.watch_oom()
    assert watch_fd is not None
    limits = spec.LinuxResources(memory=spec.LinuxMemory(limit=16 * MIB, swap=32 * MIB))
    greedy = Child("b = bytearray(64 << 20); b[::4096] = b'x' * len(b[::4096])")

    warnings = limited(group, limits)
    group.add(greedy.pid)
    greedy.go()

    assert greedy.end() == -signal.SIGKILL
    assert warnings == []
    assert select.select([watch_fd], [], [], 10)[0] == [watch_fd]
    assert os.read(watch_fd, 4096)
    assert group.oom_kills() == 1
    memory = group.memory()
    assert memory is not None
    assert memory.limit == 16 * MIB
    assert memory.failures > 0
    assert memory.peak <= 16 * MIB
    os.close(watch_fd)


def test_memory_limits_can_be_raised_lowered_and_lifted(group: Cgroup) -> None:
    needs(group, group.memory())

    for limit, both in ((100, 200), (300, 600), (100, 100), (50, 400)):
        memory = spec.LinuxMemory(limit=limit * MIB, swap=both * MIB)
        assert limited(group, spec.LinuxResources(memory=memory)) == []
        found = group.memory()
        assert found is not None
        assert found.limit == limit * MIB
    limited(group, spec.LinuxResources(memory=spec.LinuxMemory(limit=-1)))

    found = group.memory()
    assert found is not None
    assert found.limit > 1 << 60


def test_the_number_of_processes_is_limited(group: Cgroup) -> None:
    needs(group, group.pids())
    forks = Child("\ntry: os.fork()\nexcept BlockingIOError: sys.exit(3)")

    limited(group, spec.LinuxResources(pids=spec.LinuxPids(limit=1)))
    group.add(forks.pid)
    assert group.pids() == cgroup.Pids(1, 1)
    forks.go()

    assert forks.end() == 3


def test_cpu_bandwidth_can_be_changed_in_any_direction(group: Cgroup) -> None:
    needs(group, group.memory())  # cpu.stat alone is there without its controller

    for period, quota, burst in (
        (50000, 25000, 1000),
        (100000, 200000, 150000),
        (100000, 10000, 0),
        (100000, -1, None),
    ):
        cpu = spec.LinuxCPU(period=period, quota=quota, burst=burst, shares=2048)
        assert limited(group, spec.LinuxResources(cpu=cpu)) == []


def test_a_value_that_the_kernel_refuses_is_an_error_with_the_path(group: Cgroup) -> None:
    needs(group, group.memory())
    limits = spec.LinuxResources(cpu=spec.LinuxCPU(quota=1000, period=1))

    with pytest.raises(OSError) as caught:
        limited(group, limits)

    assert caught.value.errno == errno.EINVAL
    assert "/cpu." in str(caught.value.filename)
    assert group.path in str(caught.value.filename)


def test_a_limit_on_an_absent_cgroup_is_an_error_not_a_warning(make: Make, group: Cgroup) -> None:
    needs(group, group.memory())

    with pytest.raises(FileNotFoundError):
        limited(make(f"{TOP}/never"), spec.LinuxResources(pids=spec.LinuxPids(limit=1)))


DEVICES = [
    spec.DeviceRule(allow=False, access="rwm"),
    spec.DeviceRule(allow=True, type="c", major=1, minor=11, access="r"),
]


@pytest.mark.parametrize(
    ("line", "permitted"),
    [
        ("os.open('/dev/null', os.O_RDWR)", True),
        ("os.open('/dev/kmsg', os.O_RDONLY)", True),
        ("os.open('/dev/kmsg', os.O_WRONLY)", False),
        ("os.open('/dev/loop0', os.O_RDONLY)", False),
        ("os.mknod('{tmp}/node', 0o20600, os.makedev(10, 200))", True),
        ("os.open('/dev/fuse', os.O_RDWR)", False),
    ],
)
def test_devices_are_filtered(group: Cgroup, tmp_path: object, line: str, permitted: bool) -> None:
    path = line.split("'")[1]
    if path.startswith("/dev") and not os.path.exists(path):
        pytest.skip(f"no {path} here")
    call = line.format(tmp=tmp_path)
    tries = Child(f"\ntry: {call}\nexcept PermissionError: sys.exit(3)")
    version = 1 if isinstance(group, V1) else 2

    warnings = group.write(resources.plan(spec.LinuxResources(devices=DEVICES), version))
    group.add(tries.pid)
    tries.go()

    assert warnings == []
    assert tries.end() == (0 if permitted else 3)


def test_device_rules_can_be_replaced(group: Cgroup) -> None:
    version = 1 if isinstance(group, V1) else 2
    everything = [spec.DeviceRule(allow=True, access="rwm")]
    tries = Child("\ntry: os.open('/dev/kmsg', os.O_RDONLY)\nexcept PermissionError: sys.exit(3)")

    group.write(resources.plan(spec.LinuxResources(), version))
    group.write(resources.plan(spec.LinuxResources(devices=everything), version))
    group.write(resources.plan(spec.LinuxResources(devices=everything), version))
    group.add(tries.pid)
    tries.go()

    assert tries.end() == 0


def test_a_process_can_be_cloned_into_what_open_gives(group: Cgroup) -> None:
    fd = group.open()
    if fd is None:
        assert isinstance(group, V1)
        return

    # In an interpreter of its own: clone3 must not meet this one's threads.
    program = (
        "import sys, os; from pinnace.linux import process\n"
        "pid, _ = process.clone(cgroup_fd=int(sys.argv[1]))\n"
        "if pid == 0: os._exit(0 if sys.argv[2] in open('/proc/self/cgroup').read() else 9)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    command = [sys.executable, "-c", program, str(fd), group.path]
    done = subprocess.run(command, pass_fds=[fd], check=False)
    os.close(fd)

    assert done.returncode == 0


def test_warming_makes_the_next_move_quick(group: Cgroup) -> None:
    running = Child()
    cgroup.warm()

    before = time.monotonic()
    group.add(running.pid)
    took = time.monotonic() - before

    running.close()
    assert took < 1  # no more can be promised of a loaded machine; bench measures it
