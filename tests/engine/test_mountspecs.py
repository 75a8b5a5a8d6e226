"""What clients write about mounts, and the mount points it makes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.engine import mountspecs
from pinnace.engine.documents import (
    BindOptions,
    ContainerConfig,
    Empty,
    HostConfig,
    Mount,
    MountPoint,
    TmpfsOptions,
    VolumeDriver,
    VolumeOptions,
)


def shown(point: MountPoint) -> dict[str, Any]:
    fields = msgspec.to_builtins(point)
    fields.pop("mount", None)
    return dict(fields)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (
            "/a:/b",
            {
                "type": "bind", "source": "/a", "destination": "/b", "rw": True,
                "propagation": "rprivate", "create_source": True,
            },
        ),
        (
            "//a/../c/:/b//d/.:ro,Z,rshared",
            {
                "type": "bind", "source": "/c", "destination": "/b/d", "mode": "ro,Z,rshared",
                "propagation": "rshared", "create_source": True,
            },
        ),
        (
            "web:/b",
            {
                "type": "volume", "name": "web", "destination": "/b", "rw": True,
                "copy_data": True,
            },
        ),
        (
            "web:/b:nocopy,ro",
            {"type": "volume", "name": "web", "destination": "/b", "mode": "nocopy,ro"},
        ),
        (
            "/b",
            {
                "type": "volume", "destination": "/b", "rw": True, "copy_data": True,
                "anonymous": True,
            },
        ),
        (
            "/a:/b:U,cached,rw",
            {
                "type": "bind", "source": "/a", "destination": "/b", "mode": "U,cached,rw",
                "rw": True, "propagation": "rprivate", "create_source": True, "chown": True,
            },
        ),
    ],
)  # fmt: skip
def test_binds(raw: str, wanted: dict[str, Any]) -> None:
    assert shown(mountspecs.parse_bind(raw)) == wanted


def test_a_volume_driver_is_for_volumes_only() -> None:
    assert mountspecs.parse_bind("web:/b", "nfs").driver == "nfs"
    assert mountspecs.parse_bind("/a:/b", "nfs").driver == ""


@given(st.text(alphabet="ab:/,.rowzZU\n\0", max_size=20))
def test_any_bind_is_read_or_refused(raw: str) -> None:
    try:
        point = mountspecs.parse_bind(raw)
    except errors.Invalid:
        return
    assert point.destination.startswith("/")
    assert point.destination != "/"
    assert "/../" not in point.destination + "/"


def test_a_mount_keeps_what_it_came_from() -> None:
    mount = Mount(
        type="volume",
        source="web",
        target="/d",
        volume_options=VolumeOptions(no_copy=True, driver_config=VolumeDriver(name="local")),
    )
    point = mountspecs.from_mount(mount, exists=lambda path: False)
    assert point.mount == mount
    assert (point.name, point.driver, point.copy_data, point.anonymous) == (
        "web",
        "local",
        False,
        False,
    )


def test_an_image_mount_is_read_only() -> None:
    point = mountspecs.from_mount(
        Mount(type="image", source="busybox", target="/i"), exists=lambda path: False
    )
    assert (point.source, point.rw, point.propagation) == ("busybox", False, "rprivate")


def test_a_missing_source_is_fine_if_it_is_to_be_made() -> None:
    mount = Mount(
        type="bind",
        source="/nope",
        target="/d",
        bind_options=BindOptions(create_mountpoint=True),
    )
    assert mountspecs.from_mount(mount, exists=lambda path: False).create_source


def test_null_bytes_are_refused() -> None:
    with pytest.raises(errors.Invalid, match="null byte"):
        mountspecs.parse_bind("/a:/b\0c")


@pytest.mark.parametrize(
    ("word", "wanted"),
    [("web", ("web", "rw")), ("web:ro", ("web", "ro")), ("web:z", ("web", "rw"))],
)
def test_volumes_from(word: str, wanted: tuple[str, str]) -> None:
    assert mountspecs.parse_volumes_from(word) == wanted


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "volumes-from specification cannot be an empty string"),
        ("web:foo", "invalid mode: foo"),
        ("web:shared", "invalid mode: shared"),
        ("web:nocopy", "invalid mode: nocopy"),
    ],
)
def test_volumes_from_that_are_refused(word: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        mountspecs.parse_volumes_from(word)
    assert refused.value.message == message


def points(config: ContainerConfig, host: HostConfig, **others: list[MountPoint]) -> Any:
    made = mountspecs.mount_points(
        config, host, exists=lambda path: True, others=lambda ident: others[ident]
    )
    return {point.destination: point for point in made}


def test_of_mounts_at_one_place_the_later_kind_wins() -> None:
    donor = [
        MountPoint(type="volume", name="v1", destination="/data", rw=True, mode="z"),
        MountPoint(type="volume", name="v2", destination="/more", rw=True, anonymous=True),
    ]
    host = HostConfig(volumes_from=["web:ro"], binds=["/src:/data"])
    config = ContainerConfig(volumes={"/more": Empty(), "/own/": Empty(), "rel": Empty()})

    made = points(config, host, web=donor)

    assert made["/data"].type == "bind"
    assert (made["/more"].name, made["/more"].rw, made["/more"].anonymous) == ("v2", False, False)
    assert made["/own"].anonymous
    assert made["/rel"].anonymous


def test_one_place_twice_is_refused() -> None:
    mount = Mount(type="tmpfs", target="/a/")
    for host in (
        HostConfig(binds=["/x:/a", "/y:/a"]),
        HostConfig(binds=["/x:/a"], tmpfs={"/a": ""}),
        HostConfig(binds=["/x:/a"], mounts=[mount]),
    ):
        with pytest.raises(errors.Invalid, match="Duplicate mount point: /a"):
            points(ContainerConfig(), host)


def test_a_tmpfs_keeps_an_image_volume_away() -> None:
    config = ContainerConfig(volumes={"/run": Empty()})
    assert points(config, HostConfig(tmpfs={"/run": ""})) == {}


@pytest.mark.parametrize(
    ("options", "merged"),
    [
        (["noexec", "nosuid", "exec"], ["nosuid", "exec"]),
        (["size=1m", "ro", "size=2m", "rw"], ["size=2m", "rw"]),
        (["rprivate", "shared", "defaults"], ["shared"]),
        (["noatime", "mode=700", "mpol=local"], ["noatime", "mode=700", "mpol=local"]),
    ],
)
def test_tmpfs_options(options: list[str], merged: list[str]) -> None:
    assert mountspecs.merge_tmpfs_options(options) == merged


@pytest.mark.parametrize("option", ["foo", "foo=bar", "size"])
def test_unknown_tmpfs_options(option: str) -> None:
    with pytest.raises(errors.Invalid, match=f'invalid tmpfs option "{option.split("=")[0]}"'):
        mountspecs.merge_tmpfs_options([option])


@pytest.mark.parametrize(
    ("options", "read_only", "words"),
    [
        (None, False, ""),
        (None, True, "ro"),
        (TmpfsOptions(size_bytes=10 << 20, mode=0o1777), False, "mode=1777,size=10m"),
        (TmpfsOptions(size_bytes=1500), False, "size=1500"),
        (TmpfsOptions(size_bytes=3 << 30, options=[["exec"]]), False, "size=3g,exec"),
    ],
)
def test_tmpfs_options_of_a_mount(
    options: TmpfsOptions | None, read_only: bool, words: str
) -> None:
    assert mountspecs.tmpfs_words(options, read_only=read_only) == words


@pytest.mark.parametrize(
    ("path", "cleaned"), [("", "."), ("//a", "/a"), ("/a/./b/..", "/a"), ("/..", "/"), ("a", "a")]
)
def test_clean(path: str, cleaned: str) -> None:
    assert mountspecs.clean(path) == cleaned


@pytest.mark.parametrize(
    ("path", "local"),
    [("a", True), ("a/../b", True), ("", False), ("/a", False), ("a/../..", False)],
)
def test_is_local(path: str, local: bool) -> None:
    assert mountspecs.is_local(path) == local
