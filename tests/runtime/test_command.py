"""What the command line makes of a bundle, looked at from inside and outside of the container."""

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinnace.linux import cgroup
from tests.harness.deadline import until
from tests.runtime.bundle import DEV, PROC, PTS, Bundle

pytestmark = pytest.mark.root


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    made = Bundle(tmp_path)
    yield made
    made.clear()


def hook(bundle: Bundle, script: str, **more: Any) -> dict[str, Any]:
    return {"path": str(bundle.busybox), "args": ["sh", "-c", script], **more}


# lives


def test_a_life_and_its_states(bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("create", "--pid-file", str(bundle.folder / "pid"), bundle.id)
    created = bundle.state()
    bundle.ok("start", bundle.id)
    running = bundle.state()
    bundle.ok("kill", bundle.id, "KILL")
    until(lambda: bundle.state()["status"] == "stopped")
    stopped = bundle.state()
    bundle.ok("delete", bundle.id)

    assert (created["status"], running["status"], stopped["pid"]) == ("created", "running", 0)
    assert created["pid"] == running["pid"] == int((bundle.folder / "pid").read_text())
    assert created["bundle"] == str(bundle.folder)
    assert created["rootfs"] == str(bundle.root)
    assert "does not exist" in bundle("state", bundle.id).stderr


@pytest.mark.parametrize(
    ("verb", "reason"),
    [
        ("start", "cannot start a container that has stopped"),
        ("kill", "container not running"),
        ("pause", "container not running"),
        ("resume", "container not paused"),
        ("exec", "cannot exec in a stopped container"),
    ],
)
def test_what_a_stopped_container_can_not(bundle: Bundle, verb: str, reason: str) -> None:
    bundle.ok("create", bundle.id)
    bundle.ok("start", bundle.id)
    until(lambda: bundle.state()["status"] == "stopped")

    done = bundle(verb, bundle.id, *(["true"] if verb == "exec" else []))

    assert done.returncode == 1 and reason in done.stderr


def test_a_paused_container_is_paused(bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("create", bundle.id)
    bundle.ok("start", bundle.id)

    bundle.ok("pause", bundle.id)
    assert bundle.state()["status"] == "paused"
    bundle.ok("resume", bundle.id)
    assert bundle.state()["status"] == "running"


def test_the_config_is_read_at_create_only(bundle: Bundle) -> None:
    bundle.process["args"] = ["sh", "-c", "echo first >/told"]
    bundle.ok("create", bundle.id)
    (bundle.folder / "config.json").write_text("{}")
    bundle.ok("start", bundle.id)

    assert until(lambda: (bundle.root / "told").exists() and (bundle.root / "told").read_text())


def test_errors_are_logged_as_runc_logs_them(bundle: Bundle) -> None:
    log = bundle.folder / "log"

    from tests.runtime import bundle as module

    done = module.subprocess.run(
        [module.sys.executable, "-c", module._MAIN, "--log", str(log), "--log-format", "json",
         "state", "nobody"], capture_output=True, text=True, check=False,
    )  # fmt: skip

    entry = json.loads(log.read_text())
    assert done.returncode == 1
    assert (entry["level"], entry["msg"]) == ("error", "container 'nobody' does not exist")


# hooks


def test_hooks_are_run_in_order_and_told_the_state(bundle: Bundle) -> None:
    log = bundle.folder / "log"
    log.touch()
    log.chmod(0o666)

    def told(kind: str) -> dict[str, Any]:
        return hook(bundle, f"echo {kind} $(cat) >>{log}")

    bundle.config["annotations"] = {"who": "me"}
    bundle.config["hooks"] = {
        "prestart": [told("prestart")],
        "createRuntime": [told("createRuntime1"), told("createRuntime2")],
        "createContainer": [told("createContainer")],
        "poststart": [told("poststart")],
        "poststop": [told("poststop")],
    }
    bundle.process["args"] = ["sleep", "1000"]

    bundle.ok("create", bundle.id)
    pid = bundle.state()["pid"]
    bundle.ok("start", bundle.id)
    bundle.ok("delete", "--force", bundle.id)

    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    states = {kind: json.loads(state) for kind, state in lines}
    assert [(kind, states[kind]["status"], states[kind]["pid"]) for kind, _ in lines] == [
        ("prestart", "created", pid),
        ("createRuntime1", "creating", pid),
        ("createRuntime2", "creating", pid),
        ("createContainer", "creating", pid),
        ("poststart", "running", pid),
        ("poststop", "stopped", 0),
    ]
    for state in states.values():
        assert state["id"] == bundle.id and state["bundle"] == str(bundle.folder)
        assert state["annotations"] == {"who": "me"}


def test_hooks_before_the_root_is_changed_see_the_hosts_paths(bundle: Bundle) -> None:
    """createContainer: in the container's namespaces, where the root is mounted as it will be."""
    log = bundle.folder / "log"
    bundle.config["hooks"] = {
        "createRuntime": [hook(bundle, f"readlink /proc/self/ns/mnt >>{log}")],
        "createContainer": [hook(bundle, f"{{ readlink /proc/self/ns/mnt; ls {bundle.root}/proc "
                                         f"| grep -x uptime; hostname; }} >>{log}")],
    }  # fmt: skip

    bundle.ok("create", bundle.id)

    runtime, container, mounted, name = log.read_text().split()
    pid = bundle.state()["pid"]
    assert runtime == os.readlink("/proc/self/ns/mnt")
    assert container == os.readlink(f"/proc/{pid}/ns/mnt") != runtime
    assert (mounted, name) == ("uptime", os.uname().nodename)


def test_a_start_hook_runs_inside_under_the_filter(bundle: Bundle) -> None:
    """Docker's own filter refuses clone3(2)."""
    refused = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}
    script = "cat >/state; readlink /proc/self/ns/pid >/namespace"
    bundle.config["hooks"] = {
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]
    }
    bundle.process["args"] = ["sh", "-c", "cat /state /namespace; readlink /proc/self/ns/pid"]
    (bundle.root / "bin/readlink").symlink_to("busybox")

    state, inside, again = (
        bundle.run(*bundle.process["args"]).replace("}pid", "}\npid").split("\n")[:3]
    )

    assert json.loads(state)["status"] == "created"
    assert inside == again


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_failing_hook_leaves_nothing(bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {kind: [hook(bundle, "exit 0"), hook(bundle, "echo no >&2; exit 3")]}

    reason = bundle.refused()

    assert reason == f"error running {kind} hook #1: exit status 3, output: no"
    assert "does not exist" in bundle("state", bundle.id).stderr


def test_a_failing_poststart_hook_stops_the_container(bundle: Bundle) -> None:
    bundle.config["hooks"] = {"poststart": [hook(bundle, "exit 1")]}
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("create", bundle.id)

    done = bundle("start", bundle.id)

    assert "error running poststart hook #0: exit status 1" in done.stderr
    assert done.returncode == 1 and bundle.state()["status"] == "stopped"


def test_a_failing_poststop_hook_is_a_warning(bundle: Bundle) -> None:
    after = bundle.folder / "after"
    bundle.config["hooks"] = {"poststop": [hook(bundle, "exit 1"), hook(bundle, f"echo >{after}")]}
    bundle.ok("create", bundle.id)

    done = bundle("delete", "--force", bundle.id)

    assert done.returncode == 0 and after.exists()
    assert "warning: error running poststop hook #0: exit status 1" in done.stderr


# the root file system


def test_mounts_are_in_the_specifications_order(bundle: Bundle) -> None:
    bind = {"destination": "/tmp/b", "source": str(bundle.folder), "options": ["rbind", "ro"]}
    bundle.config["mounts"] = [DEV, PROC, bind, PTS]

    lines = bundle.run("cat", "/proc/self/mountinfo").splitlines()

    targets = [line.split()[4] for line in lines]
    assert targets == ["/", "/dev", "/proc", "/tmp/b", "/dev/pts"]


def test_devices_are_made_where_the_bundle_mounts_no_dev(bundle: Bundle) -> None:
    bundle.config["mounts"] = [PROC]
    bundle.linux["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 7},
        {"path": "/tmp/pipe", "type": "p"},
    ]

    bundle.run("true")

    fuse, null = (os.stat(bundle.root / "dev" / name) for name in ("fuse", "null"))
    assert (fuse.st_rdev, fuse.st_uid, fuse.st_mode) == (
        os.makedev(10, 229),
        7,
        stat.S_IFCHR | 0o600,
    )
    assert (null.st_rdev, null.st_mode) == (os.makedev(1, 3), stat.S_IFCHR | 0o666)
    assert stat.S_ISFIFO(os.stat(bundle.root / "tmp/pipe").st_mode)
    assert os.readlink(bundle.root / "dev/stdin") == "/proc/self/fd/0"


def test_paths_are_masked_and_read_only(bundle: Bundle) -> None:
    (bundle.root / "etc/secret").write_text("s")
    bundle.linux["maskedPaths"] = ["/etc/secret", "/proc/acpi", "/nowhere"]
    bundle.linux["readonlyPaths"] = ["/etc", "/proc/sys"]
    script = "cat /etc/secret; echo >/etc/new; echo x >/etc/secret"

    done = bundle.run("sh", "-c", f"{script}; ls /etc; true")

    assert done == "secret\n"


def test_what_is_mounted_inside_does_not_show_on_the_host(bundle: Bundle) -> None:
    """A clone of a mount that is shared is its peer."""
    from pinnace.linux import mount, syscall
    from tests.linux import child

    def seen() -> str:
        mount.set_propagation("/", mount.MS_SHARED | mount.MS_REC)
        bundle.ok("create", bundle.id)
        return "\n".join(e.target for e in mount.mountinfo() if str(bundle.root) in e.target)

    assert child.call(seen, flags=syscall.CLONE_NEWNS) == ""


def test_a_foreign_mount_namespace_is_left_as_it_is(bundle: Bundle) -> None:
    bundle.without("mount")

    def targets() -> set[str]:
        return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}

    before = targets()
    try:
        output = bundle.run("sh", "-c", "ls /; head -n1 /proc/self/status")
    except AssertionError as error:
        if "mount proc to /proc: move_mount" in str(error):
            pytest.skip("needs mounts on detached mounts (Linux 6.15)")
        raise

    assert "proc" in output.split() and "Name:" in output and "boot" not in output.split()
    assert targets() == before


