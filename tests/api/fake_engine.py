"""A small engine in memory: the facade, kept as simply as the API's tests need it.

Containers run nothing: they echo what is attached, print what `say` is told, and end when killed.
"""

import itertools
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace import errors
from pinnace.api.facade import Exit, Filters, Readable, Shown
from pinnace.engine import filters as meanings
from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    EndpointSettings,
    ExecConfig,
    ExecRecord,
    HostConfig,
    NetworkingConfig,
    State,
    Status,
    UpdateConfig,
)
from pinnace.engine.requests import AttachOptions, LogOptions
from pinnace.oci import reference
from pinnace.supervisor import detach, frames

IMAGE_ID = "sha256:" + "a1" * 32


def hang_up(client: socket.socket) -> None:
    """Also when another thread reads from it."""
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    client.close()


class FakeReader:
    """A log that lives in memory; an eventfd says that it grew or ended."""

    def __init__(self, log: "FakeLog", options: LogOptions) -> None:
        self._log = log
        self._options = options
        self._position = (
            max(0, len(log.entries) - int(options.tail)) if options.tail.isdigit() else 0
        )
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.closed = False
        log.readers.append(self)

    def read(self) -> bytes:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            pass
        entries = self._log.entries[self._position :]
        self._position += len(entries)
        return b"".join(
            data if self._log.tty else frames.mux(stream, data)
            for stream, data in entries
            if getattr(self._options, stream)
        )

    def fileno(self) -> int:
        return self._fd

    @property
    def finished(self) -> bool:
        at_end = self._position == len(self._log.entries)
        return at_end and (self._log.ended or not self._options.follow)

    def wake(self) -> None:
        if not self.closed:
            os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._log.readers.remove(self)
            os.close(self._fd)


class FakeLog:
    def __init__(self, tty: bool) -> None:
        self.tty = tty
        self.entries: list[tuple[str, bytes]] = []
        self.ended = False
        self.readers: list[FakeReader] = []

    def add(self, stream: str, data: bytes) -> None:
        self.entries.append((stream, data))
        self.wake()

    def end(self) -> None:
        self.ended = True
        self.wake()

    def wake(self) -> None:
        for reader in list(self.readers):
            reader.wake()


class FakeEvents:
    def __init__(self) -> None:
        self.past: list[Shown] = []
        self.subscribers: list[FakeSubscription] = []
        self._lock = threading.Lock()

    def publish(self, kind: str, action: str, ident: str, **attributes: str) -> None:
        now = time.time_ns()
        event: Shown = {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": ident, "Attributes": attributes},
            "scope": "local",
            "time": now // 10**9,
            "timeNano": now,
        }
        with self._lock:
            self.past.append(event)
            for subscriber in self.subscribers:
                subscriber.tell(event)

    def subscribe(
        self, filters: Filters, since: int, until: int, callback: Callable[[Shown], None]
    ) -> "FakeSubscription":
        with self._lock:
            subscription = FakeSubscription(self, filters, callback)
            if since or until:
                for event in self.past:
                    if event["timeNano"] >= since:
                        subscription.tell(event)
            self.subscribers.append(subscription)
            return subscription


class FakeSubscription:
    def __init__(
        self, events: FakeEvents, filters: Filters, callback: Callable[[Shown], None]
    ) -> None:
        self._events = events
        self._filters = filters
        self._callback = callback

    def tell(self, event: Shown) -> None:
        kinds = self._filters.get("type", [event["Type"]])
        actions = self._filters.get("event", [event["Action"]])
        if event["Type"] in kinds and event["Action"] in actions:
            self._callback(event)

    def close(self) -> None:
        if self in self._events.subscribers:
            self._events.subscribers.remove(self)


