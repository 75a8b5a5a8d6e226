"""A seccomp filter as data (OCI runtime-spec, config-linux.md, "Seccomp") → BPF; install it.

`compile` gives what libseccomp and runc's patch of it would decide, for all system calls and
arguments, except in these points, where it is stricter or nearer to what the kernel does:
- an argument that the kernel takes as 32 bits is compared as 32 bits. libseccomp looks at all
  64, so that with Docker 28.5.2's `socket` rule a family of 0x100000028 opens AF_VSOCK;
- a call of an architecture that the filter does not name kills the process, not the thread;
- with a default of ERRNO, a number that no call has gives ENOSYS as it does without a filter,
  also below the highest number that the filter names;
- permission for `socket` with conditions is not permission for i386's socketcall(SYS_SOCKET),
  whose arguments are out of a filter's sight.
"""

from collections.abc import Iterable, Sequence
from errno import ENOSYS, EPERM
from typing import NamedTuple

from pinnace.linux import sockfilter, syscall
from pinnace.linux.sockfilter import Graph, Node, Word
from pinnace.linux.syscalls_table import X32_BIT, X32_COMPAT, narrow_arguments, numbers
from pinnace.oci import spec

# linux/seccomp.h, SECCOMP_RET_*
_VERDICTS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
# A call that goes on, or is decided by someone who knows better than a number can tell.
_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY")

_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
_ARGUMENTS = 6

_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # init has one thread only
    "SECCOMP_FILTER_FLAG_LOG": 1 << 1,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 1 << 2,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 1 << 5,
}
NEW_LISTENER = 1 << 3
_SET_MODE_FILTER = 1


class _ABI(NamedTuple):
    name: str  # in syscalls_table
    audit: int  # linux/audit.h, AUDIT_ARCH_*


# By machine, native first: what its kernel can be asked to run.
_MACHINES: dict[str, dict[str, _ABI]] = {
    "x86_64": {
        "SCMP_ARCH_X86_64": _ABI("x86_64", 0xC000003E),
        "SCMP_ARCH_X32": _ABI("x32", 0xC000003E),
        "SCMP_ARCH_X86": _ABI("i386", 0x40000003),
    },
    "aarch64": {
        "SCMP_ARCH_AARCH64": _ABI("aarch64", 0xC00000B7),
        "SCMP_ARCH_ARM": _ABI("arm", 0x40000028),
    },
}
_OTHER_ARCHITECTURES = frozenset(
    "SCMP_ARCH_" + name
    for name in (
        "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64",
        "PPC64LE", "RISCV64", "S390", "S390X", "LOONGARCH64",
    )
)  # fmt: skip

# struct seccomp_data
_NUMBER, _ARCHITECTURE = Word(0), Word(4)

# i386's one entry for several calls, told apart by the first argument (linux/net.h, linux/ipc.h).
_SOCKETCALL = {
    name: number
    for number, name in enumerate(
        (
            "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername",
            "socketpair", "send", "recv", "sendto", "recvfrom", "shutdown", "setsockopt",
            "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
        ),
        start=1,
    )
}  # fmt: skip
_IPC = {
    "semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12,
    "msgget": 13, "msgctl": 14, "shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
}  # fmt: skip
_IPC_CALL = 0xFFFF  # above it ipc(2) takes a version


class _Condition(NamedTuple):
    argument: int
    operator: str
    value: int
    mask: int


class _Rule(NamedTuple):
    verdict: int
    permissive: bool
    conditions: tuple[_Condition, ...]


class _Policy(NamedTuple):
    """The filter sorted by call, with what happens to all that it does not name."""

    rules: dict[str, list[_Rule]]
    default: int
    beyond: int  # for numbers above the highest that the filter names
    unassigned: int  # for numbers below it that no call has