# namespaces and identities


def test_a_user_namespace_with_its_maps(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 200000, "size": 65536}]
    bundle.linux.update(uidMappings=maps, gidMappings=maps)

    script = "cat /proc/self/uid_map; stat -c '%u %t' /bin/busybox /dev/null; echo >/made"
    output = bundle.run("sh", "-c", script)

    assert output.split() == ["0", "200000", "65536", "0", "0", "0", "1"]
    assert os.stat(bundle.root / "made").st_uid == 0  # on disk as without a user namespace


def test_namespaces_are_joined_by_path(bundle: Bundle) -> None:
    donor = Bundle(bundle.folder / "donor")
    donor.process["args"] = ["sleep", "1000"]
    donor.ok("create", donor.id)
    pid = donor.state()["pid"]
    names = {"network": "net", "ipc": "ipc", "pid": "pid"}
    bundle.without(*names)
    bundle.linux["namespaces"] += [
        {"type": kind, "path": f"/proc/{pid}/ns/{name}"} for kind, name in names.items()
    ]

    bundle.ok("create", bundle.id)

    ours = bundle.state()["pid"]
    for name in names.values():
        assert os.readlink(f"/proc/{ours}/ns/{name}") == os.readlink(f"/proc/{pid}/ns/{name}")
    bundle.ok("delete", "-f", bundle.id)
    donor.clear()


