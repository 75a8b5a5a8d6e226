import errno
import os
from pathlib import Path

import pytest

from pinnace.linux import cgroup_files
from pinnace.linux.cgroup_files import Discarded, Write


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for name in ("a.one", "a.two"):
        (tmp_path / name).touch()
    return str(tmp_path)


def perform(folder: str, *steps: Write | Discarded) -> list[str]:
    return cgroup_files.perform(steps, {"a": folder}.get)


def text(folder: str, name: str) -> str:
    with open(f"{folder}/{name}") as file:
        return file.read()


def test_values_go_to_the_files_of_their_controllers(folder: str) -> None:
    warnings = perform(folder, Write("a", "a.one", "1"), Write("a", "a.two", "2"))

    assert warnings == []
    assert (text(folder, "a.one"), text(folder, "a.two")) == ("1", "2")


def test_a_missing_file_is_its_warning_once(folder: str) -> None:
    steps = [Write("a", "a.none", "1", "no none"), Write("a", "a.nothing", "1", "no none")]

    assert perform(folder, *steps) == ["no none"]


def test_a_missing_controller_is_its_warning(folder: str) -> None:
    assert perform(folder, Write("b", "b.one", "1", "no b")) == ["no b"]


@pytest.mark.parametrize("controller", ["a", "b"])
def test_what_may_be_missing_silently_says_nothing(folder: str, controller: str) -> None:
    assert perform(folder, Write(controller, "a.none", "1", "")) == []


@pytest.mark.parametrize("controller", ["a", "b"])
def test_what_must_be_there_is_an_error_without(folder: str, controller: str) -> None:
    with pytest.raises(FileNotFoundError):
        perform(folder, Write(controller, "a.none", "1"))


def test_an_absent_cgroup_is_an_error_whatever_the_step_allows(folder: str) -> None:
    with pytest.raises(FileNotFoundError):
        perform(f"{folder}/gone", Write("a", "a.one", "1", "no one"))


def test_the_other_file_is_written_where_the_first_is_missing(folder: str) -> None:
    other = Write("a", "a.two", "20", "no two")

    warnings = perform(folder, Write("a", "a.none", "1", "no none", otherwise=other))

    assert warnings == []
    assert text(folder, "a.two") == "20"


def test_a_limit_that_could_not_be_planned_is_its_warning(folder: str) -> None:
    assert perform(folder, Discarded("not here")) == ["not here"]


class Kernel:
    """A stand-in for os.write that refuses as the kernel does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: int) -> None:
        self.errors = list(errors)
        self.written: list[bytes] = []
        monkeypatch.setattr(cgroup_files.os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        self.written.append(data)
        if code := self.errors.pop(0) if self.errors else 0:
            raise OSError(code, os.strerror(code))
        return len(data)


def test_what_is_refused_now_is_tried_again_last(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(monkeypatch, errno.EINVAL)

    perform(folder, Write("a", "a.one", "1", again=True), Write("a", "a.two", "2"))

    assert kernel.written == [b"1", b"2", b"1"]


def test_what_is_refused_twice_is_an_error_with_the_path(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(monkeypatch, errno.EINVAL, errno.EINVAL)

    with pytest.raises(OSError) as caught:
        perform(folder, Write("a", "a.one", "1", "no one", again=True))

    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, f"{folder}/a.one")


def test_a_withheld_privilege_is_a_warning(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(monkeypatch, errno.EPERM)

    warnings = perform(folder, Write("a", "a.one", "1", "no one"))

    assert warnings == [f"Operation not permitted: {folder}/a.one. '1' discarded."]


def test_a_withheld_privilege_is_an_error_where_nothing_may_be_missing(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(monkeypatch, errno.EPERM)

    with pytest.raises(PermissionError):
        perform(folder, Write("a", "a.one", "1"))


def test_a_file_that_does_nothing_here_counts_as_missing(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kernel(monkeypatch, errno.EOPNOTSUPP)

    assert perform(folder, Write("a", "a.one", "1", "no one")) == ["no one"]


def test_one_file_is_opened_once_for_lines_in_a_row(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = os.open
    monkeypatch.setattr(
        cgroup_files.os, "open", lambda path, flags: opened.append(path) or real(path, flags)
    )

    perform(folder, *(Write("a", "a.one", str(n)) for n in range(5)))

    assert opened == [f"{folder}/a.one"]
    assert text(folder, "a.one") == "01234"


def test_reading_a_file_that_is_not_offered_is_none(folder: str) -> None:
    assert cgroup_files.read_if_there(f"{folder}/a.none") is None


def test_reading_from_a_cgroup_that_is_gone_is_an_error(folder: str) -> None:
    with pytest.raises(FileNotFoundError):
        cgroup_files.read_if_there(f"{folder}/gone/a.one")


def test_processes_are_those_of_all_cgroups_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "cgroup.procs").write_text("1\n0\n12\n")
    (tmp_path / "below" / "cgroup.procs").write_text("7\n")

    assert cgroup_files.processes(str(tmp_path)) == [1, 12, 7]


def test_an_absent_cgroup_has_no_processes(tmp_path: Path) -> None:
    assert cgroup_files.processes(str(tmp_path / "gone")) == []


def test_removal_goes_on_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()

    with pytest.raises(NotADirectoryError):
        cgroup_files.remove_all([f"{tmp_path}/file", f"{tmp_path}/empty"], timeout=0)

    assert not (tmp_path / "empty").exists()
