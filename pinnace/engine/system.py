"""The engine as a whole, in Docker's documents: `info`, `version` and `system df`.

Clients decide by these what they may ask for: what is said here must be true of what we do.
"""

import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import pinnace
from pinnace import errors
from pinnace.engine import validate
from pinnace.engine.documents import Container, Status
from pinnace.engine.events import Events
from pinnace.engine.facts import Machine
from pinnace.engine.registry import Registry
from pinnace.engine.settings import Settings
from pinnace.engine.volumes import Volumes
from pinnace.linux import mount
from pinnace.oci import image, timestamp
from pinnace.store.images import Images
from pinnace.store.snapshots import Kind, Overlay
from pinnace.supervisor import logs_settings

Shown: TypeAlias = dict[str, Any]

# The Docker whose behaviour is followed, then who follows it. Scripts, CI systems and minikube
# compare this with the Docker they need ("at least 20.10"), so a number of our own would be taken
# for an ancient one. What comes after a plus is of no weight there (semver 2.0.0, item 10);
# distributions' builds of Docker (28.5.2+dfsg4) have taught clients to expect it. It is not 29:
# from that on clients may count on containerd's image store. Docker's own clients, Compose and
# BuildKit look at the API's version instead.
VERSION: Final = f"28.5.2+pinnace.{pinnace.__version__}"
DRIVER: Final = "overlay2"
NETWORK_DRIVERS: Final = ("bridge", "host", "null")
_NAME: Final = "pinnace"
_UNKNOWN: Final = "N/A"  # Docker's word for the commit of a component that does not say

_REGISTRIES: Final = {
    "IndexConfigs": {
        "docker.io": {"Mirrors": [], "Name": "docker.io", "Official": True, "Secure": True}
    },
    "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
    "Mirrors": None,
}
_NO_SWARM: Final = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}


