"""What is read from the host for a start, and no more."""

import os
from pathlib import Path

import pytest

from pinnace.engine import facts
from pinnace.engine.documents import (
    BindOptions,
    Container,
    DeviceMapping,
    HostConfig,
    Mount,
    MountPoint,
    ThrottleDevice,
)
from pinnace.engine.facts import Machine


def gather(container: Container, *, id_base: int = 1, mappable: bool = True) -> facts.HostFacts:
    return facts.gather(
        container, Machine(), idmappable=lambda path, recursive: mappable, id_base=id_base
    )


def test_an_ordinary_container_needs_nothing() -> None:
    assert gather(Container(id="c1")) == facts.HostFacts(id_base=1)


def test_devices_are_looked_up_by_path() -> None:
    host = HostConfig(
        devices=[DeviceMapping(path_on_host="/dev/null"), DeviceMapping(path_on_host="/nope")],
        blkio_device_read_bps=[ThrottleDevice(path="/dev/null", rate=1)],
    )
    known = gather(Container(id="c1", host_config=host))

    [null] = known.devices["/dev/null"]
    assert (null.type, null.major, null.minor, null.file_mode) == ("c", 1, 3, 0o666)
    assert known.devices["/nope"] == []
    assert known.numbers == {"/dev/null": (1, 3)}


def test_a_limit_of_a_device_that_is_not_there_fails() -> None:
    host = HostConfig(blkio_device_read_bps=[ThrottleDevice(path="/nope", rate=1)])
    with pytest.raises(FileNotFoundError):
        gather(Container(id="c1", host_config=host))


def test_a_privileged_container_sees_the_hosts_devices() -> None:
    known = gather(Container(id="c1", host_config=HostConfig(privileged=True)))
    paths = [device.path for device in known.host_devices]
    assert {"/dev/null", "/dev/zero"} <= set(paths)
    assert not any(path.startswith(("/dev/pts", "/dev/shm", "/dev/mqueue")) for path in paths)
    assert "/dev/console" not in paths


def test_a_link_to_a_device_is_followed_a_plain_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "file").touch()
    [device] = facts.devices_at(str(tmp_path / "link"))
    assert (device.path, device.minor) == (str(tmp_path / "link"), 5)
    assert facts.devices_at(str(tmp_path / "file")) == []


def bind(source: str, mount: Mount | None = None, propagation: str = "rprivate") -> MountPoint:
    return MountPoint(
        type="bind", source=source, destination="/d", mount=mount, propagation=propagation
    )


def test_binds_are_asked_about_only_for_a_user_namespace() -> None:
    asked: list[tuple[str, bool]] = []

    def idmappable(path: str, recursive: bool) -> bool:
        asked.append((path, recursive))
        return path != "/proc"

    flat = Mount(type="bind", bind_options=BindOptions(non_recursive=True))
    container = Container(
        id="c1",
        mounts=[bind("/proc"), bind("/tmp", flat), MountPoint(type="volume", source="/v")],
    )

    known = facts.gather(container, Machine(), idmappable=idmappable, id_base=1)
    facts.gather(container, Machine(), idmappable=idmappable, id_base=0)

    assert known.not_idmappable == ["/proc"]
    assert asked == [("/proc", True), ("/tmp", False)]


def test_propagation_is_that_of_the_mount_below() -> None:
    container = Container(id="c1", mounts=[bind("/proc/self", propagation="rshared")])
    known = gather(container)
    target, kind = known.propagation["/proc/self"]
    assert target == "/proc"
    assert kind in ("shared", "slave", "private")
    assert gather(Container(id="c1", mounts=[bind(os.sep)])).propagation == {}
