import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.linux import seccomp, syscalls_table
from pinnace.oci.spec import Seccomp, SeccompArg, SeccompRule
from tests.linux import bpf_machine
from tests.linux.bpf_machine import (
    ALLOW,
    ENOSYS,
    EPERM,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    Call,
)

_X32 = syscalls_table.X32_BIT
_ALL_X86 = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def _rule(
    names: str, *args: SeccompArg, action: str = "SCMP_ACT_ALLOW", errno: int | None = None
) -> SeccompRule:
    return SeccompRule(names=names.split(), action=action, errno_ret=errno, args=list(args))


def _arg(index: int, op: str, value: int, two: int = 0) -> SeccompArg:
    return SeccompArg(index=index, op=f"SCMP_CMP_{op}", value=value, value_two=two)


def _allowing(*rules: SeccompRule, architectures: list[str] | None = None) -> Seccomp:
    """Everything but the rules is EPERM."""
    return Seccomp(
        default_action="SCMP_ACT_ERRNO",
        architectures=_ALL_X86 if architectures is None else architectures,
        syscalls=list(rules),
    )


def _denying(*rules: SeccompRule) -> Seccomp:
    return Seccomp(default_action="SCMP_ACT_ALLOW", architectures=_ALL_X86, syscalls=list(rules))


def _verdict(
    filter: Seccomp, name: str | int, *arguments: int, abi: str = "x86_64", arch: str = "x86_64"
) -> int:
    code = bpf_machine.instructions(seccomp.compile(filter, arch))
    bpf_machine.verify(code)
    number = name if isinstance(name, int) else syscalls_table.numbers(abi)[name]
    full = (*arguments, *(0,) * (6 - len(arguments)))
    return bpf_machine.run(code, Call(abi, number, full)).verdict


# numbers and architectures


@pytest.mark.parametrize("abi", ["x86_64", "i386", "x32"])
def test_a_name_stands_for_its_number_in_each_abi(abi: str) -> None:
    filter = _allowing(_rule("execve statx"))

    assert _verdict(filter, "execve", abi=abi) == ALLOW
    assert _verdict(filter, "fork", abi=abi) == ERRNO | EPERM


