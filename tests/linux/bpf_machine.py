"""An interpreter for the classic BPF that seccomp(2) takes, and a naive reading of filters.

`run` checks a program as the kernel does (jumps forward and inside, only known instructions);
`decide` reads an OCI filter rule by rule, with none of the compiler's code.
"""

import operator
import struct
from typing import NamedTuple

from pinnace.linux import syscalls_table
from pinnace.oci import spec

AUDIT = {
    "x86_64": 0xC000003E,
    "x32": 0xC000003E,
    "i386": 0x40000003,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
}
ALLOW, LOG, TRACE, NOTIFY = 0x7FFF0000, 0x7FFC0000, 0x7FF00000, 0x7FC00000
ERRNO, TRAP, KILL_THREAD, KILL_PROCESS = 0x00050000, 0x00030000, 0, 0x80000000
EPERM, ENOSYS = 1, 38

Instruction = tuple[int, int, int, int]


class Call(NamedTuple):
    """struct seccomp_data without the instruction pointer."""

    abi: str
    number: int
    arguments: tuple[int, ...] = (0,) * 6


class Outcome(NamedTuple):
    verdict: int
    steps: int
    looked_at_arguments: bool


def instructions(program: bytes) -> list[Instruction]:
    assert len(program) % 8 == 0
    return list(struct.iter_unpack("=HBBI", program))


def verify(code: list[Instruction]) -> None:
    """kernel/seccomp.c seccomp_check_filter and net/core/filter.c bpf_check_classic."""
    assert 0 < len(code) <= 4096
    for at, (operation, yes, no, operand) in enumerate(code):
        left = len(code) - at - 1
        match operation:
            case 0x20:
                assert operand % 4 == 0 and operand < 64
            case 0x54 | 0x06:
                pass
            case 0x05:
                assert operand < left
            case 0x15 | 0x25 | 0x35 | 0x45:
                assert yes < left and no < left
            case _:
                raise AssertionError(f"instruction {operation:#x}")
    assert code[-1][0] == 0x06


def run(code: list[Instruction], call: Call) -> Outcome:
    data = struct.pack("=IIQ6Q", call.number, AUDIT[call.abi], 0, *call.arguments)
    accumulator = at = steps = 0
    arguments = False
    while True:
        operation, yes, no, operand = code[at]
        at, steps = at + 1, steps + 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
                arguments |= operand >= 16
            case 0x54:
                accumulator &= operand
            case 0x05:
                at += operand
            case 0x15:
                at += yes if accumulator == operand else no
            case 0x25:
                at += yes if accumulator > operand else no
            case 0x35:
                at += yes if accumulator >= operand else no
            case 0x45:
                at += yes if accumulator & operand else no
            case 0x06:
                return Outcome(operand, steps, arguments)


ABIS = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_ARM": "arm",
}
_MULTIPLEXED = {
    "socketcall": [
        "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername",
        "socketpair", "send", "recv", "sendto", "recvfrom", "shutdown", "setsockopt",
        "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
    ],
    "ipc": ["", "semop", "semget", "semctl", "semtimedop", *[""] * 6, "msgsnd", "msgrcv", "msgget",
            "msgctl", *[""] * 6, "shmat", "shmdt", "shmget", "shmctl"],
}  # fmt: skip
_CODES = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_NOTIFY": NOTIFY,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
}
PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY")


_OPERATORS = {
    "SCMP_CMP_NE": operator.ne,
    "SCMP_CMP_LT": operator.lt,
    "SCMP_CMP_LE": operator.le,
    "SCMP_CMP_EQ": operator.eq,
    "SCMP_CMP_GE": operator.ge,
    "SCMP_CMP_GT": operator.gt,
}


def code(action: str, errno: int | None) -> int:
    if action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        return (ERRNO if action == "SCMP_ACT_ERRNO" else TRACE) | (1 if errno is None else errno)
    return _CODES[action]


def decide(filter: spec.Seccomp, native: str, call: Call) -> set[int]:
    """What may come of a call: one verdict, or several where rules of one call disagree."""
    abis = {native, *(ABIS[name] for name in filter.architectures if name in ABIS)}
    default = code(filter.default_action, filter.default_errno_ret)
    if call.abi not in abis:
        x32_skipped = call.abi == "x32" and call.number == 0xFFFFFFFF
        return {default if x32_skipped else KILL_PROCESS}
    table = syscalls_table.numbers(call.abi)
    named = {name for rule in filter.syscalls for name in rule.names}
    last = max((table[name] for name in named if name in table), default=None)
    if last is None:
        return {default}
    missing = ERRNO | ENOSYS
    if call.number > last:
        return {default if filter.default_action in PERMISSIVE else missing}
    names = [name for name, number in table.items() if number == call.number]
    if not names:
        return {missing if filter.default_action == "SCMP_ACT_ERRNO" else default}
    return _decide_known(filter, call, names[0], default)


def _decide_known(filter: spec.Seccomp, call: Call, name: str, default: int) -> set[int]:
    always, matching = [], set()
    for rule in filter.syscalls:
        verdict = code(rule.action, rule.errno_ret)
        if verdict == default:
            continue
        for mentioned in rule.names:
            if mentioned == name:
                if not rule.args or _always_holds(rule):
                    always.append(verdict)
                elif _holds(rule, call, name):
                    matching.add(verdict)
            if _goes_through(call, name, mentioned):
                conditional = rule.args and not _always_holds(rule)
                if not (conditional and rule.action in PERMISSIVE):
                    matching.add(verdict)
    if always:
        return {always[0]}
    return matching or {default}


def _goes_through(call: Call, entry: str, name: str) -> bool:
    if call.abi != "i386" or entry not in _MULTIPLEXED:
        return False
    members = _MULTIPLEXED[entry]
    number = call.arguments[0] & (0xFFFF if entry == "ipc" else 0xFFFFFFFF)
    first = 1 if entry == "socketcall" else 0
    return 0 <= number - first < len(members) and members[number - first] == name


def _always_holds(rule: spec.SeccompRule) -> bool:
    empty = [a.op == "SCMP_CMP_MASKED_EQ" and a.value == 0 for a in rule.args]
    indexes = {a.index for a in rule.args}
    return all(empty) if len(indexes) == len(empty) else any(empty)


def _holds(rule: spec.SeccompRule, call: Call, name: str) -> bool:
    results = [_compare(argument, call, name) for argument in rule.args]
    indexes = [argument.index for argument in rule.args]
    return all(results) if len(set(indexes)) == len(indexes) else any(results)


def _compare(argument: spec.SeccompArg, call: Call, name: str) -> bool:
    narrow = (
        call.abi in ("i386", "arm")
        or call.number >= 0x40000200
        or argument.index in syscalls_table.narrow_arguments().get(name, ())
    )
    actual, value = call.arguments[argument.index], argument.value
    mask, masked = argument.value, argument.value_two & argument.value
    if narrow:
        actual &= 0xFFFFFFFF
        if value >= 2**64 - 2**31:
            value &= 0xFFFFFFFF
        if masked >> 32 == mask >> 32 and masked & 1 << 31:
            mask, masked = mask & 0xFFFFFFFF, masked & 0xFFFFFFFF
    if argument.op == "SCMP_CMP_MASKED_EQ":
        return actual & mask == masked
    return bool(_OPERATORS[argument.op](actual, value))
