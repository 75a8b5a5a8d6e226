"""BPF programs of cgroups: instructions packed, a device filter loaded and put in place."""

import errno
import os
import resource
import struct

from pinnace.linux import syscall

# bpf(2), enum bpf_cmd
_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_DETACH = 9
_PROG_GET_FD_BY_ID = 13
_PROG_QUERY = 16

_PROG_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_REPLACE = 4

_MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS
_LOADS = 30

# struct bpf_cgroup_dev_ctx.access_type: type in the low half, access in the high one
DEVICE_TYPES = {"b": 1, "c": 2}
DEVICE_ACCESS = {"m": 1, "r": 2, "w": 4}

# enough of the instruction set for a filter: class | operation | source
LOAD_WORD = 0x61  # dst = *(u32 *)(src + offset)
MOVE = 0xB7  # dst = immediate
MOVE_REGISTER = 0xBF
AND = 0x57
SHIFT_RIGHT = 0x77
JUMP = 0x05
JUMP_UNLESS_EQUAL = 0x55
JUMP_IF_ANY_BIT = 0x45
EXIT = 0x95


def instruction(
    code: int, dst: int = 0, src: int = 0, *, offset: int = 0, immediate: int = 0
) -> bytes:
    """One struct bpf_insn."""
    return struct.pack("=BBhi", code, src << 4 | dst, offset, immediate)


def install_device_filter(folder_fd: int, program: bytes) -> None:
    """Make program the only device filter of the cgroup itself; at no time is there none."""
    fds = [_load(program)]
    try:
        old = _attached(folder_fd)
        fds += old
        if len(old) == 1 and _replace(folder_fd, fds[0], old[0]):
            return
        _attach(folder_fd, fds[0], _ALLOW_MULTI, 0)
        for each in old:
            syscall.bpf(_PROG_DETACH, struct.pack("=IIII", folder_fd, each, _CGROUP_DEVICE, 0))
    finally:
        for each in fds:
            os.close(each)


def _replace(folder_fd: int, fd: int, old: int) -> bool:
    """False where the kernel can't (before 5.6)."""
    try:
        _attach(folder_fd, fd, _ALLOW_MULTI | _REPLACE, old)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _attach(folder_fd: int, fd: int, flags: int, old: int) -> None:
    # Older kernels refuse a longer attribute than they know unless its end is zero.
    syscall.bpf(_PROG_ATTACH, struct.pack("=IIIII", folder_fd, fd, _CGROUP_DEVICE, flags, old))


def _attached(folder_fd: int) -> list[int]:
    """Descriptors of the device filters of the cgroup itself."""
    ids = syscall.Buffer(4 * _MOST_PROGRAMS)
    attr = struct.pack("=IIIIQII", folder_fd, _CGROUP_DEVICE, 0, 0, ids.address, _MOST_PROGRAMS, 0)
    syscall.bpf(_PROG_QUERY, attr)
    found = []
    for (number,) in struct.iter_unpack("=I", ids.data):
        if number == 0:
            break
        try:
            found.append(syscall.bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0)))
        except FileNotFoundError:
            pass  # gone in between
    return found


def _load(program: bytes) -> int:
    try:
        return _load_once(program)
    except PermissionError as error:
        # Before Linux 5.11 programs count against RLIMIT_MEMLOCK; EACCES is the verifier's.
        if error.errno != errno.EPERM:
            raise
    # The limit is put back: what is forked from here must not inherit it.
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    except ValueError:
        raise OSError(errno.EPERM, "bpf: may not load a program nor raise RLIMIT_MEMLOCK") from None
    try:
        return _load_once(program)
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)


def _load_once(program: bytes) -> int:
    code, license = syscall.Buffer(program), syscall.Buffer(b"Apache\0")
    count = len(program) // 8
    attr = struct.pack(
        "=IIQQIIQII16s", _PROG_TYPE_CGROUP_DEVICE, count, code.address, license.address,
        0, 0, 0, 0, 0, b"pinnace_devices",
    )  # fmt: skip
    for attempt in range(_LOADS):
        try:
            return syscall.bpf(_PROG_LOAD, attr)
        except BlockingIOError:
            # A signal during verification: EAGAIN, since 4.20.
            if attempt == _LOADS - 1:
                raise
    raise AssertionError("unreachable")
