"""The engine: opens everything in order, finds what goes on without it, closes in reverse.

with Engine.open(Settings(data_root=..., runtime_root=...)) as engine:
    ident, _ = engine.containers.create("web", ContainerConfig(image="host", cmd=["id"]))
    engine.containers.start(ident)
    code, _ = engine.containers.wait(ident).result()
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from pinnace import errors
from pinnace.engine import bundle, facts, machine, recovery
from pinnace.engine.containers import Containers
from pinnace.engine.creation import Creation
from pinnace.engine.documents import Container, ContainerConfig, HostConfig, LogConfig
from pinnace.engine.events import Events
from pinnace.engine.execs import Execs
from pinnace.engine.idranges import IdRanges
from pinnace.engine.keepers import Zygote
from pinnace.engine.launcher import Launcher, preparation
from pinnace.engine.merge import completed
from pinnace.engine.monitor import Monitor
from pinnace.engine.networks import Networks
from pinnace.engine.pool import Pool
from pinnace.engine.registry import Registry
from pinnace.engine.removal import Removal
from pinnace.engine.rootfiles import RootFiles
from pinnace.engine.runs import Runs
from pinnace.engine.settings import Settings, installed_runtimes
from pinnace.engine.stats import Stats
from pinnace.engine.system import System
from pinnace.engine.tails import Tails
from pinnace.engine.volumes import Volumes
from pinnace.engine.waits import Waits
from pinnace.linux import cgroup
from pinnace.runtime.container import Preparation
from pinnace.store.database import Database
from pinnace.store.images import Images
from pinnace.store.removal import Use
from pinnace.store.snapshots import Overlay


class Engine:
    """Made by `open`; its parts are what the API offers, one attribute a noun."""

    def __init__(self, settings: Settings, undo: ExitStack) -> None:
        self._undo = undo
        settings = _with_runtimes(settings)
        self.settings = settings = _folders(settings, undo)
        database = Database(f"{settings.data_root}/pinnace.db")
        undo.callback(database.close)
        self.id = _identity(database)
        self.settings = settings = _with_cgroup_parent(settings, self.id)
        self.machine = machine.read()

        self.events = Events()
        self._registry = Registry(database)
        self._snapshots = snapshots = Overlay(f"{settings.data_root}/snapshots", database)
        undo.callback(snapshots.close)
        self.images = Images(
            f"{settings.data_root}/content",
            database,
            snapshots,
            uses=self._uses,
            notify=self._image_changed,
            hidden=[settings.data_root, settings.runtime_root],
        )
        self.volumes = Volumes(database, f"{settings.data_root}/volumes", self.events)

        undo.callback(self._leave)
        zygote = Zygote()
        undo.callback(zygote.close)
        ranges = IdRanges()
        monitor = Monitor()
        undo.callback(monitor.close)
        self._pool = pool = Pool(zygote, ranges, settings.pool_depth)
        undo.callback(pool.close)
        launcher = Launcher(settings, self.machine, zygote)
        waits, tails = Waits(), Tails()

        self.execs = Execs(self._registry, launcher, self.machine, self.events)
        self._runs = runs = Runs(
            registry=self._registry,
            launcher=launcher,
            zygote=zygote,
            pool=pool,
            ranges=ranges,
            monitor=monitor,
            snapshots=snapshots,
            events=self.events,
            waits=waits,
        )
        undo.callback(runs.close)
        creation = Creation(
            settings=settings,
            machine=self.machine,
            registry=self._registry,
            images=self.images.store,
            snapshots=snapshots,
            volumes=self.volumes,
            launcher=launcher,
            pool=pool,
            events=self.events,
        )
        removal = Removal(
            settings=settings,
            registry=self._registry,
            runs=runs,
            launcher=launcher,
            snapshots=snapshots,
            volumes=self.volumes,
            pool=pool,
            events=self.events,
            waits=waits,
        )
        self.containers = Containers(
            settings=settings,
            machine=self.machine,
            registry=self._registry,
            creation=creation,
            runs=runs,
            removal=removal,
            launcher=launcher,
            execs=self.execs,
            files=RootFiles(self.images, snapshots),
            tails=tails,
            events=self.events,
            waits=waits,
        )
        self.networks = Networks(database, self._registry)
        self.system = System(
            settings=settings,
            machine=self.machine,
            registry=self._registry,
            images=self.images,
            snapshots=snapshots,
            volumes=self.volumes,
            events=self.events,
            identity=self.id,
        )
        self.stats = Stats(self._registry, self.machine, runs.cgroup)
        runs.before_start = self._before_start
        runs.exec_exited = self.execs.exited
        runs.remove_automatically = removal.automatically
        runs.ended = [
            self.execs.container_exited,
            lambda container: tails.ended(container.id),
            lambda container: self.volumes.unmount(container.id),
        ]
        self._recover(launcher, removal)
        pool.prepare_like(self._ordinary(launcher))

    @classmethod
    def open(cls, settings: Settings | None = None) -> "Engine":
        """Take possession of the data root; raises errors.Conflict if another engine has it."""
        with ExitStack() as undo:
            engine = cls(settings or Settings(), undo)
            engine._undo = undo.pop_all()
            return engine

    def close(self) -> None:
        """Let go of everything but the containers: they run on, and the next engine finds them."""
        self._undo.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recover(self, launcher: Launcher, removal: Removal) -> None:
        self._runs.adopt()
        removal.finish()
        recovery.sweep(
            self.settings, self._registry, launcher, self._snapshots, set(self._runs.live)
        )
        self._runs.begin_policies()

    def _before_start(self, container: Container) -> None:
        self.networks.check(container)
        self.volumes.mount(container.mounts, container.id)

    def _leave(self) -> None:
        """The cgroup parent, unless containers are in it."""
        try:
            if not cgroup.children(self.settings.cgroup_parent):
                cgroup.at(self.settings.cgroup_parent).remove()
        except OSError:
            pass  # a container has come or not gone yet

    def _ordinary(self, launcher: Launcher) -> Preparation:
        """What most containers' shells look like."""
        host = completed(HostConfig(), self.machine, LogConfig())
        container = Container(id="0" * 64, path="true", config=ContainerConfig(), host_config=host)
        known = facts.HostFacts(
            machine=self.machine,
            id_base=bundle.RANGES_START if launcher.private_users else 0,
            cgroup_parent=self.settings.cgroup_parent,
        )
        return preparation(bundle.spec_for(container, facts=known))

    def _uses(self, image: str) -> Iterator[Use]:
        for container in self._registry.all():
            if container.image == image:
                yield Use(container.id, container.state.running)

    def _image_changed(self, action: str, image: str, attributes: dict[str, str]) -> None:
        self.events.publish("image", action, image, attributes)


