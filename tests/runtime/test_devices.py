import struct
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.linux.cgroup_files import DeviceFilter, Write
from pinnace.oci import spec
from pinnace.runtime import devices

ACCESS = {"m": 1, "r": 2, "w": 4}
TYPES = {"b": 1, "c": 2}

# What Docker asks for when nothing else is said (moby, daemon/pkg/oci/defaults.go).
DOCKER = [
    spec.DeviceRule(allow=False, access="rwm"),
    spec.DeviceRule(allow=True, type="c", major=1, minor=5, access="rwm"),
    spec.DeviceRule(allow=True, type="c", major=1, minor=3, access="rwm"),
    spec.DeviceRule(allow=True, type="c", major=1, minor=9, access="rwm"),
    spec.DeviceRule(allow=True, type="c", major=1, minor=8, access="rwm"),
    spec.DeviceRule(allow=True, type="c", major=5, minor=0, access="rwm"),
    spec.DeviceRule(allow=True, type="c", major=5, minor=1, access="rwm"),
    spec.DeviceRule(allow=False, type="c", major=10, minor=229, access="rwm"),
]
EVERYTHING = [spec.DeviceRule(allow=True, access="rwm")]


def rule(
    allow: bool, kind: str, major: int | None, minor: int | None, access: str
) -> spec.DeviceRule:
    return spec.DeviceRule(allow=allow, type=kind, major=major, minor=minor, access=access)


def expected(
    rules: Iterable[spec.DeviceRule], kind: str, major: int, minor: int, access: str
) -> bool:
    """The meaning of a list of rules: for each letter, the last rule that matches."""
    allowed = dict.fromkeys(access, False)
    for each in rules:
        if each.type in ("", "a"):
            allowed = dict.fromkeys(access, each.allow)
        elif each.type == kind and each.major in (None, major) and each.minor in (None, minor):
            allowed |= {letter: each.allow for letter in access if letter in each.access}
    return all(allowed.values())


def run(  # noqa: C901 (an interpreter is its table of instructions)
    program: bytes, kind: str, major: int, minor: int, access: str
) -> bool:
    """The kernel's part of a v2 filter, for the instructions that are used."""
    bits = sum(ACCESS[letter] for letter in access)
    memory = struct.pack("=III", bits << 16 | TYPES[kind], major, minor)
    code = list(struct.iter_unpack("=BBhi", program))
    registers, position = [0] * 11, 0
    while True:
        operation, both, offset, immediate = code[position]
        dst, src = both & 15, both >> 4
        position += 1
        match operation:
            case 0x61:
                assert src == 1
                (registers[dst],) = struct.unpack_from("=I", memory, offset)
            case 0xB7:
                registers[dst] = immediate
            case 0xBF:
                registers[dst] = registers[src]
            case 0x57:
                registers[dst] &= immediate
            case 0x77:
                registers[dst] >>= immediate
            case 0x05:
                position += offset
            case 0x55:
                position += offset if registers[dst] != immediate else 0
            case 0x45:
                position += offset if registers[dst] & immediate else 0
            case 0x95:
                return bool(registers[0])
            case _:
                raise AssertionError(f"unknown instruction {operation:#x}")


class DeviceCgroup:
    """The kernel's part of v1 (security/device_cgroup.c): one direction, and exceptions from it."""

    def __init__(self) -> None:
        self.allow = True
        self.exceptions: dict[tuple[str, str, str], set[str]] = {}

    def write(self, step: Write) -> None:
        allow = {"devices.allow": True, "devices.deny": False}[step.file]
        if step.value == "a":
            self.allow, self.exceptions = allow, {}
            return
        kind, numbers, access = step.value.split(" ")
        major, minor = numbers.split(":")
        known = self.exceptions.setdefault((kind, major, minor), set())
        # Exceptions are taken away from the very same entry only, silently otherwise.
        (known.difference_update if allow == self.allow else known.update)(access)

    def permits(self, kind: str, major: int, minor: int, access: str) -> bool:
        found = any(
            entry == kind and m in ("*", str(major)) and n in ("*", str(minor)) and access in known
            for (entry, m, n), known in self.exceptions.items()
        )
        return found != self.allow


def policy_of(rules: Sequence[spec.DeviceRule]) -> devices.Policy:
    return devices.simplify(rules)


numbers = st.one_of(st.none(), st.integers(1, 2))
rules = st.lists(
    st.builds(
        rule,
        st.booleans(),
        st.sampled_from(["b", "c", "c", "c", "a"]),
        numbers,
        numbers,
        st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"]),
    ),
    max_size=8,
)
nodes = st.tuples(st.sampled_from(["b", "c"]), st.integers(1, 3), st.integers(1, 3))


@given(rules, nodes, st.sampled_from(["r", "w", "rw", "m"]))
def test_the_program_means_what_the_rules_say(
    given_rules: list[spec.DeviceRule], node: tuple[str, int, int], access: str
) -> None:
    program = devices.program(policy_of(given_rules))

    assert run(program, *node, access) == expected(given_rules, *node, access)