def test_a_time_namespace_with_its_offsets(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "time"})
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000, "nanosecs": 0}}

    uptime = float(bundle.run("cat", "/proc/uptime").split()[0])

    assert uptime > 1_000_000
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("create", bundle.id)
    assert bundle.state()["pid"] in cgroup.at(f"/{bundle.id}").processes()


def test_who_the_process_is(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 10, "gid": 11, "additionalGids": [5, 6], "umask": 0o27}
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]
    bundle.process["oomScoreAdj"] = 77
    bundle.process["noNewPrivileges"] = True

    script = "id -u; id -g; id -G; umask; ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj"
    output = bundle.run("sh", "-c", f"{script}; grep NoNewPrivs /proc/self/status")

    assert output.split("\n")[:-1] == [
        "10",
        "11",
        "11 5 6",
        "0027",
        "64",
        "128",
        "77",
        "NoNewPrivs:\t1",
    ]


def test_the_umask_is_not_the_callers(bundle: Bundle) -> None:
    before = os.umask(0o077)
    try:
        assert bundle.run("sh", "-c", "umask") == "0022\n"
    finally:
        os.umask(before)


def test_exec_is_another_process_of_the_same_container(bundle: Bundle) -> None:
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("create", bundle.id)
    bundle.ok("start", bundle.id)

    done = bundle("exec", "--env", "A=b", "--cwd", "/tmp", "--user", "4:5", bundle.id,
                  "sh", "-c", "echo $A; pwd; id -u; id -g; exit 9")  # fmt: skip

    assert (done.returncode, done.stdout.split()) == (9, ["b", "/tmp", "4", "5"])


