"""Docker's JSON documents, and the engine's records made of them, as typed values.

Field names are Docker's, spelled as attributes: `HostConfig.NanoCpus` is `host.nano_cpus`.
Rule 1: a document is frozen; change it with `msgspec.structs.replace`.
Rule 2: absent, null and zero are the same, as in Go, except where Docker tells them apart;
those few fields are typed `... | None`.
Rule 3: documents come in by `decode` and go out by `show`; records are kept by `pack`, `unpack`.
Source: Docker Engine API 1.56, "definitions".
"""

from enum import StrEnum
from typing import Annotated, ClassVar, TypeAlias

import msgspec
from msgspec import Meta, field

from pinnace.engine import codec
from pinnace.engine.codec import decode, encode, show

__all__ = ["decode", "decode_create", "encode", "pack", "show", "unpack_container"]

Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Uint16: TypeAlias = Annotated[int, Meta(ge=0, le=2**16 - 1)]
Uint32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Uint64: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Document(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal", kw_only=True):
    """Base of everything that a client sends or reads; the words below are for `codec.show`."""

    OMITTED: ClassVar[str] = ""
    NULLED: ClassVar[str] = ""
    INHERITED_AFTER: ClassVar[str] = ""


class Empty(Document, frozen=True):
    """The value of Docker's sets: `{"80/tcp": {}}`."""


class HealthConfig(Document, frozen=True):
    """Durations are nanoseconds; 0 is "inherit, else the default"."""

    OMITTED: ClassVar[str] = "test interval timeout start_period start_interval retries"

    test: list[str] = []
    interval: Int64 = 0
    timeout: Int64 = 0
    start_period: Int64 = 0
    start_interval: Int64 = 0
    retries: Int64 = 0


class ContainerConfig(Document, frozen=True):
    """What of a container does not depend on the host; also an image's config."""

    OMITTED: ClassVar[str] = """
        exposed_ports healthcheck args_escaped network_disabled mac_address stop_signal
        stop_timeout shell
    """
    NULLED: ClassVar[str] = "env cmd volumes entrypoint on_build"

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Empty] = {}
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] = []
    cmd: list[str] | None = None
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Empty] = {}
    working_dir: str = ""
    entrypoint: list[str] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] = []
    labels: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: Int64 | None = None
    shell: list[str] = []


class LogConfig(Document, frozen=True):
    type: str = ""
    config: dict[str, str] = {}


class RestartPolicy(Document, frozen=True):
    name: str = ""
    maximum_retry_count: Int64 = 0


class PortBinding(Document, frozen=True):
    host_ip: str = ""
    host_port: str = ""


class WeightDevice(Document, frozen=True):
    path: str = ""
    weight: Uint16 = 0


class ThrottleDevice(Document, frozen=True):
    path: str = ""
    rate: Uint64 = 0


class DeviceMapping(Document, frozen=True):
    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(Document, frozen=True):
    driver: str = ""
    count: Int64 = 0
    device_ids: list[str] = field(name="DeviceIDs", default_factory=list)
    capabilities: list[list[str]] = []
    options: dict[str, str] = {}


class Ulimit(Document, frozen=True):
    name: str = ""
    hard: Int64 = 0
    soft: Int64 = 0


class BindOptions(Document, frozen=True):
    OMITTED: ClassVar[str] = """
        propagation non_recursive create_mountpoint read_only_non_recursive
        read_only_force_recursive
    """

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeDriver(Document, frozen=True):
    OMITTED: ClassVar[str] = "name options"

    name: str = ""
    options: dict[str, str] = {}


class VolumeOptions(Document, frozen=True):
    OMITTED: ClassVar[str] = "no_copy labels subpath driver_config"

    no_copy: bool = False
    labels: dict[str, str] = {}
    subpath: str = ""
    driver_config: VolumeDriver | None = None


class ImageOptions(Document, frozen=True):
    OMITTED: ClassVar[str] = "subpath"

    subpath: str = ""


class TmpfsOptions(Document, frozen=True):
    OMITTED: ClassVar[str] = "size_bytes mode options"

    size_bytes: Int64 = 0
    mode: Uint32 = 0
    options: list[list[str]] = []


class ClusterOptions(Document, frozen=True):
    pass


class Mount(Document, frozen=True):
    """What a client asks for with `--mount`."""

    OMITTED: ClassVar[str] = """
        type source target read_only consistency bind_options volume_options image_options
        tmpfs_options cluster_options
    """

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    cluster_options: ClusterOptions | None = None


