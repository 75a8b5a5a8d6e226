"""`docker stats`, beside what Docker 28.5.2 said on both versions of cgroups."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pinnace import errors
from pinnace.engine import stats
from pinnace.engine.documents import Container, HostConfig, State, Status
from pinnace.engine.facts import Machine
from pinnace.engine.registry import Registry
from pinnace.engine.stats import Sample, Stats
from pinnace.linux.cgroup import UNLIMITED, Cgroup, Cpu, HostCpu, Io, IoEntry, Memory, Pids
from pinnace.store.database import Database
from tests.engine.shapes import differences

GOLDEN = msgspec.json.decode((Path(__file__).parent / "recorded/docker_system.json").read_bytes())
V1 = Machine(cgroup_version=1, memory_total=1 << 30)
V2 = Machine(cgroup_version=2, memory_total=1 << 30)
CONTAINER = Container(id="a" * 64, name="web")
ETH0 = {
    "rx_bytes": 780, "rx_packets": 8, "rx_errors": 0, "rx_dropped": 0,
    "tx_bytes": 126, "tx_packets": 3, "tx_errors": 1, "tx_dropped": 2,
}  # fmt: skip
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
 tunl0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:     780       8    0    0    0     0          0         0      126       3    1    2    0     0       0          0
"""  # noqa: E501


def sample(at: int = 1_000_000_000) -> Sample:
    entry = IoEntry(254, 0, "Read", 8192)
    return Sample(
        at=at,
        cpu=Cpu(1000, 980, 20, (600, 400), 22, 11, 234),
        host=HostCpu(9000, 2),
        memory=Memory(352256, 5152768, 64 << 20, 0, {"cache": 8192, "anon": 4096, "other": 1}),
        pids=Pids(1, 20),
        io=Io((entry,), (entry,)),
        networks={"eth0": ETH0},
    )


def test_the_document_on_v1() -> None:
    shown = stats.document(CONTAINER, sample(2_000_000_000), sample(), V1)

    assert differences(GOLDEN["stats"], shown) == []
    assert shown.keys() - GOLDEN["stats"].keys() == {"os_type"}  # of API 1.52
    assert shown["memory_stats"]["stats"].keys() == GOLDEN["stats"]["memory_stats"]["stats"].keys()
    assert (shown["name"], shown["id"]) == ("/web", "a" * 64)
    assert (shown["read"], shown["preread"]) == ("1970-01-01T00:00:02Z", "1970-01-01T00:00:01Z")
    assert shown["cpu_stats"] == {
        "cpu_usage": {
            "total_usage": 1000,
            "percpu_usage": [600, 400],
            "usage_in_kernelmode": 20,
            "usage_in_usermode": 980,
        },
        "system_cpu_usage": 9000,
        "online_cpus": 2,
        "throttling_data": {"periods": 22, "throttled_periods": 11, "throttled_time": 234},
    }
    read = [{"major": 254, "minor": 0, "op": "Read", "value": 8192}]
    assert shown["blkio_stats"]["io_service_bytes_recursive"] == read
    assert shown["blkio_stats"]["io_queue_recursive"] == []
    assert shown["pids_stats"] == {"current": 1, "limit": 20}
    assert shown["networks"] == {"eth0": ETH0}


def test_the_document_on_v2() -> None:
    entries = IoEntry(254, 0, "read", 1), IoEntry(254, 0, "write", 2)
    now = sample()._replace(cpu=Cpu(1000, 980, 20), io=Io(entries, entries))

    shown = stats.document(CONTAINER, now, None, V2)

    assert "percpu_usage" not in shown["cpu_stats"]["cpu_usage"]
    assert "max_usage" not in shown["memory_stats"]
    assert shown["memory_stats"]["stats"]["anon"] == 4096
    assert len(shown["memory_stats"]["stats"]) == 31
    assert shown["blkio_stats"] == {
        "io_service_bytes_recursive": [
            {"major": 254, "minor": 0, "op": "read", "value": 1},
            {"major": 254, "minor": 0, "op": "write", "value": 2},
        ],
        **dict.fromkeys(
            (
                "io_serviced_recursive", "io_queue_recursive", "io_service_time_recursive",
                "io_wait_time_recursive", "io_merged_recursive", "io_time_recursive",
                "sectors_recursive",
            )
        ),
    }  # fmt: skip


def test_a_container_that_does_not_run() -> None:
    shown = stats.document(CONTAINER, None, None, V1)

    assert shown | {"name": "", "id": ""} == {
        **GOLDEN["stats of a stopped one"],
        "name": "",
        "id": "",
        "os_type": "linux",
    }


def test_without_a_limit_it_is_the_machine_s_memory() -> None:
    now = sample()._replace(memory=Memory(1, 2, UNLIMITED, 3, {}))

    shown = stats.document(CONTAINER, now, None, V1)["memory_stats"]

    assert (shown["limit"], shown["failcnt"]) == (1 << 30, 3)


def test_what_the_kernel_does_not_count_is_left_out() -> None:
    now = sample()._replace(cpu=None, memory=None, pids=None, io=None, networks={})

    shown = stats.document(CONTAINER, now, None, V2)

    assert shown["memory_stats"] == shown["pids_stats"] == {}
    assert shown["cpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert set(shown["blkio_stats"].values()) == {None}
    assert "networks" not in shown


def test_interfaces_are_those_that_the_container_was_given() -> None:
    assert stats.interfaces(NET_DEV) == {"eth0": ETH0}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    database = Database(tmp_path / "db")
    yield Registry(database)
    database.close()


def not_running(container: Container) -> Cgroup:
    raise errors.Conflict(f"container {container.id} is not running")


def test_a_watch_goes_on_until_the_container_is_removed(registry: Registry) -> None:
    container = Container(id="a" * 64, name="web")
    registry.add(container)

    watch = Stats(registry, V1, not_running).watch("web")

    assert watch.next()["read"] == "0001-01-01T00:00:00Z"
    assert not watch.over
    registry.remove(container)
    assert watch.over


def test_each_document_has_the_sample_before_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(id="a" * 64, name="web", state=State(status=Status.RUNNING, pid=7))
    registry.add(container)
    samples = [sample(1_000_000_000), sample(2_000_000_000), None, None]
    made = Stats(registry, V1, not_running)
    monkeypatch.setattr(made, "sample", lambda container: samples.pop(0))
    watch = made.watch("web")

    shown = [watch.next() for _ in range(4)]

    assert [each["preread"][17:19] for each in shown] == ["00", "01", "02", "00"]
    assert shown[0]["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert shown[2]["precpu_stats"]["cpu_usage"]["total_usage"] == 1000
    assert shown[2]["cpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_an_unknown_container(registry: Registry) -> None:
    with pytest.raises(errors.NotFound, match="No such container: nosuch"):
        Stats(registry, V1, not_running).once("nosuch")


def test_the_host_s_network_is_not_the_container_s(registry: Registry) -> None:
    state = State(status=Status.RUNNING, pid=1)
    host = HostConfig(network_mode="host")
    registry.add(Container(id="a" * 64, name="web", state=state, host_config=host))

    class Nothing:
        def cpu(self) -> None: ...
        def memory(self) -> None: ...
        def pids(self) -> None: ...
        def io(self) -> None: ...

    shown = Stats(registry, V1, lambda container: Nothing()).once("web")  # type: ignore[arg-type,return-value]

    assert "networks" not in shown
    assert shown["cpu_stats"]["online_cpus"] > 0
