"""`info`, `version` and `system df`, beside what Docker 28.5.2 said."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pinnace
from pinnace.engine import system
from pinnace.engine.documents import Container, State, Status
from pinnace.engine.events import Events
from pinnace.engine.facts import Machine, Support
from pinnace.engine.registry import Registry
from pinnace.engine.settings import Settings
from pinnace.engine.system import System
from pinnace.engine.volumes import Volumes
from pinnace.oci import timestamp
from pinnace.store.database import Database
from pinnace.store.images import Images
from pinnace.store.snapshots import Overlay
from tests.engine.shapes import differences

GOLDEN = msgspec.json.decode((Path(__file__).parent / "recorded/docker_system.json").read_bytes())
IDENTITY = "0123456789abcdef0123456789abcdef"


class Parts:
    """What a System looks at, empty."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_root=str(folder), runtime_root=str(folder), labels=["a=b"])
        self.database = Database(folder / "pinnace.db")
        self.registry = Registry(self.database)
        self.events = Events()
        self.snapshots = Overlay(folder / "snapshots", self.database)
        self.images = Images(folder / "content", self.database, self.snapshots)
        self.volumes = Volumes(self.database, f"{folder}/volumes", self.events)
        self.machine = Machine(kernel="6.12.0", hostname="host", memory_total=1 << 30)
        self.environment: dict[str, str] = {}

    def system(self) -> System:
        return System(
            settings=self.settings,
            machine=self.machine,
            registry=self.registry,
            images=self.images,
            snapshots=self.snapshots,
            volumes=self.volumes,
            events=self.events,
            identity=IDENTITY,
            environment=self.environment,
        )

    def add(self, name: str, status: Status, image: str = "") -> Container:
        state = State(status=status)
        container = Container(id=name * 64, name=name, image=image, state=state)
        self.registry.add(container)
        return container

    def close(self) -> None:
        self.snapshots.close()
        self.database.close()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.close()


def test_info_has_all_that_docker_s_has(parts: Parts) -> None:
    wanted = {name: value for name, value in GOLDEN["info"].items() if name != "Containerd"}

    assert differences(wanted, parts.system().info()) == []


def test_version_has_all_that_docker_s_has(parts: Parts) -> None:
    shown = parts.system().version()

    missing = differences(GOLDEN["version"], shown)
    # Only the API knows which versions of itself it speaks.
    assert [line for line in missing if "ApiVersion" not in line and "MinAPI" not in line] == []
    assert shown["Components"][1]["Version"] == pinnace.__version__


def test_the_version_is_one_that_clients_can_compare() -> None:
    semver = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)\+[0-9A-Za-z.-]+", system.VERSION)

    assert semver
    assert int(semver[1]) >= 28
    timestamp.parse(system.installed_at())


def test_info_tells_how_the_engine_was_set_up(parts: Parts) -> None:
    parts.settings = msgspec.structs.replace(
        parts.settings,
        log_driver="local",
        debug=True,
        runtimes={"crun": ["/usr/bin/crun"], "odd": ["/opt/odd", "--debug"]},
        default_runtime="crun",
    )
    parts.environment |= {
        "HTTP_PROXY": "http://me:secret@proxy:3128",
        "https_proxy": "http://proxy:3128",
        "NO_PROXY": "localhost",
    }

    shown = parts.system().info()

    assert shown["ID"] == "01234567-89ab-cdef-0123-456789abcdef"
    assert (shown["LoggingDriver"], shown["Debug"], shown["Labels"]) == ("local", True, ["a=b"])
    assert shown["DefaultRuntime"] == "crun"
    assert shown["Runtimes"]["runc"] == {"path": "pinnace"}
    assert shown["Runtimes"]["crun"] == {"path": "/usr/bin/crun"}
    assert shown["Runtimes"]["odd"] == {"path": "/opt/odd", "runtimeArgs": ["--debug"]}
    assert shown["HttpProxy"] == "http://xxxxx:xxxxx@proxy:3128"
    assert (shown["HttpsProxy"], shown["NoProxy"]) == ("http://proxy:3128", "localhost")