class FakeContainers:
    def __init__(self, events: FakeEvents, images: "FakeImages") -> None:
        self.all: dict[str, Container] = {}
        self.logs_of: dict[str, FakeLog] = {}
        self.clients: dict[str, list[tuple[socket.socket, AttachOptions]]] = {}
        self.started: dict[str, threading.Event] = {}
        self.waiters: list[tuple[str, str, Future[Exit]]] = []
        self.stops: list[tuple[str, int | None, str | None]] = []
        self.created: list[tuple[Any, ...]] = []
        self._events = events
        self._images = images

    def create(
        self,
        name: str | None,
        config: ContainerConfig,
        host_config: HostConfig,
        networking: NetworkingConfig,
        platform: str | None,
    ) -> tuple[str, list[str]]:
        self.created.append((name, config, host_config, networking, platform))
        image = self._images.resolve(config.image)
        for other in self.all.values():
            if other.name == name:
                raise errors.Conflict(
                    f'Conflict. The container name "/{name}" is already in use by container '
                    f'"{other.id}". You have to remove (or rename) that container to be able to '
                    "reuse that name."
                )
        ident = secrets.token_hex(32)
        program, *args = config.cmd or ["sh"]
        self.all[ident] = Container(
            id=ident,
            name=name or f"fake_{ident[:6]}",
            created=time.time_ns(),
            path=program,
            args=args,
            config=replace(config, hostname=config.hostname or ident[:12]),
            host_config=host_config,
            networking=networking.endpoints_config or {"bridge": EndpointSettings()},
            image=image.id,
        )
        self.logs_of[ident] = FakeLog(config.tty)
        self.clients[ident] = []
        self.started[ident] = threading.Event()
        self._events.publish("container", "create", ident, image=config.image, name=name or "")
        return ident, []

    def get(self, ident: str) -> Container:
        for container in self.all.values():
            if ident == container.name or (ident and container.id.startswith(ident)):
                return container
        raise errors.NotFound(f"No such container: {ident}")

    def list(self, *, all: bool, limit: int, size: bool, filters: Filters) -> list[Container]:
        meanings.check(filters, meanings.CONTAINERS)
        found = [
            container
            for container in self.all.values()
            if (all or "status" in filters or limit > 0 or container.state.running)
            and container.state.status.value
            in filters.get("status", [container.state.status.value])
            and container.name in filters.get("name", [container.name])
            and set(filters.get("label", ())) <= set(container.config.labels)
        ]
        found.sort(key=lambda container: -container.created)
        return found[:limit] if limit > 0 else found

    def _change(self, container: Container, state: State) -> None:
        container.state = state
        container.version += 1

    def start(self, ident: str) -> None:
        container = self.get(ident)
        if container.state.running:
            raise errors.NotModified("container already started")
        state = State(status=Status.RUNNING, pid=4242, started_at=time.time_ns())
        self._change(container, state)
        self.logs_of[container.id].ended = False
        self.started[container.id].set()
        self._events.publish(
            "container", "start", container.id, image=container.config.image, name=container.name
        )

    def finish(self, ident: str, code: int) -> None:
        """The container's program ends."""
        container = self.get(ident)
        ended = msgspec.structs.replace(
            container.state,
            status=Status.EXITED,
            exit_code=code,
            pid=0,
            finished_at=time.time_ns(),
        )
        self._change(container, ended)
        self.logs_of[container.id].end()
        for client, _ in self.clients[container.id]:
            hang_up(client)
        self.clients[container.id].clear()
        for waiting, condition, future in list(self.waiters):
            if waiting == container.id and condition != "removed":
                self.waiters.remove((waiting, condition, future))
                if future.set_running_or_notify_cancel():
                    future.set_result((code, None))
        self._events.publish("container", "die", container.id, exitCode=str(code))
        if container.host_config.auto_remove:
            self.remove(container.id, force=False, volumes=True, link=False)

    def say(self, ident: str, data: bytes, stream: str = "stdout") -> None:
        """The container's program prints."""
        container = self.get(ident)
        self.logs_of[container.id].add(stream, data)
        for client, options in self.clients[container.id]:
            client.sendall(frames.mux(stream, data) if options.multiplexed else data)

    def stop(self, ident: str, timeout: int | None, signal: str | None) -> None:
        container = self.get(ident)
        self.stops.append((container.name, timeout, signal))
        if not container.state.running:
            raise errors.NotModified("container already stopped")
        self.finish(ident, 143)

    def restart(self, ident: str, timeout: int | None, signal: str | None) -> None:
        if self.get(ident).state.running:
            self.stop(ident, timeout, signal)
        self.start(ident)

    def kill(self, ident: str, signal: str | None) -> None:
        container = self.get(ident)
        if not container.state.running:
            raise errors.Conflict(f"container {container.id} is not running")
        self.finish(ident, 137)

    def pause(self, ident: str) -> None:
        container = self.get(ident)
        if not container.state.running:
            raise errors.Conflict(f"container {container.id} is not running")
        self._change(container, msgspec.structs.replace(container.state, status=Status.PAUSED))

    def unpause(self, ident: str) -> None:
        container = self.get(ident)
        self._change(container, msgspec.structs.replace(container.state, status=Status.RUNNING))

    def rename(self, ident: str, new_name: str) -> None:
        if not new_name:
            raise errors.Invalid("Neither old nor new names may be empty")
        container = self.get(ident)
        container.name = new_name
        container.version += 1

    def remove(self, ident: str, *, force: bool, volumes: bool, link: bool) -> None:
        container = self.get(ident)
        if container.state.running:
            if not force:
                raise errors.Conflict(
                    f'cannot remove container "{ident}": container is running: stop the container '
                    "before removing or force remove"
                )
            self.finish(ident, 137)
        del self.all[container.id]
        for waiting, condition, future in list(self.waiters):
            if waiting == container.id:
                self.waiters.remove((waiting, condition, future))
                if future.set_running_or_notify_cancel():
                    future.set_result((container.state.exit_code, None))

    def resize(self, ident: str, height: int, width: int) -> None:
        self.get(ident)

    def update(self, ident: str, update: UpdateConfig) -> Sequence[str]:
        container = self.get(ident)
        container.host_config = replace(container.host_config, memory=update.memory)
        container.version += 1
        return []

    def top(self, ident: str, ps_args: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        container = self.get(ident)
        return ["PID", "CMD"], [["4242", container.path]]

    def changes(self, ident: str) -> Sequence[tuple[int, str]]:
        self.get(ident)
        return [(1, "/etc"), (0, "/etc/new")]

    def prune(self, filters: Filters) -> tuple[Sequence[str], int]:
        gone = [container.id for container in self.all.values() if not container.state.running]
        for ident in gone:
            del self.all[ident]
        return gone, 0

    def sizes(self, ident: str) -> tuple[int, int]:
        return 7, 1007

    def wait(self, ident: str, condition: str) -> "Future[Exit]":
        container = self.get(ident)
        future: Future[Exit] = Future()
        if condition == "not-running" and not container.state.running:
            future.set_result((container.state.exit_code, None))
        else:
            self.waiters.append((container.id, condition, future))
        return future

    def check_attach(self, ident: str, options: AttachOptions) -> Container:
        container = self.get(ident)
        detach.parse(options.detach_keys)
        if container.state.paused:
            raise errors.Conflict(
                f"container {ident} is paused, unpause the container before attach"
            )
        return container

    def attach(self, ident: str, options: AttachOptions, client_fd: int, initial: bytes) -> None:
        client = socket.socket(fileno=client_fd)
        client.setblocking(True)
        try:
            container = self.get(ident)
        except errors.NotFound:
            client.close()
            raise
        client.sendall(options.head)
        if not options.stream:
            client.close()
            return
        self.clients[container.id].append((client, options))
        if options.stdin:
            threading.Thread(
                target=self._echo, args=(container, client, options, initial), daemon=True
            ).start()

    def _echo(
        self, container: Container, client: socket.socket, options: AttachOptions, data: bytes
    ) -> None:
        """Copies standard input to standard output; its end ends the container."""
        try:
            while data := data or client.recv(65536):
                client.sendall(data if not options.multiplexed else frames.mux("stdout", data))
                data = b""
        except OSError:
            return
        self.started[container.id].wait(10)
        if container.state.running:
            self.finish(container.id, 0)

    def logs(self, ident: str, options: LogOptions) -> FakeReader:
        return FakeReader(self.logs_of[self.get(ident).id], options)

    def export(self, ident: str) -> Iterator[bytes]:
        self.get(ident)
        yield b"a tar"
        yield b" stream"

    def commit(
        self,
        ident: str,
        *,
        repo: str,
        tag: str,
        comment: str,
        author: str,
        pause: bool,
        changes: Sequence[str],
        config: ContainerConfig | None,
    ) -> str:
        self.get(ident)
        image = FakeImage("sha256:" + secrets.token_hex(32), [familiar(repo, tag)])
        self._images.all.append(image)
        return image.id


class FakeExecs:
    def __init__(self, containers: FakeContainers) -> None:
        self.all: dict[str, ExecRecord] = {}
        self._containers = containers

    def create(self, ident: str, config: ExecConfig) -> str:
        container = self._containers.get(ident)
        if not container.state.running:
            raise errors.Conflict(f"container {container.id} is not running")
        record = ExecRecord(
            id=secrets.token_hex(32),
            container_id=container.id,
            config=config,
            open_stdin=config.attach_stdin,
            open_stdout=config.attach_stdout,
            open_stderr=config.attach_stderr,
        )
        self.all[record.id] = record
        return record.id

    def inspect(self, exec_id: str) -> ExecRecord:
        try:
            return self.all[exec_id]
        except KeyError:
            raise errors.NotFound(f"No such exec instance: {exec_id}") from None

    def check(self, exec_id: str) -> ExecRecord:
        record = self.inspect(exec_id)
        if record.exit_code is not None:
            raise errors.Conflict(f"Error: Exec command {exec_id} has already run")
        return record

    def start(
        self,
        exec_id: str,
        *,
        detach: bool,
        tty: bool,
        console_size: tuple[int, int] | None,
        client_fd: int | None,
        initial: bytes,
    ) -> None:
        """Prints its arguments, and what it is sent until the end of that."""
        client = socket.socket(fileno=client_fd) if client_fd is not None else None
        record = self.inspect(exec_id)
        record.exit_code = 3
        if client is None:
            return
        client.setblocking(True)
        if record.config.cmd == ["nosuch"]:
            client.close()
            raise errors.Invalid('exec: "nosuch": executable file not found in $PATH')
        text = " ".join(record.config.cmd).encode() + b"\n"
        client.sendall(text if tty else frames.mux("stdout", text))
        if record.config.attach_stdin:
            self._echo(client, initial, tty)
        client.close()

    def _echo(self, client: socket.socket, data: bytes, tty: bool) -> None:
        def run() -> None:
            rest = data
            with own:
                while rest := rest or own.recv(65536):
                    own.sendall(rest if tty else frames.mux("stdout", rest))
                    rest = b""

        own = client.dup()
        threading.Thread(target=run, daemon=True).start()

    def resize(self, exec_id: str, height: int, width: int) -> None:
        self.inspect(exec_id)


class FakeImage:
    def __init__(self, ident: str, tags: list[str]) -> None:
        self.id = ident
        self.tags = tags


def familiar(repo: str, tag: str = "") -> str:
    name = reference.parse(repo)
    return (reference.with_tag(name, tag) if tag else name.tagged()).familiar


class FakeImages:
    def __init__(self) -> None:
        self.all = [FakeImage(IMAGE_ID, ["busybox:latest"])]
        self.loaded = 0

    def resolve(self, name: str) -> FakeImage:
        for image in self.all:
            if name in (image.id, image.id.removeprefix("sha256:")):
                return image
        tagged = familiar(name)
        for image in self.all:
            if tagged in image.tags or image.id.removeprefix("sha256:").startswith(name):
                return image
        raise errors.NotFound(f"No such image: {tagged}")

    def list(self, *, all: bool, filters: Filters, shared_size: bool) -> list[Shown]:
        return [
            {
                "Containers": 2,
                "Created": 1700000000,
                "Id": image.id,
                "Labels": None,
                "ParentId": "",
                "RepoDigests": [],
                "RepoTags": image.tags,
                "SharedSize": 0 if shared_size else -1,
                "Size": 1000,
            }
            for image in self.all
        ]

    def inspect(self, reference: str) -> Shown:
        image = self.resolve(reference)
        return {
            "Id": image.id,
            "RepoTags": image.tags,
            "RepoDigests": [],
            "Created": "2023-11-14T22:13:20Z",
            "Config": {"Cmd": ["sh"]},
            "Architecture": "amd64",
            "Os": "linux",
            "Size": 1000,
            "GraphDriver": {"Data": None, "Name": "overlay2"},
            "RootFS": {"Type": "layers", "Layers": []},
            "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        }

    def history(self, reference: str) -> Sequence[Shown]:
        image = self.resolve(reference)
        return [
            {
                "Comment": "",
                "Created": 1700000000,
                "CreatedBy": "made",
                "Id": image.id,
                "Size": 1000,
                "Tags": image.tags,
            }
        ]

    def tag(self, reference: str, repo: str, tag: str) -> None:
        self.resolve(reference).tags.append(familiar(repo, tag))

    def remove(self, reference: str, *, force: bool, prune: bool) -> Sequence[Shown]:
        image = self.resolve(reference)
        self.all.remove(image)
        return [*({"Untagged": tag} for tag in image.tags), {"Deleted": image.id}]

    def prune(self, filters: Filters) -> tuple[Sequence[Shown], int]:
        return [], 0

    def load(self, archive: Readable) -> Iterator[str]:
        while data := archive.read(65536):
            if data.startswith(b"bad"):
                raise errors.Invalid("archive/tar: invalid tar header")
            self.loaded += len(data)
        yield "loaded:latest"
        yield IMAGE_ID

    def save(self, references: Sequence[str]) -> Iterator[bytes]:
        images = [self.resolve(reference) for reference in references]
        for image in images:
            yield image.id.encode()

    def import_(
        self,
        archive: Readable,
        *,
        repo: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str | None,
    ) -> str:
        archive.read()
        image = FakeImage("sha256:" + secrets.token_hex(32), [familiar(repo, tag)])
        self.all.append(image)
        return image.id


class FakeVolumes:
    def __init__(self) -> None:
        self.all: dict[str, Shown] = {}
        self.pruned_with: Filters = {}

    def create(
        self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]
    ) -> Shown:
        name = name or secrets.token_hex(32)
        shown: Shown = {
            "CreatedAt": "2026-11-23T17:38:46Z",
            "Driver": driver or "local",
            "Labels": labels or None,
            "Mountpoint": f"/volumes/{name}/_data",
            "Name": name,
            "Options": options or None,
            "Scope": "local",
        }
        return self.all.setdefault(name, shown)

    def inspect(self, name: str) -> Shown:
        try:
            return self.all[name]
        except KeyError:
            raise errors.NotFound(f"get {name}: no such volume") from None

    def list(self, filters: Filters) -> tuple[list[Shown], list[str]]:
        return list(self.all.values()), []

    def remove(self, name: str, *, force: bool) -> None:
        if name in self.all or not force:
            self.inspect(name)
            del self.all[name]

    def prune(self, filters: Filters) -> tuple[Sequence[str], int]:
        self.pruned_with = filters
        names = list(self.all)
        self.all.clear()
        return names, 0


class FakeNetworks:
    def __init__(self) -> None:
        self.all = [
            {
                "Name": name,
                "Id": f"{number:064x}",
                "Created": "2026-11-23T17:37:16.25824717Z",
                "Scope": "local",
                "Driver": driver,
                "EnableIPv4": True,
                "EnableIPv6": False,
                "IPAM": {"Driver": "default", "Options": None, "Config": None},
                "Internal": False,
                "Attachable": False,
                "Ingress": False,
                "ConfigFrom": {"Network": ""},
                "ConfigOnly": False,
                "Containers": {"c": {"Name": "c"}},
                "Options": {},
                "Labels": {},
            }
            for number, (name, driver) in enumerate(
                {"bridge": "bridge", "host": "host", "none": "null"}.items(), 1
            )
        ]

    def list(self, filters: Filters) -> list[Shown]:
        return self.all

    def inspect(self, ident: str) -> Shown:
        for network in self.all:
            if ident in (network["Name"], network["Id"]):
                return network
        raise errors.NotFound(f"network {ident} not found")

    def create(self, name: str) -> None:
        raise errors.Unsupported(f"no {name} yet")

    def remove(self, ident: str) -> None:
        name = self.inspect(ident)["Name"]
        raise errors.Forbidden(f"{name} is a pre-defined network and cannot be removed")

    def connect(self, ident: str, container: str) -> None:
        raise errors.Unsupported(f"no {container} on {ident} yet")

    def disconnect(self, ident: str, container: str) -> None:
        raise errors.Unsupported(f"no {container} on {ident} yet")


class FakeWatch:
    def __init__(self, containers: FakeContainers, container: Container) -> None:
        self._containers = containers
        self._container = container
        self._samples = itertools.count(1)

    def next(self) -> Shown:
        sample = next(self._samples)
        return {"name": f"/{self._container.name}", "sample": sample, "os_type": "linux"}

    @property
    def over(self) -> bool:
        return self._container.id not in self._containers.all


class FakeStats:
    def __init__(self, containers: FakeContainers) -> None:
        self._containers = containers

    def watch(self, ident: str) -> FakeWatch:
        return FakeWatch(self._containers, self._containers.get(ident))


class FakeSystem:
    def __init__(self, engine: "FakeEngine") -> None:
        self._engine = engine
        self.infos = itertools.count()

    def info(self) -> Shown:
        next(self.infos)
        containers = self._engine.containers.all.values()
        return {
            "ID": "fake",
            "Containers": len(containers),
            "ContainersRunning": sum(container.state.running for container in containers),
            "Driver": "overlay2",
            "KernelVersion": "6.1",
            "OperatingSystem": "",
            "OSType": "linux",
            "Name": "fake",
            "NCPU": 2,
            "MemTotal": 1 << 30,
            "ServerVersion": "1.0",
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"],
            "RegistryConfig": {"IndexConfigs": {}},
            "Runtimes": {"runc": {"path": "runc", "status": {"a": "b"}}},
            "RuncCommit": {"ID": "x"},
            "ContainerdCommit": {"ID": ""},
            "InitCommit": {"ID": ""},
            "FirewallBackend": {"Driver": "nftables"},
            "Containerd": {"Address": "none"},
            "Swarm": {"LocalNodeState": "inactive"},
            "Warnings": None,
        }

    def version(self) -> Shown:
        details = {"GitCommit": "unknown", "KernelVersion": "6.1", "Os": "linux", "Arch": "amd64"}
        return {
            "Platform": {"Name": "fake"},
            "Components": [{"Name": "Engine", "Version": "1.0", "Details": details}],
            "Version": "1.0",
            "Os": "linux",
            "Arch": "amd64",
            "GitCommit": "unknown",
            "GoVersion": "",
            "KernelVersion": "6.1",
        }

    def df(self) -> Shown:
        return {
            "containers": [
                (container, 7, 1007) for container in self._engine.containers.all.values()
            ],
            "images": self._engine.images.list(all=False, filters={}, shared_size=True),
            "layers_size": 1000,
            "volumes": [
                {**volume, "UsageData": {"RefCount": 0, "Size": 5}}
                for volume in self._engine.volumes.all.values()
            ],
        }


class FakeEngine:
    def __init__(self) -> None:
        self.events = FakeEvents()
        self.images = FakeImages()
        self.containers = FakeContainers(self.events, self.images)
        self.execs = FakeExecs(self.containers)
        self.volumes = FakeVolumes()
        self.networks = FakeNetworks()
        self.stats = FakeStats(self.containers)
        self.system = FakeSystem(self)
