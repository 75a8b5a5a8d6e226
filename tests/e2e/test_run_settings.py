"""Flags of `docker run` that the process does not see: what inspect says, and what is refused."""

import shlex
from pathlib import Path

import pytest

from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = [pytest.mark.root, pytest.mark.docker]

KEPT = {
    "annotation": ("--annotation a=b", "HostConfig.Annotations", {"a": "b"}),
    "cgroup parent": ("--cgroup-parent /pinnace-test", "HostConfig.CgroupParent", "/pinnace-test"),
    "cgroup namespace": ("--cgroupns host", "HostConfig.CgroupnsMode", "host"),
    "memory nodes": ("--cpuset-mems 0", "HostConfig.CpusetMems", "0"),
    "device rule": (
        "--device-cgroup-rule 'c 10:229 rw'",
        "HostConfig.DeviceCgroupRules",
        ["c 10:229 rw"],
    ),
    "resolver options": ("--dns-option ndots:3", "HostConfig.DnsOptions", ["ndots:3"]),
    "exposed port": ("--expose 80", "Config.ExposedPorts", {"80/tcp": {}}),
    "exposed range": ("--expose 80-81/udp", "Config.ExposedPorts", {"80/udp": {}, "81/udp": {}}),
    "init": ("--init", "HostConfig.Init", True),
    "ipc": ("--ipc shareable", "HostConfig.IpcMode", "shareable"),
    "isolation": ("--isolation default", "HostConfig.Isolation", "default"),
    "label": ("-l a=b -l c", "Config.Labels", {"a": "b", "c": ""}),
    "log driver": (
        "--log-driver local --log-opt max-size=1m",
        "HostConfig.LogConfig",
        {"Type": "local", "Config": {"max-size": "1m"}},
    ),
    "memory and swap": (
        "-m 64m --memory-swap 128m",
        "HostConfig.MemorySwap",
        128 << 20,
    ),
    "swappiness": ("--memory-swappiness 5", "HostConfig.MemorySwappiness", 5),
    "no health check": ("--no-healthcheck", "Config.Healthcheck", {"Test": ["NONE"]}),
    "health check": (
        "--health-cmd true --health-interval 2s --health-timeout 3s --health-retries 4 "
        "--health-start-period 5s --health-start-interval 6s",
        "Config.Healthcheck",
        {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 2 * 10**9,
            "Timeout": 3 * 10**9,
            "StartPeriod": 5 * 10**9,
            "StartInterval": 6 * 10**9,
            "Retries": 4,
        },
    ),
    "out of memory": ("-m 64m --oom-kill-disable", "HostConfig.OomKillDisable", (True, None)),
    "process ids": ("--pid host", "HostConfig.PidMode", "host"),
    "published port": (
        "-p 127.0.0.1:18080:80",
        "HostConfig.PortBindings",
        {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}]},
    ),
    "all ports": ("-P", "HostConfig.PublishAllPorts", True),
    "restart": (
        "--restart on-failure:3",
        "HostConfig.RestartPolicy",
        {"Name": "on-failure", "MaximumRetryCount": 3},
    ),
    "security": (
        "--security-opt label=disable --security-opt apparmor=unconfined",
        "HostConfig.SecurityOpt",
        ["label=disable", "apparmor=unconfined"],
    ),
    "stop signal": ("--stop-signal USR1", "Config.StopSignal", "USR1"),
    "stop timeout": ("--stop-timeout 3", "Config.StopTimeout", 3),
    "terminal": ("-t -i", "Config.Tty", True),
    "user namespace": ("--userns host", "HostConfig.UsernsMode", "host"),
    "names of the host": ("--uts host", "HostConfig.UTSMode", "host"),
    "volume driver": ("--volume-driver local", "HostConfig.VolumeDriver", "local"),
}


