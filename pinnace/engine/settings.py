"""How an engine is set up: where its state lives, and the defaults of its containers."""

import shutil

import msgspec

from pinnace import errors


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """data_root survives a reboot, runtime_root must not; sizes are bytes.

    An empty cgroup_parent is one that bears the engine's id: "/pinnace-<id>".
    `runtimes` are other OCI runtimes by name, each a command; ours is "pinnace".
    """

    data_root: str = "/var/lib/pinnace"
    runtime_root: str = "/run/pinnace"
    cgroup_parent: str = ""
    pool_depth: int = 2
    shm_size: int = 64 << 20
    log_driver: str = "json-file"
    log_options: dict[str, str] = {}
    init: bool = False
    labels: list[str] = []
    debug: bool = False
    runtimes: dict[str, list[str]] = {}
    default_runtime: str = "pinnace"
    stop_timeout: int = 10

    def runtime_command(self, name: str) -> list[str]:
        """The command of another runtime, or nothing for ours."""
        name = name or self.default_runtime
        if name in self.runtimes:
            return self.runtimes[name]
        if name in OWN_NAMES:
            return []
        raise errors.Invalid(f"unknown or invalid runtime name: {name}")


# "runc" is what clients of Docker write for "the ordinary one"; where the binary is installed,
# it means the binary.
OWN_NAMES = ("pinnace", "runc", "io.containerd.runc.v2")
_BINARIES = ("runc", "crun", "youki", "runsc", "kata-runtime")


def installed_runtimes(folders: str | None) -> dict[str, list[str]]:
    """Other OCI runtimes that are found in the folders of a PATH."""
    found = {}
    for name in _BINARIES:
        path = shutil.which(name, path=folders)
        if path:
            found[name] = [path]
    return found
