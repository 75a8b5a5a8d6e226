"""Pause, rename, remove, top, update, prune: the container's states and what each allows."""

import json
import re

import pytest

from bench.wire import Client, query
from tests.harness.deadline import until
from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root


def test_the_states_of_a_life(engine: Engine) -> None:
    ident = engine.create(name="pinnace-test-life")
    seen = [engine.inspect(ident)["State"]["Status"]]

    for verb in ("start", "pause", "unpause", "stop?t=0", "start", "kill"):
        engine.ok("POST", f"/containers/{ident}/{verb}")
        if verb == "kill":
            engine.wait(ident)
        seen.append(engine.inspect(ident)["State"]["Status"])

    assert seen == ["created", "running", "paused", "running", "exited", "running", "exited"]


def test_a_paused_container_stands_still(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; usleep 1000; done")
    until(lambda: engine.output(ident), "output")

    engine.ok("POST", f"/containers/{ident}/pause")
    # What was written before the pause may still be on its way into the log.
    until(lambda: engine.output(ident) == engine.output(ident), "a log that stands still")
    first = engine.output(ident)
    top = engine.get(f"/containers/{ident}/top")["Processes"]
    second = engine.output(ident)
    engine.ok("POST", f"/containers/{ident}/unpause")

    assert first == second
    assert len(top) >= 1
    until(lambda: len(engine.output(ident)) > len(second), "output after the pause")


def test_rename(engine: Engine) -> None:
    ident = engine.create("true", name="pinnace-test-old")

    assert engine.ok("POST", f"/containers/{ident}/rename?name=pinnace-test-new").status == 204

    assert engine.inspect("pinnace-test-new")["Name"] == "/pinnace-test-new"
    assert engine.request("GET", "/containers/pinnace-test-old/json").status == 404
    assert engine.inspect(engine.create("true", name="pinnace-test-old"))["Id"] != ident


def test_rename_of_a_running_container(engine: Engine) -> None:
    ident = engine.start(name="pinnace-test-old")

    engine.ok("POST", "/containers/pinnace-test-old/rename?name=pinnace-test-new")

    assert engine.inspect(ident)["State"]["Running"] is True


def test_a_name_is_made_when_none_is_given(engine: Engine) -> None:
    assert re.fullmatch(r"/[a-z]+_[a-z]+\d*", engine.inspect(engine.create("true"))["Name"])


def test_a_removed_container_is_gone_and_its_name_free(engine: Engine) -> None:
    first = engine.create("true", name="pinnace-test-name")

    assert engine.ok("DELETE", f"/containers/{first}").status == 204

    assert engine.request("GET", f"/containers/{first}/json").status == 404
    assert engine.create("true", name="pinnace-test-name") != first


def test_forced_removal_of_a_running_and_of_a_paused_container(engine: Engine) -> None:
    running, paused = engine.start(), engine.start()
    engine.ok("POST", f"/containers/{paused}/pause")

    answers = [engine.ok("DELETE", f"/containers/{i}?force=1").status for i in (running, paused)]

    assert answers == [204, 204]
    assert engine.mine() == []


def test_removal_with_v_takes_anonymous_volumes_only(docker: Docker, engine: Engine) -> None:
    options = ("-v", "/anonymous", "-v", "pinnace-test-kept:/named")
    ident = docker.ok("create", "--label", engine.label, *options, engine.image, "true")
    mounts = {m["Destination"]: m["Name"] for m in engine.inspect(ident)["Mounts"]}

    docker.ok("rm", "-f", "-v", ident)

    try:
        assert engine.request("GET", f"/volumes/{mounts['/anonymous']}").status == 404
        assert engine.request("GET", "/volumes/pinnace-test-kept").status == 200
    finally:
        engine.request("DELETE", "/volumes/pinnace-test-kept")


def test_removal_without_v_keeps_volumes(engine: Engine) -> None:
    ident = engine.create("true", Volumes={"/anonymous": {}})
    [mount] = engine.inspect(ident)["Mounts"]

    engine.ok("DELETE", f"/containers/{ident}")

    assert engine.ok("DELETE", f"/volumes/{mount['Name']}").status == 204


def test_auto_removal(engine: Engine) -> None:
    ident = engine.start("true", HostConfig={"AutoRemove": True})

    until(lambda: engine.request("GET", f"/containers/{ident}/json").status == 404, "its removal")


def test_top_shows_the_processes(engine: Engine) -> None:
    ident = engine.start("sh", "-c", "sleep 1234 & sleep 1235; wait")

    def shown(**arguments: str) -> tuple[list[str], list[str]]:
        """The titles, and of each process the last column."""
        top = engine.get(f"/containers/{ident}/top", **arguments)
        return top["Titles"], sorted(row[-1] for row in top["Processes"])

    # BusyBox's programs are called "exe" until they have given themselves a name.
    until(lambda: shown(ps_args="-o pid,comm")[1] == ["sh", "sleep", "sleep"], "both children")

    titles, commands = shown()
    assert titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert set(commands) >= {"sleep 1234", "sleep 1235"}
    assert shown(ps_args="-o pid,comm")[0] == ["PID", "COMMAND"]


def test_update_changes_limits_of_a_running_container(engine: Engine) -> None:
    ident = engine.start(HostConfig={"Memory": 64 << 20, "MemorySwap": 128 << 20})
    limits = {"Memory": 48 << 20, "MemorySwap": 96 << 20, "CpuShares": 256, "PidsLimit": 55}

    answer = engine.ok("POST", f"/containers/{ident}/update", limits).json()

    host = engine.inspect(ident)["HostConfig"]
    assert {key: host[key] for key in limits} == limits
    assert not answer.get("Warnings")
    script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max"
    code, out = _exec(engine, ident, script)
    assert (code, out.strip()) == (0, str(48 << 20))


def _exec(engine: Engine, ident: str, script: str) -> tuple[int, str]:
    result = engine.docker("exec", ident, "sh", "-c", script)
    return result.code, result.out


def test_update_of_the_restart_policy(engine: Engine) -> None:
    ident = engine.create("true")

    engine.ok("POST", f"/containers/{ident}/update", {"RestartPolicy": {"Name": "always"}})

    assert engine.inspect(ident)["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_changes_are_listed_by_kind(engine: Engine) -> None:
    script = "mkdir /new && echo x >/new/f; echo y >>/etc/passwd; rm /etc/group"
    ident = engine.start("sh", "-c", script)
    engine.wait(ident)

    found = {(item["Kind"], item["Path"]) for item in engine.get(f"/containers/{ident}/changes")}

    assert found == {
        (1, "/new"),
        (1, "/new/f"),
        (0, "/etc"),
        (0, "/etc/passwd"),
        (2, "/etc/group"),
    }


def test_prune_removes_what_does_not_run(engine: Engine) -> None:
    key, _, value = engine.label.partition("=")
    running, exited, created = engine.start(), engine.start("true"), engine.create("true")
    engine.wait(exited)
    filters = query(filters=json.dumps({"label": [f"{key}={value}"]}))

    answer = engine.ok("POST", "/containers/prune" + filters).json()

    assert set(answer["ContainersDeleted"]) == {exited, created}
    assert engine.mine() == [running]


def test_export_is_the_root_file_system(engine: Engine, api: Client) -> None:
    import io
    import tarfile

    ident = engine.start("sh", "-c", "echo made >/made")
    engine.wait(ident)

    archive = api.ok("GET", f"/containers/{ident}/export").body

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = set(tar.getnames())
        made = tar.extractfile("made")
        assert made is not None and made.read() == b"made\n"
    assert {"bin/busybox", "etc/passwd"} <= names


def test_commit_keeps_what_was_written(engine: Engine, api: Client) -> None:
    ident = engine.start("sh", "-c", "echo made >/made")
    engine.wait(ident)
    name = "pinnace-test/commit"
    wanted = query(
        container=ident, repo=name, tag="1", comment="why", changes='CMD ["cat","/made"]'
    )
    try:
        made = api.ok("POST", "/commit" + wanted).json()["Id"]

        image = engine.get(f"/images/{name}:1/json")
        assert (image["Id"], image["Comment"]) == (made, "why")
        assert image["Config"]["Cmd"] == ["cat", "/made"]
        assert engine.docker.ok("run", "--rm", "--network", "none", f"{name}:1") == "made"
    finally:
        engine.request("DELETE", f"/images/{name}:1?force=1")


def test_two_creations_of_one_name_at_once_make_one(engine: Engine) -> None:
    from concurrent.futures import ThreadPoolExecutor

    key, _, value = engine.label.partition("=")
    body = {"Image": engine.image, "Cmd": ["true"], "Labels": {key: value}}

    def create(_: int) -> int:
        return engine.request("POST", "/containers/create?name=pinnace-test-race", body).status

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, range(8)))

    assert answers == [201] + [409] * 7