@pytest.mark.parametrize(("flags", "path", "expected"), KEPT.values(), ids=KEPT)
def test_what_inspect_says(
    docker: Docker, engine: Engine, image: str, flags: str, path: str, expected: object
) -> None:
    words = ["create", "--label", engine.label, *shlex.split(flags), image, "true"]
    found = engine.inspect(docker.ok(*words).splitlines()[-1])

    for name in path.split("."):
        found = found[name]

    if isinstance(found, dict) and path == "Config.Labels":
        found = {k: v for k, v in found.items() if k in ("a", "c")}
    assert found in expected if isinstance(expected, tuple) else found == expected


REFUSED = {
    "--gpus all": 'could not select device driver "" with capabilities: [[gpu]]',
    "--ip 172.17.0.5": "user specified IP address is supported on user defined networks only",
    "--link no-such:x": "could not get container for no-such: No such container: no-such",
    "--network-alias x": "network-scoped aliases are only supported for user-defined networks",
    "--runtime no-such": "unknown or invalid runtime name: no-such",
    "--isolation hyperv": "linux only supports 'default'",
    "--pull never --volume-driver no-such -v v:/c": 'plugin "no-such" not found',
    "--volumes-from no-such": "No such container: no-such",
    "--log-driver no-such": 'plugin "no-such" not found',
    "--mount type=bind,src=/no/such,dst=/c": "bind source path does not exist: /no/such",
    "--network no-such": "network no-such not found",
    "--stop-signal NOPE": "invalid signal: NOPE",
}


@pytest.mark.parametrize("flags", REFUSED)
def test_what_is_refused(docker: Docker, image: str, flags: str) -> None:
    result = docker("run", "--rm", *flags.split(), image, "true")

    assert result.code == 125
    assert REFUSED[flags] in result.err


def test_labels_of_a_file(docker: Docker, engine: Engine, image: str, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("# a comment\none=1\ntwo=\n")

    ident = docker.ok("create", "--label", engine.label, "--label-file", str(file), image, "true")

    labels = engine.inspect(ident)["Config"]["Labels"]
    assert (labels["one"], labels["two"]) == ("1", "")


def block_device() -> str:
    """A disk of this machine."""
    for path in sorted(Path("/sys/block").iterdir()):
        device = Path("/dev") / path.name
        if not path.name.startswith(("loop", "ram")) and device.is_block_device():
            return str(device)
    pytest.skip("no disk here")


@pytest.mark.parametrize("what", ["read-bps", "write-bps", "read-iops", "write-iops"])
def test_throttles_of_a_disk(docker: Docker, image: str, what: str) -> None:
    device = block_device()
    direction, unit = what.split("-")
    name = f"blkio/blkio.throttle.{direction}_{unit}_device"
    script = f"cd /sys/fs/cgroup; cut -d' ' -f2- {name} 2>/dev/null || cut -d' ' -f2- io.max"
    flags = ["--network", "none", f"--device-{what}", f"{device}:1048576"]

    seen = docker.ok("run", "--rm", *flags, image, "sh", "-c", script)

    letter = direction[0]
    assert seen == "1048576" or f"{letter}{unit}=1048576" in seen


def test_a_part_of_a_volume(docker: Docker, engine: Engine, image: str) -> None:
    volume = "pinnace-test-part"
    whole = f"type=volume,src={volume},dst=/v"
    run = ("run", "--rm", "--network", "none", "--mount")
    try:
        docker.ok(*run, whole, image, "sh", "-c", "mkdir /v/part; echo x >/v/part/file")
        seen = docker.ok(*run, f"{whole},volume-subpath=part", image, "cat", "/v/file")
    finally:
        engine.request("DELETE", f"/volumes/{volume}?force=1")

    assert seen == "x"


def test_detached_prints_the_id(docker: Docker, engine: Engine, image: str) -> None:
    ident = docker.ok("run", "-d", "--label", engine.label, "--network", "none", image, "true")

    assert ident == engine.inspect(ident)["Id"]
