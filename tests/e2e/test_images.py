"""The images that come by import and load, and those that are there from the start."""

import io
import json
import os
import tarfile
from collections.abc import Iterator

import pytest

from bench.wire import Client, query
from tests.harness import rootfs
from tests.harness.docker import Docker
from tests.harness.engine import Engine

pytestmark = pytest.mark.root


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A repository that is removed, with its tags, after the test."""
    repository = "pinnace-test/images"
    yield repository
    for image in engine.get("/images/json"):
        for tag in image["RepoTags"] or []:
            if tag.startswith(repository):
                engine.request("DELETE", f"/images/{tag}?force=1")


def test_import_makes_an_image_of_one_layer(engine: Engine, api: Client, name: str) -> None:
    wanted = query(fromSrc="-", repo=name, tag="1", message="made here", changes="CMD echo changed")

    answer = api.ok("POST", "/images/create" + wanted, rootfs.archive())

    image = engine.get(f"/images/{name}:1/json")
    assert json.loads(answer.body.splitlines()[-1])["status"] == image["Id"]
    assert image["RepoTags"] == [f"{name}:1"]
    assert (image["Comment"], image["Os"], len(image["RootFS"]["Layers"])) == (
        "made here",
        "linux",
        1,
    )
    assert image["Config"]["Cmd"] == ["/bin/sh", "-c", "echo changed"]
    assert engine.docker.ok("run", "--rm", "--network", "none", f"{name}:1") == "changed"


def test_files_keep_owners_modes_links_and_times(engine: Engine, api: Client, name: str) -> None:
    archive = io.BytesIO(rootfs.archive())
    with tarfile.open(fileobj=archive, mode="a", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("owned")
        member.uid, member.gid, member.mode, member.mtime = 1234, 4321, 0o4750, 1_234_567_890
        tar.addfile(member)
        pointer = tarfile.TarInfo("link")
        pointer.type, pointer.linkname = tarfile.SYMTYPE, "owned"
        tar.addfile(pointer)
    api.ok("POST", "/images/create" + query(fromSrc="-", repo=name), archive.getvalue())
    script = "stat -c '%u:%g %a %Y' /owned; readlink /link; stat -c %h /bin/busybox"

    seen = engine.docker.ok("run", "--rm", "--network", "none", name, "sh", "-c", script)

    owned, link, links = seen.splitlines()
    assert (owned, link) == ("1234:4321 4750 1234567890", "owned")
    assert int(links) > 100


def test_tag_list_inspect_untag(engine: Engine, name: str) -> None:
    ident = engine.get(f"/images/{engine.image}/json")["Id"]

    engine.ok("POST", f"/images/{engine.image}/tag" + query(repo=name, tag="other"))

    assert engine.get(f"/images/{name}:other/json")["Id"] == ident
    found = engine.get("/images/json", filters=json.dumps({"reference": [f"{name}:*"]}))
    assert [image["Id"] for image in found] == [ident]
    removed = engine.ok("DELETE", f"/images/{name}:other").json()
    assert removed == [{"Untagged": f"{name}:other"}]


def test_an_image_in_use_is_kept(engine: Engine) -> None:
    engine.start()

    answer = engine.request("DELETE", f"/images/{engine.get(f'/images/{engine.image}/json')['Id']}")

    assert answer.status == 409


@pytest.mark.docker
def test_save_and_load(docker: Docker, engine: Engine, image: str, name: str) -> None:
    docker.ok("tag", image, f"{name}:saved")
    ident = engine.get(f"/images/{name}:saved/json")["Id"]
    archive = engine.ok("GET", f"/images/{name}:saved/get").body
    docker.ok("rmi", f"{name}:saved")

    said = docker.ok("load", stdin=archive)

    assert said == f"Loaded image: {name}:saved"
    assert engine.get(f"/images/{name}:saved/json")["Id"] == ident
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {"manifest.json", "oci-layout", "index.json"} <= set(tar.getnames())


@pytest.mark.docker
def test_the_table_of_images(docker: Docker, image: str) -> None:
    head, row = docker.ok("images", image.partition(":")[0]).splitlines()

    assert head.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert row.split()[:2] == image.split(":")


# Present from the first start


@pytest.mark.ours
def test_hello_greets_and_ends(docker: Docker) -> None:
    result = docker("run", "--rm", "hello")

    assert (result.code, result.err) == (0, "")
    assert "pinnace" in result.out


@pytest.mark.ours
def test_hello_is_an_ordinary_image_of_one_small_layer(engine: Engine) -> None:
    image = engine.get("/images/hello:latest/json")

    assert len(image["RootFS"]["Layers"]) == 1
    assert image["Size"] < 10_000


@pytest.mark.ours
def test_host_is_this_machine_copied_on_write(docker: Docker, engine: Engine) -> None:
    name = "pinnace-test-host"
    script = (
        "cat /etc/os-release; touch /etc/made-in-the-sandbox; rm /etc/hostname /etc/fstab; true"
    )

    seen = docker.ok("run", "--name", name, "--label", engine.label, "host", "sh", "-c", script)

    with open("/etc/os-release") as file:
        assert seen == file.read().strip()
    changes = {(item["Kind"], item["Path"]) for item in engine.get(f"/containers/{name}/changes")}
    assert (1, "/etc/made-in-the-sandbox") in changes
    assert not os.path.exists("/etc/made-in-the-sandbox")


@pytest.mark.ours
def test_host_hides_what_is_private(docker: Docker, engine: Engine) -> None:
    script = (
        "ls -A /root /home; cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_*_key 2>/dev/null;"
        f" ls {engine.daemon.folder if engine.daemon else ''} 2>/dev/null"
    )

    seen = docker("run", "--rm", "host", "sh", "-c", script)

    assert "".join(seen.out.replace("/root:", "").replace("/home:", "").split()) == ""


@pytest.mark.ours
def test_host_runs_an_interactive_shell(docker: Docker, engine: Engine) -> None:
    command = ("run", "--rm", "-it", "--label", engine.label, "host", "bash", "--norc")
    with docker.terminal(*command) as shell:
        shell.expect("# ")
        shell.type("exit 4\n")

        assert shell.wait() == 4