class System:
    def __init__(
        self,
        *,
        settings: Settings,
        machine: Machine,
        registry: Registry,
        images: Images,
        snapshots: Overlay,
        volumes: Volumes,
        events: Events,
        identity: str,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._registry = registry
        self._images = images
        self._snapshots = snapshots
        self._volumes = volumes
        self._events = events
        self._identity = identity
        self._environment = environment
        # The data root's file system does not change below us: its lock file is open.
        self._filesystem = backing_filesystem(settings.data_root)

    def info(self) -> Shown:
        return {
            "ID": uuid(self._identity),
            **counts(self._registry.all()),
            "Images": len(self._images.store.all()),
            **self._storage(),
            **limits(self._machine),
            **self._process(),
            **self._host(),
            **self._settled(),
            **_nothing(),
            "SecurityOptions": security_options(self._machine),
            "Warnings": list(warnings(self._machine)) or None,
        }

    def _storage(self) -> Shown:
        return {
            "Driver": DRIVER,
            "DriverStatus": [
                ["Backing Filesystem", self._filesystem],
                ["Supports d_type", "true"],
                ["Using metacopy", "false"],
                ["Native Overlay Diff", "true"],
                ["userxattr", "false"],
            ],
            "DockerRootDir": self._settings.data_root,
            "Plugins": {
                "Volume": ["local"],
                "Network": list(NETWORK_DRIVERS),
                "Authorization": None,
                "Log": [name for name in logs_settings.DRIVERS if name != "none"],
            },
        }

    def _process(self) -> Shown:
        """The daemon itself; Docker's clients show it when it is in debug mode."""
        return {
            "Debug": self._settings.debug,
            "NFd": open_files(),
            "NGoroutines": threading.active_count(),
            "NEventsListener": self._events.listeners,
            "SystemTime": timestamp.text(time.time_ns()),
            "ServerVersion": VERSION,
            "ExperimentalBuild": False,
            "LiveRestoreEnabled": True,  # containers always outlive the daemon
        }

    def _host(self) -> Shown:
        machine, release = self._machine, os_release()
        return {
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": str(machine.cgroup_version),
            "KernelVersion": machine.kernel,
            "OperatingSystem": release.get("PRETTY_NAME") or "Linux",
            "OSVersion": release.get("VERSION_ID", ""),
            "OSType": "linux",
            "Architecture": machine.architecture,
            "NCPU": machine.cpus,
            "MemTotal": machine.memory_total,
            "Name": machine.hostname,
            "IPv4Forwarding": machine.ip_forwarding,
        }

    def _settled(self) -> Shown:
        """What was chosen when the engine was set up."""
        settings = self._settings
        return {
            "LoggingDriver": settings.log_driver,
            "Labels": list(settings.labels),
            "Runtimes": runtimes(settings),
            "DefaultRuntime": settings.default_runtime,
            "InitBinary": _NAME,
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": _REGISTRIES,
            "HttpProxy": masked(self._variable("HTTP_PROXY")),
            "HttpsProxy": masked(self._variable("HTTPS_PROXY")),
            "NoProxy": self._variable("NO_PROXY"),
        }

    def _variable(self, name: str) -> str:
        return self._environment.get(name) or self._environment.get(name.lower()) or ""

    def version(self) -> Shown:
        """Without the versions of the API, which only the API knows."""
        system = {
            "Arch": image.host_platform().architecture,
            "BuildTime": installed_at(),
            "GitCommit": _UNKNOWN,
            "GoVersion": f"python{platform.python_version()}",
            "KernelVersion": self._machine.kernel,
            "Os": "linux",
        }
        return {
            "Platform": {"Name": _NAME},
            "Components": [
                {
                    "Name": "Engine",
                    "Version": VERSION,
                    "Details": {**system, "Experimental": "false"},
                },
                {
                    "Name": _NAME,
                    "Version": pinnace.__version__,
                    "Details": {"GitCommit": _UNKNOWN},
                },
            ],
            "Version": VERSION,
            **system,
        }

    # Disk usage

    def df(self) -> Shown:
        """(container, own bytes, all bytes) of each container; summaries; volumes with usage."""
        summaries = self._images.list(all=False, filters={}, shared_size=True)
        return {
            "containers": list(self._containers()),
            "images": summaries,
            "layers_size": sum(
                info.size for info in self._snapshots.all() if info.kind is Kind.COMMITTED
            ),
            "volumes": self._volumes.usage(),
        }

    def _containers(self) -> Iterator[tuple[Container, int, int]]:
        sizes = {each.id: each.size for each in self._images.store.all()}
        for container in self._registry.all():
            try:
                own = self._snapshots.usage(container.id).size
            except errors.NotFound:
                continue  # it has just been removed
            yield container, own, own + sizes.get(container.image, 0)


# What info says, from what is known


def _nothing() -> Shown:
    """What Docker has and we have not, in the words of a Docker that does not use it."""
    return {
        "GenericResources": None,
        "Swarm": _NO_SWARM,
        "Isolation": "",
        "ContainerdCommit": {"ID": _UNKNOWN},
        "RuncCommit": {"ID": _UNKNOWN},
        "InitCommit": {"ID": _UNKNOWN},
        "FirewallBackend": {"Driver": "none"},
        "DiscoveredDevices": [],
        "CDISpecDirs": [],
    }


def uuid(digits: str) -> str:
    """32 hexadecimal digits as clients know the id of a daemon."""
    return "-".join(digits[start:end] for start, end in pairwise((0, 8, 12, 16, 20, 32)))


def counts(containers: list[Container]) -> Shown:
    """Docker counts one that waits for its restart as stopped."""
    statuses = [container.state.status for container in containers]
    running, paused = statuses.count(Status.RUNNING), statuses.count(Status.PAUSED)
    return {
        "Containers": len(statuses),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(statuses) - running - paused,
    }


def limits(machine: Machine) -> Shown:
    support = machine.support
    return {
        "MemoryLimit": support.memory,
        "SwapLimit": support.swap,
        "KernelMemoryTCP": False,  # gone from the kernel with 6.12
        "CpuCfsPeriod": support.cpu_cfs,
        "CpuCfsQuota": support.cpu_cfs,
        "CPUShares": support.cpu_shares,
        "CPUSet": support.cpuset,
        "PidsLimit": support.pids,
        "OomKillDisable": support.oom_kill_disable,
    }


def security_options(machine: Machine) -> list[str]:
    """Clients look for userns: buildx then gives its builder the host's."""
    options = ["name=seccomp,profile=builtin"] if machine.seccomp else []
    if machine.user_namespaces:
        options.append("name=userns")
    return [*options, "name=cgroupns"]


def warnings(machine: Machine) -> Iterator[str]:
    """In Docker's words, but for the one about user namespaces."""
    support, unified = machine.support, machine.cgroup_version == 2
    throttle = [f"io.max ({word})" for word in ("rbps", "wbps", "riops", "wiops")]
    if not unified:
        words = ("read_bps", "write_bps", "read_iops", "write_iops")
        throttle = [f"blkio throttle.{word}_device" for word in words]
    wanted = [
        (support.memory, "memory limit"),
        (support.swap, "swap limit"),
        # What no setting can change is not warned of: v2 never has the first, v1 the weights.
        (support.oom_kill_disable or unified, "oom kill disable"),
        (support.cpu_cfs, "cpu cfs quota"),
        (support.cpu_cfs, "cpu cfs period"),
        (support.cpu_shares, "cpu shares"),
        (support.cpuset, "cpuset"),
        (support.blkio_weight or not unified, "io.weight"),
        (support.blkio_weight_device or not unified, "io.weight (per device)"),
        *((support.blkio_throttle, name) for name in throttle),
    ]
    yield from (f"WARNING: No {what} support" for offered, what in wanted if not offered)
    if not machine.ip_forwarding:
        yield "WARNING: IPv4 forwarding is disabled"
    if not machine.user_namespaces:
        yield "WARNING: No user namespaces: containers run as users of the host"


def runtimes(settings: Settings) -> dict[str, Shown]:
    """Ours under all its names, then the others with their arguments."""
    shown: dict[str, Shown] = {name: {"path": _NAME} for name in sorted(validate.RUNTIMES)}
    for name, (path, *arguments) in settings.runtimes.items():
        shown[name] = {"path": path, "runtimeArgs": arguments} if arguments else {"path": path}
    return shown


def masked(proxy: str) -> str:
    """Without the user and the password."""
    parts = urlsplit(proxy)
    if "@" not in parts.netloc:
        return proxy
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"xxxxx:xxxxx@{host}"))


# What is read for it


def os_release() -> dict[str, str]:
    """os-release(5); empty when there is none."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return parse_os_release(file.read())
        except OSError:
            continue
    return {}


def parse_os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip("\"' ") for name, equals, value in pairs if equals}


def open_files() -> int:
    # Since Linux 6.2 the folder's size is the number (proc_pid_fd(5)); before, it is 0.
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))


def installed_at() -> str:
    """Clients parse it as the time of the build, in RFC 3339."""
    return timestamp.text(os.stat(pinnace.__file__).st_mtime_ns)


_DOCKER_CALLS: Final = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs", "overlay": "overlayfs"}


def backing_filesystem(path: str) -> str:
    """The kind of the file system that a folder is on, by Docker's name for it."""
    real = os.path.realpath(path) + "/"
    on = [
        each for each in mount.mountinfo() if real.startswith(each.target.removesuffix("/") + "/")
    ]
    # Of several mounts at one place the last covers the others.
    kind = max(enumerate(on), key=lambda item: (len(item[1].target), item[0]))[1].fstype
    return _DOCKER_CALLS.get(kind, kind)
