"""A bundle for the runtime's command line: busybox as root file system, a plain specification."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.harness import kernel, rootfs
from tests.harness.deadline import SLOW

_MAIN = "import sys; from pinnace.runtime import command; sys.exit(command.main(sys.argv[1:]))"
APPLETS = (
    "cat",
    "echo",
    "false",
    "grep",
    "head",
    "id",
    "ls",
    "mount",
    "sh",
    "sleep",
    "stat",
    "true",
)
PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
DEV = {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}
PTS = {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
       "options": ["newinstance", "ptmxmode=0666"]}  # fmt: skip
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]


class Bundle:
    """`configure` writes config.json, a call runs one verb."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = f"pinnace-test-{secrets.token_hex(6)}"
        self.root = folder / "rootfs"
        (self.root / "bin").mkdir(parents=True)
        for name in ("dev", "etc", "proc", "sys", "tmp"):
            (self.root / name).mkdir()
        self.busybox = self.root / "bin/busybox"
        self.busybox.write_bytes(Path(rootfs.busybox()).read_bytes())
        self.busybox.chmod(0o755)
        for applet in APPLETS:
            (self.root / "bin" / applet).symlink_to("busybox")
        for path in (folder, *folder.parents):
            if os.stat(path).st_uid == os.geteuid() and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o111)  # a container's root is nobody to the host
        self.config = self._config()

    def _config(self) -> dict[str, Any]:
        kinds = ("pid", "mount", "ipc", "uts", "network")
        sets = ("bounding", "effective", "permitted")
        return {
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "hostname": "bundle",
            "process": {
                "args": ["true"],
                "env": ["PATH=/bin"],
                "cwd": "/",
                "user": {"uid": 0, "gid": 0},
                "capabilities": dict.fromkeys(sets, CAPABILITIES),
            },
            "mounts": [PROC, DEV, PTS],
            "linux": {
                "namespaces": [{"type": kind} for kind in kinds],
                "cgroupsPath": f"/{self.id}",
            },
        }

    @property
    def process(self) -> dict[str, Any]:
        return self.config["process"]  # type: ignore[no-any-return]

    @property
    def linux(self) -> dict[str, Any]:
        return self.config["linux"]  # type: ignore[no-any-return]

    def without(self, *kinds: str) -> None:
        namespaces = self.linux["namespaces"]
        self.linux["namespaces"] = [each for each in namespaces if each["type"] not in kinds]

    def __call__(self, verb: str, *words: str) -> "subprocess.CompletedProcess[str]":
        if verb in ("create", "run"):
            (self.folder / "config.json").write_text(json.dumps(self.config))
        options = ["--root", str(self.folder / "state")]
        # Files, not pipes: a created container holds them open until its end.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                [sys.executable, "-c", _MAIN, *options, verb, *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=30 * SLOW,
                check=False,
            )
            texts = [file.seek(0) or file.read() for file in (out, err)]
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    def ok(self, verb: str, *words: str) -> str:
        done = self(verb, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *args: str) -> str:
        """What a container with this command writes."""
        self.process["args"] = list(args)
        return self.ok("run", self.id)

    def refused(self, *args: str) -> str:
        """Why a container can't be created."""
        if args:
            self.process["args"] = list(args)
        done = self("create", self.id)
        assert done.returncode != 0, "it was created"
        return done.stderr.strip().removeprefix("pinnace runtime: ")

    def state(self) -> dict[str, Any]:
        return json.loads(self.ok("state", self.id))  # type: ignore[no-any-return]

    def clear(self) -> None:
        """Remove what is left; nothing may be left beside it."""
        self("delete", "--force", self.id)
        assert not list((self.folder / "state").glob("*")), "state was left"
        assert not list(kernel.cgroups_of(f"/{self.id}")), "cgroups were left"
        assert not list(kernel.mounts_below(self.folder)), "mounts were left"
