"""Requests that dockerd 28.5.2 was sent, and what it said; `STRICTER` is where we refuse more."""

import json
from pathlib import Path
from typing import Any

import pytest

from pinnace import errors
from pinnace.engine import documents, merge, mountspecs, names, validate
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    ExecConfig,
    HostConfig,
    LogConfig,
    RestartPolicy,
    UpdateConfig,
)
from pinnace.engine.facts import Machine, Support

Json = dict[str, Any]
RECORDED: list[Json] = json.loads((Path(__file__).parent / "refusals.json").read_bytes())
CREATED = [record for record in RECORDED if "body" in record]
NAMED = [record for record in RECORDED if "name" in record]

# The machine that the answers were recorded on.
MACHINE = Machine(
    cpus=2,
    cpu_list="0-1",
    memory_nodes="0",
    cgroup_version=1,
    support=Support(
        oom_kill_disable=True,
        swappiness=True,
        cpu_realtime=True,
        blkio_weight=False,
        blkio_weight_device=False,
    ),
)

# Docker looks for what it names: containers, images, networks, plugins, volumes.
LOOKED_UP = ("No such", "plugin", "create ", "could not get container")

STRICTER = {
    '{"LogConfig": {"Type": "syslog"}}': (
        'error looking up logging plugin syslog: plugin "syslog" not found'
    ),
    '{"StopSignal": "999"}': "the linux daemon does not support signal 999",
    '{"StopSignal": "-3"}': "the linux daemon does not support signal -3",
    '{"Env": ["A=\\u0000"]}': 'invalid environment variable "A": contains nul byte (\\x00)',
    '{"Hostname": "a b"}': "invalid hostname format: 'a b'",
    '{"Hostname": "a\\nb"}': "invalid hostname format: 'a\\nb'",
    '{"Hostname": "' + "x" * 80 + '"}': f"invalid hostname format: {'x' * 80!r}",
    '{"Domainname": "a\\nb"}': "invalid hostname format: 'a\\nb'",
    '{"ExposedPorts": {"abc": {}}}': 'invalid port specification: "abc"',
    '{"ExposedPorts": {"80/foo": {}}}': "invalid proto: foo",
    '{"ExposedPorts": {"99999/tcp": {}}}': 'invalid port specification: "99999"',
    '{"Volumes": {"/": {}}}': "invalid volume specification: '/': destination can't be '/'",
    '{"Volumes": {"": {}}}': "invalid volume specification: '': destination can't be '/'",
    '{"MemorySwap": -2}': (
        "Invalid value: -2, the memoryswap limit is -1 (unlimited), 0, or positive"
    ),
    '{"Memory": 100000000, "MemorySwap": -2}': (
        "Invalid value: -2, the memoryswap limit is -1 (unlimited), 0, or positive"
    ),
    '{"CpuQuota": -5}': "CPU cfs quota can not be less than 1ms (i.e. 1000)",
    '{"IpcMode": "container:"}': "invalid IPC mode: container:",
    '{"ExtraHosts": ["a\\nb:1.1.1.1"]}': 'bad format for add-host: "a\nb:1.1.1.1"',
    '{"ExtraHosts": ["a b:1.1.1.1"]}': 'bad format for add-host: "a b:1.1.1.1"',
    '{"PortBindings": {"80/foo": [{}]}}': "invalid proto: foo",
    '{"PortBindings": {"": [{}]}}': 'invalid port specification: ""',
    '{"PortBindings": {"80/tcp": [{"HostIp": "a; reboot", "HostPort": "1"}]}}': (
        "invalid IP address: a; reboot"
    ),
    '{"Tmpfs": {"/a": "foo=bar"}}': 'invalid tmpfs option "foo"',
    '{"Tmpfs": {"/a": "noexec,foo"}}': 'invalid tmpfs option "foo"',
    '{"Mounts": [{"Type": "bind", "Target": "/a", "Source": "/tmp", "ReadOnly": false, '
    '"BindOptions": {"ReadOnlyNonRecursive": true}}]}': (
        "mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive"
    ),
    '{"Mounts": [{"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {"SizeBytes": -5}}]}': (
        'invalid mount config for type "tmpfs": invalid size: -5'
    ),
    '{"Ulimits": [{"Name": "foo", "Soft": 1, "Hard": 1}]}': "wrong rlimit value: RLIMIT_FOO",
    '{"Ulimits": [{"Name": "NOFILE", "Soft": 1, "Hard": 1}]}': "wrong rlimit value: RLIMIT_NOFILE",
    '{"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 1}]}': (
        "ulimit soft limit must be less than or equal to hard limit: 5 > 1"
    ),
    '{"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/x", '
    '"CgroupPermissions": "foo"}]}': "bad mode specified: foo",
    '{"DeviceCgroupRules": ["foo"]}': "invalid device cgroup rule format: 'foo'",
    '{"DeviceCgroupRules": ["c 1:3 rwm\\nc 1:1 rwm"]}': (
        "invalid device cgroup rule format: 'c 1:3 rwm\nc 1:1 rwm'"
    ),
    '{"Dns": ["foo"]}': 'bad nameserver address foo: ParseAddr("foo"): unable to parse IP',
    '{"DnsSearch": ["a b\\nc"]}': "invalid DNS option or search domain: 'a b\\nc'",
    '{"DnsOptions": ["a\\nb"]}': "invalid DNS option or search domain: 'a\\nb'",
}
# Podman's word for "give it to the container's user", and what the client sends else by itself.
WIDER = ('{"Binds": ["/a:/b:U"]}', '{"SecurityOpt": ["systempaths=unconfined"]}')


