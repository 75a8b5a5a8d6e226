"""A container's record as the JSON of `inspect` and of `ps`.

A list item is four encoded pieces with what changes by itself between them (the image's name, the
sizes, the age); the pieces are kept until the record changes.
"""

import time
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from pinnace.api.messages import Version
from pinnace.api.types import human_duration, show_time
from pinnace.engine import codec
from pinnace.engine.documents import Container, Health, MountPoint, State, Status

Shown: TypeAlias = dict[str, Any]

encode = msgspec.json.encode


def inspect(container: Container, sizes: tuple[int, int] | None) -> Shown:
    """The newest version's document."""
    shown: Shown = {
        "Id": container.id,
        "Created": show_time(container.created),
        "Path": container.path,
        "Args": container.args,
        "State": show_state(container.state),
        "Image": container.image,
        "ResolvConfPath": container.resolv_conf_path,
        "HostnamePath": container.hostname_path,
        "HostsPath": container.hosts_path,
        "LogPath": container.log_path,
        "Name": "/" + container.name,
        "RestartCount": container.restart_count,
        "Driver": container.driver,
        "Platform": container.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": container.exec_ids or None,
        "HostConfig": codec.show(container.host_config),
        "GraphDriver": {"Data": None, "Name": container.driver},
    }
    if sizes is not None:
        shown["SizeRw"], shown["SizeRootFs"] = sizes
    shown["Mounts"] = [show_mount(mount) for mount in container.mounts]
    shown["Config"] = codec.show(container.config)
    shown["NetworkSettings"] = {
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": ports(container),
        "Networks": {name: codec.show(end) for name, end in container.networking.items()},
    }
    return shown


def show_state(state: State) -> Shown:
    shown: Shown = {
        "Status": state.status.value,
        "Running": state.running,
        "Paused": state.paused,
        "Restarting": state.restarting,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": show_time(state.started_at),
        "FinishedAt": show_time(state.finished_at),
    }
    if state.health is not None:
        shown["Health"] = show_health(state.health)
    return shown


def show_health(health: Health) -> Shown:
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": show_time(result.start),
                "End": show_time(result.end),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in health.log
        ],
    }


def show_mount(mount: MountPoint) -> Shown:
    shown: Shown = {"Type": mount.type} if mount.type else {}
    if mount.name:
        shown["Name"] = mount.name
    shown |= {"Source": mount.source, "Destination": mount.destination}
    if mount.driver:
        shown["Driver"] = mount.driver
    return shown | {"Mode": mount.mode, "RW": mount.rw, "Propagation": mount.propagation}


def ports(container: Container) -> dict[str, None]:
    """What a running container with a network of its own exposes; nothing is published yet."""
    mode = container.host_config.network_mode
    if not container.state.running or mode in ("none", "host") or mode.startswith("container:"):
        return {}
    return dict.fromkeys(container.config.exposed_ports)


# Lists


class Pieces(NamedTuple):
    """`head` + image name + `image` + sizes + `labels` + status + `tail` is a list item."""

    head: bytes
    image: bytes
    labels: bytes
    tail: bytes


class Summaries:
    """List items of containers, encoded; safe to use from several threads."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, bool, bool], tuple[object, Pieces]] = {}

    def item(
        self, container: Container, image: str, sizes: tuple[int, int] | None, version: Version
    ) -> bytes:
        """`image` is the name that `ps` shows."""
        pieces = self._get(container, version >= (1, 46), version >= (1, 52))
        return b"".join(
            (
                pieces.head,
                encode(image),
                pieces.image,
                b"" if sizes is None else encode_sizes(*sizes),
                pieces.labels,
                b'"' + status_text(container.state, time.time_ns()).encode() + b'"',
                pieces.tail,
            )
        )

    def _get(self, container: Container, annotated: bool, with_health: bool) -> Pieces:
        state = container.state
        # The version alone should do; a stale `ps` would be worse than a few comparisons.
        marks = (
            container.version, container.name, state.status, state.started_at, state.finished_at,
            state.health and (state.health.status, state.health.failing_streak),
        )  # fmt: skip
        key = (container.id, annotated, with_health)
        known = self._pieces.get(key)
        if known is not None and known[0] == marks:
            return known[1]
        pieces = split_summary(container, annotated, with_health)
        self._pieces[key] = (marks, pieces)
        return pieces

    @property
    def known(self) -> int:
        return len(self._pieces)

    def keep_only(self, ids: "set[str]") -> None:
        """Forget what is gone; called with all containers there are."""
        if len(self._pieces) > 4 * len(ids) + 64:
            kept = {key: value for key, value in self._pieces.items() if key[0] in ids}
            self._pieces = kept


def split_summary(container: Container, annotated: bool, with_health: bool) -> Pieces:
    host: Shown = {"NetworkMode": container.host_config.network_mode}
    if annotated and container.host_config.annotations:
        host["Annotations"] = container.host_config.annotations
    head = {"Id": container.id, "Names": ["/" + container.name]}
    image = {
        "ImageID": container.image,
        "Command": command_text(container),
        "Created": container.created // 10**9,
        "Ports": port_summaries(container),
    }
    labels = {"Labels": container.config.labels or None, "State": container.state.status.value}
    tail: Shown = {"HostConfig": host}
    if with_health:
        health = container.state.health or Health()
        tail["Health"] = {"Status": health.status, "FailingStreak": health.failing_streak}
    tail["NetworkSettings"] = {"Networks": network_summaries(container)}
    tail["Mounts"] = [show_mount(_unmounted(mount)) for mount in container.mounts]
    return Pieces(
        encode(head)[:-1] + b',"Image":',
        b"," + encode(image)[1:-1],
        b"," + encode(labels)[1:-1] + b',"Status":',
        b"," + encode(tail)[1:],
    )


def _unmounted(mount: MountPoint) -> MountPoint:
    # Docker 28 lists volumes without the folder they are in.
    return replace(mount, source="") if mount.type == "volume" else mount


def command_text(container: Container) -> str:
    args = (f"'{arg}'" if " " in arg else arg for arg in container.args)
    return " ".join((container.path, *args))


def port_summaries(container: Container) -> list[Shown]:
    exposed = (port.partition("/") for port in ports(container))
    return [{"PrivatePort": int(number), "Type": kind or "tcp"} for number, _, kind in exposed]


def network_summaries(container: Container) -> Shown:
    """A list shows of a network what a container got, not what it asked for."""
    return {
        name: codec.show(replace(end, links=[], aliases=[], driver_opts={}, dns_names=[]))
        for name, end in container.networking.items()
    }


def encode_sizes(rw: int, root: int) -> bytes:
    sizes = {"SizeRw": rw, "SizeRootFs": root}
    shown = {name: size for name, size in sizes.items() if size}
    return b"," + encode(shown)[1:-1] if shown else b""


_IN_HEALTH: Final = {"starting": "health: starting", "healthy": "healthy", "unhealthy": "unhealthy"}


def status_text(state: State, now: int) -> str:
    """ "Up 3 minutes (healthy)", "Exited (0) 2 days ago"."""
    match state.status:
        case Status.RUNNING | Status.PAUSED:
            up = f"Up {human_duration(now - state.started_at)}"
            if state.paused:
                return f"{up} (Paused)"
            health = state.health and _IN_HEALTH.get(state.health.status)
            return f"{up} ({health})" if health else up
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {human_duration(now - state.finished_at)} ago"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case Status.CREATED:
            return "Created"
        case Status.EXITED:
            if not state.started_at:
                return "Created"  # as Docker says of what never got to run
            return f"Exited ({state.exit_code}) {human_duration(now - state.finished_at)} ago"
