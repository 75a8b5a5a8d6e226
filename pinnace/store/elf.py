"""Static ELF programs of a few hundred bytes, made of machine code that is written out here.

The image `hello` holds one, so that an engine has something to run before it has seen a
registry. The programs need no loader, no library and no file of their own.
"""

import struct
from typing import Final

# Everything is in one segment: headers, code, message. It is loaded here.
_BASE: Final = 0x400000
_HEADERS: Final = 64 + 2 * 56

# elf.h, EM_*; by platform.machine()'s names
_MACHINES: Final = {"x86_64": 62, "aarch64": 183}

MAX_MESSAGE: Final = 0xFFFF  # what one aarch64 movz holds

GREETING: Final = b"""
Ahoy from pinnace! Your engine is afloat.

Here is what it took to bring you this message:
 1. The client asked the daemon, over its socket, to run the image "hello".
 2. The daemon found the image: one small layer, which it had made by itself.
 3. It started a container: its own processes, files, network, host name and users,
    with few privileges and under a filter for system calls.
 4. Inside, one program without any library wrote these lines, and exited.
 5. The container's supervisor passed them on, and your client shows them to you.

To look around in something roomier, made of this machine's own files, try:
 $ docker run -it --rm host bash
Nothing that you change in there reaches the machine.

"""


def hello(message: bytes, machine: str) -> bytes:
    """A program that writes message to its standard output and exits with 0 (1 if it can't)."""
    if len(message) > MAX_MESSAGE:
        raise ValueError(f"a message of {len(message)} bytes is too long")
    code = {"x86_64": _write_x86_64, "aarch64": _write_aarch64}[machine](len(message))
    return executable(code + message, machine)


def executable(content: bytes, machine: str) -> bytes:
    """The ELF file whose segment is content, entered at its first byte; see elf(5)."""
    size = _HEADERS + len(content)
    header = struct.pack(
        "<4sBBBBQHHIQQQIHHHHHH",
        b"\x7fELF",
        2, 1, 1, 0, 0,  # 64 bits, little-endian, version 1, System V
        2, _MACHINES[machine], 1,  # ET_EXEC
        _BASE + _HEADERS, 64, 0,  # entry; program headers follow this one; no sections
        0, 64, 56, 2, 64, 0, 0,
    )  # fmt: skip
    # PT_LOAD, readable and executable; aligned for the largest pages that aarch64 may have.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    # PT_GNU_STACK, readable and writable: a stack that can't be executed.
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)
    return header + segment + stack + content


def _write_x86_64(length: int) -> bytes:
    """write(2) until all is written. A call's number and result are in rax; it spoils rcx, r11."""
    tail = b"".join((
        bytes.fromhex("b8 01 00 00 00"),  # again: mov eax, 1 (write)
        bytes.fromhex("bf 01 00 00 00"),  #        mov edi, 1 (standard output)
        bytes.fromhex("0f 05"),           #        syscall
        bytes.fromhex("48 85 c0"),        #        test rax, rax
        bytes.fromhex("7e 0b"),           #        jle failed
        bytes.fromhex("48 01 c6"),        #        add rsi, rax
        bytes.fromhex("29 c2"),           #        sub edx, eax
        bytes.fromhex("75 e8"),           #        jnz again
        bytes.fromhex("31 ff"),           #        xor edi, edi
        bytes.fromhex("eb 05"),           #        jmp exit
        bytes.fromhex("bf 01 00 00 00"),  # failed: mov edi, 1
        bytes.fromhex("b8 e7 00 00 00"),  # exit:  mov eax, 231 (exit_group)
        bytes.fromhex("0f 05"),           #        syscall
    ))  # fmt: skip
    count = b"\xba" + struct.pack("<I", length)  # mov edx, length
    distance = len(count) + len(tail)
    return b"\x48\x8d\x35" + struct.pack("<i", distance) + count + tail  # lea rsi, [rip+distance]


def _write_aarch64(length: int) -> bytes:
    """The same. A call's number is in x8, its result in x0; it spoils nothing else."""
    code = (
        0x10000001 | (15 << 5),      #         adr x1, message (15 instructions on)
        0xD2800002 | (length << 5),  #         mov x2, length
        0xD2800020,                  # again:  mov x0, 1 (standard output)
        0xD2800808,                  #         mov x8, 64 (write)
        0xD4000001,                  #         svc 0
        0xF100001F,                  #         cmp x0, 0
        0x5400000D | (6 << 5),       #         b.le failed
        0x8B000021,                  #         add x1, x1, x0
        0xEB000042,                  #         subs x2, x2, x0
        0x54000001 | (-7 & 0x7FFFF) << 5,  #   b.ne again
        0xD2800000,                  #         mov x0, 0
        0x14000002,                  #         b exit
        0xD2800020,                  # failed: mov x0, 1
        0xD2800BC8,                  # exit:   mov x8, 94 (exit_group)
        0xD4000001,                  #         svc 0
    )  # fmt: skip
    return struct.pack(f"<{len(code)}I", *code)
