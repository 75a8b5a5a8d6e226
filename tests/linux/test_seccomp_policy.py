import itertools

import pytest

from pinnace.linux import seccomp_policy
from pinnace.linux.seccomp_policy import Condition, Rule
from pinnace.oci.spec import Seccomp, SeccompArg, SeccompRule

_ALLOW, _LOG, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x7FFC0000, 0, 0x00050001, 0x00050026


def _filter(*rules: SeccompRule, default: str = "SCMP_ACT_ERRNO") -> Seccomp:
    return Seccomp(default_action=default, syscalls=list(rules))


def _rule(*args: SeccompArg, name: str = "mmap", action: str = "SCMP_ACT_ALLOW") -> SeccompRule:
    return SeccompRule(names=[name], action=action, args=list(args))


def test_rules_are_sorted_by_call() -> None:
    argument = SeccompArg(index=2, op="SCMP_CMP_MASKED_EQ", value=0xF0, value_two=0x1F)
    policy = seccomp_policy.policy(
        _filter(
            SeccompRule(names=["read", "mmap"], action="SCMP_ACT_ALLOW"),
            _rule(argument, action="SCMP_ACT_LOG"),
        )
    )

    assert policy.rules == {
        "read": [Rule(_ALLOW, True, ())],
        "mmap": [
            Rule(_ALLOW, True, ()),
            Rule(_LOG, True, (Condition(2, "MASKED_EQ", 0x10, 0xF0),)),
        ],
    }


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("SCMP_ACT_ERRNO", (_EPERM, _ENOSYS, _ENOSYS)),
        ("SCMP_ACT_KILL", (_KILL, _ENOSYS, _KILL)),
        ("SCMP_ACT_ALLOW", (_ALLOW, _ALLOW, _ALLOW)),
        ("SCMP_ACT_LOG", (_LOG, _LOG, _LOG)),
    ],
)
def test_what_becomes_of_calls_without_a_rule(default: str, expected: tuple[int, int, int]) -> None:
    policy = seccomp_policy.policy(_filter(default=default))

    assert (policy.default, policy.beyond, policy.unassigned) == expected


def test_a_rule_that_repeats_the_default_leaves_the_name_behind() -> None:
    policy = seccomp_policy.policy(_filter(_rule(action="SCMP_ACT_ERRNO")))

    assert policy.rules == {"mmap": []}


def test_conditions_are_in_the_order_of_arguments() -> None:
    args = [SeccompArg(index=i, op="SCMP_CMP_EQ", value=7) for i in (3, 1)]

    (rule,) = seccomp_policy.policy(_filter(_rule(*args))).rules["mmap"]

    assert [c.argument for c in rule.conditions] == [1, 3]


def test_conditions_on_one_argument_make_rules_of_their_own() -> None:
    args = [SeccompArg(index=i, op="SCMP_CMP_EQ", value=7) for i in (1, 1, 2)]

    rules = seccomp_policy.policy(_filter(_rule(*args))).rules["mmap"]

    assert [len(rule.conditions) for rule in rules] == [1, 1, 1]


def test_numbers_wider_than_64_bits_are_cut() -> None:
    argument = SeccompArg(index=0, op="SCMP_CMP_EQ", value=-1)

    (rule,) = seccomp_policy.policy(_filter(_rule(argument))).rules["mmap"]

    assert rule.conditions[0].value == 2**64 - 1


def test_multiplexers_repeat_what_is_said_of_their_calls() -> None:
    plain, conditional = Rule(_ALLOW, True, ()), Rule(_ALLOW, True, (Condition(0, "EQ", 1),))
    denial = Rule(_KILL, False, (Condition(0, "EQ", 40),))
    rules = {"bind": [plain], "socket": [conditional, denial], "shmctl": [plain]}

    extended = seccomp_policy.with_multiplexers(rules)

    assert extended["socketcall"] == [
        Rule(_KILL, False, (Condition(0, "MASKED_EQ", 1),)),
        Rule(_ALLOW, True, (Condition(0, "MASKED_EQ", 2),)),
    ]
    assert extended["ipc"] == [Rule(_ALLOW, True, (Condition(0, "MASKED_EQ", 24, 0xFFFF),))]
    assert "socketcall" not in rules


def test_the_first_rule_without_conditions_is_the_only_one() -> None:
    conditional = Rule(_KILL, False, (Condition(0, "EQ", 1),))
    plain, later = Rule(_ALLOW, True, ()), Rule(_LOG, True, ())

    assert seccomp_policy.in_order([conditional, plain, later]) == [plain]
    assert seccomp_policy.in_order([]) == []


def test_rules_go_from_narrow_to_wide() -> None:
    conditions = [
        (Condition(1, "GE", 1),),
        (Condition(0, "EQ", 5), Condition(1, "EQ", 5)),
        (Condition(0, "EQ", 5),),
        (Condition(0, "LT", 5),),
        (Condition(0, "LE", 5),),
        (Condition(0, "LT", 9),),
        (Condition(0, "GT", 9),),
        (Condition(0, "GE", 9),),
        (Condition(0, "GE", 5),),
    ]
    rules = [Rule(n, True, c) for n, c in enumerate(conditions)]

    for order in itertools.islice(itertools.permutations(rules), 0, 362880, 5000):
        assert seccomp_policy.in_order(order) == rules


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (_filter(default=""), "string  is not a valid action for seccomp"),
        (_filter(_rule(name="")), "empty string is not a valid syscall"),
        (
            _filter(_rule(SeccompArg(index=6, op="SCMP_CMP_EQ"))),
            "error creating seccomp syscall condition for syscall mmap: "
            "syscalls only have up to 6 arguments (6 given)",
        ),
        (
            _filter(_rule(SeccompArg(index=0, op="MASKED_EQ"))),
            "string MASKED_EQ is not a valid operator for seccomp",
        ),
        (
            _filter(default="SCMP_ACT_NOTIFY"),
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (
            _filter(_rule(name="write", action="SCMP_ACT_NOTIFY")),
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
    ],
)
def test_nonsense_is_refused(filter: Seccomp, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        seccomp_policy.policy(filter)

    assert str(caught.value) == message