@pytest.mark.parametrize("abi", ["aarch64", "arm"])
def test_arm_machines_have_tables_of_their_own(abi: str) -> None:
    filter = _allowing(_rule("execve"), architectures=["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])

    assert _verdict(filter, "execve", abi=abi, arch="aarch64") == ALLOW
    assert _verdict(filter, "exit", abi=abi, arch="aarch64") == ERRNO | EPERM


def test_a_name_of_one_abi_only_says_nothing_of_the_others() -> None:
    filter = _allowing(_rule("waitpid exit_group"))

    assert _verdict(filter, "waitpid", abi="i386") == ALLOW
    assert _verdict(filter, 7) == ERRNO | EPERM  # poll, which has the number of i386's waitpid


def test_the_native_architecture_need_not_be_named() -> None:
    assert _verdict(_allowing(_rule("read"), architectures=[]), "read") == ALLOW


@pytest.mark.parametrize("abi", ["i386", "arm", "aarch64"])
def test_an_architecture_that_is_not_named_kills(abi: str) -> None:
    filter = Seccomp(default_action="SCMP_ACT_ALLOW", architectures=["SCMP_ARCH_X86_64"])

    assert _verdict(filter, "read", abi=abi) == KILL_PROCESS


def test_x32_calls_kill_where_x32_is_not_named() -> None:
    filter = _allowing(_rule("read"), architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])

    assert _verdict(filter, _X32) == KILL_PROCESS
    assert _verdict(filter, 0xFFFFFFFE) == KILL_PROCESS
    assert _verdict(filter, 0xFFFFFFFF) == ERRNO | EPERM  # a call that a tracer skipped


def test_architectures_of_other_machines_are_of_no_account() -> None:
    one = _allowing(_rule("read"))
    other = _allowing(_rule("read"), architectures=[*_ALL_X86, "SCMP_ARCH_S390X"])

    assert seccomp.compile(one) == seccomp.compile(other)


def test_unknown_names_are_ignored() -> None:
    filter = _allowing(_rule("read no_such_call"))

    assert _verdict(filter, "read") == ALLOW


def test_calls_beyond_those_that_the_filter_knows_are_missing() -> None:
    filter = _allowing(_rule("read statx"))  # 332 on x86_64, 383 on i386

    assert _verdict(filter, 331) == ERRNO | EPERM
    assert _verdict(filter, 333) == ERRNO | ENOSYS
    assert _verdict(filter, 100_000) == ERRNO | ENOSYS
    assert _verdict(filter, 384, abi="i386") == ERRNO | ENOSYS
    assert _verdict(filter, _X32 | 333, abi="x32") == ERRNO | ENOSYS


def test_a_call_counts_as_known_when_its_rule_repeats_the_default() -> None:
    filter = _allowing(_rule("read"), _rule("statx", action="SCMP_ACT_ERRNO", errno=EPERM))

    assert _verdict(filter, "statx") == ERRNO | EPERM


def test_numbers_that_no_call_has_are_missing() -> None:
    filter = _allowing(_rule("read openat2"))

    assert _verdict(filter, 400) == ERRNO | ENOSYS


@pytest.mark.parametrize("action", ["KILL", "KILL_PROCESS", "TRAP"])
def test_new_calls_are_missing_rather_than_deadly(action: str) -> None:
    filter = Seccomp(default_action=f"SCMP_ACT_{action}", syscalls=[_rule("read openat2")])

    assert _verdict(filter, 438) == ERRNO | ENOSYS
    assert _verdict(filter, 400) == bpf_machine.code(f"SCMP_ACT_{action}", None)


@pytest.mark.parametrize("action", ["ALLOW", "LOG", "TRACE"])
def test_new_calls_follow_a_default_that_lets_calls_go_on(action: str) -> None:
    filter = Seccomp(
        default_action=f"SCMP_ACT_{action}", syscalls=[_rule("read", action="SCMP_ACT_KILL")]
    )

    assert _verdict(filter, 5000) == bpf_machine.code(f"SCMP_ACT_{action}", None)
    assert _verdict(filter, "read") == KILL_THREAD


def test_a_filter_without_known_calls_has_the_default_for_all() -> None:
    assert _verdict(_allowing(), 5000) == ERRNO | EPERM


def test_an_unknown_machine_is_an_error() -> None:
    with pytest.raises(ValueError, match="no system call table for riscv64"):
        seccomp.compile(_allowing(), "riscv64")


# actions


@pytest.mark.parametrize(
    ("action", "errno", "expected"),
    [
        ("ALLOW", None, ALLOW),
        ("LOG", None, LOG),
        ("KILL", None, KILL_THREAD),
        ("KILL_THREAD", None, KILL_THREAD),
        ("KILL_PROCESS", None, KILL_PROCESS),
        ("TRAP", 9, 0x00030000),
        ("NOTIFY", None, 0x7FC00000),
        ("ERRNO", None, ERRNO | EPERM),
        ("ERRNO", 38, ERRNO | ENOSYS),
        ("ERRNO", 0, ERRNO),
        ("TRACE", None, TRACE | EPERM),
        ("TRACE", 5, TRACE | 5),
    ],
)
def test_actions(action: str, errno: int | None, expected: int) -> None:
    filter = Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno_ret=99,
        syscalls=[_rule("read", action=f"SCMP_ACT_{action}", errno=errno)],
    )

    assert _verdict(filter, "read") == expected
    assert _verdict(filter, "mmap", abi="x86_64") == ERRNO | ENOSYS
    assert _verdict(filter, 0xFFFFFFFF) == ERRNO | 99


# arguments

_WIDE = 0x1_0000_0005


