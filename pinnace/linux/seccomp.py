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

from collections.abc import Sequence
from typing import NamedTuple

from pinnace.linux import seccomp_policy, sockfilter, syscall
from pinnace.linux.seccomp_policy import Condition, Filter, Policy, Rule
from pinnace.linux.sockfilter import Graph, Node, Word
from pinnace.linux.syscalls_table import X32_BIT, X32_COMPAT, narrow_arguments, numbers

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


def compile(filter: Filter, arch: str = "x86_64") -> bytes:
    """The program for a machine of this name; ValueError in runc's words if it makes no sense."""
    if arch not in _MACHINES:
        raise ValueError(f"no system call table for {arch}")
    abis = _abis(filter, arch)
    policy = seccomp_policy.policy(filter)
    graph = Graph()
    wrong_architecture = graph.verdict(seccomp_policy.VERDICTS["SCMP_ACT_KILL_PROCESS"])
    root = wrong_architecture
    for audit in reversed(list(dict.fromkeys(abi.audit for abi in abis))):
        names = [abi.name for abi in abis if abi.audit == audit]
        calls = _calls(graph, policy, names, wrong_architecture)
        root = graph.test(_ARCHITECTURE, sockfilter.EQUAL, audit, yes=calls, no=root)
    return sockfilter.assemble(graph, root)


def flags(filter: Filter) -> int:
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


def _abis(filter: Filter, arch: str) -> list[_ABI]:
    """Those named that can occur on the machine; its native one always, as libseccomp has it."""
    for name in filter.architectures:
        if name not in _OTHER_ARCHITECTURES and not any(name in m for m in _MACHINES.values()):
            raise ValueError(f"string {name} is not a valid arch for seccomp")
    native, *others = _MACHINES[arch].items()
    return [native[1], *(abi for name, abi in others if name in filter.architectures)]


# from calls to ranges of numbers, from ranges to a tree


def _calls(graph: Graph, policy: Policy, names: Sequence[str], bad: Node) -> Node:
    """What follows once the architecture is known; x86_64 and x32 share theirs."""
    ranges = [part for name in names for part in _ranges(graph, policy, name)]
    if names == ["x86_64"]:
        # A tracer that skips a call leaves the number -1 behind: not an x32 call.
        ranges += [(X32_BIT, bad), (0xFFFFFFFF, graph.verdict(policy.default))]
    return _tree(graph, ranges)


def _ranges(graph: Graph, policy: Policy, abi: str) -> list[tuple[int, Node]]:
    """(first number, what happens from it on), ascending."""
    table = numbers(abi)
    rules = policy.rules
    if abi == "i386":
        rules = seccomp_policy.with_multiplexers(rules)
    last = max((table[name] for name in policy.rules if name in table), default=None)
    beyond = graph.verdict(policy.default if last is None else policy.beyond)
    unassigned = beyond if last is None else graph.verdict(policy.unassigned)

    following = X32_BIT if abi == "x32" else 0
    ranges: list[tuple[int, Node]] = []
    for number, name in sorted((number, name) for name, number in table.items()):
        if last is None or number > last:
            break
        if number > following:
            ranges.append((following, unassigned))
        narrow = _narrow(abi, name, number)
        ranges.append((number, _call(graph, policy, rules.get(name, ()), narrow)))
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


# one call: rules are alternatives, a rule's conditions all hold


def _narrow(abi: str, name: str, number: int) -> frozenset[int]:
    """The arguments of which the kernel sees no more than the low half."""
    if abi in ("i386", "arm") or number >= X32_COMPAT:
        return frozenset(range(6))
    return narrow_arguments().get(name, frozenset())


def _call(graph: Graph, policy: Policy, rules: Sequence[Rule], narrow: frozenset[int]) -> Node:
    node = graph.verdict(policy.default)
    for rule in reversed(seccomp_policy.in_order(rules)):
        match = graph.verdict(rule.verdict)
        for condition in reversed(rule.conditions):
            half = condition.argument in narrow
            match = _compare(graph, condition, narrow=half, yes=match, no=node)
        node = match
    return node


def _compare(graph: Graph, c: Condition, *, narrow: bool, yes: Node, no: Node) -> Node:
    """Branch on one argument: the high half decides unless it is equal, then the low one."""
    if c.operator in ("NE", "LT", "LE"):
        inverse = {"NE": "EQ", "LT": "GE", "LE": "GT"}[c.operator]
        return _compare(graph, c._replace(operator=inverse), narrow=narrow, yes=no, no=yes)
    low = Word(16 + 8 * c.argument, c.mask & sockfilter.FULL)  # little-endian
    high = Word(20 + 8 * c.argument, c.mask >> 32)
    low_value, high_value = c.value & sockfilter.FULL, c.value >> 32
    negative = high_value == high.mask and low_value >> 31  # of a narrow argument, widened
    if narrow and high_value and not negative:
        return no  # more than 32 bits can be
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
