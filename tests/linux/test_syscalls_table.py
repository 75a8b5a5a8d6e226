import re
from pathlib import Path

import pytest

from pinnace.linux import syscalls_table
from pinnace.linux.syscalls_table import ABIS, X32_BIT

_HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "i386": "/usr/include/x86_64-linux-gnu/asm/unistd_32.h",
    "x32": "/usr/include/x86_64-linux-gnu/asm/unistd_x32.h",
}
_DEFINITION = re.compile(r"#define __NR_(\w+) \(?(?:__X32_SYSCALL_BIT \+ )?(\d+)")


@pytest.mark.parametrize("abi", _HEADERS)
def test_numbers_are_those_of_the_headers(abi: str) -> None:
    header = Path(_HEADERS[abi])
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    bit = X32_BIT if abi == "x32" else 0
    expected = {n: int(v) | bit for n, v in _DEFINITION.findall(header.read_text())}

    table = syscalls_table.numbers(abi)

    newer = max(expected.values())
    assert {n: v for n, v in table.items() if v <= newer and n in expected} == expected


@pytest.mark.parametrize("abi", ABIS)
def test_a_number_has_one_name(abi: str) -> None:
    table = syscalls_table.numbers(abi)

    assert len(set(table.values())) == len(table)


@pytest.mark.parametrize(
    ("abi", "name", "number"),
    [
        ("x86_64", "read", 0),
        ("x86_64", "execve", 59),
        ("x32", "execve", X32_BIT | 520),
        ("i386", "execve", 11),
        ("i386", "socketcall", 102),
        ("aarch64", "execve", 221),
        ("arm", "execve", 11),
        ("arm", "set_tls", 0xF0005),
    ],
)
def test_well_known_numbers(abi: str, name: str, number: int) -> None:
    assert syscalls_table.numbers(abi)[name] == number


@pytest.mark.parametrize("abi", ABIS)
def test_calls_newer_than_five_one_have_one_number_everywhere(abi: str) -> None:
    bit = X32_BIT if abi == "x32" else 0

    assert syscalls_table.numbers(abi)["openat2"] == 437 | bit
    assert syscalls_table.numbers(abi)["listns"] == 470 | bit


def test_calls_that_an_abi_lacks_are_not_in_its_table() -> None:
    assert "socketcall" not in syscalls_table.numbers("x86_64")
    assert "open" not in syscalls_table.numbers("aarch64")


def test_narrow_arguments_are_those_declared_as_int() -> None:
    narrow = syscalls_table.narrow_arguments()

    assert narrow["socket"] == {0, 1, 2}
    assert narrow["ioctl"] == {0, 1}
    assert narrow["personality"] == {0}
    assert "mmap" not in narrow
    assert "ptrace" not in narrow