@pytest.mark.parametrize(
    ("op", "matching", "others"),
    [
        ("EQ", [_WIDE], [5, _WIDE - 1, 0x2_0000_0005]),
        ("NE", [5, _WIDE + 1, 0], [_WIDE]),
        ("GT", [_WIDE + 1, 0x2_0000_0000], [_WIDE, 6, 0xFFFFFFFF]),
        ("GE", [_WIDE, 0x2_0000_0000], [_WIDE - 1, 6, 0xFFFFFFFF]),
        ("LT", [_WIDE - 1, 6, 0xFFFFFFFF], [_WIDE, 0x2_0000_0000]),
        ("LE", [_WIDE, 6, 0xFFFFFFFF], [_WIDE + 1, 0x2_0000_0000]),
    ],
)
def test_comparisons_see_all_64_bits(op: str, matching: list[int], others: list[int]) -> None:
    filter = _allowing(_rule("mmap", _arg(1, op, _WIDE)), _rule("exit"))

    assert {_verdict(filter, "mmap", 0, value) for value in matching} == {ALLOW}
    assert {_verdict(filter, "mmap", 0, value) for value in others} == {ERRNO | EPERM}


@pytest.mark.parametrize(
    ("mask", "value", "matching", "others"),
    [
        (0x7E020000, 0, [0x11, 0x1_0000_0011], [0x20000, 0x10000000]),
        (0xFF, 0x12, [0x12, 0xFF12], [0x13]),
        (0xFF_0000_0000, 0x12_0000_0000, [0x12_0000_0005], [0x13_0000_0000, 0]),
        (0xFF_0000_00FF, 0x12_0000_0034, [0x12_0000_0034], [0x34, 0x12_0000_0000]),
        (0xFF, 0x112, [0x12], [0x112 ^ 0x12]),  # bits of the value outside of the mask
        (0, 0, [0, 1, 1 << 63], []),
    ],
)
def test_masked_comparison(mask: int, value: int, matching: list[int], others: list[int]) -> None:
    filter = _allowing(_rule("mmap", _arg(3, "MASKED_EQ", mask, value)), _rule("exit"))

    assert {_verdict(filter, "mmap", 0, 0, 0, v) for v in matching} == {ALLOW}
    assert {_verdict(filter, "mmap", 0, 0, 0, v) for v in others} <= {ERRNO | EPERM}


def test_conditions_of_a_rule_hold_together_and_rules_are_alternatives() -> None:
    filter = _allowing(
        _rule("mmap", _arg(0, "EQ", 1), _arg(2, "EQ", 2)), _rule("mmap", _arg(1, "EQ", 3))
    )

    assert _verdict(filter, "mmap", 1, 0, 2) == ALLOW
    assert _verdict(filter, "mmap", 0, 3, 0) == ALLOW
    assert _verdict(filter, "mmap", 1, 3, 0) == ALLOW
    assert _verdict(filter, "mmap", 1, 0, 0) == ERRNO | EPERM
    assert _verdict(filter, "mmap", 0, 0, 2) == ERRNO | EPERM


def test_conditions_on_one_argument_are_alternatives_as_in_runc() -> None:
    filter = _allowing(_rule("mmap", _arg(0, "EQ", 1), _arg(0, "EQ", 2), _arg(1, "EQ", 3)))

    for arguments in ((1, 0), (2, 0), (0, 3)):
        assert _verdict(filter, "mmap", *arguments) == ALLOW
    assert _verdict(filter, "mmap", 0, 0) == ERRNO | EPERM


@pytest.mark.parametrize("family", [40, 0x1_0000_0028, 0xDEAD_BEEF_0000_0028])
def test_the_half_of_an_argument_that_the_kernel_drops_is_not_looked_at(family: int) -> None:
    filter = _allowing(_rule("socket", _arg(0, "NE", 40)))

    assert _verdict(filter, "socket", family) == ERRNO | EPERM
    assert _verdict(filter, "socket", family + 1) == ALLOW