def compile(filter: spec.Seccomp, arch: str = "x86_64") -> bytes:
    """The program for a machine of this name; ValueError in runc's words if it makes no sense."""
    if arch not in _MACHINES:
        raise ValueError(f"no system call table for {arch}")
    abis = _abis(filter, arch)
    policy = _policy(filter)
    graph = Graph()
    wrong_architecture = graph.verdict(_VERDICTS["SCMP_ACT_KILL_PROCESS"])
    root = wrong_architecture
    for audit in reversed(list(dict.fromkeys(abi.audit for abi in abis))):
        names = [abi.name for abi in abis if abi.audit == audit]
        calls = _calls(graph, policy, names, wrong_architecture)
        root = graph.test(_ARCHITECTURE, sockfilter.EQUAL, audit, yes=calls, no=root)
    return sockfilter.assemble(graph, root)


def flags(filter: spec.Seccomp) -> int:
    """What `install` is to be given beside the program; ValueError for a flag unknown here."""
    for name in filter.flags:
        if name not in _FLAGS:
            raise ValueError(f"seccomp flag {name} is not known")
    # As runc: without flags speculation goes on, for the speed of it.
    names = filter.flags or ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    listener = any(rule.action == "SCMP_ACT_NOTIFY" for rule in filter.syscalls)
    return sum(_FLAGS[name] for name in set(names)) | (NEW_LISTENER if listener else 0)


def install(program: bytes, flags: int) -> int | None:
    """Confine the calling thread for good; the listener's fd if flags ask for one.

    Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace (seccomp(2)).
    """
    result = syscall.seccomp(_SET_MODE_FILTER, flags, program)
    return result if flags & NEW_LISTENER else None


# the filter's words


def _abis(filter: spec.Seccomp, arch: str) -> list[_ABI]:
    """Those named that can occur on the machine; its native one always, as libseccomp has it."""
    for name in filter.architectures:
        if name not in _OTHER_ARCHITECTURES and not any(name in m for m in _MACHINES.values()):
            raise ValueError(f"string {name} is not a valid arch for seccomp")
    native, *others = _MACHINES[arch].items()
    return [native[1], *(abi for name, abi in others if name in filter.architectures)]


def _policy(filter: spec.Seccomp) -> _Policy:
    if filter.default_action == "SCMP_ACT_NOTIFY":
        raise ValueError("SCMP_ACT_NOTIFY cannot be used as default action")
    default = _verdict(filter.default_action, filter.default_errno_ret)
    rules: dict[str, list[_Rule]] = {}
    for entry in filter.syscalls:
        verdict = _verdict(entry.action, entry.errno_ret)
        for name in entry.names:
            _check_name(name, entry.action)
            known = rules.setdefault(name, [])
            # runc drops a rule that repeats the default, whatever else is said of the call.
            if verdict != default:
                known.extend(_rules(name, entry, verdict))
    missing = _VERDICTS["SCMP_ACT_ERRNO"] | ENOSYS
    # runc: newer calls than the filter's author knew are missing, not forbidden, so that
    # programs try the older way; but one who permits or watches all wants to see them.
    open_ended = filter.default_action in _PERMISSIVE
    return _Policy(
        rules,
        default,
        beyond=default if open_ended else missing,
        unassigned=missing if filter.default_action == "SCMP_ACT_ERRNO" else default,
    )


def _check_name(name: str, action: str) -> None:
    if not name:
        raise ValueError("empty string is not a valid syscall")
    if name == "write" and action == "SCMP_ACT_NOTIFY":
        # The listener's fd is announced with a write.
        raise ValueError("SCMP_ACT_NOTIFY cannot be used for the write syscall")


def _verdict(action: str, errno: int | None) -> int:
    if action not in _VERDICTS:
        raise ValueError(f"string {action} is not a valid action for seccomp")
    data = (EPERM if errno is None else errno) & 0xFFFF
    return _VERDICTS[action] | (data if action in _WITH_ERRNO else 0)


