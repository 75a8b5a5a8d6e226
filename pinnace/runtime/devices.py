"""Device rules → the lines of v1's device cgroup, or the BPF program that v2 wants; pure.

The rules are a list in which the last match counts, for reading, writing and making nodes (mknod)
each by itself. What no rule matches is denied (I9).
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pinnace import errors
from pinnace.linux import bpf
from pinnace.linux.bpf import instruction
from pinnace.linux.cgroup_files import DeviceFilter, Step, Write
from pinnace.oci import spec

_EVERY = "rwm"


def _allow(kind: str, major: int | None, minor: int | None, access: str) -> spec.DeviceRule:
    return spec.DeviceRule(allow=True, type=kind, major=major, minor=minor, access=access)


# OCI runtime-spec, config-linux.md, "Default Devices": what every container can use; to make a
# node of any device is harmless as long as it can't be opened. runc has the same list: it left
# tun out for a while (1.2.0 to 1.2.3), and images of VPNs that make the node themselves broke.
ALWAYS = (
    _allow("c", None, None, "m"),
    _allow("b", None, None, "m"),
    _allow("c", 1, 3, _EVERY),  # null
    _allow("c", 1, 5, _EVERY),  # zero
    _allow("c", 1, 7, _EVERY),  # full
    _allow("c", 1, 8, _EVERY),  # random
    _allow("c", 1, 9, _EVERY),  # urandom
    _allow("c", 5, 0, _EVERY),  # tty
    _allow("c", 5, 2, _EVERY),  # ptmx
    _allow("c", 10, 200, _EVERY),  # net/tun: does nothing without CAP_NET_ADMIN
    _allow("c", 136, None, _EVERY),  # pts/*
)


class Key(NamedTuple):
    """Which devices: type b or c; None is any number."""

    kind: str
    major: int | None
    minor: int | None

    def covers(self, other: "Key") -> bool:
        return (
            self.kind == other.kind
            and self.major in (None, other.major)
            and self.minor in (None, other.minor)
        )

    def meets(self, other: "Key") -> bool:
        """Whether there can be a device that both name."""
        return (
            self.kind == other.kind
            and (self.major == other.major or None in (self.major, other.major))
            and (self.minor == other.minor or None in (self.minor, other.minor))
        )


class Rule(NamedTuple):
    allow: bool
    key: Key
    access: str


class Policy(NamedTuple):
    """Rules that can still make a difference, in order; `allow` for what none of them matches."""

    allow: bool
    rules: tuple[Rule, ...]


def plan(rules: Sequence[spec.DeviceRule], version: int) -> list[Step]:
    """For a cgroup whose older device rules, if any, don't matter any more."""
    return list(_plan(tuple(rules), version))


# Nearly all containers have the same rules, and a start has no time to think twice.
@functools.lru_cache(maxsize=32)
def _plan(rules: tuple[spec.DeviceRule, ...], version: int) -> tuple[Step, ...]:
    policy = simplify([*rules, *ALWAYS])
    if version == 2:
        return (DeviceFilter(program(policy)),)
    return tuple(lines(policy))


def simplify(rules: Iterable[spec.DeviceRule]) -> Policy:
    """Read the rules; leave out those that change nothing."""
    allow, kept = False, list[Rule]()
    for raw in rules:
        rule = _rule(raw)
        if rule is None:
            allow, kept = raw.allow, []
        elif rule.allow != allow or any(other.key.meets(rule.key) for other in kept):
            kept.append(rule)
    return Policy(allow, tuple(_unrepeated(kept)))


def _unrepeated(rules: Sequence[Rule]) -> list[Rule]:
    """Without what a later rule for the very same devices says anyway."""
    decided: dict[Key, str] = {}
    kept = []
    for rule in reversed(rules):
        known = decided.get(rule.key, "")
        access = "".join(letter for letter in rule.access if letter not in known)
        if access:
            decided[rule.key] = known + access
            kept.append(rule._replace(access=access))
    return kept[::-1]


def _rule(raw: spec.DeviceRule) -> Rule | None:
    """None for all devices: like the kernel and runc, type `a` ignores numbers and access."""
    if raw.type in ("", "a"):
        return None
    kind = "c" if raw.type == "u" else raw.type
    if kind not in ("b", "c"):
        raise errors.Invalid(f"invalid device cgroup rule type {raw.type!r}")
    if not raw.access or set(raw.access) - set(_EVERY):
        raise errors.Invalid(f"invalid device cgroup rule access {raw.access!r}")
    access = "".join(letter for letter in _EVERY if letter in raw.access)
    return Rule(raw.allow, Key(kind, _number(raw.major), _number(raw.minor)), access)


def _number(value: int | None) -> int | None:
    if value is None or value == -1:
        return None
    if not 0 <= value < 1 << 31:
        raise errors.Invalid(f"invalid device number {value}")
    return value