def test_a_negative_number_of_a_narrow_argument_may_be_written_in_both_widths() -> None:
    for written in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
        filter = _allowing(_rule("personality", _arg(0, "EQ", written)))

        assert _verdict(filter, "personality", 0xFFFFFFFF) == ALLOW
        assert _verdict(filter, "personality", 0xFFFFFFFFFFFFFFFF) == ALLOW


@pytest.mark.parametrize(("op", "expected"), [("EQ", False), ("GT", False), ("LT", True)])
def test_a_narrow_argument_is_never_as_large_as_64_bits_allow(op: str, expected: bool) -> None:
    filter = _allowing(_rule("socket", _arg(0, op, 0x1_0000_0005)))

    for family in (5, 6, 0x1_0000_0005):
        assert (_verdict(filter, "socket", family) == ALLOW) is expected


def test_arguments_of_32_bit_calls_are_compared_in_32_bits() -> None:
    filter = _allowing(_rule("ptrace", _arg(0, "EQ", 0xFFFFFFFFFFFFFFFF)))

    assert _verdict(filter, "ptrace", 0xFFFFFFFF) == ERRNO | EPERM
    assert _verdict(filter, "ptrace", 0xFFFFFFFF, abi="i386") == ALLOW
    assert _verdict(filter, "ptrace", 0xFFFFFFFF, abi="x32") == ALLOW  # 521, a compat call


def test_a_filter_on_a_narrow_argument_loads_one_word_once() -> None:
    filter = _allowing(
        *(_rule("personality", _arg(0, "EQ", v)) for v in (0, 8, 0x20000, 0x20008)),
        architectures=[],
    )
    code = bpf_machine.instructions(seccomp.compile(filter))

    loads = [operand for operation, _, _, operand in code if operation == 0x20]

    assert loads == [4, 0, 16]


# rules that disagree


def test_a_rule_without_conditions_overrides_all_with_them() -> None:
    conditional = _rule("mmap", _arg(0, "EQ", 1), action="SCMP_ACT_KILL")
    plain = _rule("mmap")

    for rules in itertools.permutations((conditional, plain)):
        assert _verdict(_allowing(*rules), "mmap", 1) == ALLOW


def test_a_mask_of_nothing_is_no_condition() -> None:
    empty = _rule("mmap", _arg(0, "MASKED_EQ", 0, 5))
    deadly = _rule("mmap", _arg(1, "EQ", 1), action="SCMP_ACT_KILL")

    assert _verdict(_allowing(deadly, empty), "mmap", 0, 1) == ALLOW


def test_of_two_rules_without_conditions_the_first_counts() -> None:
    allow, log = _rule("mmap"), _rule("mmap", action="SCMP_ACT_LOG")

    assert _verdict(_allowing(allow, log), "mmap") == ALLOW
    assert _verdict(_allowing(log, allow), "mmap") == LOG


def test_a_rule_that_repeats_the_default_is_dropped_as_in_runc() -> None:
    deny, allow = _rule("mmap", action="SCMP_ACT_ERRNO"), _rule("mmap")

    assert _verdict(_allowing(deny, allow), "mmap") == ALLOW


@pytest.mark.parametrize(
    ("narrower", "wider"),
    [
        (_arg(0, "EQ", 5), _arg(0, "LT", 10)),
        (_arg(0, "EQ", 5), _arg(0, "GT", 1)),
        (_arg(0, "LT", 6), _arg(0, "LT", 10)),
        (_arg(0, "LE", 6), _arg(0, "LE", 10)),
        (_arg(0, "GT", 4), _arg(0, "GT", 1)),
        (_arg(0, "GE", 4), _arg(0, "GE", 1)),
        (_arg(0, "GT", 4), _arg(0, "GE", 4)),
        (_arg(0, "LT", 6), _arg(0, "LE", 6)),
    ],
)
def test_the_narrower_of_overlapping_rules_comes_first(
    narrower: SeccompArg, wider: SeccompArg
) -> None:
    rules = (_rule("mmap", wider), _rule("mmap", narrower, action="SCMP_ACT_KILL"))

    for order in itertools.permutations(rules):
        assert _verdict(_allowing(*order), "mmap", 5) == KILL_THREAD


