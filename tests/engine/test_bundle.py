"""A container's specification beside the one that Docker made for the same flags.

golden/*.json hold what `docker run FLAGS busybox` (28.5.2, cgroup v1) showed by inspect, and the
config.json it wrote. `as_ours` says, difference by difference, where we are stricter on purpose.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pinnace import errors
from pinnace.engine import bundle, bundle_mounts, codec, mountspecs
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    DeviceMapping,
    DeviceRequest,
    HostConfig,
    Mount,
    MountPoint,
    ThrottleDevice,
    Ulimit,
    VolumeOptions,
)
from pinnace.engine.facts import Donor, HostFacts, Machine
from pinnace.oci import spec

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
ID_BASE = bundle.RANGES_START + bundle.RANGE_SIZE
DEVICES = "/var/lib/docker/containers/DONOR/mounts/shm"
Json = dict[str, Any]


def recorded(path: Path) -> tuple[Container, HostFacts, Json]:
    """The container, the host, and what Docker made of them."""
    golden = json.loads(path.read_bytes())
    inspect, made = golden["inspect"], golden["spec"]
    config = codec.convert(inspect["Config"], ContainerConfig)
    host = codec.convert(inspect["HostConfig"], HostConfig)
    if "--cgroupns" not in golden["flags"]:
        host = msgspec.structs.replace(host, cgroupns_mode="private")
    shown = {mount["Destination"]: mount for mount in inspect["Mounts"]}
    points = mountspecs.mount_points(config, host, exists=lambda path: True, others=lambda i: [])
    for point in points:
        point.source = shown[point.destination]["Source"]
    container = Container(
        id=inspect["Id"],
        name=inspect["Name"][1:],
        path=inspect["Path"],
        args=inspect["Args"],
        config=config,
        host_config=host,
        mounts=points,
        hosts_path=inspect["HostsPath"],
        hostname_path=inspect["HostnamePath"],
        resolv_conf_path=inspect["ResolvConfPath"],
    )
    return container, facts_of(container, made, golden["flags"]), made


def facts_of(container: Container, made: Json, flags: list[str]) -> HostFacts:
    nodes = [msgspec.convert(device, spec.Device) for device in made["linux"].get("devices", [])]
    if container.host_config.privileged:
        asked = {"/dev/null": [node("/dev/null", 1, 3)]}
        nodes = [device for device in nodes if device.path != "/dev/other"]
    else:
        asked = {
            mapping.path_on_host: [
                msgspec.structs.replace(
                    device,
                    path=device.path.replace(mapping.path_in_container, mapping.path_on_host),
                )
                for device in nodes
                if device.path.startswith(mapping.path_in_container)
            ]
            for mapping in container.host_config.devices
        }
    return HostFacts(
        machine=Machine(capabilities=available()),
        id_base=ID_BASE,
        donors={"DONOR": Donor(pid=4711, private_users=True, shm_path=DEVICES)},
        shm_path="/var/lib/docker/containers/CONTAINER/mounts/shm",
        host_devices=nodes if container.host_config.privileged else [],
        devices=asked,
        not_idmappable=["/dev", "/sys/fs/cgroup"],
    )


def available() -> list[str]:
    golden = json.loads((GOLDEN[0].parent / "privileged.json").read_bytes())
    return list(golden["spec"]["process"]["capabilities"]["bounding"])


def node(path: str, major: int, minor: int) -> spec.Device:
    return spec.Device(path=path, type="c", major=major, minor=minor, file_mode=0o666, uid=0, gid=0)


def as_ours(made: Json, container: Container, users: str) -> spec.Spec:
    """Docker's specification with every difference that is meant."""
    linux = made["linux"]
    linux.setdefault("sysctl", {})
    in_words(made, container)
    tidy_rules(linux["resources"])
    confined(made, container, users)
    made["root"] = {"path": "rootfs", "readonly": container.host_config.readonly_rootfs}
    text = json.dumps(made).replace("/proc/DONORPID/", "/proc/4711/")
    return msgspec.json.decode(text, type=spec.Spec)


