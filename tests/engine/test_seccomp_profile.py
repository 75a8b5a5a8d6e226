import json
from collections.abc import Mapping

import pytest

from pinnace import errors
from pinnace.engine import seccomp_profile
from pinnace.engine.seccomp_profile import Situation
from pinnace.linux import capabilities, seccomp, syscalls_table
from pinnace.oci.spec import Seccomp
from tests.linux import bpf_machine
from tests.linux.bpf_machine import ALLOW, ENOSYS, EPERM, ERRNO, Call

_DEFAULT = capabilities.DOCKER_DEFAULT
_MACHINES = {"x86_64": ("x86_64", "i386", "x32"), "aarch64": ("aarch64", "arm")}


def _filter(caps: tuple[str, ...] = _DEFAULT, arch: str = "x86_64", **more: str) -> Seccomp:
    filter = seccomp_profile.for_container(caps, "6.12.1-generic", arch, **more)
    assert filter is not None
    return filter


def _verdict(filter: Seccomp, name: str, *arguments: int, abi: str = "x86_64") -> int:
    code = bpf_machine.instructions(seccomp.compile(filter, "x86_64"))
    number = syscalls_table.numbers(abi)[name]
    return bpf_machine.run(
        code, Call(abi, number, (*arguments, *(0,) * (6 - len(arguments))))
    ).verdict


# the default profile


@pytest.mark.parametrize(
    "caps",
    [(), _DEFAULT, ("CAP_SYS_ADMIN",), ("CAP_BPF", "CAP_SYS_TIME"), tuple(capabilities.NUMBERS)],
    ids=["none", "default", "admin", "some", "all"],
)
@pytest.mark.parametrize("machine", _MACHINES)
def test_every_call_of_every_abi_is_as_the_profile_says(
    machine: str, caps: tuple[str, ...]
) -> None:
    filter = _filter(caps, machine)
    code = bpf_machine.instructions(seccomp.compile(filter, machine))
    bpf_machine.verify(code)
    arguments = [(v,) * 6 for v in (0, 1, 8, 38, 39, 40, 0x20000000, 0xFFFFFFFF, 2**32 + 40)]

    for abi in _MACHINES[machine]:
        for number in syscalls_table.numbers(abi).values():
            for values in arguments:
                call = Call(abi, number, values)
                (expected,) = bpf_machine.decide(filter, machine, call)
                assert bpf_machine.run(code, call).verdict == expected, call


@pytest.mark.parametrize("abi", ["x86_64", "i386", "x32"])
def test_a_call_takes_few_instructions(abi: str) -> None:
    code = bpf_machine.instructions(seccomp.compile(_filter()))
    outcomes = [
        bpf_machine.run(code, Call(abi, number)) for number in syscalls_table.numbers(abi).values()
    ]

    assert len(code) < 400
    assert sum(o.steps for o in outcomes) / len(outcomes) < 13
    assert max(o.steps for o in outcomes) < 25


def test_calls_that_are_always_allowed_need_no_look_at_arguments() -> None:
    """Else the kernel could not remember them, and would run the program each time."""
    code = bpf_machine.instructions(seccomp.compile(_filter()))
    conditional = {"socket", "personality", "clone"}

    for name, number in syscalls_table.numbers("x86_64").items():
        outcome = bpf_machine.run(code, Call("x86_64", number))
        assert outcome.looked_at_arguments == (name in conditional), name


@pytest.mark.parametrize(
    "name",
    [
        "keyctl",
        "add_key",
        "request_key",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "kexec_load",
        "userfaultfd",
        "swapon",
        "nfsservctl",
        "pivot_root",
        "move_pages",
        "uselib",
        "bpf",
        "perf_event_open",
        "mount",
        "umount2",
        "unshare",
        "setns",
        "open_by_handle_at",
        "init_module",
        "reboot",
        "ptrace_is_fine",
    ][:-1],
)
def test_what_docker_denies_is_denied(name: str) -> None:
    assert _verdict(_filter(), name) == ERRNO | EPERM


@pytest.mark.parametrize(
    ("family", "expected"),
    [(1, ALLOW), (2, ALLOW), (37, ALLOW), (38, ERRNO | EPERM), (39, ALLOW), (40, ERRNO | EPERM),
     (41, ALLOW), (45, ALLOW), (2**32 + 38, ERRNO | EPERM), (2**32 + 40, ERRNO | EPERM)],
)  # fmt: skip
def test_sockets_by_family(family: int, expected: int) -> None:
    assert _verdict(_filter(), "socket", family) == expected


def test_namespaces_are_made_only_with_sys_admin() -> None:
    new_user = 0x10000000

    assert _verdict(_filter(), "clone", new_user) == ERRNO | EPERM
    assert _verdict(_filter(), "clone", 0x01200011) == ALLOW
    assert _verdict(_filter(), "clone3") == ERRNO | ENOSYS
    admin = _filter((*_DEFAULT, "CAP_SYS_ADMIN"))
    assert _verdict(admin, "clone", new_user) == ALLOW
    assert _verdict(admin, "clone3") == ALLOW


