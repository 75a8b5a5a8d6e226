import errno
from pathlib import Path

import pytest

from pinnace.oci import spec
from pinnace.runtime import launch, users
from tests.linux import child

ROOT = users.Identity(uid=0, gid=0, groups=(), home="/root", name="root")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], {"HOME": "/root"}),
        (["A=1", "A=2"], {"A": "2", "HOME": "/root"}),
        (["A=b=c"], {"A": "b=c", "HOME": "/root"}),
        (["HOME=/x"], {"HOME": "/x"}),
        (["HOME="], {"HOME": "/root"}),
        (["no-equals", "=no-name"], {"HOME": "/root"}),
    ],
)
def test_the_environment(entries: list[str], expected: dict[str, str]) -> None:
    assert launch.environment(entries, ROOT) == expected


@pytest.fixture
def path(tmp_path: Path) -> str:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a/plain").write_text("")
    (tmp_path / "a/plain").chmod(0o644)
    (tmp_path / "b/plain").write_text("")
    (tmp_path / "b/plain").chmod(0o755)
    (tmp_path / "a/only-plain").write_text("")
    (tmp_path / "a/only-plain").chmod(0o644)
    (tmp_path / "a/folder").mkdir()
    return f"{tmp_path}/missing:{tmp_path}/a:{tmp_path}/b"


def test_what_cannot_be_executed_is_passed_over(path: str, tmp_path: Path) -> None:
    assert launch.find_executable("plain", path) == f"{tmp_path}/b/plain"


def test_a_name_with_a_slash_is_not_searched_for(tmp_path: Path, path: str) -> None:
    assert launch.find_executable(f"{tmp_path}/b/plain", "/nowhere") == f"{tmp_path}/b/plain"


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("nothing", errno.ENOENT, 'exec: "nothing": executable file not found in $PATH'),
        ("only-plain", errno.EACCES, 'exec: "only-plain": permission denied'),
        ("/no/where", errno.ENOENT, 'exec: "/no/where": stat /no/where: no such file or directory'),
        ("/proc", errno.EISDIR, 'exec: "/proc": is a directory: permission denied'),
    ],
)
def test_why_there_is_nothing_to_execute(path: str, name: str, number: int, message: str) -> None:
    with pytest.raises(launch.LaunchError) as raised:
        launch.find_executable(name, path)

    assert (raised.value.errno, raised.value.message) == (number, message)


def test_a_working_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(launch.LaunchError, match="no such file or directory"):
        launch.enter_directory(f"{tmp_path}/missing")


@pytest.mark.root
def test_a_working_directory_out_of_the_root_is_refused(tmp_path: Path) -> None:
    """CVE-2024-21626: by a descriptor that was left open."""
    import os

    def enter() -> str:
        outside = os.open("/", os.O_PATH)
        os.chroot(tmp_path)
        os.fchdir(outside)
        try:
            launch.enter_directory(".")
        except launch.LaunchError as error:
            return error.message
        return "entered"

    expected = "current working directory is outside of container mount namespace root"
    assert child.call(enter) == expected


@pytest.mark.root
def test_an_identity_by_numbers_is_not_looked_up() -> None:
    user = spec.User(uid=12345, gid=7, additional_gids=[8, 9])
    wanted = launch.Wanted(spec.Process(user=user, env=["HOME=/h"]), None, None, [])

    who = launch.identity(wanted)

    assert (who.uid, who.gid, who.groups, who.home) == (12345, 7, (8, 9), "")


@pytest.mark.root
def test_capabilities_that_the_host_withholds_are_left_out_with_a_warning() -> None:
    from pinnace.linux import capabilities, syscall

    names = ["CAP_CHOWN", "CAP_KILL"]
    sets = spec.Capabilities(effective=names, permitted=names, bounding=names)
    wanted = launch.Wanted(spec.Process(capabilities=sets), None, None, [])

    def drop() -> tuple[list[str], list[str]]:
        kept = capabilities.mask(["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"])
        syscall.capset(kept, kept, 0)
        warnings = launch.drop(wanted, ROOT, lambda fd: None)
        return warnings, capabilities.names(syscall.capget()[0])

    warnings, left = child.call(drop)

    assert left == ["CAP_CHOWN"]
    assert warnings == ["capabilities that this host withholds were left out"]
