"""Processes under a seccomp program that make system calls and tell what came of them."""

import ctypes
import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

from pinnace.linux import process, seccomp
from pinnace.store import elf


class Raw(NamedTuple):
    """A call by number; entry is syscall or int80."""

    number: int
    arguments: tuple[int, ...] = ()
    entry: str = "syscall"


class Result(NamedTuple):
    """results has the calls' return values (-errno), fewer if the process was killed."""

    results: list[int]
    status: int


def run(calls: Sequence[Raw], program: bytes | None) -> Result:
    """Make the calls, one after the other, in a static program (x86-64) of their own."""
    image = os.memfd_create("probe", os.MFD_CLOEXEC)
    os.write(image, elf.executable(b"".join(map(_code, calls)) + _EXIT, "x86_64"))
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(writer, 1)
            process.forbid_new_privileges()
            if program is not None:
                seccomp.install(program, 0)
            os.execve(image, ["probe"], {})
        finally:
            os._exit(99)
    os.close(writer)
    os.close(image)
    with open(reader, "rb") as pipe:
        output = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Result([value for (value,) in struct.iter_unpack("<q", output)], status)


_EXIT = bytes.fromhex("b8 e7 00 00 00  31 ff  0f 05")  # mov eax, 231; xor edi, edi; syscall
_TELL = b"".join((
    bytes.fromhex("50"),              # push rax
    bytes.fromhex("b8 01 00 00 00"),  # mov eax, 1 (write)
    bytes.fromhex("bf 01 00 00 00"),  # mov edi, 1
    bytes.fromhex("48 89 e6"),        # mov rsi, rsp
    bytes.fromhex("ba 08 00 00 00"),  # mov edx, 8
    bytes.fromhex("0f 05"),           # syscall
    bytes.fromhex("58"),              # pop rax
))  # fmt: skip


def _code(call: Raw) -> bytes:
    values = (call.number, *call.arguments, *(0,) * (6 - len(call.arguments)))
    if call.entry == "int80":
        registers = [b"\xb8", b"\xbb", b"\xb9", b"\xba", b"\xbe", b"\xbf", b"\xbd"]
        loads = [r + struct.pack("<I", v) for r, v in zip(registers, values, strict=True)]
        return b"".join(loads) + bytes.fromhex("cd 80  48 63 c0") + _TELL  # movsxd rax, eax
    prefixes = ["48 b8", "48 bf", "48 be", "48 ba", "49 ba", "49 b8", "49 b9"]
    loads = [bytes.fromhex(p) + struct.pack("<Q", v) for p, v in zip(prefixes, values, strict=True)]
    return b"".join(loads) + bytes.fromhex("0f 05") + _TELL


_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = [ctypes.c_long] + [ctypes.c_ulong] * 6
_syscall.restype = ctypes.c_long


def here(number: int, *arguments: int) -> int:
    """The call in this very process: its result, or -errno."""
    result = int(_syscall(number, *arguments, *(0,) * (6 - len(arguments))))
    return -ctypes.get_errno() if result == -1 else result