def _rules(name: str, entry: spec.SeccompRule, verdict: int) -> Iterable[_Rule]:
    permissive = entry.action in _PERMISSIVE
    conditions = [_condition(name, argument) for argument in entry.args]
    if len({c.argument for c in conditions}) == len(conditions):
        return [_Rule(verdict, permissive, tuple(sorted(conditions)))]
    # runc: conditions on the same argument are alternatives, and then all of the rule's are.
    return [_Rule(verdict, permissive, (condition,)) for condition in conditions]


def _condition(name: str, argument: spec.SeccompArg) -> _Condition:
    operator = argument.op.removeprefix("SCMP_CMP_")
    if operator not in _OPERATORS or operator == argument.op:
        raise ValueError(f"string {argument.op} is not a valid operator for seccomp")
    if not 0 <= argument.index < _ARGUMENTS:
        raise ValueError(
            f"error creating seccomp syscall condition for syscall {name}: "
            f"syscalls only have up to {_ARGUMENTS} arguments ({argument.index} given)"
        )
    everything = (1 << 64) - 1
    if operator == "MASKED_EQ":
        mask = argument.value & everything
        return _Condition(argument.index, operator, argument.value_two & mask, mask)
    return _Condition(argument.index, operator, argument.value & everything, everything)


# from calls to ranges of numbers, from ranges to a tree


def _calls(graph: Graph, policy: _Policy, names: Sequence[str], bad: Node) -> Node:
    """What follows once the architecture is known; x86_64 and x32 share theirs."""
    ranges = [part for name in names for part in _ranges(graph, policy, name)]
    if names == ["x86_64"]:
        # A tracer that skips a call leaves the number -1 behind: not an x32 call.
        ranges += [(X32_BIT, bad), (0xFFFFFFFF, graph.verdict(policy.default))]
    return _tree(graph, ranges)


def _ranges(graph: Graph, policy: _Policy, abi: str) -> list[tuple[int, Node]]:
    """(first number, what happens from it on), ascending."""
    table = numbers(abi)
    rules = _with_multiplexers(policy.rules) if abi == "i386" else policy.rules
    last = max((table[name] for name in policy.rules if name in table), default=None)
    beyond = graph.verdict(policy.default if last is None else policy.beyond)
    unassigned = beyond if last is None else graph.verdict(policy.unassigned)

    following = X32_BIT if abi == "x32" else 0
    ranges: list[tuple[int, Node]] = []
    for number, name in sorted((number, name) for name, number in table.items()):
        if last is not None and number > last:
            break
        if number > following:
            ranges.append((following, unassigned))
        ranges.append((number, _call(graph, policy, rules.get(name, ()), abi, name, number)))
        following = number + 1
    ranges.append((following, beyond))
    return ranges


def _tree(graph: Graph, ranges: Sequence[tuple[int, Node]]) -> Node:
    merged: list[tuple[int, Node]] = []
    for first, node in ranges:
        if not merged or merged[-1][1] != node:
            merged.append((first, node))
    return _subtree(graph, merged, 1 << 32)


def _subtree(graph: Graph, ranges: Sequence[tuple[int, Node]], end: int) -> Node:
    """Tests for the numbers from ranges[0] to below end."""
    common = ranges[0][1]
    ends = [*(first for first, _ in ranges[1:]), end]
    others = [(r, stop) for r, stop in zip(ranges, ends, strict=True) if r[1] != common]
    if len(others) <= 2 and all(stop == first + 1 for (first, _), stop in others):
        for (first, node), _ in others:
            common = graph.test(_NUMBER, sockfilter.EQUAL, first, yes=node, no=common)
        return common
    middle = len(ranges) // 2
    first = ranges[middle][0]
    upper = _subtree(graph, ranges[middle:], end)
    lower = _subtree(graph, ranges[:middle], first)
    return graph.test(_NUMBER, sockfilter.GREATER_EQUAL, first, yes=upper, no=lower)