def in_words(made: Json, container: Container) -> None:
    """What our init does itself: users are looked up in the image, it reaps, it sets names."""
    process = made["process"]
    del process["user"]
    annotations = made.setdefault("annotations", {})
    if container.config.user:
        annotations["org.pinnace.user"] = container.config.user
    if container.host_config.group_add:
        annotations["org.pinnace.group_add"] = ",".join(container.host_config.group_add)
    if process["args"][0] == "/sbin/docker-init":
        annotations["org.pinnace.init"] = "1"
        process["args"] = process["args"][2:]
        made["mounts"] = [m for m in made["mounts"] if m["destination"] != "/sbin/docker-init"]
    # A user namespace's root can't write the sysctl.
    made["domainname"] = made["linux"]["sysctl"].pop("kernel.domainname", "")


def tidy_rules(resources: Json) -> None:
    """Docker adds its default rules twice; a wildcard is absent here."""
    rules = resources["devices"]
    resources["devices"] = rules[:8] + [rule for rule in rules[8:] if rule not in rules[:8]]
    for rule in resources["devices"]:
        for key in ("major", "minor"):
            if rule.get(key) == -1:
                del rule[key]
    if resources.get("blockIO") == {}:
        del resources["blockIO"]


def confined(made: Json, container: Container, users: str) -> None:
    """H1: a user namespace; H6: bounded pids, files and cores; H7: a cgroup namespace."""
    process, linux = made["process"], made["linux"]
    cgroup = {"type": "cgroup"}
    if container.host_config.cgroupns_mode != "host" and cgroup not in linux["namespaces"]:
        linux["namespaces"].append(cgroup)
    if users == "private":
        linux["namespaces"].append({"type": "user"})
        mappings = msgspec.to_builtins(bundle.id_mappings(ID_BASE))
        linux["uidMappings"] = linux["gidMappings"] = mappings
    elif users != "host":
        linux["namespaces"].append({"type": "user", "path": users})
    if "net.ipv4.ping_group_range" in linux["sysctl"] and users != "host":
        linux["sysctl"]["net.ipv4.ping_group_range"] = "0 65535"
    linux["resources"].setdefault("pids", {"limit": 4096})
    limits = {limit["type"]: limit for limit in process.get("rlimits", [])}
    limits.setdefault("RLIMIT_CORE", {"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1})
    limits.setdefault("RLIMIT_NOFILE", {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 524288})
    process["rlimits"] = [limits[name] for name in sorted(limits)]


def sorted_mounts(made: spec.Spec) -> spec.Spec:
    """Docker's order among mounts of one depth is that of a Go map: none."""
    return msgspec.structs.replace(made, mounts=sorted(made.mounts, key=lambda m: m.destination))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_specification_is_dockers_but_for_what_is_meant(path: Path) -> None:
    container, facts, made = recorded(path)

    built = bundle.spec_for(container, facts=facts)

    users = bundle.userns_mode(container, facts)
    wanted = sorted_mounts(as_ours(made, container, users))
    ours = sorted_mounts(without_seccomp(built))
    assert msgspec.to_builtins(ours) == msgspec.to_builtins(wanted)


def without_seccomp(built: spec.Spec) -> spec.Spec:
    assert built.linux
    process = built.process
    if process and process.apparmor_profile:  # this kernel had no AppArmor to speak of
        process = msgspec.structs.replace(process, apparmor_profile="")
    return msgspec.structs.replace(
        built, linux=msgspec.structs.replace(built.linux, seccomp=None), process=process
    )


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_default_mounts_come_first_and_shallow_before_deep(path: Path) -> None:
    container, facts, _ = recorded(path)
    mounts = bundle.spec_for(container, facts=facts).mounts

    default = [m.destination for m in bundle_mounts.DEFAULT]
    kinds = [m.destination in default and m.type != "bind" for m in mounts]
    own = [m for m, is_default in zip(mounts, kinds, strict=True) if not is_default]
    depths = [m.destination.count("/") for m in own]
    assert not any(kinds[len(mounts) - len(own) :])
    assert depths == sorted(depths)


def container_of(**host: Any) -> Container:
    return Container(
        id="c" * 64, path="sh", host_config=HostConfig(**{"shm_size": 67108864, **host})
    )


FACTS = HostFacts(id_base=ID_BASE)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({}, ""),
        ({"privileged": True}, "--privileged was asked for"),
        ({"userns_mode": "host"}, "--userns=host was asked for"),
        ({"pid_mode": "host"}, "--pid=host was asked for"),
        ({"network_mode": "host"}, "--network=host was asked for"),
        ({"ipc_mode": "host"}, "--ipc=host was asked for"),
        ({"uts_mode": "host"}, "--uts=host was asked for"),
        ({"cap_add": ["NET_ADMIN", "sys_ptrace"]}, ""),
        ({"cap_add": ["sys_time"]}, "CAP_SYS_TIME is of no use in a user namespace"),
        ({"cap_add": ["ALL"]}, "ALL is of no use in a user namespace"),
        (
            {"devices": [DeviceMapping(path_on_host="/dev/fuse", cgroup_permissions="rwm")]},
            "/dev/fuse may be made with mknod",
        ),
        ({"devices": [DeviceMapping(path_on_host="/dev/fuse", cgroup_permissions="rw")]}, ""),
    ],
)
def test_users_are_the_hosts_only_where_asked_for(host: Json, reason: str) -> None:
    container = container_of(**host)

    assert bundle.userns_reason(container, FACTS) == reason
    assert bundle.userns_mode(container, FACTS) == ("host" if reason else "private")