@given(rules, nodes, st.sampled_from("rwm"))
def test_the_lines_mean_what_the_rules_say_or_are_refused(
    given_rules: list[spec.DeviceRule], node: tuple[str, int, int], access: str
) -> None:
    try:
        steps = devices.lines(policy_of(given_rules))
    except errors.Invalid as error:
        assert "cannot punch hole" in error.message
        return
    kernel = DeviceCgroup()

    for step in steps:
        kernel.write(step)

    assert kernel.permits(*node, access) == expected(given_rules, *node, access)


def test_dockers_rules_as_lines() -> None:
    steps = devices.plan(DOCKER, 1)

    assert [(step.file, step.value) for step in steps if isinstance(step, Write)] == [
        ("devices.deny", "a"),
        ("devices.allow", "c 5:1 rwm"),
        ("devices.allow", "c *:* m"),
        ("devices.allow", "b *:* m"),
        ("devices.allow", "c 1:3 rwm"),
        ("devices.allow", "c 1:5 rwm"),
        ("devices.allow", "c 1:7 rwm"),
        ("devices.allow", "c 1:8 rwm"),
        ("devices.allow", "c 1:9 rwm"),
        ("devices.allow", "c 5:0 rwm"),
        ("devices.allow", "c 5:2 rwm"),
        ("devices.allow", "c 10:200 rwm"),
        ("devices.allow", "c 136:* rwm"),
    ]


@pytest.mark.parametrize(
    ("kind", "major", "minor", "access", "permitted"),
    [
        ("c", 1, 3, "rw", True),
        ("c", 136, 7, "rw", True),
        ("c", 10, 229, "rw", False),
        ("c", 10, 200, "rw", True),
        ("b", 8, 0, "r", False),
        ("b", 8, 0, "m", True),
        ("c", 1, 1, "r", False),
    ],
    ids=["null", "pts", "fuse", "tun", "disk", "mknod of a disk", "mem"],
)
def test_dockers_rules_as_a_program(
    kind: str, major: int, minor: int, access: str, permitted: bool
) -> None:
    (step,) = devices.plan(DOCKER, 2)

    assert isinstance(step, DeviceFilter)
    assert run(step.program, kind, major, minor, access) == permitted


def test_a_privileged_container_has_everything() -> None:
    (line,) = devices.plan(EVERYTHING, 1)
    (filter_,) = devices.plan(EVERYTHING, 2)

    assert line == Write("devices", "devices.allow", "a", absent="")
    assert isinstance(filter_, DeviceFilter)
    assert run(filter_.program, "b", 8, 0, "rw")


def test_without_rules_only_the_default_devices_are_allowed() -> None:
    (step,) = devices.plan([], 2)

    assert isinstance(step, DeviceFilter)
    assert run(step.program, "c", 1, 3, "rw")
    assert not run(step.program, "b", 8, 0, "r")


def test_a_denial_may_never_be_passed_over() -> None:
    for step in devices.plan([*EVERYTHING, rule(False, "b", 8, None, "rwm")], 1):
        assert isinstance(step, Write)
        assert (step.absent is None) == (step.file == "devices.deny")


def test_access_decided_by_a_later_rule_is_left_out() -> None:
    given_rules = [rule(True, "c", 1, 3, "rw"), rule(True, "c", 1, 3, "wm")]

    assert devices.simplify(given_rules).rules == (
        devices.Rule(True, devices.Key("c", 1, 3), "r"),
        devices.Rule(True, devices.Key("c", 1, 3), "wm"),
    )


def test_unbuffered_is_another_word_for_character() -> None:
    assert devices.simplify([rule(True, "u", 1, -1, "r")]).rules == (
        devices.Rule(True, devices.Key("c", 1, None), "r"),
    )


def test_version_one_refuses_a_hole_in_a_wildcard() -> None:
    given_rules = [rule(True, "c", 1, None, "rwm"), rule(False, "c", 1, 1, "w")]

    with pytest.raises(errors.Invalid, match=r"rule 'c 1:1 w' .* wildcard rule 'c 1:\* rwm'"):
        devices.plan(given_rules, 1)


@pytest.mark.parametrize(
    "bad",
    [
        rule(True, "p", 1, 3, "r"),
        rule(True, "c", 1, 3, ""),
        rule(True, "c", 1, 3, "rx"),
        rule(True, "c", 1 << 31, 3, "r"),
        rule(True, "c", 1, -2, "r"),
    ],
    ids=["fifo", "no access", "unknown access", "major", "minor"],
)
def test_rules_that_make_no_sense_are_refused(bad: spec.DeviceRule) -> None:
    with pytest.raises(errors.Invalid, match="invalid device"):
        devices.plan([bad], 2)
