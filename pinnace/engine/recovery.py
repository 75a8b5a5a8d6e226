"""What a killed daemon, or a reboot, has left: folders, cgroups and processes of no container.

Rule: only below this engine's own folders and its own cgroup parent, which bears its id; what
another engine on the machine has made is not ours to judge.
"""

import logging
import os
import signal

from pinnace.engine import keepers
from pinnace.engine.keepers import KeeperFailed
from pinnace.engine.launcher import Launcher
from pinnace.engine.registry import Registry
from pinnace.engine.settings import Settings
from pinnace.errors import PinnaceError
from pinnace.linux import cgroup, process
from pinnace.store.snapshots import Overlay
from pinnace.store.snapshotter import Kind
from pinnace.supervisor import protocol

_ID_LENGTH = 64
_log = logging.getLogger(__name__)


def sweep(
    settings: Settings,
    registry: Registry,
    launcher: Launcher,
    snapshots: Overlay,
    live: set[str],
) -> None:
    """After adoption: `live` are the ids whose supervisors were found and are ours to keep."""
    known = {container.id for container in registry.all()}
    for ident in _names(f"{settings.runtime_root}/containers"):
        if ident not in live:
            _end_supervisor(launcher.folder(ident))
            launcher.clear(ident)
    for ident in _names(f"{settings.data_root}/containers"):
        if ident not in known:
            _remove_tree(f"{settings.data_root}/containers/{ident}")
    for info in snapshots.all():
        # Others than containers' are the store's own to sweep.
        if info.kind is Kind.ACTIVE and len(info.key) == _ID_LENGTH and info.key not in known:
            snapshots.remove(info.key)
    for ident in cgroup.children(settings.cgroup_parent):
        if ident not in live:
            _end_cgroup(f"{settings.cgroup_parent}/{ident}")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _end_supervisor(folder: str) -> None:
    """A container of which there is no record: end it, and its keeper clears up."""
    try:
        channel = keepers.connect(folder)
    except OSError:
        return
    try:
        _, fds = keepers.ask(channel, protocol.Subscribe(), protocol.Status)
        process.send_signal(fds[0], signal.SIGKILL)
        process.await_exit(fds[0], 5)
        os.close(fds[0])
    except (PinnaceError, KeeperFailed):
        pass
    finally:
        channel.close()


def _end_cgroup(path: str) -> None:
    try:
        cgroup.end(path)
    except OSError as error:
        _log.warning("cgroup %s stays: %s", path, error)


def _remove_tree(path: str) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
