"""A filter in libseccomp's words, as OCI bundles hold it → rules sorted by system call.

What runc and libseccomp make of rules that repeat or contradict each other is decided here;
`linux.seccomp` turns the outcome into a program.
"""

from collections.abc import Sequence
from errno import ENOSYS, EPERM
from typing import NamedTuple, Protocol

# linux/seccomp.h, SECCOMP_RET_*
VERDICTS = {
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
# The call goes on, or is decided by someone who knows better than a number can tell.
_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY")

_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
_ARGUMENTS = 6
_EVERYTHING = (1 << 64) - 1

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


class _Argument(Protocol):
    @property
    def index(self) -> int: ...
    @property
    def value(self) -> int: ...
    @property
    def value_two(self) -> int: ...
    @property
    def op(self) -> str: ...


class _Entry(Protocol):
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def action(self) -> str: ...
    @property
    def errno_ret(self) -> int | None: ...
    @property
    def args(self) -> Sequence[_Argument]: ...


class Filter(Protocol):
    """The shape of oci.spec.Seccomp (config-linux.md, "Seccomp")."""

    @property
    def default_action(self) -> str: ...
    @property
    def default_errno_ret(self) -> int | None: ...
    @property
    def architectures(self) -> Sequence[str]: ...
    @property
    def flags(self) -> Sequence[str]: ...
    @property
    def syscalls(self) -> Sequence[_Entry]: ...


class Condition(NamedTuple):
    """A comparison of one argument; operator is an SCMP_CMP_ name without that."""

    argument: int
    operator: str
    value: int
    mask: int = _EVERYTHING


class Rule(NamedTuple):
    """What becomes of a call of which all conditions hold."""

    verdict: int
    permissive: bool
    conditions: tuple[Condition, ...]


Rules = dict[str, list[Rule]]


class Policy(NamedTuple):
    """By call, and what happens to all that has no rule."""

    rules: Rules
    default: int
    beyond: int  # for numbers above the highest that the filter names
    unassigned: int  # for numbers below it that no call has


def policy(filter: Filter) -> Policy:
    """ValueError in runc's words for a filter that makes no sense."""
    if filter.default_action == "SCMP_ACT_NOTIFY":
        raise ValueError("SCMP_ACT_NOTIFY cannot be used as default action")
    default = _verdict(filter.default_action, filter.default_errno_ret)
    rules: Rules = {}
    for entry in filter.syscalls:
        verdict = _verdict(entry.action, entry.errno_ret)
        for name in entry.names:
            _check_name(name, entry.action)
            known = rules.setdefault(name, [])
            # runc drops a rule that repeats the default, whatever else is said of the call.
            if verdict != default:
                known.extend(_rules(name, entry, verdict))
    missing = VERDICTS["SCMP_ACT_ERRNO"] | ENOSYS
    # runc: newer calls than the filter's author knew are missing, not forbidden, so that
    # programs try the older way; but one who permits or watches all wants to see them.
    open_ended = filter.default_action in _PERMISSIVE
    return Policy(
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
    if action not in VERDICTS:
        raise ValueError(f"string {action} is not a valid action for seccomp")
    data = (EPERM if errno is None else errno) & 0xFFFF
    return VERDICTS[action] | (data if action in _WITH_ERRNO else 0)


def _rules(name: str, entry: _Entry, verdict: int) -> list[Rule]:
    permissive = entry.action in _PERMISSIVE
    conditions = [_condition(name, argument) for argument in entry.args]
    alternatives = [sorted(conditions)]
    if len({c.argument for c in conditions}) != len(conditions):
        # runc: conditions on the same argument are alternatives, and then all of the rule's are.
        alternatives = [[condition] for condition in conditions]
    # A mask of nothing is no condition.
    return [Rule(verdict, permissive, tuple(c for c in a if c.mask)) for a in alternatives]


def _condition(name: str, argument: _Argument) -> Condition:
    operator = argument.op.removeprefix("SCMP_CMP_")
    if operator not in _OPERATORS or operator == argument.op:
        raise ValueError(f"string {argument.op} is not a valid operator for seccomp")
    if not 0 <= argument.index < _ARGUMENTS:
        raise ValueError(
            f"error creating seccomp syscall condition for syscall {name}: "
            f"syscalls only have up to {_ARGUMENTS} arguments ({argument.index} given)"
        )
    value, value_two = argument.value & _EVERYTHING, argument.value_two & _EVERYTHING
    if operator == "MASKED_EQ":
        return Condition(argument.index, operator, value_two & value, mask=value)
    return Condition(argument.index, operator, value)


def with_multiplexers(rules: Rules) -> Rules:
    """Say of i386's socketcall and ipc what is said of the calls that go through them."""
    extended = dict(rules)
    entries = (("socketcall", _SOCKETCALL, _EVERYTHING), ("ipc", _IPC, _IPC_CALL))
    for entry, members, mask in entries:
        derived = []
        for name, number in members.items():
            call = Condition(0, "MASKED_EQ", number, mask)
            for rule in rules.get(name, ()):
                if not (rule.conditions and rule.permissive):
                    derived.append(rule._replace(conditions=(call,)))
        extended[entry] = [*rules.get(entry, ()), *derived]
    return extended


def in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Of one call: those that count, in the order in which they are tried.

    libseccomp: the first rule without conditions overrides all others. For the rest the order
    matters only where rules of different actions overlap: equality is tried before ranges, and
    the narrower of two ranges first.
    """
    for rule in rules:
        if not rule.conditions:
            return [rule]
    return sorted(rules, key=_specificity)


def _specificity(rule: Rule) -> list[tuple[int, ...]]:
    order: list[tuple[int, ...]] = []
    for c in rule.conditions:
        rank = {"LT": 1, "LE": 1, "GT": 2, "GE": 2}.get(c.operator, 0)
        value = c.value if rank == 1 else -c.value
        order.append((-c.argument, rank, value, c.operator in ("LE", "GE")))
    return [*order, (1,)]  # of two that begin alike, the longer comes first
