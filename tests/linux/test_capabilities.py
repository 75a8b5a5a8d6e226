import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pinnace.linux import capabilities, syscall


def test_numbers_are_those_of_the_header() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")

    found = re.findall(r"#define (CAP_\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)

    assert {name: int(number) for name, number in found} == capabilities.NUMBERS


def test_dockers_default_is_dockers_mask() -> None:
    assert capabilities.mask(capabilities.DOCKER_DEFAULT) == 0xA80425FB


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NET_ADMIN", "CAP_NET_ADMIN"),
        ("net_admin", "CAP_NET_ADMIN"),
        ("CAP_NET_ADMIN", "CAP_NET_ADMIN"),
        ("cap_net_admin", "CAP_NET_ADMIN"),
        ("ALL", "ALL"),
        ("all", "ALL"),
    ],
)
def test_names_are_written_in_many_ways(written: str, meant: str) -> None:
    assert capabilities.parse(written) == meant


@pytest.mark.parametrize("name", ["FOO", "cap_foo", "", "CAP_ALL", "NET ADMIN"])
def test_unknown_names_are_refused_in_dockers_words(name: str) -> None:
    with pytest.raises(ValueError, match=r'^unknown capability: "CAP_'):
        capabilities.parse(name)


def test_masks_and_names_are_each_others_reverse() -> None:
    names = ["CAP_CHOWN", "CAP_NET_RAW", "CAP_CHECKPOINT_RESTORE"]

    assert capabilities.mask(names) == 1 | 1 << 13 | 1 << 40
    assert capabilities.names(capabilities.mask(names)) == names
    assert capabilities.mask(["CAP_FROM_THE_FUTURE"]) == 0


def test_the_last_capability_is_the_kernels() -> None:
    assert capabilities.last_cap() == int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def _status(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"^{field}:\s+(\w+)$", status, re.MULTILINE)[0], 16)


def test_available_is_the_effective_set() -> None:
    assert capabilities.mask(capabilities.available()) == _status("CapEff")


def _in_child(check: Callable[[], bool]) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.root
def test_the_bounding_set_becomes_exactly_the_mask() -> None:
    wanted = capabilities.mask(["CAP_CHOWN", "CAP_KILL"])

    def check() -> bool:
        capabilities.set_bounding(wanted)
        return _status("CapBnd") == wanted

    assert _in_child(check)


@pytest.mark.root
def test_another_user_keeps_what_was_asked_to_be_kept() -> None:
    wanted = capabilities.mask(["CAP_NET_BIND_SERVICE"])

    def check() -> bool:
        capabilities.keep_caps(True)
        os.setresuid(1000, 1000, 1000)
        capabilities.keep_caps(False)
        syscall.capset(wanted, wanted, wanted)
        capabilities.set_ambient(wanted)
        sets = [_status(f"Cap{name}") for name in ("Eff", "Prm", "Inh", "Amb")]
        return sets == [wanted] * 4

    assert _in_child(check)


@pytest.mark.root
def test_the_ambient_set_is_emptied_too() -> None:
    wanted = capabilities.mask(["CAP_CHOWN"])

    def check() -> bool:
        syscall.capset(wanted, wanted, wanted)
        capabilities.set_ambient(wanted)
        capabilities.set_ambient(0)
        return _status("CapAmb") == 0

    assert _in_child(check)