def short(record: Json) -> str:
    body = {k: v for k, v in record["body"].items() if k not in ("Cmd", "Image")}
    return json.dumps(body.get("HostConfig", body) if len(body) == 1 else body)


def verdict(body: Json) -> list[str]:
    """All that is asked of a create request before anything is made; its warnings."""
    request = documents.decode_create(json.dumps(body).encode())
    checked = validate.create(
        request.config,
        request.host_config,
        request.networking_config,
        MACHINE,
        exists=lambda path: path == "/tmp",
    )
    config = merge.merged(checked.config, ContainerConfig())
    host = merge.completed(checked.host, MACHINE, LogConfig(type="json-file"))
    validate.log_config(host.log_config)
    mountspecs.mount_points(config, host, exists=lambda path: True, others=lambda ident: [])
    return checked.warnings


@pytest.mark.parametrize("record", CREATED, ids=short)
def test_create_is_answered_as_docker_does(record: Json) -> None:
    wanted = STRICTER.get(short(record), record.get("message"))
    if record["status"] != 201 and wanted.startswith(LOOKED_UP):
        pytest.skip("the engine looks this up")
    if "not available in the current environment" in str(wanted):
        pytest.skip("the recording engine had fewer capabilities")
    if short(record) in WIDER:
        verdict(record["body"])
        return
    if wanted is None:
        assert verdict(record["body"]) == record["warnings"]
        return

    with pytest.raises(errors.Invalid) as refused:
        verdict(record["body"])

    assert refused.value.message == wanted


def test_every_stricter_answer_was_recorded() -> None:
    assert set(STRICTER) <= {short(record) for record in CREATED}


@pytest.mark.parametrize("record", NAMED, ids=lambda record: repr(record["name"])[:20])
def test_names(record: Json) -> None:
    if record["status"] == 201:
        assert names.check(record["name"]) == record["name"].removeprefix("/")
        return
    with pytest.raises(errors.Invalid) as refused:
        names.check(record["name"])
    assert refused.value.message == record["message"]


def container(**host: Any) -> Container:
    return Container(id="c1", host_config=HostConfig(**host))


@pytest.mark.parametrize(
    ("host", "wanted", "error", "message"),
    [
        ({}, {"memory": 1}, errors.Invalid, "Minimum memory limit allowed is 6MB"),
        (
            {"memory_swap": 10**7},
            {"memory": 10**8},
            errors.Conflict,
            "Cannot update container c1: Memory limit should be smaller than already set "
            "memoryswap limit, update the memoryswap at the same time",
        ),
        (
            {"nano_cpus": 10**9},
            {"cpu_quota": 50000},
            errors.Conflict,
            "Cannot update container c1: Conflicting options: "
            "CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
        (
            {"auto_remove": True},
            {"restart_policy": RestartPolicy(name="always")},
            errors.Conflict,
            "Cannot update container c1: Restart policy cannot be updated because AutoRemove "
            "is enabled for the container",
        ),
    ],
)
def test_updates_that_are_refused(
    host: Json, wanted: Json, error: type[errors.PinnaceError], message: str
) -> None:
    with pytest.raises(error) as refused:
        validate.update(container(**host), UpdateConfig(**wanted), MACHINE)
    assert refused.value.message == message


def test_update_changes_what_is_given_and_nothing_else() -> None:
    old = container(memory=10**8, memory_swap=2 * 10**8, cpu_shares=7, binds=["/a:/b"])

    host, warnings = validate.update(old, UpdateConfig(cpu_shares=512, pids_limit=0), MACHINE)

    assert (host.memory, host.memory_swap, host.binds) == (10**8, 2 * 10**8, ["/a:/b"])
    assert (host.cpu_shares, host.pids_limit) == (512, -1)
    assert warnings == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ExecConfig(), "No exec command specified"),
        (ExecConfig(cmd=["a"], env=["=b"]), "invalid environment variable: =b"),
        (ExecConfig(cmd=["a\0b"]), "invalid argument: contains nul byte (\\x00)"),
        (ExecConfig(cmd=["a"], detach_keys="ctrl-1"), "Invalid escape keys (ctrl-1) provided"),
    ],
)
def test_execs_that_are_refused(config: ExecConfig, message: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        validate.exec_config(config)
    assert refused.value.message == message


def test_an_ordinary_exec_is_fine() -> None:
    validate.exec_config(ExecConfig(cmd=["ls"], env=["A=b"], detach_keys="ctrl-p,q"))


def test_pids_zero_is_our_limit_and_negative_is_none() -> None:
    assert validated(pids_limit=0).pids_limit is None
    assert validated(pids_limit=-5).pids_limit == -1
    assert validated(pids_limit=5).pids_limit == 5


def validated(**host: Any) -> HostConfig:
    config = ContainerConfig(cmd=["x"])
    return validate.create(config, HostConfig(**host), None, MACHINE, exists=lambda path: True).host


def test_reserved_annotations_are_refused() -> None:
    with pytest.raises(errors.Invalid, match=r"org\.pinnace\.user is reserved"):
        validated(annotations={"org.pinnace.user": "root"})


def test_generated_names_are_names() -> None:
    for attempt in range(50):
        assert names.check(names.generate(attempt))
