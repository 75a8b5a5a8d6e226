"""The OCI runtime specification (1.2) as values: what a bundle's config.json holds.

Field names are the specification's own. Absent is None or empty, as the specification's
Go types have it; `encode` leaves both out.
Source: runtime-spec, config.md, config-linux.md, runtime.md.
"""

from typing import Any

import msgspec
from msgspec import field


class _Value(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    pass


class Box(_Value, frozen=True, kw_only=True):
    """A terminal's size in character cells."""

    height: int = 0
    width: int = 0


class User(_Value, frozen=True, kw_only=True):
    """Who a process runs as; ids are those inside the container."""

    uid: int = 0
    gid: int = 0
    umask: int | None = None
    additional_gids: list[int] = []
    username: str = ""


class Capabilities(_Value, frozen=True, kw_only=True):
    bounding: list[str] = []
    effective: list[str] = []
    inheritable: list[str] = []
    permitted: list[str] = []
    ambient: list[str] = []


class Rlimit(_Value, frozen=True, kw_only=True):
    type: str
    soft: int = 0
    hard: int = 0


class IOPriority(_Value, frozen=True, kw_only=True):
    cls: str = field(name="class", default="")
    priority: int = 0


class Scheduler(_Value, frozen=True, kw_only=True):
    policy: str = ""
    nice: int = 0
    priority: int = 0
    flags: list[str] = []
    runtime: int = 0
    deadline: int = 0
    period: int = 0


class CPUAffinity(_Value, frozen=True, kw_only=True):
    initial: str = ""
    final: str = ""


class Process(_Value, frozen=True, kw_only=True):
    terminal: bool = False
    console_size: Box | None = None
    user: User = User()
    args: list[str] = []
    env: list[str] = []
    cwd: str = ""
    capabilities: Capabilities | None = None
    rlimits: list[Rlimit] = []
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: int | None = None
    selinux_label: str = ""
    io_priority: IOPriority | None = None
    scheduler: Scheduler | None = None
    exec_cpu_affinity: CPUAffinity | None = field(name="execCPUAffinity", default=None)


class Root(_Value, frozen=True, kw_only=True):
    path: str = ""
    readonly: bool = False


class IDMapping(_Value, frozen=True, kw_only=True):
    container_id: int = field(name="containerID", default=0)
    host_id: int = field(name="hostID", default=0)
    size: int = 0


class Mount(_Value, frozen=True, kw_only=True):
    """One entry of `mounts`; options are mount(8)'s words, sorted out by `runtime.rootfs`."""

    destination: str
    type: str = ""
    source: str = ""
    options: list[str] = []
    uid_mappings: list[IDMapping] = []
    gid_mappings: list[IDMapping] = []


class Hook(_Value, frozen=True, kw_only=True):
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class Hooks(_Value, frozen=True, kw_only=True):
    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []


class Namespace(_Value, frozen=True, kw_only=True):
    """type is one of pid, network, mount, ipc, uts, user, cgroup, time."""

    type: str
    path: str = ""


class Device(_Value, frozen=True, kw_only=True):
    path: str
    type: str
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class DeviceRule(_Value, frozen=True, kw_only=True):
    """One line of the device cgroup; None for a number is a wildcard."""

    allow: bool = False
    type: str = ""
    major: int | None = None
    minor: int | None = None
    access: str = ""


class LinuxMemory(_Value, frozen=True, kw_only=True):
    """Bytes; -1 is unlimited."""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    kernel: int | None = None
    kernel_tcp: int | None = field(name="kernelTCP", default=None)
    swappiness: int | None = None
    disable_oom_killer: bool | None = field(name="disableOOMKiller", default=None)
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class LinuxCPU(_Value, frozen=True, kw_only=True):
    shares: int | None = None
    quota: int | None = None
    burst: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str = ""
    mems: str = ""
    idle: int | None = None


class LinuxPids(_Value, frozen=True, kw_only=True):
    limit: int | None = None


class WeightDevice(_Value, frozen=True, kw_only=True):
    major: int = 0
    minor: int = 0
    weight: int | None = None
    leaf_weight: int | None = None


class ThrottleDevice(_Value, frozen=True, kw_only=True):
    major: int = 0
    minor: int = 0
    rate: int = 0


class LinuxBlockIO(_Value, frozen=True, kw_only=True):
    weight: int | None = None
    leaf_weight: int | None = None
    weight_device: list[WeightDevice] = []
    throttle_read_bps_device: list[ThrottleDevice] = []
    throttle_write_bps_device: list[ThrottleDevice] = []
    throttle_read_iops_device: list[ThrottleDevice] = field(
        name="throttleReadIOPSDevice", default_factory=list
    )
    throttle_write_iops_device: list[ThrottleDevice] = field(
        name="throttleWriteIOPSDevice", default_factory=list
    )


class HugepageLimit(_Value, frozen=True, kw_only=True):
    page_size: str
    limit: int = 0


class InterfacePriority(_Value, frozen=True, kw_only=True):
    name: str
    priority: int = 0


class LinuxNetwork(_Value, frozen=True, kw_only=True):
    class_id: int | None = field(name="classID", default=None)
    priorities: list[InterfacePriority] = []


class Rdma(_Value, frozen=True, kw_only=True):
    hca_handles: int | None = None
    hca_objects: int | None = None


class LinuxResources(_Value, frozen=True, kw_only=True):
    devices: list[DeviceRule] = []
    memory: LinuxMemory | None = None
    cpu: LinuxCPU | None = None
    pids: LinuxPids | None = None
    block_io: LinuxBlockIO | None = field(name="blockIO", default=None)
    hugepage_limits: list[HugepageLimit] = []
    network: LinuxNetwork | None = None
    rdma: dict[str, Rdma] = {}
    unified: dict[str, str] = {}


class SeccompArg(_Value, frozen=True, kw_only=True):
    """One comparison of a system call's argument; `op` is an SCMP_CMP_ name."""

    index: int = 0
    value: int = 0
    value_two: int = 0
    op: str = ""


class SeccompRule(_Value, frozen=True, kw_only=True):
    names: list[str] = []
    action: str = ""
    errno_ret: int | None = None
    args: list[SeccompArg] = []


class Seccomp(_Value, frozen=True, kw_only=True):
    default_action: str = ""
    default_errno_ret: int | None = None
    architectures: list[str] = []
    flags: list[str] = []
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[SeccompRule] = []


class TimeOffset(_Value, frozen=True, kw_only=True):
    secs: int = 0
    nanosecs: int = 0


class Personality(_Value, frozen=True, kw_only=True):
    domain: str = ""
    flags: list[str] = []


class Linux(_Value, frozen=True, kw_only=True):
    uid_mappings: list[IDMapping] = []
    gid_mappings: list[IDMapping] = []
    sysctl: dict[str, str] = {}
    resources: LinuxResources | None = None
    cgroups_path: str = ""
    namespaces: list[Namespace] = []
    devices: list[Device] = []
    seccomp: Seccomp | None = None
    rootfs_propagation: str = ""
    masked_paths: list[str] = []
    readonly_paths: list[str] = []
    mount_label: str = ""
    intel_rdt: dict[str, Any] | None = None
    personality: Personality | None = None
    time_offsets: dict[str, TimeOffset] = {}


class Spec(_Value, frozen=True, kw_only=True):
    oci_version: str = ""
    process: Process | None = None
    root: Root | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: list[Mount] = []
    hooks: Hooks | None = None
    annotations: dict[str, str] = {}
    linux: Linux | None = None


class State(_Value, frozen=True, omit_defaults=False, kw_only=True):
    """What `state` prints and what hooks read on standard input (runtime.md, "State")."""

    oci_version: str = ""
    id: str
    status: str
    pid: int = 0
    bundle: str
    annotations: dict[str, str] = {}


def decode(raw: bytes) -> Spec:
    """Parse a config.json; raises msgspec.DecodeError or msgspec.ValidationError."""
    return msgspec.json.decode(raw, type=Spec)


def encode(spec: Spec) -> bytes:
    return msgspec.json.encode(spec)