def test_starts_stops_and_removals_at_once_end_in_a_legal_state(engine: Engine) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ident = engine.create()
    verbs = ["start", "stop?t=0", "kill", "restart?t=0", "pause", "unpause"] * 4

    def act(verb: str) -> int:
        return engine.request("POST", f"/containers/{ident}/{verb}").status

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(act, verbs))

    assert answers <= {200, 204, 304, 404, 409, 500}
    state = engine.inspect(ident)["State"]
    assert state["Status"] in {"running", "exited", "paused"}
    assert state["Running"] is (state["Status"] != "exited")
    engine.remove(ident)
    assert engine.mine() == []


@pytest.mark.docker
def test_the_first_hour_by_the_command_line(docker: Docker, engine: Engine, image: str) -> None:
    name = "pinnace-test-hour"
    docker.ok("create", "--name", name, "--label", engine.label, image, "sleep", "1000")
    for command in ("start", "pause", "unpause", "restart -t 0", "stop -t 0", "start", "kill"):
        docker.ok(*command.split(), name)
    docker.ok("wait", name)
    docker.ok("rename", name, f"{name}-2")

    assert docker.ok("inspect", "-f", "{{.State.ExitCode}}", f"{name}-2") == "137"
    assert docker.ok("rm", f"{name}-2") == f"{name}-2"