def test_the_longer_of_two_rules_that_begin_alike_comes_first() -> None:
    short = _rule("mmap", _arg(0, "EQ", 5))
    long = _rule("mmap", _arg(0, "EQ", 5), _arg(1, "EQ", 6), action="SCMP_ACT_KILL")

    for order in itertools.permutations((short, long)):
        assert _verdict(_allowing(*order), "mmap", 5, 6) == KILL_THREAD
        assert _verdict(_allowing(*order), "mmap", 5, 7) == ALLOW


# calls behind one entry (i386)


def test_what_holds_for_a_socket_call_holds_for_socketcall() -> None:
    filter = _allowing(_rule("bind shmget"))

    assert _verdict(filter, "socketcall", 2, abi="i386") == ALLOW
    assert _verdict(filter, "socketcall", 3, abi="i386") == ERRNO | EPERM
    assert _verdict(filter, "ipc", 23, abi="i386") == ALLOW
    assert _verdict(filter, "ipc", 0x1_0000 | 23, abi="i386") == ALLOW  # with a version
    assert _verdict(filter, "ipc", 24, abi="i386") == ERRNO | EPERM


def test_permission_with_conditions_does_not_reach_socketcall() -> None:
    filter = _allowing(_rule("socket", _arg(0, "EQ", 1)))

    assert _verdict(filter, "socket", 1, abi="i386") == ALLOW
    assert _verdict(filter, "socketcall", 1, abi="i386") == ERRNO | EPERM


def test_a_denial_with_conditions_reaches_socketcall_without_them() -> None:
    filter = _denying(_rule("socket", _arg(0, "EQ", 40), action="SCMP_ACT_ERRNO"))

    assert _verdict(filter, "socketcall", 1, abi="i386") == ERRNO | EPERM
    assert _verdict(filter, "socketcall", 2, abi="i386") == ALLOW


def test_a_rule_for_socketcall_itself_overrides() -> None:
    filter = _allowing(_rule("socketcall"), _rule("socket", action="SCMP_ACT_KILL"))

    assert _verdict(filter, "socketcall", 1, abi="i386") == ALLOW