class Resources(Document, frozen=True):
    """Limits; all of these can be changed by `update`."""

    OMITTED: ClassVar[str] = "kernel_memory kernel_memory_tcp"
    NULLED: ClassVar[str] = "device_cgroup_rules device_requests"

    cpu_shares: Int64 = 0
    memory: Int64 = 0
    nano_cpus: Int64 = 0
    cgroup_parent: str = ""
    blkio_weight: Uint16 = 0
    blkio_weight_device: list[WeightDevice] = []
    blkio_device_read_bps: list[ThrottleDevice] = []
    blkio_device_write_bps: list[ThrottleDevice] = []
    blkio_device_read_iops: list[ThrottleDevice] = field(
        name="BlkioDeviceReadIOps", default_factory=list
    )
    blkio_device_write_iops: list[ThrottleDevice] = field(
        name="BlkioDeviceWriteIOps", default_factory=list
    )
    cpu_period: Int64 = 0
    cpu_quota: Int64 = 0
    cpu_realtime_period: Int64 = 0
    cpu_realtime_runtime: Int64 = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] = []
    device_cgroup_rules: list[str] = []
    device_requests: list[DeviceRequest] = []
    kernel_memory: Int64 = 0
    kernel_memory_tcp: Int64 = field(name="KernelMemoryTCP", default=0)
    memory_reservation: Int64 = 0
    memory_swap: Int64 = 0
    memory_swappiness: Int64 | None = None
    oom_kill_disable: bool | None = None
    pids_limit: Int64 | None = None
    ulimits: list[Ulimit] = []
    cpu_count: Int64 = 0
    cpu_percent: Int64 = 0
    io_maximum_iops: Uint64 = field(name="IOMaximumIOps", default=0)
    io_maximum_bandwidth: Uint64 = field(name="IOMaximumBandwidth", default=0)


class HostConfig(Resources, frozen=True):
    """What of a container depends on the host."""

    OMITTED: ClassVar[str] = """
        kernel_memory kernel_memory_tcp annotations storage_opt tmpfs sysctls runtime mounts
        init
    """
    NULLED: ClassVar[str] = """
        device_cgroup_rules device_requests binds volumes_from cap_add cap_drop extra_hosts
        group_add links security_opt
    """

    INHERITED_AFTER: ClassVar[str] = "isolation"

    binds: list[str] = []
    container_id_file: str = field(name="ContainerIDFile", default="")
    log_config: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding]] = {}
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] = []
    console_size: tuple[Uint32, Uint32] = (0, 0)
    annotations: dict[str, str] = {}
    cap_add: list[str] = []
    cap_drop: list[str] = []
    cgroupns_mode: str = ""
    dns: list[str] = []
    dns_options: list[str] = []
    dns_search: list[str] = []
    extra_hosts: list[str] = []
    group_add: list[str] = []
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] = []
    oom_score_adj: Int64 = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] = []
    storage_opt: dict[str, str] = {}
    tmpfs: dict[str, str] = {}
    uts_mode: str = field(name="UTSMode", default="")
    userns_mode: str = ""
    shm_size: Int64 = 0
    sysctls: dict[str, str] = {}
    runtime: str = ""
    isolation: str = ""
    mounts: list[Mount] = []
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None


class UpdateConfig(Resources, frozen=True):
    """The body of `POST /containers/{id}/update`."""

    restart_policy: RestartPolicy = RestartPolicy()


class EndpointIPAMConfig(Document, frozen=True):
    OMITTED: ClassVar[str] = "ipv4_address ipv6_address link_local_ips"

    ipv4_address: str = field(name="IPv4Address", default="")
    ipv6_address: str = field(name="IPv6Address", default="")
    link_local_ips: list[str] = field(name="LinkLocalIPs", default_factory=list)


class EndpointSettings(Document, frozen=True):
    """A container's leg in a network: what was asked for, and what it got."""

    NULLED: ClassVar[str] = "links aliases driver_opts dns_names"

    ipam_config: EndpointIPAMConfig | None = field(name="IPAMConfig", default=None)
    links: list[str] = []
    aliases: list[str] = []
    mac_address: str = ""
    driver_opts: dict[str, str] = {}
    gw_priority: Int64 = 0
    network_id: str = field(name="NetworkID", default="")
    endpoint_id: str = field(name="EndpointID", default="")
    gateway: str = ""
    ip_address: str = field(name="IPAddress", default="")
    ip_prefix_len: Int64 = field(name="IPPrefixLen", default=0)
    ipv6_gateway: str = field(name="IPv6Gateway", default="")
    global_ipv6_address: str = field(name="GlobalIPv6Address", default="")
    global_ipv6_prefix_len: Int64 = field(name="GlobalIPv6PrefixLen", default=0)
    dns_names: list[str] = field(name="DNSNames", default_factory=list)