def test_a_bind_that_can_not_be_mapped_costs_the_user_namespace_and_says_so() -> None:
    container = container_of()
    container.mounts = [MountPoint(type="bind", source="/proc", destination="/p", rw=True)]
    facts = HostFacts(id_base=ID_BASE, not_idmappable=["/proc"])

    assert bundle.userns_mode(container, facts) == "host"
    assert "/proc is on a file system without id-mapped mounts" in bundle.userns_warning(
        container, facts
    )


def test_a_joined_container_decides_the_user_namespace() -> None:
    container = container_of(network_mode="container:a", pid_mode="container:b")
    donors = {"a": Donor(pid=1), "b": Donor(pid=2, private_users=True)}

    assert bundle.userns_mode(container, HostFacts(donors=donors)) == "/proc/2/ns/user"

    container = container_of(ipc_mode="container:a")
    assert bundle.userns_mode(container, HostFacts(donors=donors, id_base=ID_BASE)) == "host"


def test_without_user_namespaces_the_hosts_is_used() -> None:
    facts = HostFacts(machine=Machine(user_namespaces=False), id_base=ID_BASE)
    assert bundle.userns_mode(container_of(), facts) == "host"


def test_id_ranges_of_two_containers_are_strangers() -> None:
    first = bundle.id_mappings(bundle.RANGES_START)
    second = bundle.id_mappings(bundle.RANGES_START + bundle.RANGE_SIZE)

    hosts = {m.host_id for m in first if m.container_id == 0}
    assert not any(m.host_id <= host < m.host_id + m.size for m in second for host in hosts)
    for one, next_one in itertools.pairwise(first):
        assert one.container_id + one.size <= next_one.container_id


def test_gpus_meet_no_driver() -> None:
    request = DeviceRequest(count=-1, capabilities=[["gpu"]])
    with pytest.raises(errors.Failed) as failed:
        bundle.spec_for(container_of(device_requests=[request]), facts=FACTS)
    assert failed.value.message == ('could not select device driver "" with capabilities: [[gpu]]')


def test_a_missing_device_fails_as_in_docker() -> None:
    mapping = DeviceMapping(path_on_host="/dev/nope", cgroup_permissions="rwm")
    with pytest.raises(errors.Failed, match="error gathering device information"):
        bundle.spec_for(container_of(devices=[mapping]), facts=FACTS)


def test_masks_of_the_default_are_more_than_dockers() -> None:
    built = bundle.spec_for(container_of(), facts=FACTS)
    assert built.linux
    assert {"/proc/kcore", "/proc/config.gz", "/sys/kernel/debug"} <= set(built.linux.masked_paths)

    unconfined = container_of(security_opt=["systempaths=unconfined"])
    built = bundle.spec_for(unconfined, facts=FACTS)
    assert built.linux
    assert not built.linux.masked_paths
    assert not built.linux.readonly_paths


def test_cgroup_parent_leads_nowhere_above() -> None:
    path = bundle.cgroups_path(container_of(cgroup_parent="../../a/../b"), FACTS)
    assert path == "/b/" + "c" * 64


