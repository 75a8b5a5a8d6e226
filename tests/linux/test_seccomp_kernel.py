"""What the kernel makes of our programs. No privileges are needed: no_new_privs is set."""

import errno
import os
import platform
import select
import signal

import pytest

from pinnace.engine import seccomp_profile
from pinnace.linux import capabilities, process, seccomp
from pinnace.oci.spec import Seccomp, SeccompRule
from tests.linux import probe
from tests.linux.probe import Raw

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64")

_X32 = 0x40000000
_AF_ALG, _AF_VSOCK, _STREAM = 38, 40, 1


@pytest.fixture(scope="module")
def docker() -> bytes:
    program = seccomp_profile.program(capabilities.DOCKER_DEFAULT)
    assert program is not None
    return program


def test_an_ordinary_program_runs(docker: bytes) -> None:
    result = probe.run([Raw(39)], docker)  # getpid

    assert result.results[0] > 0
    assert result.status == 0


# Number, by the ABI's own table; each would be EFAULT, EINVAL or done if it got through.
_FORBIDDEN = {
    "keyctl": (250, 288),
    "add_key": (248, 286),
    "mount": (165, 21),
    "unshare": (272, 310),
    "setns": (308, 346),
    "bpf": (321, 357),
    "perf_event_open": (298, 336),
    "userfaultfd": (323, 374),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "move_mount": (429, 429),
    "mount_setattr": (442, 442),
    "init_module": (175, 128),
    "finit_module": (313, 350),
    "kexec_load": (246, 283),
    "reboot": (169, 88),
    "swapon": (167, 87),
    "settimeofday": (164, 79),
    "open_by_handle_at": (304, 342),
    "pivot_root": (155, 217),
    "acct": (163, 51),
    "iopl": (172, 110),
}


@pytest.mark.parametrize("name", _FORBIDDEN)
def test_a_forbidden_call_is_eperm_by_both_entries(docker: bytes, name: str) -> None:
    native, compat = _FORBIDDEN[name]

    result = probe.run([Raw(native), Raw(compat, (), "int80")], docker)

    assert result.results == [-errno.EPERM, -errno.EPERM]


@pytest.mark.parametrize("name", ["mount", "unshare", "bpf", "keyctl"])
def test_the_x32_entry_is_no_way_around(docker: bytes, name: str) -> None:
    result = probe.run([Raw(_X32 | _FORBIDDEN[name][0])], docker)

    assert result.results == [-errno.EPERM]


@pytest.mark.parametrize("family", [_AF_ALG, _AF_VSOCK])
@pytest.mark.parametrize("above", [0, 1 << 32, 0xDEADBEEF << 32])
def test_sockets_of_the_kernels_crypto_and_of_vsock_are_denied(
    docker: bytes, family: int, above: int
) -> None:
    calls = [
        Raw(41, (above | family, _STREAM)),
        Raw(_X32 | 41, (above | family, _STREAM)),
        Raw(359, (family, _STREAM), "int80"),
    ]

    assert probe.run(calls, docker).results == [-errno.EPERM] * 3


@pytest.mark.parametrize("family", [1, 2])
def test_ordinary_sockets_are_allowed(docker: bytes, family: int) -> None:
    result = probe.run([Raw(41, (family, _STREAM)), Raw(359, (family, _STREAM), "int80")], docker)

    assert min(result.results) > 2


def test_new_namespaces_are_denied_and_clone3_is_missing(docker: bytes) -> None:
    new_user = 0x10000000
    calls = [
        Raw(56, (new_user | signal.SIGCHLD,)),
        Raw(120, (new_user | signal.SIGCHLD,), "int80"),
        Raw(435),
        Raw(435, (), "int80"),
    ]

    assert probe.run(calls, docker).results == [
        -errno.EPERM, -errno.EPERM, -errno.ENOSYS, -errno.ENOSYS,
    ]  # fmt: skip


def test_numbers_that_no_call_has_are_enosys_as_without_a_filter(docker: bytes) -> None:
    calls = [Raw(400), Raw(5000), Raw(0x3FFFFFFF), Raw(5000, (), "int80"), Raw(_X32 | 5000)]

    assert probe.run(calls, docker).results == [-errno.ENOSYS] * 5
    assert probe.run(calls, None).results == [-errno.ENOSYS] * 5


def test_personality_is_only_what_docker_allows(docker: bytes) -> None:
    calls = [Raw(135, (0xFFFFFFFF,)), Raw(135, (0x0040000,)), Raw(135, (1 << 32 | 0x0040000,))]

    assert probe.run(calls, docker).results == [0, -errno.EPERM, -errno.EPERM]


def test_an_architecture_that_is_not_named_kills_the_process() -> None:
    filter = Seccomp(default_action="SCMP_ACT_ALLOW", architectures=["SCMP_ARCH_X86_64"])
    program = seccomp.compile(filter)

    result = probe.run([Raw(39), Raw(20, (), "int80"), Raw(39)], program)

    assert len(result.results) == 1
    assert result.status == -signal.SIGSYS


def _in_child(filter: Seccomp, number: int) -> int:
    """The low byte of a call's negated result, or 255 for one that worked."""
    pid = os.fork()
    if pid == 0:
        try:
            process.forbid_new_privileges()
            seccomp.install(seccomp.compile(filter), seccomp.flags(filter))
            result = probe.here(number)
            os._exit(-result if result < 0 else 255)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("SCMP_ACT_ERRNO", 77),
        ("SCMP_ACT_KILL", -signal.SIGSYS),
        ("SCMP_ACT_KILL_PROCESS", -signal.SIGSYS),
        ("SCMP_ACT_TRAP", -signal.SIGSYS),
        ("SCMP_ACT_TRACE", errno.ENOSYS),  # nobody traces
        ("SCMP_ACT_LOG", 255),
        ("SCMP_ACT_ALLOW", 255),
    ],
)
def test_actions_do_what_they_say(action: str, expected: int) -> None:
    filter = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        syscalls=[SeccompRule(names=["getppid"], action=action, errno_ret=77)],
    )

    assert _in_child(filter, 110) == expected


def test_flags_are_accepted() -> None:
    filter = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        flags=["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        syscalls=[SeccompRule(names=["getppid"], action="SCMP_ACT_ERRNO", errno_ret=77)],
    )

    assert _in_child(filter, 110) == 77


def test_a_filter_that_notifies_gives_a_listener() -> None:
    filter = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        syscalls=[SeccompRule(names=["getppid"], action="SCMP_ACT_NOTIFY")],
    )
    pid = os.fork()
    if pid == 0:
        try:
            process.forbid_new_privileges()
            listener = seccomp.install(seccomp.compile(filter), seccomp.flags(filter))
            os._exit(0 if listener is not None and _pollable(listener) else 1)
        finally:
            os._exit(99)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _pollable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll.poll(0) == []
