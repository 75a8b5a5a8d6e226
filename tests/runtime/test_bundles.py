import json
import os
from pathlib import Path
from typing import Any

import pytest

from pinnace import errors
from pinnace.oci import spec
from pinnace.runtime import bundles
from pinnace.runtime.bundles import Bundles, Found, Record

PLAIN: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "process": {"args": ["true"], "cwd": "/"},
}


def load(folder: Path, **changes: Any) -> spec.Spec:
    (folder / "config.json").write_text(json.dumps({**PLAIN, **changes}))
    return bundles.load(str(folder))


def test_paths_of_a_bundle_are_made_absolute(tmp_path: Path) -> None:
    mounts = [
        {"destination": "/a", "source": "data", "options": ["bind"]},
        {"destination": "/proc", "source": "proc", "type": "proc"},
    ]

    wanted = load(tmp_path, mounts=mounts)

    assert wanted.root and wanted.root.path == f"{tmp_path}/rootfs"
    assert [entry.source for entry in wanted.mounts] == [f"{tmp_path}/data", "proc"]


def test_what_is_unknown_is_ignored(tmp_path: Path) -> None:
    assert load(tmp_path, future={"x": 1}).oci_version == "1.0.2"


def test_a_bundle_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match=r"JSON specification file .*config.json not found"):
        bundles.load(str(tmp_path))


@pytest.mark.parametrize("text", ["", "{", '{"process": []}'])
def test_a_config_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(errors.Invalid):
        bundles.load(str(tmp_path))


@pytest.mark.parametrize(
    ("path", "expected"),
    [("", "/name"), ("/a/b", "/a/b"), ("a/b", "/a/b"), ("/a/../../b", "/b"), ("//a/", "/a")],
)
def test_a_cgroup_is_below_the_root(path: str, expected: str) -> None:
    wanted = spec.Spec(linux=spec.Linux(cgroups_path=path))

    assert bundles.preparation(wanted, "name").cgroup_path == expected


def test_namespaces_are_new_or_joined() -> None:
    linux = spec.Linux(
        namespaces=[spec.Namespace(type="pid"), spec.Namespace(type="network", path="/n")]
    )

    made = bundles.preparation(spec.Spec(linux=linux), "name")

    assert (made.new, made.joined) == (["pid"], {"network": "/n"})


@pytest.mark.parametrize("ident", ["", ".", "..", "a/b", "a b", "ä", "\n"])
def test_ids_that_are_no_names_of_folders(tmp_path: Path, ident: str) -> None:
    with pytest.raises(errors.Invalid, match="invalid container ID format"):
        Bundles(str(tmp_path)).folder(ident)


def test_an_id_is_given_once(tmp_path: Path) -> None:
    store = Bundles(str(tmp_path / "state"))
    store.make("a")

    with pytest.raises(errors.Conflict, match="container with given ID already exists"):
        store.make("a")

    store.remove("a")
    store.make("a")


def record(pid: int, started: int) -> Record:
    return Record("a", "/bundle", pid, started, 1_700_000_000_000_000_000, "/a")


def test_a_record_is_of_one_process_only(tmp_path: Path) -> None:
    made = bundles.record_of("a", "/bundle", os.getpid(), "/a")

    assert bundles.lives(made)
    assert not bundles.lives(record(os.getpid(), made.start_time + 1))


def test_what_was_saved_is_found(tmp_path: Path) -> None:
    store = Bundles(str(tmp_path))
    store.make("a")
    store.save(record(1 << 22, 1), spec.Spec(hostname="h", annotations={"k": "v"}))

    found = store.find("a")

    assert (found.status, found.spec.hostname) == ("stopped", "h")
    shown = bundles.shown(found)
    assert (shown.pid, shown.annotations) == (0, {"k": "v"})
    assert shown.created == "2023-11-14T22:13:20Z"
    assert [each.record.id for each in store.all()] == ["a"]


def test_half_a_container_is_none(tmp_path: Path) -> None:
    store = Bundles(str(tmp_path))
    store.make("a")

    with pytest.raises(errors.NotFound, match="container 'a' does not exist"):
        store.find("a")
    assert store.all() == []


def test_a_stopped_container_has_no_pid() -> None:
    found = Found(record(77, 1), spec.Spec(), "stopped")

    assert bundles.state_of(found).pid == 0
    assert bundles.state_of(found._replace(status="running")).pid == 77