def test_unlimited_is_written_as_the_kernel_has_it() -> None:
    host = HostConfig(ulimits=[Ulimit(name="nofile", soft=-1, hard=-1)], pids_limit=-1)
    container = container_of()
    container.host_config = host
    built = bundle.spec_for(container, facts=FACTS)
    assert built.process
    assert built.linux
    assert built.linux.resources
    assert built.process.rlimits[1].hard == 2**64 - 1
    assert built.linux.resources.pids == spec.LinuxPids(limit=-1)


@pytest.mark.parametrize(
    ("propagation", "found", "root", "refusal"),
    [
        ("rshared", "shared", "shared", ""),
        ("rslave", "slave", "rslave", ""),
        ("rslave", "shared", "rslave", ""),
        ("rprivate", "private", "", ""),
        ("rshared", "private", "", "path /src is mounted on /m but it is not a shared mount"),
        (
            "slave",
            "private",
            "",
            "path /src is mounted on /m but it is not a shared or slave mount",
        ),
    ],
)
def test_propagation(propagation: str, found: str, root: str, refusal: str) -> None:
    container = container_of()
    container.mounts = [
        MountPoint(type="bind", source="/src", destination="/d", rw=True, propagation=propagation)
    ]
    facts = HostFacts(propagation={"/src": ("/m", found)})
    if refusal:
        with pytest.raises(errors.Failed) as failed:
            bundle.spec_for(container, facts=facts)
        assert failed.value.message == refusal
        return
    built = bundle.spec_for(container, facts=facts)
    assert built.linux
    assert built.linux.rootfs_propagation == root


def test_environment_is_replaced_in_place_and_taken_away() -> None:
    config = ContainerConfig(hostname="h", env=["A=1", "HOSTNAME", "PATH=/x", "A=2", "B="])
    assert bundle.environment(config, ["A=3", "C=4"]) == ["PATH=/x", "A=3", "B=", "C=4"]


def test_a_private_memory_is_not_shared() -> None:
    container = container_of(ipc_mode="container:a")
    with pytest.raises(errors.Invalid, match="non-shareable IPC"):
        bundle.spec_for(container, facts=HostFacts(donors={"a": Donor(pid=1)}))


def test_part_of_a_volume_is_not_mistaken_for_all_of_it() -> None:
    mount = Mount(type="volume", target="/d", volume_options=VolumeOptions(subpath="sub"))
    container = container_of()
    container.mounts = [MountPoint(type="volume", source="/v", destination="/d", mount=mount)]

    with pytest.raises(errors.Unsupported):
        bundle.spec_for(container, facts=FACTS)

    built = bundle.spec_for(container, facts=HostFacts(sources={"/d": "/proc/1/fd/9"}))
    assert [m.source for m in built.mounts if m.destination == "/d"] == ["/proc/1/fd/9"]


def test_rules_and_limits_that_docker_fails_at() -> None:
    with pytest.raises(errors.Failed, match="value must be a positive integer"):
        bundle.spec_for(container_of(cpu_shares=-1), facts=FACTS)
    with pytest.raises(errors.Failed, match="seccomp is not enabled in your kernel"):
        facts = HostFacts(machine=Machine(seccomp=False))
        bundle.spec_for(container_of(security_opt=["seccomp={}"]), facts=facts)


def test_without_seccomp_in_the_kernel_the_default_is_none() -> None:
    built = bundle.spec_for(container_of(), facts=HostFacts(machine=Machine(seccomp=False)))
    assert built.linux
    assert built.linux.seccomp is None


def test_a_folder_of_devices_keeps_its_names() -> None:
    mapping = DeviceMapping(
        path_on_host="/dev/dri", path_in_container="/dev/gpu", cgroup_permissions="rw"
    )
    facts = HostFacts(devices={"/dev/dri": [node("/dev/dri/card0", 226, 0)]})
    built = bundle.spec_for(container_of(devices=[mapping]), facts=facts)
    assert built.linux
    assert [device.path for device in built.linux.devices] == ["/dev/gpu/card0"]


def test_throttles_are_by_number() -> None:
    host = {"blkio_device_write_bps": [ThrottleDevice(path="/dev/sda", rate=7)]}
    built = bundle.spec_for(container_of(**host), facts=HostFacts(numbers={"/dev/sda": (8, 0)}))
    assert built.linux
    assert built.linux.resources
    assert built.linux.resources.block_io == spec.LinuxBlockIO(
        throttle_write_bps_device=[spec.ThrottleDevice(major=8, minor=0, rate=7)]
    )