def _with_multiplexers(rules: dict[str, list[_Rule]]) -> dict[str, list[_Rule]]:
    """Say of socketcall and ipc what is said of the calls that go through them."""
    extended = dict(rules)
    for entry, members, mask in (("socketcall", _SOCKETCALL, None), ("ipc", _IPC, _IPC_CALL)):
        derived = []
        for name, number in members.items():
            operator = "EQ" if mask is None else "MASKED_EQ"
            call = _Condition(0, operator, number, mask or (1 << 64) - 1)
            for rule in rules.get(name, ()):
                if not (rule.conditions and rule.permissive):
                    derived.append(rule._replace(conditions=(call,)))
        extended[entry] = [*rules.get(entry, ()), *derived]
    return extended


# one call: rules are alternatives, a rule's conditions all hold


def _call(
    graph: Graph, policy: _Policy, rules: Sequence[_Rule], abi: str, name: str, number: int
) -> Node:
    for rule in rules:
        if not rule.conditions:  # libseccomp: the first such rule overrides all with conditions
            return graph.verdict(rule.verdict)
    node = graph.verdict(policy.default)
    for rule in sorted(rules, key=_specificity, reverse=True):
        match = graph.verdict(rule.verdict)
        for condition in reversed(rule.conditions):
            narrow = _narrow(abi, name, number, condition.argument)
            match = _compare(graph, condition, narrow=narrow, yes=match, no=node)
        node = match
    return node


def _specificity(rule: _Rule) -> list[tuple[int, ...]]:
    """Ascending in the order that libseccomp tries the rules of a call in.

    It matters only where rules of different actions overlap: equality is tried before ranges,
    and the narrower of two ranges first.
    """
    ranks = {"LT": 1, "LE": 1, "GT": 2, "GE": 2}
    order: list[tuple[int, ...]] = [
        (-c.argument, ranks.get(c.operator, 0), c.value if c.operator in ("LT", "LE") else -c.value)
        for c in rule.conditions
    ]
    return [*order, (1,)]  # of two that begin alike, the longer comes first


def _narrow(abi: str, name: str, number: int, index: int) -> bool:
    """Whether the kernel sees no more than the low half of the argument."""
    if abi in ("i386", "arm") or number >= X32_COMPAT:
        return True
    return index in narrow_arguments().get(name, ())


def _compare(graph: Graph, c: _Condition, *, narrow: bool, yes: Node, no: Node) -> Node:
    """Branch on one argument: the high half decides unless it is equal, then the low one."""
    if c.operator in ("NE", "LT", "LE"):
        inverse = {"NE": "EQ", "LT": "GE", "LE": "GT"}[c.operator]
        return _compare(graph, c._replace(operator=inverse), narrow=narrow, yes=no, no=yes)
    low = Word(16 + 8 * c.argument, c.mask & sockfilter.FULL)  # little-endian
    high = Word(20 + 8 * c.argument, c.mask >> 32)
    low_value, high_value = c.value & sockfilter.FULL, c.value >> 32
    if c.operator in ("EQ", "MASKED_EQ"):
        node = _equal(graph, low, low_value, yes=yes, no=no)
        return node if narrow else _equal(graph, high, high_value, yes=node, no=no)
    operation = {"GT": sockfilter.GREATER, "GE": sockfilter.GREATER_EQUAL}[c.operator]
    node = graph.test(low, operation, low_value, yes=yes, no=no)
    if narrow:
        return node
    node = graph.test(high, sockfilter.EQUAL, high_value, yes=node, no=no)
    return graph.test(high, sockfilter.GREATER, high_value, yes=yes, no=node)


def _equal(graph: Graph, word: Word, value: int, *, yes: Node, no: Node) -> Node:
    if word.mask == 0:
        return yes
    if word.mask != sockfilter.FULL and value == 0:
        # Without an AND the whole word stays loaded for the next test.
        return graph.test(Word(word.offset), sockfilter.ANY_BIT, word.mask, yes=no, no=yes)
    return graph.test(word, sockfilter.EQUAL, value, yes=yes, no=no)