def _folders(settings: Settings, undo: ExitStack) -> Settings:
    """Absolute, made, and locked: one engine to a data root."""
    roots = {key: os.path.abspath(getattr(settings, key)) for key in ("data_root", "runtime_root")}
    settings = msgspec.structs.replace(settings, **roots)
    # I21: nobody but root gets at layers, volumes and sockets through here.
    for root in (settings.data_root, settings.runtime_root):
        for folder in (root, f"{root}/containers"):
            os.makedirs(folder, 0o710, exist_ok=True)
            os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) & 0o710)
    lock_fd = os.open(f"{settings.data_root}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    undo.callback(os.close, lock_fd)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise errors.Conflict(f"another engine is using {settings.data_root}") from None
    return settings


def _with_runtimes(settings: Settings) -> Settings:
    runtimes = installed_runtimes(os.environ.get("PATH")) | settings.runtimes
    return msgspec.structs.replace(settings, runtimes=runtimes)


def _identity(database: Database) -> str:
    """The engine's id, made at its first start."""
    known = database.meta("engine id")
    if known is None:
        known = secrets.token_hex(16).encode()
        database.put_meta("engine id", known)
    return known.decode()


def _with_cgroup_parent(settings: Settings, identity: str) -> Settings:
    if settings.cgroup_parent:
        return settings
    return msgspec.structs.replace(settings, cgroup_parent=f"/pinnace-{identity[:12]}")
