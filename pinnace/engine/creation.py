"""`docker create`: a client's documents, checked and completed, → a container that can start."""

import os
import time
from contextlib import ExitStack

from pinnace import errors
from pinnace.engine import bundle, merge, mountspecs, names, validate
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    HostConfig,
    LogConfig,
    MountPoint,
    NetworkingConfig,
)
from pinnace.engine.events import Events
from pinnace.engine.facts import Machine
from pinnace.engine.launcher import Launcher
from pinnace.engine.pool import Pool
from pinnace.engine.registry import Registry
from pinnace.engine.settings import Settings
from pinnace.engine.volumes import Volumes
from pinnace.linux import failpoint
from pinnace.store.imagestore import Image, ImageStore
from pinnace.store.snapshots import Overlay

_NAME_ATTEMPTS = 20
_ANY_RANGE = bundle.RANGES_START


class Creation:
    def __init__(
        self,
        *,
        settings: Settings,
        machine: Machine,
        registry: Registry,
        images: ImageStore,
        snapshots: Overlay,
        volumes: Volumes,
        launcher: Launcher,
        pool: Pool,
        events: Events,
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._registry = registry
        self._images = images
        self._snapshots = snapshots
        self._volumes = volumes
        self._launcher = launcher
        self._pool = pool
        self._events = events
        self._log = LogConfig(type=settings.log_driver, config=settings.log_options)
        runtimes = {*validate.RUNTIMES, *settings.runtimes}
        self._runtimes = frozenset(runtimes)

    def create(
        self,
        name: str | None,
        config: ContainerConfig | None,
        host: HostConfig | None,
        networking: NetworkingConfig | None,
        platform: str | None,
    ) -> tuple[str, list[str]]:
        """(id, warnings); nothing is left of a container that can't be made."""
        checked = validate.create(
            config,
            host,
            networking,
            self._machine,
            exists=os.path.exists,
            runtimes=self._runtimes,
        )
        wanted_name = names.check(name) if name else ""
        image = self._image(checked.config.image, platform)
        merged = merge.merged(checked.config, self._image_config(image))
        completed = merge.completed(
            checked.host, self._machine, self._log, runtime=self._settings.default_runtime
        )
        validate.log_config(completed.log_config)
        self._check_donors(completed)
        ident = self._pool.reserve()
        with ExitStack() as undo:
            undo.callback(self._pool.discard, ident)
            container = self._record(ident, merged, completed, image)
            container.networking = merge.endpoints(completed, checked.endpoints)
            layers = self._snapshots.prepare(
                ident, image.snapshot if image else None, volatile=completed.auto_remove
            )
            undo.callback(self._snapshots.remove, ident)
            os.makedirs(self._folder(ident), 0o710)
            undo.callback(os.rmdir, self._folder(ident))
            failpoint.hit("create-prepared")
            container.mounts = self._mounts(container)
            stack = [layers.upper, *layers.lowers]
            self._volumes.provide(container.mounts, ident, stack)
            undo.callback(self._volumes.release, ident, container.mounts)
            self._register(container, wanted_name)
            undo.pop_all()
        self._events.container("create", container)
        return ident, [*checked.warnings, *self._warnings(container)]

    def _warnings(self, container: Container) -> list[str]:
        if not any(point.type == "bind" for point in container.mounts):
            return []
        warning = bundle.userns_warning(container, self._launcher.gather(container, _ANY_RANGE, {}))
        return [warning] if warning else []

    def _image(self, name: str, platform: str | None) -> Image | None:
        """None for a container without an image, which Docker allows too."""
        if not name:
            return None
        image = self._images.resolve(name)
        if platform:
            self._check_platform(name, image, platform)
        return image

    def _check_platform(self, name: str, image: Image, platform: str) -> None:
        system, _, rest = platform.partition("/")
        architecture = rest.partition("/")[0]
        have = (image.config.os or "linux", image.config.architecture or "")
        if (system, architecture or have[1]) != have:
            raise errors.NotFound(
                f"image with reference {name} was found but does not match the specified "
                f"platform: wanted {platform}, actual: {'/'.join(have)}"
            )

    @staticmethod
    def _image_config(image: Image | None) -> ContainerConfig:
        return merge.of_image(image.config.config) if image else ContainerConfig()

    def _check_donors(self, host: HostConfig) -> None:
        """Those of `--network` may come later: Docker looks for them at the start."""
        for mode in (host.ipc_mode, host.pid_mode):
            if mode.startswith("container:"):
                self._named(mode.removeprefix("container:"))
        for link in host.links:
            name = link.partition(":")[0]
            try:
                self._registry.get(name)
            except errors.NotFound as error:
                message = f"could not get container for {name}: {error.message}"
                raise errors.Invalid(message) from None

    def _named(self, ident: str) -> Container:
        """Another container that a request names: it is wrong if there is none."""
        try:
            return self._registry.get(ident)
        except errors.NotFound as error:
            raise errors.Invalid(error.message) from None

    def _folder(self, ident: str) -> str:
        return f"{self._settings.data_root}/containers/{ident}"

    def _record(
        self, ident: str, config: ContainerConfig, host: HostConfig, image: Image | None
    ) -> Container:
        path, args = merge.command(config)
        folder = self._folder(ident)
        donor = self._network_donor(host)
        return Container(
            id=ident,
            created=time.time_ns(),
            path=path,
            args=args,
            config=merge.named(config, host, ident, self._machine),
            host_config=host,
            image=image.id if image else "",
            log_path="" if host.log_config.type == "none" else f"{folder}/{ident}-json.log",
            hostname_path=f"{folder}/hostname" if donor is None else donor.hostname_path,
            hosts_path=f"{folder}/hosts" if donor is None else donor.hosts_path,
            resolv_conf_path=f"{folder}/resolv.conf" if donor is None else donor.resolv_conf_path,
        )

    def _network_donor(self, host: HostConfig) -> Container | None:
        """Who shares its network shares its names too."""
        mode = host.network_mode
        if not mode.startswith("container:"):
            return None
        try:
            return self._registry.get(mode.removeprefix("container:"))
        except errors.NotFound:
            return None

    def _mounts(self, container: Container) -> list[MountPoint]:
        return mountspecs.mount_points(
            container.config,
            container.host_config,
            exists=os.path.exists,
            others=lambda ident: self._named(ident).mounts,
        )

    def _register(self, container: Container, name: str) -> None:
        """Under the name asked for, or one of ours that is free."""
        for attempt in range(_NAME_ATTEMPTS):
            container.name = name or names.generate(attempt)
            try:
                self._registry.add(container)
                return
            except errors.Conflict:
                if name or attempt == _NAME_ATTEMPTS - 1:
                    raise