# cgroups


@pytest.mark.parametrize("own", [True, False], ids=["own-namespace", "hosts-namespace"])
def test_a_cgroup_mount_shows_the_containers_own_only(bundle: Bundle, own: bool) -> None:
    if cgroup.detect().version == 2 and not own:
        pytest.skip("v2 shows the host's tree without a cgroup namespace, as runc does")
    if own:
        bundle.linux["namespaces"].append({"type": "cgroup"})
    bundle.config["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]}
    )
    folder = "/sys/fs/cgroup" + ("/pids" if cgroup.detect().version == 1 else "")

    output = bundle.run("sh", "-c", f"cat {folder}/cgroup.procs; ls -d {folder}/*/; true")

    assert output.split()[0] == "1" and not [word for word in output.split() if "/" in word]


def test_limits_are_set_and_updated(bundle: Bundle) -> None:
    bundle.linux["resources"] = {"pids": {"limit": 50}}
    bundle.linux["cgroupsPath"] = bundle.id  # a relative one is below the root, too
    bundle.process["args"] = ["sleep", "1000"]
    bundle.ok("create", bundle.id)
    group = cgroup.at(f"/{bundle.id}")
    assert group.read("pids.max").strip() == "50"

    (bundle.folder / "resources").write_text('{"pids": {"limit": 60}}')
    bundle.ok("update", "--resources", str(bundle.folder / "resources"), bundle.id)

    assert group.read("pids.max").strip() == "60"


def test_all_processes_are_signalled(bundle: Bundle) -> None:
    bundle.process["args"] = ["sh", "-c", "sleep 1000 & exec sleep 1000"]
    bundle.ok("create", bundle.id)
    bundle.ok("start", bundle.id)
    until(lambda: len(json.loads(bundle.ok("ps", "-f", "json", bundle.id))) == 2)

    bundle.ok("kill", "--all", bundle.id, str(int(signal.SIGKILL)))

    until(lambda: bundle.state()["status"] == "stopped")


# seccomp


def test_a_filter_denies(bundle: Bundle) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    (bundle.root / "bin/mkdir").symlink_to("busybox")

    assert "No space left on device" in bundle.run("sh", "-c", "mkdir /x 2>&1; true")


def test_filters_without_newer_calls_let_us_work(bundle: Bundle) -> None:
    names = ["faccessat2", "close_range", "openat2", "clone3"]
    rule = {"names": names, "action": "SCMP_ACT_ERRNO"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}

    assert bundle.run("echo", "works") == "works\n"


