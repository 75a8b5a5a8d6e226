"""The flags of `docker run`, each by what the process in the container sees of it."""

import os
from pathlib import Path

import pytest

from tests.harness.docker import Docker
from tests.harness.engine import Engine, Shared

pytestmark = [pytest.mark.root, pytest.mark.docker]

STATUS = "grep -E ^{}: /proc/self/status | cut -f2"

# A limit of the own cgroup, by its name in version 1 or else in version 2.
LIMIT = "cd /sys/fs/cgroup; cat {} 2>/dev/null || cat {}"

CASES = {
    "environment": ("-e A=1 -e B=", "echo $A-$B-${C:-unset}", "1--unset"),
    "path is given": (
        "",
        "echo $PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    "home is looked up": ("-u www-data", "echo $HOME", "/var/www"),
    "home of an unknown user": ("-u 12345", "echo $HOME", "/"),
    "hostname is in the environment": ("-h box", "echo $HOSTNAME", "box"),
    "no TERM without a terminal": ("", "echo ${TERM:-none}", "none"),
    "working folder": ("-w /tmp", "pwd", "/tmp"),
    "working folder is made": (
        "-w /new/folder",
        "pwd; stat -c %a:%u /new/folder",
        "/new/folder\n755:0",
    ),
    "user by number": ("-u 1000:1001", "id -u; id -g", "1000\n1001"),
    "user by name": ("-u nobody", "id -un; id -gn", "nobody\nnogroup"),
    "user and group by name": ("-u operator:users", "id -u; id -G", "37\n100"),
    "groups of the user": ("-u operator", "id -G", "37 29"),
    "groups added": ("-u operator --group-add users --group-add 4321", "id -G", "37 29 100 4321"),
    "hostname": ("-h box", "hostname; cat /etc/hostname", "box\nbox"),
    "domain name": (
        "-h box --domainname example.org",
        "cat /proc/sys/kernel/domainname",
        "example.org",
    ),
    "umask": ("", "umask", "0022"),
    "open files": ("--ulimit nofile=100:200", "ulimit -n; ulimit -Hn", "100\n200"),
    "core size": ("--ulimit core=0", "ulimit -c", "0"),
    "a namespaced sysctl": (
        "--sysctl net.ipv4.ip_forward=1",
        "cat /proc/sys/net/ipv4/ip_forward",
        "1",
    ),
    "an ipc sysctl": ("--sysctl kernel.msgmax=4321", "cat /proc/sys/kernel/msgmax", "4321"),
    "default capabilities": ("", STATUS.format("CapEff"), "00000000a80425fb"),
    "no capabilities": ("--cap-drop ALL", STATUS.format("CapBnd"), "0000000000000000"),
    "one capability": (
        "--cap-drop all --cap-add chown",
        STATUS.format("CapEff"),
        "0000000000000001",
    ),
    "a capability more": ("--cap-add CAP_NET_ADMIN", STATUS.format("CapEff"), "00000000a80435fb"),
    "no capabilities for others": ("-u 1000", STATUS.format("CapEff"), "0000000000000000"),
    "inheritable stays empty": ("", STATUS.format("CapInh"), "0000000000000000"),
    "seccomp by default": ("", STATUS.format("Seccomp"), "2"),
    "seccomp unconfined": ("--security-opt seccomp=unconfined", STATUS.format("Seccomp"), "0"),
    "new privileges": ("", STATUS.format("NoNewPrivs"), "0"),
    "no new privileges": ("--security-opt no-new-privileges", STATUS.format("NoNewPrivs"), "1"),
    "oom score": ("--oom-score-adj 500", "cat /proc/self/oom_score_adj", "500"),
    "root is read-only": ("--read-only", "touch /x 2>/dev/null || echo refused", "refused"),
    "tmpfs on a read-only root": (
        "--read-only --tmpfs /run:size=64k,mode=1750",
        "touch /run/x && stat -c %a /run",
        "1750",
    ),
    "tmpfs flags": ("--tmpfs /t", "grep -c ' /t tmpfs rw,nosuid,nodev,noexec' /proc/mounts", "1"),
    "shared memory": ("--shm-size 16m", "df -k /dev/shm | tail -1 | awk '{print $2}'", "16384"),
    "shared memory by default": ("", "df -k /dev/shm | tail -1 | awk '{print $2}'", "65536"),
    "memory": (
        "--memory 64m",
        LIMIT.format("memory/memory.limit_in_bytes", "memory.max"),
        "67108864",
    ),
    "memory reservation": (
        "--memory-reservation 32m",
        LIMIT.format("memory/memory.soft_limit_in_bytes", "memory.low"),
        "33554432",
    ),
    "processor shares": (
        "--cpu-shares 512",
        LIMIT.format("cpu/cpu.shares", "cpu.weight"),
        ("512", "20", "59"),
    ),
    "processors": (
        "--cpus 0.5",
        LIMIT.format("cpu/cpu.cfs_quota_us", "cpu.max"),
        ("50000", "50000 100000"),
    ),
    "quota": (
        "--cpu-period 50000 --cpu-quota 20000",
        LIMIT.format("cpu/cpu.cfs_quota_us", "cpu.max"),
        ("20000", "20000 50000"),
    ),
    "processor set": ("--cpuset-cpus 0", "grep Cpus_allowed_list /proc/self/status | cut -f2", "0"),
    "processes": ("--pids-limit 20", LIMIT.format("pids/pids.max", "pids.max"), "20"),
    "a device": (
        "--device /dev/null:/dev/mine",
        "stat -c %F:%t:%T /dev/mine; echo x >/dev/mine && echo written",
        "character special file:1:3\nwritten",
    ),
    "a device to read": (
        "--device /dev/kmsg:/dev/mine:r",
        "(echo x >/dev/mine) 2>/dev/null || echo refused",
        "refused",
    ),
    "the default devices": (
        "",
        "cd /dev; ls | grep -v console | tr '\\n' ' '",
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
    ),
    "no other devices": (
        "",
        "mknod /dev/mem c 1 1 && cat /dev/mem 2>/dev/null || echo refused",
        "refused",
    ),
    "pid 1": ("", "echo $$", "1"),
    "no network": ("--network none", "ls /sys/class/net", "lo"),
    "loopback is up": ("--network none", "ip addr show lo | grep -c 'inet 127.0.0.1/8'", "1"),
    "hosts": ("--add-host db:10.1.2.3", "grep db /etc/hosts", "10.1.2.3\tdb"),
    "name servers": (
        "--dns 10.9.8.7 --dns-search example.org",
        "grep -E '^(nameserver|search)' /etc/resolv.conf",
        "nameserver 10.9.8.7\nsearch example.org",
    ),
    "masked files are empty": ("", "cat /proc/kcore /proc/keys | wc -c", "0"),
    "masked folders are empty": (
        "",
        "ls /proc/scsi /sys/firmware 2>/dev/null | grep -v : | tr -d '\\n'",
        "",
    ),
    "the kernel's settings": (
        "",
        "(echo 1 >/proc/sys/kernel/panic) 2>/dev/null || echo refused",
        "refused",
    ),
    "sysfs is read-only": ("", "grep -c '^sysfs /sys sysfs ro,' /proc/mounts", "1"),
    "standard streams": ("", "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3"),
    "stdin is empty": ("", "cat", ""),
}


@pytest.mark.parametrize(("flags", "script", "expected"), CASES.values(), ids=CASES)
def test_run_flag(
    docker: Docker, image: str, flags: str, script: str, expected: str | tuple[str, ...]
) -> None:
    network = "" if "--network" in flags else "--network none"
    words = f"run --rm {network} {flags}".split()

    seen = docker.ok(*words, image, "sh", "-c", script)

    assert seen in (expected if isinstance(expected, tuple) else (expected,))


def test_env_file_gives_lines_and_names_of_our_own(
    docker: Docker, image: str, tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text("# a comment\n\nA=one\nB=two words\nSHELL_OF_OURS\n")
    docker.environment["SHELL_OF_OURS"] = "passed on"

    seen = docker.ok("run", "--rm", "--env-file", str(file), image, "env")

    assert {"A=one", "B=two words", "SHELL_OF_OURS=passed on"} <= set(seen.splitlines())


def test_entrypoint_replaces_the_image_s_and_takes_the_command(docker: Docker, image: str) -> None:
    assert docker.ok("run", "--rm", "--entrypoint", "echo", image, "a", "b") == "a b"


def test_init_is_pid_1_and_reaps(docker: Docker, image: str) -> None:
    script = "(sleep 0.01 &); test $$ != 1 && sleep 0.2 && ps -o stat | grep -c Z"

    assert docker("run", "--rm", "--init", image, "sh", "-c", script).out.strip() == "0"


def test_init_passes_signals_and_the_exit_code(engine: Engine) -> None:
    ident = engine.start(
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done",
        HostConfig={"Init": True},
    )
    engine.ok("POST", f"/containers/{ident}/stop")

    assert engine.wait(ident) in (9, 143)


def test_privileged_has_what_the_host_has(docker: Docker, image: str) -> None:
    host = [line for line in Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line]

    seen = docker.ok("run", "--rm", "--privileged", image, "grep", "CapEff", "/proc/self/status")

    assert seen.split()[1] == host[0].split()[1]


def test_privileged_sees_devices_and_may_mount(docker: Docker, image: str) -> None:
    script = "test -e /dev/kmsg && mount -t tmpfs none /mnt 2>&1 || mkdir /m && mount -t tmpfs x /m"

    assert docker("run", "--rm", "--privileged", image, "sh", "-c", script).code == 0


def test_cidfile_holds_the_id_and_is_not_overwritten(
    docker: Docker, engine: Engine, image: str, tmp_path: Path
) -> None:
    file = tmp_path / "cid"
    ident = docker.ok("run", "-d", "--label", engine.label, "--cidfile", str(file), image, "true")

    assert file.read_text() == ident
    again = docker("run", "--rm", "--cidfile", str(file), image, "true")
    assert (again.code, "container ID file found" in again.err) == (125, True)


def test_stdin_reaches_the_process_and_its_end_too(docker: Docker, image: str) -> None:
    result = docker("run", "--rm", "-i", image, "sh", "-c", "cat; echo end", stdin=b"one\ntwo\n")

    assert result.out == "one\ntwo\nend\n"


def test_streams_are_kept_apart(docker: Docker, image: str) -> None:
    result = docker("run", "--rm", image, "sh", "-c", "echo out; echo err >&2")

    assert (result.out, result.err) == ("out\n", "err\n")


@pytest.mark.parametrize(("stream", "seen"), [("stdout", ("out\n", "")), ("stderr", ("", "err\n"))])
def test_only_the_wanted_stream_is_attached(
    docker: Docker, image: str, stream: str, seen: tuple[str, str]
) -> None:
    result = docker("run", "--rm", "-a", stream, image, "sh", "-c", "echo out; echo err >&2")

    assert (result.out, result.err) == seen


def test_a_name_is_used_and_shown(docker: Docker, engine: Engine, image: str) -> None:
    docker.ok("run", "-d", "--label", engine.label, "--name", "named-by-us", image, "true")

    assert (
        docker.ok("ps", "-a", "--filter", "name=named-by-us", "--format", "{{.Names}}")
        == "named-by-us"
    )


def test_pull_never_of_an_unknown_image_says_so(docker: Docker) -> None:
    result = docker("run", "--rm", "--pull", "never", "no-such-image:x", "true")

    assert result.code == 125
    assert "No such image: no-such-image:x" in result.err


def test_seccomp_profile_of_the_client(docker: Docker, image: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":'
        '[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}'
    )
    script = "mkdir /x 2>&1 | grep -c 'Operation not permitted'"

    seen = docker.ok(
        "run", "--rm", "--security-opt", f"seccomp={profile}", image, "sh", "-c", script
    )

    assert seen == "1"


# Mounts


def test_bind_is_read_and_written_with_the_owners_of_the_host(
    docker: Docker, image: str, shared: Shared
) -> None:
    (shared.here / "in").write_text("from the host")
    os.chown(shared.here / "in", 1234, 4321)
    script = "cat /b/in; stat -c :%u:%g /b/in; echo back >/b/out; chown 77:88 /b/out"

    seen = docker.ok("run", "--rm", "-v", f"{shared.there}:/b", image, "sh", "-c", script)

    assert seen == "from the host:1234:4321"
    made = (shared.here / "out").stat()
    assert (made.st_uid, made.st_gid) == (77, 88)


@pytest.mark.parametrize(
    "flags",
    [["-v", "{}:/b:ro"], ["--mount", "type=bind,src={},dst=/b,readonly"]],
    ids=["volume", "mount"],
)
def test_a_readonly_bind_refuses_writes(
    docker: Docker, image: str, shared: Shared, flags: list[str]
) -> None:
    filled = [flag.format(shared.there) for flag in flags]

    result = docker("run", "--rm", *filled, image, "touch", "/b/x")

    assert result.code == 1
    assert "Read-only file system" in result.err
    assert not list(shared.here.iterdir())


def test_a_single_file_is_bound(docker: Docker, image: str, shared: Shared) -> None:
    file = shared.here / "file"
    file.write_text("one file")

    assert (
        docker.ok(
            "run", "--rm", "-v", f"{shared.there}/file:/some/where:ro", image, "cat", "/some/where"
        )
        == "one file"
    )


def test_the_missing_source_of_a_bind_is_made_by_v_and_refused_by_mount(
    docker: Docker, image: str, shared: Shared
) -> None:
    made, refused = f"{shared.there}/made", f"{shared.there}/refused"

    assert docker("run", "--rm", "-v", f"{made}:/b", image, "true").code == 0
    result = docker("run", "--rm", "--mount", f"type=bind,src={refused},dst=/b", image, "true")

    assert (shared.here / "made").is_dir()
    assert result.code == 125
    assert (
        f'invalid mount config for type "bind": bind source path does not exist: {refused}'
        in result.err
    )


def test_tmpfs_mount_has_its_size_and_mode(docker: Docker, image: str) -> None:
    mount = "type=tmpfs,dst=/t,tmpfs-size=65536,tmpfs-mode=700"
    script = "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'"

    assert docker.ok("run", "--rm", "--mount", mount, image, "sh", "-c", script) == "700\n64"


def test_a_named_volume_outlives_its_containers(docker: Docker, image: str) -> None:
    try:
        docker.ok(
            "run", "--rm", "-v", "pinnace-test-volume:/d", image, "sh", "-c", "echo kept >/d/f"
        )
        seen = docker.ok("run", "--rm", "-v", "pinnace-test-volume:/d:ro", image, "cat", "/d/f")
    finally:
        docker("volume", "rm", "pinnace-test-volume")

    assert seen == "kept"


def test_a_volume_is_filled_from_the_image(docker: Docker, image: str) -> None:
    try:
        seen = docker.ok("run", "--rm", "-v", "pinnace-test-copy:/etc", image, "ls", "/etc/passwd")
    finally:
        docker("volume", "rm", "pinnace-test-copy")

    assert seen == "/etc/passwd"


def test_volumes_from_another_container(docker: Docker, engine: Engine, image: str) -> None:
    ident = docker.ok("create", "--label", engine.label, "-v", "/shared", image, "true")
    docker.ok("run", "--rm", "--volumes-from", ident, image, "sh", "-c", "echo passed >/shared/f")

    assert (
        docker.ok("run", "--rm", "--volumes-from", f"{ident}:ro", image, "cat", "/shared/f")
        == "passed"
    )


# Namespaces


def namespaces(docker: Docker, image: str, *flags: str) -> dict[str, str]:
    script = "cd /proc/self/ns; for n in cgroup ipc mnt net pid uts; do readlink $n; done"
    seen = docker.ok("run", "--rm", *flags, image, "sh", "-c", script)
    return dict(line.split(":") for line in seen.splitlines())


def of_host(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}").split(":")[1]


def test_every_namespace_is_private_by_default(docker: Docker, image: str) -> None:
    first = namespaces(docker, image, "--network", "none", "--cgroupns", "private")

    assert not [kind for kind, number in first.items() if number == of_host(kind)]


@pytest.mark.ours
@pytest.mark.parametrize(
    ("flag", "kind"), [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--network", "net")]
)
def test_a_namespace_of_the_host(docker: Docker, image: str, flag: str, kind: str) -> None:
    assert namespaces(docker, image, flag, "host")[kind] == of_host(kind)


@pytest.mark.ours
def test_an_ordinary_container_has_a_user_namespace_of_its_own(docker: Docker, image: str) -> None:
    seen = docker.ok("run", "--rm", image, "readlink", "/proc/self/ns/user")
    shared = docker.ok("run", "--rm", "--userns", "host", image, "readlink", "/proc/self/ns/user")

    assert shared == os.readlink("/proc/self/ns/user") != seen


@pytest.mark.parametrize(
    ("flag", "kind"), [("--pid", "pid"), ("--ipc", "ipc"), ("--network", "net")]
)
def test_a_namespace_of_another_container(
    docker: Docker, engine: Engine, image: str, flag: str, kind: str
) -> None:
    other = engine.run(options=("--ipc", "shareable", "--network", "none"))
    theirs = docker.ok("exec", other, "readlink", f"/proc/1/ns/{kind}")

    seen = docker.ok(
        "run", "--rm", flag, f"container:{other}", image, "readlink", f"/proc/self/ns/{kind}"
    )

    assert seen == theirs


def test_the_network_of_a_container_that_does_not_run_is_refused(
    docker: Docker, engine: Engine, image: str
) -> None:
    other = docker.ok("create", "--label", engine.label, image, "true")

    result = docker("run", "--rm", "--network", f"container:{other}", image, "true")

    assert result.code == 125
    assert "cannot join network namespace of a non running container" in result.err


def test_ipc_of_a_private_container_is_refused(docker: Docker, engine: Engine) -> None:
    other = engine.run(options=("--ipc", "private"))

    result = docker("run", "--rm", "--ipc", f"container:{other}", engine.image, "true")

    assert result.code == 125
    assert "non-shareable IPC" in result.err


def test_ipc_none_has_no_shared_memory(docker: Docker, image: str) -> None:
    assert (
        docker.ok(
            "run",
            "--rm",
            "--ipc",
            "none",
            image,
            "sh",
            "-c",
            "grep -c /dev/shm /proc/mounts || true",
        )
        == "0"
    )