@pytest.mark.parametrize(
    ("cap", "name"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_BPF", "bpf"),
        ("CAP_SYS_MODULE", "finit_module"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_PERFMON", "perf_event_open"),
    ],
)
def test_a_capability_opens_its_calls(cap: str, name: str) -> None:
    assert _verdict(_filter(), name) == ERRNO | EPERM
    assert _verdict(_filter((*_DEFAULT, cap)), name) == ALLOW


def test_architectures_come_with_their_smaller_ones() -> None:
    assert _filter().architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert _filter(arch="aarch64").architectures == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]


# terms


def _profile(*rules: Mapping[str, object], **more: object) -> str:
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules, **more}
    return json.dumps(document)


@pytest.mark.parametrize(
    ("terms", "applies"),
    [
        ({}, True),
        ({"includes": {}}, True),
        ({"includes": None, "excludes": None}, True),
        ({"includes": {"caps": ["CAP_A"]}}, True),
        ({"includes": {"caps": ["CAP_A", "CAP_C"]}}, False),
        ({"excludes": {"caps": ["CAP_C"]}}, True),
        ({"excludes": {"caps": ["CAP_C", "CAP_A"]}}, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "5.9"}}, True),
        ({"includes": {"minKernel": "5.10"}}, True),
        ({"includes": {"minKernel": "5.11"}}, False),
        ({"includes": {"minKernel": "6.0"}}, False),
        ({"excludes": {"minKernel": "5.10"}}, False),
        ({"excludes": {"minKernel": "6.1"}}, True),
        ({"includes": {"caps": ["CAP_A"]}, "excludes": {"caps": ["CAP_A"]}}, False),
    ],
)
def test_terms(terms: dict[str, object], applies: bool) -> None:
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW", **terms}
    profile = seccomp_profile.load(_profile(rule))
    situation = Situation(caps=frozenset(("CAP_A", "CAP_B")), kernel="5.10.0-8-amd64")

    filter = seccomp_profile.resolve(profile, situation)

    assert filter is not None
    assert bool(filter.syscalls) is applies


def test_an_unreadable_kernel_version_is_an_error() -> None:
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "four"}}

    with pytest.raises(errors.Invalid, match='failed to parse kernel version "four"'):
        seccomp_profile.for_container((), "5.10", profile=_profile(rule))


# documents of clients


def test_all_of_a_rule_is_kept() -> None:
    rule = {
        "name": "personality",
        "action": "SCMP_ACT_TRACE",
        "errnoRet": 5,
        "args": [{"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}],
        "comment": "not looked at",
    }
    document = _profile(
        rule, defaultErrnoRet=38, architectures=["SCMP_ARCH_X86"], archMap=None, flags=["F"],
        listenerPath="/l", listenerMetadata="m",
    )  # fmt: skip

    filter = seccomp_profile.for_container((), "5.10", profile=document)

    assert filter is not None
    assert (filter.default_errno_ret, filter.flags) == (38, ["F"])
    assert (filter.listener_path, filter.listener_metadata) == ("/l", "m")
    assert filter.architectures == ["SCMP_ARCH_X86"]
    (got,) = filter.syscalls
    assert (got.names, got.action, got.errno_ret) == (["personality"], "SCMP_ACT_TRACE", 5)
    (argument,) = got.args
    assert (argument.index, argument.value, argument.value_two) == (1, 2, 3)


def test_an_empty_profile_is_no_confinement() -> None:
    assert seccomp_profile.for_container((), "5.10", profile="{}") is None
    assert seccomp_profile.program((), "{}") is None


def test_words_for_profiles() -> None:
    assert seccomp_profile.for_container((), "5.10", profile="unconfined") is None
    assert seccomp_profile.program((), "unconfined") is None
    assert _filter(profile="builtin") == _filter()


@pytest.mark.parametrize("document", ["nosuch", "{", '{"defaultAction": 5}', "[]"])
def test_a_document_that_is_none_is_refused(document: str) -> None:
    with pytest.raises(errors.Invalid, match=r"^Decoding seccomp profile failed: "):
        seccomp_profile.load(document)


def test_two_ways_of_saying_the_same_are_refused() -> None:
    both = {"name": "read", "names": ["read"], "action": "SCMP_ACT_ALLOW"}
    with pytest.raises(errors.Invalid) as names:
        seccomp_profile.load(_profile(both))
    with pytest.raises(errors.Invalid) as architectures:
        seccomp_profile.load(_profile(architectures=["a"], archMap=[{"architecture": "b"}]))

    assert names.value.message == (
        "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'"
    )
    assert architectures.value.message == (
        "both 'architectures' and 'archMap' are specified in the seccomp profile, "
        "use either 'architectures' or 'archMap'"
    )


def test_a_filter_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="string FOO is not a valid action for seccomp"):
        seccomp_profile.program((), '{"defaultAction": "FOO"}')
    with pytest.raises(errors.Invalid, match="seccomp flag FOO is not known"):
        seccomp_profile.program((), '{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FOO"]}')


def test_results_are_kept() -> None:
    assert _filter() is _filter()
    assert seccomp_profile.program(_DEFAULT) is seccomp_profile.program(list(_DEFAULT))