# filters that make no sense


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (Seccomp(default_action="FOO"), "string FOO is not a valid action for seccomp"),
        (
            _allowing(_rule("read", action="SCMP_ACT_FOO")),
            "string SCMP_ACT_FOO is not a valid action for seccomp",
        ),
        (
            _allowing(_rule("read", SeccompArg(index=0, op="EQ"))),
            "string EQ is not a valid operator for seccomp",
        ),
        (
            _allowing(_rule("read", _arg(0, "FOO", 1))),
            "string SCMP_CMP_FOO is not a valid operator for seccomp",
        ),
        (
            _allowing(_rule("chmod", _arg(7, "EQ", 1))),
            "error creating seccomp syscall condition for syscall chmod: "
            "syscalls only have up to 6 arguments (7 given)",
        ),
        (
            _allowing(architectures=["SCMP_ARCH_FOO"]),
            "string SCMP_ARCH_FOO is not a valid arch for seccomp",
        ),
        (
            _allowing(SeccompRule(names=[""], action="SCMP_ACT_KILL")),
            "empty string is not a valid syscall",
        ),
        (
            Seccomp(default_action="SCMP_ACT_NOTIFY"),
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (
            _denying(_rule("write", action="SCMP_ACT_NOTIFY")),
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
    ],
)
def test_nonsense_is_refused_in_runcs_words(filter: Seccomp, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        seccomp.compile(filter)

    assert str(caught.value) == message


def test_flags() -> None:
    def flags(*names: str) -> int:
        return seccomp.flags(
            Seccomp(flags=[f"SECCOMP_FILTER_FLAG_{name}" for name in names], syscalls=[])
        )

    assert flags() == 4  # speculation as usual, runc's default
    assert flags("TSYNC") == 0
    assert flags("LOG", "WAIT_KILLABLE_RECV") == 2 | 32
    assert seccomp.flags(_denying(_rule("read", action="SCMP_ACT_NOTIFY"))) == 4 | 8
    with pytest.raises(ValueError, match="seccomp flag SECCOMP_FILTER_FLAG_FOO is not known"):
        flags("FOO")


# any filter against a naive reading of it

_NAMES = [
    "read", "write", "mmap", "clone", "ptrace", "socket", "bind", "socketcall", "ipc", "semop",
    "personality", "ioctl", "execve", "prctl", "openat2", "listns", "set_tls", "waitpid", "fcntl",
    "no_such_call",
]  # fmt: skip
_ACTIONS = ["ALLOW", "LOG", "TRACE", "ERRNO", "KILL", "KILL_PROCESS", "TRAP"]
_OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
_VALUES = st.one_of(
    st.sampled_from([0, 1, 2, 23, 38, 40, 0x20000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 40, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)
_ARGS = st.builds(
    SeccompArg,
    index=st.integers(0, 5),
    op=st.sampled_from([f"SCMP_CMP_{o}" for o in _OPERATORS]),
    value=_VALUES,
    value_two=_VALUES,
)
_RULES = st.builds(
    SeccompRule,
    names=st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4),
    action=st.sampled_from([f"SCMP_ACT_{a}" for a in _ACTIONS]),
    errno_ret=st.sampled_from([None, 0, 38, 99]),
    args=st.lists(_ARGS, max_size=3),
)
_FILTERS = st.builds(
    Seccomp,
    default_action=st.sampled_from([f"SCMP_ACT_{a}" for a in _ACTIONS]),
    default_errno_ret=st.sampled_from([None, 38, 7]),
    architectures=st.lists(st.sampled_from(list(bpf_machine.ABIS)), unique=True),
    syscalls=st.lists(_RULES, max_size=12),
)
_MACHINES = {"x86_64": ("x86_64", "i386", "x32"), "aarch64": ("aarch64", "arm")}


def _interesting_numbers(filter: Seccomp, abi: str) -> Iterator[int]:
    table = syscalls_table.numbers(abi)
    yield from (0, 400, 471, 472, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, 0xFFFFFFFF)
    for name in {*_NAMES, "fork"} & table.keys():
        yield from (table[name], table[name] + 1)


def _interesting_values(filter: Seccomp) -> list[int]:
    values = {0, 1, 2, 23, 2**64 - 1}
    for rule in filter.syscalls:
        for argument in rule.args:
            for value in (argument.value, argument.value_two):
                values |= {value, value ^ 1 << 32, value & 0xFFFFFFFF, value + 1, value - 1}
    return sorted(value & 2**64 - 1 for value in values)


@settings(max_examples=150, deadline=None)
@given(_FILTERS, st.sampled_from(list(_MACHINES)), st.data())
def test_a_program_decides_as_the_filter_says(
    filter: Seccomp, machine: str, data: st.DataObject
) -> None:
    code = bpf_machine.instructions(seccomp.compile(filter, machine))
    bpf_machine.verify(code)
    values = st.sampled_from(_interesting_values(filter))

    for abi in _MACHINES[machine]:
        for number in _interesting_numbers(filter, abi):
            if abi in ("x86_64", "x32") and (abi == "x32") != (number >= _X32):
                continue
            arguments = data.draw(st.tuples(*[values] * 6))
            call = Call(abi, number, arguments)
            assert bpf_machine.run(code, call).verdict in bpf_machine.decide(filter, machine, call)
