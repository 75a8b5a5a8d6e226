"""The local driver's options, as mount(8) and Docker have them."""

import os
from pathlib import Path

import pytest

from pinnace import errors
from pinnace.engine import volume_options


@pytest.mark.parametrize(
    ("words", "flags", "data"),
    [
        ("", 0, ""),
        ("bind", 4096, ""),
        ("bind,ro,nosuid", 4096 | 1 | 2, ""),
        ("ro,rw", 0, ""),
        ("addr=1.2.3.4,rw,nfsvers=4", 0, "addr=1.2.3.4,nfsvers=4"),
        ("size=1m,noexec", 8, "size=1m"),
    ],
)
def test_words_become_flags_and_data(words: str, flags: int, data: str) -> None:
    assert volume_options.parse(words) == (flags, data)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, ""),
        ({"type": "none", "o": "bind", "device": "/x"}, ""),
        ({"foo": "x"}, 'invalid option: "foo"'),
        ({"o": "x"}, 'missing required option: "device"'),
        ({"device": "a\0b"}, "invalid option: contains nul byte"),
    ],
)
def test_problems(options: dict[str, str], problem: str) -> None:
    assert volume_options.problem(options) == problem


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_device_that_is_not_there_fails_in_dockers_words(tmp_path: Path) -> None:
    options = {"type": "none", "o": "bind", "device": "/nope", "password": "x"}
    with pytest.raises(errors.Failed) as failed:
        volume_options.mount(options, str(tmp_path))
    assert failed.value.message == (
        f"error while mounting volume '{tmp_path}': failed to mount local volume: "
        f"mount /nope:{tmp_path}, flags: 0x1000: no such file or directory"
    )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_folder_is_bound_once_and_let_go(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "file").touch()
    options = {"type": "none", "o": "bind,ro", "device": str(source)}

    volume_options.mount(options, str(target))
    volume_options.mount(options, str(target))
    try:
        assert (target / "file").exists()
        assert os.statvfs(target).f_flag & os.ST_RDONLY
    finally:
        volume_options.unmount(str(target))

    assert not (target / "file").exists()
    volume_options.unmount(str(target))
