"""Volumes: their names and lives, who holds them, and what they are filled with."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinnace import errors
from pinnace.engine import documents, mountspecs
from pinnace.engine.documents import Container, Mount, MountPoint, VolumeOptions
from pinnace.engine.events import Event, Events
from pinnace.engine.volumes import ANONYMOUS, Volumes
from pinnace.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "test.db")
    yield opened
    opened.close()


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def volumes(tmp_path: Path, database: Database, heard: list[Event]) -> Volumes:
    events = Events()
    events.subscribe({}, 0, 0, heard.append)
    return Volumes(database, str(tmp_path / "volumes"), events)


def point(raw: str) -> MountPoint:
    return mountspecs.parse_bind(raw)


def anonymous(destination: str) -> MountPoint:
    return MountPoint(
        type="volume", destination=destination, rw=True, copy_data=True, anonymous=True
    )


def names(volumes: Volumes, **filters: list[str]) -> list[str]:
    return [volume["Name"] for volume in volumes.list(filters)[0]]


def test_a_volume_is_made_shown_and_removed(volumes: Volumes, heard: list[Event]) -> None:
    made = volumes.create("web", "", None, {"a": "b"})

    assert made == volumes.inspect("web")
    assert made["Driver"] == "local"
    assert made["Labels"] == {"a": "b"}
    assert made["Options"] is None
    assert Path(made["Mountpoint"]).is_dir()

    volumes.remove("web")

    assert not Path(made["Mountpoint"]).exists()
    with pytest.raises(errors.NotFound, match=r"^get web: no such volume$"):
        volumes.inspect("web")
    assert [event["Action"] for event in heard] == ["create", "destroy"]


def test_create_of_one_that_exists_gives_it_as_it_is(volumes: Volumes) -> None:
    first = volumes.create("web", "local", {}, {"a": "b"})
    assert volumes.create("web", "", None, {"z": "1"}) == first


def test_without_a_name_it_is_anonymous(volumes: Volumes) -> None:
    made = volumes.create("", "", None, None)
    assert len(made["Name"]) == 64
    assert made["Labels"] == {ANONYMOUS: ""}


@pytest.mark.parametrize(
    ("name", "driver", "options", "error", "message"),
    [
        (
            "a",
            "",
            {},
            errors.Invalid,
            "create a: volume name is too short, names should be at least two alphanumeric "
            "characters",
        ),
        (
            "../x",
            "",
            {},
            errors.Invalid,
            'create ../x: "../x" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path",
        ),
        (
            "vv",
            "nope",
            {},
            errors.NotFound,
            'create vv: error looking up volume plugin nope: plugin "nope" not found',
        ),
        ("vv", "", {"foo": "x"}, errors.Invalid, 'create vv: invalid option: "foo"'),
        (
            "vv",
            "",
            {"type": "x"},
            errors.Invalid,
            'create vv: missing required option: "device"',
        ),
        ("vv", "", {"size": "x"}, errors.Invalid, "create vv: invalid size: 'x'"),
        (
            "vv",
            "",
            {"size": "1g"},
            errors.Invalid,
            "create vv: quota size requested but no quota support",
        ),
    ],
)
def test_what_is_refused(
    volumes: Volumes,
    name: str,
    driver: str,
    options: dict[str, str],
    error: type[errors.PinnaceError],
    message: str,
) -> None:
    with pytest.raises(error) as refused:
        volumes.create(name, driver, options, None)
    assert refused.value.message == message
    assert names(volumes) == []


def test_a_held_volume_is_not_removed(volumes: Volumes) -> None:
    volumes.provide([point("web:/data")], "c1", [])
    volumes.provide([point("web:/data")], "c2", [])

    for force in (False, True):
        with pytest.raises(errors.Conflict, match=r"^remove web: volume is in use - \[c1, c2\]$"):
            volumes.remove("web", force=force)

    volumes.release("c1")
    volumes.release("c2")
    volumes.remove("web")


def test_force_forgives_only_a_missing_volume(volumes: Volumes) -> None:
    volumes.remove("nope", force=True)
    with pytest.raises(errors.NotFound):
        volumes.remove("nope", force=False)


def test_volumes_and_their_holders_survive_the_engine(
    tmp_path: Path, volumes: Volumes, database: Database
) -> None:
    wanted = point("web:/data")
    volumes.provide([wanted], "c1", [])
    container = Container(id="c1", name="one", mounts=[wanted])
    database.put_container("c1", "one", 1, documents.pack(container))

    again = Volumes(database, str(tmp_path / "volumes"), Events())

    assert names(again) == ["web"]
    with pytest.raises(errors.Conflict):
        again.remove("web")


def test_what_was_being_removed_is_swept_and_unknown_folders_are_not(
    tmp_path: Path, volumes: Volumes, database: Database
) -> None:
    folder = tmp_path / "volumes"
    (folder / ".removed-1" / "_data").mkdir(parents=True)
    (folder / "somebodys" / "_data").mkdir(parents=True)

    Volumes(database, str(folder), Events())

    assert not (folder / ".removed-1").exists()
    assert (folder / "somebodys").exists()


def test_mount_points_are_filled_in(volumes: Volumes) -> None:
    named = point("web:/data")
    unnamed = anonymous("/anon")

    volumes.provide([named, unnamed], "c1", [])

    assert (named.name, named.driver, named.mode) == ("web", "local", "z")
    assert named.source == volumes.data("web")
    assert len(unnamed.name) == 64
    assert unnamed.mode == ""


def test_labels_and_options_of_a_mount_make_its_volume(volumes: Volumes) -> None:
    mount = Mount(type="volume", target="/d", volume_options=VolumeOptions(labels={"a": "b"}))
    wanted = mountspecs.from_mount(mount, exists=lambda path: True)

    volumes.provide([wanted], "c1", [])

    assert volumes.inspect(wanted.name)["Labels"] == {"a": "b", ANONYMOUS: ""}


def test_when_one_can_not_be_made_the_others_are_let_go(volumes: Volumes) -> None:
    bad = point("ok:/b")
    bad.name = "x"
    with pytest.raises(errors.Invalid):
        volumes.provide([point("web:/a"), anonymous("/anon"), bad], "c1", [])

    assert names(volumes) == ["web"]
    volumes.remove("web")


def test_anonymous_volumes_go_with_their_container_if_asked(volumes: Volumes) -> None:
    points = [point("web:/a"), anonymous("/anon")]
    volumes.provide(points, "c1", [])

    volumes.release("c1", points)

    assert names(volumes) == ["web"]


def test_an_anonymous_volume_that_another_container_has_stays(volumes: Volumes) -> None:
    own = anonymous("/anon")
    volumes.provide([own], "c1", [])
    volumes.provide([own], "c2", [])

    volumes.release("c1", [own])

    assert names(volumes) == [own.name]


def test_list_filters(volumes: Volumes) -> None:
    volumes.create("web", "", None, {"a": "b"})
    volumes.create("db1", "", None, {"a": "c"})
    volumes.provide([point("db1:/data")], "c1", [])

    assert names(volumes) == ["db1", "web"]
    assert names(volumes, name=["we"]) == ["web"]
    assert names(volumes, label=["a"]) == ["db1", "web"]
    assert names(volumes, label=["a=c"]) == ["db1"]
    assert names(volumes, driver=["nfs"]) == []
    assert names(volumes, dangling=["true"]) == ["web"]
    assert names(volumes, dangling=["false"]) == ["db1"]
    with pytest.raises(errors.Invalid, match="invalid filter 'foo'"):
        names(volumes, foo=["x"])
    with pytest.raises(errors.Invalid, match=r"invalid filter 'dangling=\[x\]'"):
        names(volumes, dangling=["x"])


def test_prune_takes_anonymous_ones_and_with_all_named_ones(volumes: Volumes) -> None:
    volumes.create("web", "", None, None)
    unnamed = volumes.create("", "", None, None)
    Path(unnamed["Mountpoint"], "file").write_bytes(b"12345")

    assert volumes.prune({}) == ([unnamed["Name"]], 5)
    assert volumes.prune({"all": ["true"]}) == (["web"], 0)
    with pytest.raises(errors.Invalid) as refused:
        volumes.prune({"all": ["x"]})
    assert refused.value.message == (
        "invalid filter 'all': strconv.ParseBool: parsing \"x\": invalid syntax"
    )


def test_prune_by_label(volumes: Volumes) -> None:
    volumes.create("web", "", None, {"keep": ""})
    volumes.create("tmp1", "", None, {"x": ""})

    removed, _ = volumes.prune({"all": ["1"], "label!": ["keep"]})

    assert removed == ["tmp1"]


def test_usage_counts_bytes_and_containers(volumes: Volumes) -> None:
    volumes.provide([point("web:/data")], "c1", [])
    Path(volumes.data("web"), "file").write_bytes(b"123")

    shown: Any = volumes.usage()[0]

    assert shown["UsageData"] == {"Size": 3, "RefCount": 1}


def test_a_missing_source_of_a_bind_is_made_before_the_start(
    volumes: Volumes, tmp_path: Path
) -> None:
    made = point(f"{tmp_path}/new/folder:/data")
    volumes.mount([made], "c1")
    assert (tmp_path / "new" / "folder").is_dir()
    volumes.mount([made], "c1")


def test_a_missing_source_of_a_mount_is_not(volumes: Volumes, tmp_path: Path) -> None:
    mount = Mount(type="bind", source=f"{tmp_path}/new", target="/data")
    wanted = mountspecs.from_mount(mount, exists=lambda path: True)
    with pytest.raises(errors.Failed, match="bind source path does not exist"):
        volumes.mount([wanted], "c1")


def test_a_source_below_a_file_can_not_be_made(volumes: Volumes, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.Failed) as failed:
        volumes.mount([point(f"{tmp_path}/file/x:/data")], "c1")
    assert failed.value.message == (
        f"error while creating mount source path '{tmp_path}/file/x': "
        f"mkdir {tmp_path}/file/x: not a directory"
    )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_volume_with_a_device_is_mounted_while_somebody_runs(
    volumes: Volumes, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    volumes.create("web", "", {"type": "none", "o": "bind", "device": str(source)}, None)
    shown = Path(volumes.data("web"), "file")
    wanted = point("web:/data")

    volumes.mount([wanted], "c1")
    volumes.mount([wanted], "c2")
    volumes.unmount("c1")
    assert shown.exists()
    volumes.release("c2")
    assert not shown.exists()
