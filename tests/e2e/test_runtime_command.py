"""`pinnace runtime`: an OCI bundle's life by the verbs that runc has."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import kernel, rootfs
from tests.harness.daemon import command
from tests.harness.deadline import until

pytestmark = [pytest.mark.root, pytest.mark.ours]


class Bundle:
    """A bundle with a busybox root file system, and the runtime that acts on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ident = folder / "bundle", f"pinnace-test-{os.getpid()}"
        self.root = folder / "state"
        self.folder.mkdir()
        with tarfile.open(fileobj=io.BytesIO(rootfs.archive())) as tar:
            tar.extractall(self.folder / "rootfs", filter="fully_trusted")

    def configure(self, *words: str, **process: Any) -> None:
        namespaces = ("pid", "mount", "ipc", "uts", "network")
        config = {
            "ociVersion": "1.0.2",
            "process": {
                "args": list(words),
                "env": ["PATH=/bin"],
                "cwd": "/",
                "user": {"uid": 0, "gid": 0},
                **process,
            },
            "root": {"path": "rootfs"},
            "hostname": "bundle",
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {
                "namespaces": [{"type": name} for name in namespaces],
                "cgroupsPath": f"/{self.ident}",
            },
        }
        (self.folder / "config.json").write_text(json.dumps(config))

    def __call__(self, verb: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command(), "runtime", "--root", str(self.root), verb, *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )

    def ok(self, verb: str, *words: str) -> str:
        done = self(verb, *words)
        assert done.returncode == 0, f"{verb}: {done.stderr}"
        return done.stdout

    def state(self) -> Any:
        return json.loads(self.ok("state", self.ident))

    def until_stopped(self) -> None:
        until(lambda: self.state()["status"] == "stopped", "its end")


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    made = Bundle(tmp_path)
    made.configure("sleep", "1000")
    yield made
    made("delete", "--force", made.ident)
    assert not list(kernel.cgroups_of(f"/{made.ident}"))
    assert not list(kernel.mounts_below(tmp_path))


def detached(bundle: Bundle) -> None:
    """`create` with streams of its own: the container holds them until its end."""
    subprocess.run(
        [*command(), "runtime", "--root", str(bundle.root), "create", bundle.ident],
        cwd=bundle.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=30,
        check=True,
    )


def test_the_states_of_a_life(bundle: Bundle) -> None:
    detached(bundle)
    created = bundle.state()
    bundle.ok("start", bundle.ident)
    running = bundle.state()
    bundle.ok("kill", bundle.ident, "KILL")
    bundle.until_stopped()
    bundle.ok("delete", bundle.ident)

    assert (created["status"], running["status"]) == ("created", "running")
    assert created["pid"] == running["pid"] > 0
    assert (created["id"], created["bundle"]) == (bundle.ident, str(bundle.folder))
    assert bundle("state", bundle.ident).returncode != 0


def test_run_gives_output_and_exit_code(bundle: Bundle) -> None:
    bundle.configure("sh", "-c", "echo $(hostname) $$; exit 7")

    done = bundle("run", bundle.ident)

    assert (done.returncode, done.stdout) == (7, "bundle 1\n")


def test_exec_and_ps(bundle: Bundle) -> None:
    detached(bundle)
    bundle.ok("start", bundle.ident)

    done = bundle("exec", bundle.ident, "sh", "-c", "echo inside; exit 3")

    assert (done.returncode, done.stdout) == (3, "inside\n")
    pids = json.loads(bundle.ok("ps", "--format", "json", bundle.ident))
    assert pids == [bundle.state()["pid"]]


def test_a_running_container_is_not_deleted_without_force(bundle: Bundle) -> None:
    detached(bundle)
    bundle.ok("start", bundle.ident)

    assert bundle("delete", bundle.ident).returncode != 0
    bundle.ok("delete", "--force", bundle.ident)


def test_an_id_is_used_once(bundle: Bundle) -> None:
    detached(bundle)

    assert bundle("create", bundle.ident).returncode != 0


@pytest.mark.parametrize(("word", "code"), [("no-such-command", 127), ("/etc", 126)])
def test_what_cannot_be_run_leaves_nothing(bundle: Bundle, word: str, code: int) -> None:
    bundle.configure(word)

    done = bundle("run", bundle.ident)

    assert done.returncode in (1, code)
    assert word in done.stderr
    assert bundle("state", bundle.ident).returncode != 0


def test_a_pid_file_is_written(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    subprocess.run(
        [
            *command(),
            "runtime",
            "--root",
            str(bundle.root),
            "create",
            "--pid-file",
            str(file),
            bundle.ident,
        ],
        cwd=bundle.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=30,
        check=True,
    )

    assert int(file.read_text()) == bundle.state()["pid"]