def notify(bundle: Bundle) -> None:
    rule = {"names": ["sethostname"], "action": "SCMP_ACT_NOTIFY"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_a_listener_is_handed_over(bundle: Bundle, no_new_privileges: bool) -> None:
    notify(bundle)
    path = str(bundle.folder / "listener")
    bundle.linux["seccomp"] |= {"listenerPath": path, "listenerMetadata": "meta"}
    bundle.process["noNewPrivileges"] = no_new_privileges
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        bundle.ok("create", bundle.id)
        connection, _ = listener.accept()

    with connection:
        data, fds, _, _ = socket.recv_fds(connection, 65536, 2)
    told = json.loads(data)
    assert len(fds) == 1 and os.readlink(f"/proc/self/fd/{fds[0]}") == "anon_inode:seccomp notify"
    assert (told["fds"], told["metadata"]) == (["seccompFd"], "meta")
    assert told["pid"] == told["state"]["pid"] == bundle.state()["pid"]
    os.close(fds[0])


def test_a_filter_that_notifies_nobody_is_refused(bundle: Bundle) -> None:
    notify(bundle)

    assert "listenerPath" in bundle.refused()


# refusals


def changes() -> list[Any]:
    def change(text: str, reason: str) -> Any:
        return pytest.param(text, reason, id=reason.split(":")[0].replace(" ", "-")[:40])

    return [
        change("config['ociVersion'] = '2.0.0'", "unsupported ociVersion"),
        change("config.pop('process')", "process property must not be empty"),
        change("process['args'] = []", "args must not be empty"),
        change("process['cwd'] = 'tmp'", "Cwd must be an absolute path"),
        change("process['rlimits'] = [{'type': 'RLIMIT_X'}]", "invalid rlimit type: RLIMIT_X"),
        change("process['rlimits'] = [{'type': 'RLIMIT_CPU'}] * 2", "RLIMIT_CPU is given twice"),
        change("config['mounts'][0] = {'destination': 'x'}", "mount destination x not absolute"),
        change("linux['namespaces'].append({'type': 'pid'})", "duplicated namespace: pid"),
        change("linux['namespaces'].append({'type': 'fun'})", "unknown namespace: fun"),
        change("linux['namespaces'].append({'type': 'user'})", "user namespaces enabled, but no"),
        change("linux['timeOffsets'] = {'monotonic': {'secs': 1}}", "time namespace offsets"),
        change("linux['sysctl'] = {'kernel.panic': '1'}",
               'sysctl "kernel.panic" is not in a separate kernel namespace'),
        change("linux['rootfsPropagation'] = 'wild'", "rootfsPropagation=wild is not supported"),
        change("process['apparmorProfile'] = 'x'", "security label 'x' can not be set"),
        change("config['hooks'] = {'poststop': [{'path': 'x'}]}", "hook path 'x' is not absolute"),
        change("process['args'] = ['nothing']",
               'exec: "nothing": executable file not found in $PATH'),
        change("config['root']['path'] = 'nowhere'", "nowhere: no such file or directory"),
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), changes())
def test_what_is_refused(bundle: Bundle, change: str, reason: str) -> None:
    names = {"config": bundle.config, "process": bundle.process, "linux": bundle.linux}
    exec(change, names)

    assert reason in bundle.refused()


def test_a_sysctl_of_its_own_network(bundle: Bundle) -> None:
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "net/ipv4/ip_default_ttl": "77"}

    folder = "/proc/sys/net/ipv4"
    assert bundle.run("cat", f"{folder}/ip_forward", f"{folder}/ip_default_ttl") == "1\n77\n"


def test_a_personality(bundle: Bundle) -> None:
    bundle.linux["personality"] = {"domain": "LINUX32"}
    (bundle.root / "bin/uname").symlink_to("busybox")

    assert bundle.run("uname", "-m") in ("i686\n", "armv8l\n")


# questions about the runtime


def test_features(bundle: Bundle) -> None:
    document = json.loads(bundle.ok("features"))

    assert document["hooks"] == ["prestart", "createRuntime", "createContainer", "startContainer",
                                 "poststart", "poststop"]  # fmt: skip
    assert {"rbind", "ro", "rro", "nosuid"} <= set(document["mountOptions"])
    assert "user" in document["linux"]["namespaces"]
    assert "SCMP_ACT_NOTIFY" in document["linux"]["seccomp"]["actions"]


def test_the_list_of_containers(bundle: Bundle) -> None:
    bundle.ok("create", bundle.id)

    assert bundle.ok("list", "--quiet") == f"{bundle.id}\n"
    (entry,) = json.loads(bundle.ok("list", "--format", "json"))
    assert (entry["id"], entry["status"]) == (bundle.id, "created")
    assert bundle.ok("list").splitlines()[1].split()[:3] == [
        bundle.id,
        str(entry["pid"]),
        "created",
    ]
