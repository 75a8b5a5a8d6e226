import pytest

from pinnace.cli import arguments, quantities
from pinnace.cli.arguments import HelpWanted, Option, UsageError

TABLE = (
    Option("all", "bool", "", short="a"),
    Option("interactive", "bool", "", short="i"),
    Option("tty", "bool", "", short="t"),
    Option("name", "string", "", default="none"),
    Option("env", "list", "", short="e"),
    Option("publish", "list", "", short="p"),
    Option("memory", "bytes", "", short="m"),
    Option("number", "int", "", short="n", default=-1),
    Option("sysctl", "map", ""),
    Option("filter", "filter", "", short="f"),
    Option("subnet", "strings", ""),
    Option("net", "list", "", key="network", hidden=True),
    Option("network", "list", ""),
    Option("old", "int", "", deprecated="use --number instead"),
)


def parse(*words: str, interspersed: bool = True) -> arguments.Values:
    return arguments.parse(words, TABLE, interspersed=interspersed)


def test_defaults_are_there_for_what_is_not_said() -> None:
    values = parse()

    assert values["all"] is False
    assert values["name"] == "none"
    assert values["env"] == []
    assert values["memory"] == 0
    assert values["number"] == -1
    assert values["sysctl"] == {}
    assert values.changed == set()


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--name", "x"], "name", "x"),
        (["--name=x=y"], "name", "x=y"),
        (["--name", "-x"], "name", "-x"),
        (["--name="], "name", ""),
        (["--name=a", "--name=b"], "name", "b"),
        (["-e", "A", "-eB", "-e=C", "--env", "D"], "env", ["A", "B", "C", "D"]),
        (["-p80:80"], "publish", ["80:80"]),
        (["--all=false"], "all", False),
        (["-a=true"], "all", True),
        (["-m", "1k"], "memory", 1024),
        (["-n", "-5"], "number", -5),
        (["-n5"], "number", 5),
        (["--sysctl", "a=b", "--sysctl", "c=d=e"], "sysctl", {"a": "b", "c": "d=e"}),
        (["-f", "A = x", "-f", "a=y"], "filter", {"a": {"x": True, "y": True}}),
        (["--subnet", "a,b", "--subnet", "c"], "subnet", ["a", "b", "c"]),
        (["--net", "x", "--network", "y"], "network", ["x", "y"]),
    ],
)
def test_values_are_attached_or_apart(words: list[str], key: str, value: object) -> None:
    values = parse(*words)

    assert values[key] == value
    assert key in values.changed


def test_short_options_combine() -> None:
    values = parse("-aite", "A=b", "x")

    assert (values["all"], values["interactive"], values["tty"]) == (True, True, True)
    assert values["env"] == ["A=b"]
    assert values.operands == ["x"]


def test_operands_may_stand_between_options() -> None:
    values = parse("x", "-a", "y", "--", "-t", "--nope")

    assert values.operands == ["x", "y", "-t", "--nope"]
    assert values["all"] is True


def test_the_first_operand_ends_the_options_where_it_must() -> None:
    values = parse("-a", "image", "-t", "--nope", "--", interspersed=False)

    assert values.operands == ["image", "-t", "--nope", "--"]
    assert values["tty"] is False


def test_a_dash_alone_is_an_operand() -> None:
    assert parse("-").operands == ["-"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["--nope=1"], "unknown flag: --nope"),
        (["-aZt"], "unknown shorthand flag: 'Z' in -Zt"),
        (["--name"], "flag needs an argument: --name"),
        (["-ae"], "flag needs an argument: 'e' in -e"),
        (["---x"], "bad flag syntax: ---x"),
        (
            ["--all=x"],
            'invalid argument "x" for "-a, --all" flag: '
            'strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (
            ["-n", "x"],
            'invalid argument "x" for "-n, --number" flag: '
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["-f", "x"],
            'invalid argument "x" for "-f, --filter" flag: '
            "bad format of filter (expected name=value)",
        ),
        (["-m", "q"], 'invalid argument "q" for "-m, --memory" flag: invalid size: \'q\''),
    ],
)
def test_what_cannot_be_read_is_said_in_gos_words(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(*words)

    assert str(raised.value) == message


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["-ah"], ["x", "--help"]])
def test_help_is_asked_for(words: list[str]) -> None:
    with pytest.raises(HelpWanted):
        parse(*words)


def test_a_deprecated_option_still_works_and_warns() -> None:
    values = parse("--old", "3")

    assert values["old"] == 3
    assert values.warnings == ["Flag --old has been deprecated, use --number instead"]


def test_an_options_own_check_may_change_its_value() -> None:
    table = (Option("swap", "bytes", "", check=quantities.swap),)

    assert arguments.parse(["--swap", "-1"], table, interspersed=True)["swap"] == -1