def test_info_counts(parts: Parts) -> None:
    for name, status in zip("abcdef", list(Status)[:6], strict=True):
        parts.add(name, status)
    listener = parts.events.subscribe({}, 0, 0, lambda event: None)

    shown = parts.system().info()

    listener.close()
    names = ("Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped")
    assert [shown[name] for name in names] == [6, 1, 1, 4]
    assert shown["Images"] == len(parts.images.store.all())
    assert shown["NEventsListener"] == 1
    assert shown["NFd"] > 0


NO_LIMITS = Support(
    memory=False, swap=False, pids=False, cpu_shares=False, cpu_cfs=False, cpuset=False,
    blkio_weight=False, blkio_weight_device=False, blkio_throttle=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (Machine(), []),
        (Machine(cgroup_version=1, support=Support(oom_kill_disable=True)), []),
        (Machine(ip_forwarding=False), ["WARNING: IPv4 forwarding is disabled"]),
        (
            Machine(user_namespaces=False),
            ["WARNING: No user namespaces: containers run as users of the host"],
        ),
        (
            Machine(cgroup_version=2, support=NO_LIMITS),
            [
                f"WARNING: No {what} support"
                for what in (
                    "memory limit", "swap limit", "cpu cfs quota", "cpu cfs period", "cpu shares",
                    "cpuset", "io.weight", "io.weight (per device)", "io.max (rbps)",
                    "io.max (wbps)", "io.max (riops)", "io.max (wiops)",
                )
            ],
        ),
        (
            Machine(cgroup_version=1, support=NO_LIMITS),
            [
                f"WARNING: No {what} support"
                for what in (
                    "memory limit", "swap limit", "oom kill disable", "cpu cfs quota",
                    "cpu cfs period", "cpu shares", "cpuset", "blkio throttle.read_bps_device",
                    "blkio throttle.write_bps_device", "blkio throttle.read_iops_device",
                    "blkio throttle.write_iops_device",
                )
            ],
        ),
    ],
    ids=["all on v2", "all on v1", "forwarding", "users", "nothing on v2", "nothing on v1"],
)  # fmt: skip
def test_warnings_in_docker_s_words(machine: Machine, expected: list[str]) -> None:
    assert list(system.warnings(machine)) == expected


def test_security_options() -> None:
    assert system.security_options(Machine()) == [
        "name=seccomp,profile=builtin",
        "name=userns",
        "name=cgroupns",
    ]
    assert system.security_options(Machine(seccomp=False, user_namespaces=False)) == [
        "name=cgroupns"
    ]


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("", ""),
        ("http://proxy:1", "http://proxy:1"),
        ("http://me@proxy:1/x", "http://xxxxx:xxxxx@proxy:1/x"),
        ("http://a:b@c@proxy", "http://xxxxx:xxxxx@proxy"),
    ],
)
def test_credentials_of_proxies_are_not_told(proxy: str, shown: str) -> None:
    assert system.masked(proxy) == shown


def test_os_release() -> None:
    text = "# a comment\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\n\nID=debian\n"

    assert system.parse_os_release(text) == {
        "NAME": "Debian GNU/Linux",
        "VERSION_ID": "12",
        "ID": "debian",
    }


def test_the_file_system_of_a_folder() -> None:
    assert system.backing_filesystem("/proc/self") == "proc"
    assert system.backing_filesystem("/") != ""


def test_disk_usage(parts: Parts) -> None:
    image = parts.images.store.resolve("hello")
    container = parts.add("a", Status.EXITED, image.id)
    gone = parts.add("b", Status.CREATED)
    layers = parts.snapshots.prepare(container.id, image.snapshot)
    (Path(layers.upper) / "file").write_bytes(b"x" * 1000)
    parts.volumes.create("data", "local", None, None)
    Path(parts.volumes.data("data"), "file").write_bytes(b"y" * 500)

    figures: dict[str, Any] = parts.system().df()

    assert figures["containers"] == [(container, 1000, 1000 + image.size)]
    assert gone not in [row[0] for row in figures["containers"]]
    assert figures["layers_size"] == image.size
    assert {row["Id"] for row in figures["images"]} >= {image.id}
    usage = [(row["Name"], row["UsageData"]) for row in figures["volumes"]]
    assert usage == [("data", {"Size": 500, "RefCount": 0})]
