import base64
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pinnace.cli import cp
from tests.cli import fakes
from tests.cli.conftest import Invoke
from tests.cli.fakes import Answer, FakeDaemon, Request

Start = Callable[..., FakeDaemon]
DIR, LINK, DEVICE = 1 << 31, 1 << 27, 1 << 26


class Archive:
    """The archive endpoints of the container `web`: what is where, and what was put."""

    def __init__(self, **there: tuple[int, str]) -> None:
        self.there = {"/" + path.replace("__", "/"): found for path, found in there.items()}
        self.data = b""
        self.put: list[Request] = []

    def __call__(self, request: Request) -> Answer | None:
        if not request.path.startswith("/containers/web/archive?path="):
            return None
        path = request.path.partition("path=")[2].partition("&")[0].replace("%2F", "/")
        if request.method == "PUT":
            self.put.append(request)
            return Answer(200)
        found = self.there.get(path)
        if found is None:
            return fakes.refusal(404, f"Could not find the file {path} in container web")
        mode, target = found
        text = json.dumps({"name": "x", "mode": mode, "size": 1, "linkTarget": target})
        headers = {"X-Docker-Container-Path-Stat": base64.b64encode(text.encode()).decode()}
        return Answer(200, self.data, headers)

    def names(self) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(self.put[0].body)) as tar:
            return tar.getnames()


def tar(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.mode = 0o755
            archive.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize(
    ("source", "there", "target", "landing", "name"),
    [
        ("in", {"dst": (DIR, "")}, "web:/dst", "/dst", "in"),
        ("in", {}, "web:/new", "/", "new"),
        ("in/.", {"dst": (DIR, "")}, "web:/dst", "/dst", "."),
        ("in/a", {"dst": (DIR, "")}, "web:/dst/", "/dst", "a"),
        ("in/a", {"dst": (0, "")}, "web:/dst", "/", "dst"),
        ("in/a", {}, "web:new", ".", "new"),
        ("in/a", {"l": (LINK, "dst"), "dst": (DIR, "")}, "web:/l", "/dst", "a"),
    ],
)
def test_what_goes_in_lands_as_cp_has_it(
    source: str,
    there: dict[str, tuple[int, str]],
    target: str,
    landing: str,
    name: str,
    invoke: Invoke,
    daemon: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").touch()
    monkeypatch.chdir(tmp_path)
    archive = Archive(**there)
    if target.endswith("/"):
        archive.there["/dst/"] = archive.there["/dst"]

    done = invoke("cp", source, target, host=daemon(archive).host)

    assert done == (0, "", "")
    query = archive.put[0].path.partition("?")[2]
    assert query.partition("&")[0].replace("%2F", "/").rstrip("/") == f"path={landing}".rstrip("/")
    assert archive.names()[0] == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b"], "must specify at least one container source"),
        (["web:/a", "web:/b"], "copying between containers is not supported"),
        (["", "web:/b"], "source can not be empty"),
        (["a", ""], "destination can not be empty"),
        (["nofile", "web:/dst"], "no such file or directory"),
        (["in", "web:/file"], "cannot copy directory"),
        (["in/a", "web:/nodir/"], "no such directory"),
        (["in/a/", "web:/dst"], "not a directory"),
        (["in/a", "web:/dev"], "must be a directory or a regular file: got a device"),
        (["-", "web:/file"], 'destination "web:/file" must be a directory'),
        (["web:/nofile", "."], "Could not find the file /nofile in container web"),
        (["web:/dst", "in/a"], "cannot copy directory"),
        (["web:/file", "in/nodir/"], "no such directory"),
        (["web:/file", "in/nodir/x"], "invalid output path: directory"),
        (["web:/file", "/dev/null"], "got a device"),
    ],
)
def test_what_cannot_be_copied(
    words: list[str],
    message: str,
    invoke: Invoke,
    daemon: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").touch()
    monkeypatch.chdir(tmp_path)
    archive = Archive(dst=(DIR, ""), file=(0, ""), dev=(DEVICE, ""))

    done = invoke("cp", *words, host=daemon(archive).host)

    assert done.status == 1
    assert message in done.stderr
    assert not archive.put


@pytest.mark.parametrize(
    ("source", "data", "target", "expected"),
    [
        ("/d", tar("d/", "d/f"), ".", ["d", "d/f"]),
        ("/d", tar("d/", "d/f"), "new", ["new", "new/f"]),
        ("/d/.", tar("./", "./f"), ".", ["f"]),
        ("/d/.", tar("./", "./f"), "new", ["new", "new/f"]),
        ("/d/f", tar("f"), "other", ["other"]),
        ("/d/f", tar("f"), "there/", ["there/f"]),
        ("/d/f", tar("f"), "file", ["file"]),
    ],
)
def test_what_comes_out_lands_as_cp_has_it(
    source: str,
    data: bytes,
    target: str,
    expected: list[str],
    invoke: Invoke,
    daemon: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    if target == "there/":
        (here / "there").mkdir()
        expected = ["there", *expected]
    if target == "file":
        (here / "file").write_text("old")
    monkeypatch.chdir(here)
    archive = Archive(d=(DIR, ""), d__f=(0, ""))
    archive.there["/d/."] = (DIR, "")
    archive.data = data

    done = invoke("cp", f"web:{source}", target, host=daemon(archive).host)

    assert done == (0, "", "")
    found = sorted(str(path.relative_to(here)) for path in here.rglob("*"))
    assert found == expected


def test_an_archive_can_be_streamed_both_ways(invoke: Invoke, daemon: Start) -> None:
    archive = Archive(d=(DIR, ""))
    archive.data = tar("d/")
    host = daemon(archive).host

    out = invoke("cp", "web:/d", "-", host=host)
    into = invoke("cp", "-a", "-", "web:/d", host=host, stdin=archive.data)

    assert out.stdout.startswith("d/")
    assert into.status == 0
    assert archive.put[0].body == archive.data
    assert "copyUIDGID=true" in archive.put[0].path


@pytest.mark.parametrize(
    ("text", "container", "path"),
    [
        ("web:/x", "web", "/x"),
        ("web:x", "web", "x"),
        ("/a:b", "", "/a:b"),
        ("./a:b", "", "./a:b"),
        ("a", "", "a"),
    ],
)
def test_a_container_is_named_before_a_colon(text: str, container: str, path: str) -> None:
    assert cp._split(text) == (container, path)