class NetworkingConfig(Document, frozen=True):
    endpoints_config: dict[str, EndpointSettings] = {}


class CreateRequest(Document, frozen=True):
    """The body of `POST /containers/create`; config is None when the body has no field of it."""

    config: ContainerConfig | None = None
    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None


class ExecConfig(Document, frozen=True):
    """The body of `POST /containers/{id}/exec`."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: tuple[Uint32, Uint32] | None = None
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach_keys: str = ""
    env: list[str] = []
    working_dir: str = ""
    cmd: list[str] = []


class ExecStartConfig(Document, frozen=True):
    """The body of `POST /exec/{id}/start`."""

    detach: bool = False
    tty: bool = False
    console_size: tuple[Uint32, Uint32] | None = None


class VolumeCreateRequest(Document, frozen=True):
    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}


class Status(StrEnum):
    """Where a container is in its life; moved only by `lifecycle.next`."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Record(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Base of what the engine itself keeps; times are nanoseconds since the epoch, 0 is never."""


class HealthResult(Record):
    start: int = 0
    end: int = 0
    exit_code: int = 0
    output: str = ""


class Health(Record):
    """status is starting, healthy, unhealthy or none; log holds the last five results."""

    status: str = "none"
    failing_streak: int = 0
    log: list[HealthResult] = []


class State(Record):
    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    health: Health | None = None

    @property
    def running(self) -> bool:
        """Docker's `Running`: true also while paused and between two restarts."""
        return self.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)

    @property
    def restarting(self) -> bool:
        return self.status is Status.RESTARTING

    @property
    def paused(self) -> bool:
        return self.status is Status.PAUSED


class MountPoint(Record):
    """One mount of a container, resolved: the first eight fields are what inspect shows.

    For a volume `name` is set and `source` is its folder as soon as the volume exists.
    `mount` is the `--mount` it came from, if it did; `anonymous` volumes go with the container.
    """

    type: str = ""
    name: str = ""
    source: str = ""
    destination: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = False
    propagation: str = ""
    copy_data: bool = False
    anonymous: bool = False
    create_source: bool = False
    chown: bool = False
    mount: Mount | None = None


class Container(Record):
    """All that is known of a container between two starts."""

    id: str
    name: str = ""
    created: int = 0
    path: str = ""
    args: list[str] = []
    config: ContainerConfig = ContainerConfig()
    host_config: HostConfig = HostConfig()
    networking: dict[str, EndpointSettings] = {}
    image: str = ""
    platform: str = "linux"
    driver: str = "overlay2"
    state: State = msgspec.field(default_factory=State)
    restart_count: int = 0
    has_been_manually_stopped: bool = False
    has_been_started_before: bool = False
    mounts: list[MountPoint] = []
    log_path: str = ""
    hostname_path: str = ""
    hosts_path: str = ""
    resolv_conf_path: str = ""
    exec_ids: list[str] = []
    version: int = 1


class ExecRecord(Record):
    id: str
    container_id: str = ""
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    config: ExecConfig = ExecConfig()
    open_stdin: bool = False
    open_stdout: bool = False
    open_stderr: bool = False
    detach_keys: bytes = b""
    can_remove: bool = False


def decode_create(raw: bytes) -> CreateRequest:
    """The body of create: the container's config with the two others among its fields."""
    value = codec.parse(raw)
    if not isinstance(value, dict):
        return codec.convert(value, CreateRequest)
    rest: dict[str, codec.Json] = {}
    nested: dict[str, codec.Json] = {}
    for key, item in value.items():
        (nested if key.lower() in _NESTED else rest)[key] = item
    request = codec.convert(nested, CreateRequest)
    if not any(key.lower() in _CONFIG_NAMES for key in rest):
        return request
    return msgspec.structs.replace(request, config=codec.convert(rest, ContainerConfig))


_NESTED = frozenset({"hostconfig", "networkingconfig"})
_CONFIG_NAMES = frozenset(f.encode_name.lower() for f in msgspec.structs.fields(ContainerConfig))


def pack(record: Record) -> bytes:
    """A record as the database keeps it."""
    return msgspec.json.encode(record)


def unpack_container(raw: bytes) -> Container:
    return _container_decoder.decode(raw)


_container_decoder = msgspec.json.Decoder(Container)