def lines(policy: Policy) -> list[Write]:
    """v1: everything allowed or denied first, then the exceptions.

    The kernel keeps exceptions in one direction only and can't take a part out of one, so the
    order is resolved here. A denial that could not be done is never passed over.
    """
    exceptions = (
        _line(not policy.allow, _words(key, access)) for key, access in _exceptions(policy)
    )
    return [_line(policy.allow, "a"), *exceptions]


def _line(allow: bool, value: str) -> Write:
    # What the host's own device cgroup withholds from us, the container goes without.
    if allow:
        return Write("devices", "devices.allow", value, absent="")
    return Write("devices", "devices.deny", value)


def _words(key: Key, access: str) -> str:
    numbers = ":".join("*" if n is None else str(n) for n in (key.major, key.minor))
    return f"{key.kind} {numbers} {access}"


def _exceptions(policy: Policy) -> list[tuple[Key, str]]:
    exceptions: dict[Key, str] = {}
    for rule in policy.rules:
        if rule.allow != policy.allow:
            known = exceptions.get(rule.key, "") + rule.access
            exceptions[rule.key] = "".join(letter for letter in _EVERY if letter in known)
        else:
            _take_back(exceptions, rule)
    return [(key, access) for key, access in exceptions.items() if access]


def _take_back(exceptions: dict[Key, str], rule: Rule) -> None:
    for key, access in exceptions.items():
        left = "".join(letter for letter in access if letter not in rule.access)
        if left == access or not key.meets(rule.key):
            continue
        if not rule.key.covers(key):
            raise errors.Invalid(
                f"requested rule {_words(rule.key, rule.access)!r} not supported "
                "by devices cgroupv1 (cannot punch hole in existing wildcard rule "
                f"{_words(key, access)!r})"
            )
        exceptions[key] = left


# Registers of the program: r1 is its argument, struct bpf_cgroup_dev_ctx.
_RESULT, _CONTEXT, _KIND, _LEFT, _MAJOR, _MINOR = range(6)


def program(policy: Policy) -> bytes:
    """v2: 1 in r0 lets an access pass. The last rule is asked first.

    _LEFT holds the kinds of access that no rule has decided yet: a rule that allows takes its
    own away, until none is left; one that denies ends the matter if it knows one of them.
    """
    code = [
        instruction(bpf.LOAD_WORD, _KIND, _CONTEXT, offset=0),
        instruction(bpf.MOVE_REGISTER, _LEFT, _KIND),
        instruction(bpf.AND, _KIND, immediate=0xFFFF),
        instruction(bpf.SHIFT_RIGHT, _LEFT, immediate=16),
        instruction(bpf.LOAD_WORD, _MAJOR, _CONTEXT, offset=4),
        instruction(bpf.LOAD_WORD, _MINOR, _CONTEXT, offset=8),
    ]
    rules = list(reversed(policy.rules))
    if all(rule.allow for rule in rules):
        # Then their order is nothing, and neighbours below can share their comparisons: the
        # kernel verifies the program in a third of the time.
        rules.sort(key=lambda rule: (rule.key.kind, rule.key.major or 0))
    for kind, of_kind in itertools.groupby(rules, key=lambda rule: rule.key.kind):
        body: list[bytes] = []
        for major, of_major in itertools.groupby(of_kind, key=lambda rule: rule.key.major):
            body += _guarded(
                _MAJOR, major, [code for rule in of_major for code in _rule_code(rule)]
            )
        code += _guarded(_KIND, bpf.DEVICE_TYPES[kind], body)
    return b"".join(code + _answer(policy.allow))


def _rule_code(rule: Rule) -> list[bytes]:
    return _guarded(_MINOR, rule.key.minor, _decision(rule))


def _guarded(register: int, number: int | None, body: list[bytes]) -> list[bytes]:
    """body, to be passed over unless register has that number."""
    if number is None:
        return body
    guard = instruction(bpf.JUMP_UNLESS_EQUAL, register, offset=len(body), immediate=number)
    return [guard, *body]


def _decision(rule: Rule) -> list[bytes]:
    """What rule says to an access of its devices; falls out at the end when that is nothing."""
    bits = sum(bpf.DEVICE_ACCESS[letter] for letter in rule.access)
    if rule.access == _EVERY:
        return _answer(rule.allow)
    if rule.allow:
        return [
            instruction(bpf.AND, _LEFT, immediate=7 & ~bits),
            instruction(bpf.JUMP_UNLESS_EQUAL, _LEFT, offset=2, immediate=0),
            *_answer(True),
        ]
    return [
        instruction(bpf.JUMP_IF_ANY_BIT, _LEFT, offset=1, immediate=bits),
        instruction(bpf.JUMP, offset=2),
        *_answer(False),
    ]


def _answer(allow: bool) -> list[bytes]:
    return [instruction(bpf.MOVE, _RESULT, immediate=int(allow)), instruction(bpf.EXIT)]
