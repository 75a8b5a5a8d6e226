import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pinnace.cli import commands, main
from pinnace.cli.arguments import Command
from tests.cli.conftest import Invoke

# What a hot command must not load: each costs milliseconds, and `ps` has twelve of them.
HEAVY = (
    *("argparse", "asyncio", "collections", "enum", "inspect", "json", "msgspec", "pathlib"),
    *("re", "signal", "socket", "subprocess", "typing"),
)


@pytest.mark.parametrize("words", [["ps"], ["version"], ["stop", "web"], ["run", "-d", "image"]])
def test_hot_commands_load_little(words: list[str]) -> None:
    # A bare package in place of ours: what its own first lines load is not this test's question.
    program = (
        "import sys; package = type(sys)('pinnace'); package.__version__ = '0'\n"
        f"package.__path__ = [{str(Path(main.__file__).parent.parent)!r}]\n"
        "sys.modules['pinnace'] = package; before = set(sys.modules)\n"
        "from pinnace.cli import main\n"
        f"main.run('pinnace', {words!r}, {{'DOCKER_HOST': 'unix:///nonexistent'}})\n"
        f"print([m for m in {HEAVY!r} if m in set(sys.modules) - before])"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n" + program],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


def every_command() -> list[tuple[str, str]]:
    found = [(name, place) for name, place in commands.TOP.items()]
    for group, (_, members) in commands.GROUPS.items():
        found += [(f"{group} {name}", place) for name, place in members.items()]
    return found


@pytest.mark.parametrize(("path", "place"), every_command(), ids=[p for p, _ in every_command()])
def test_every_command_is_there_and_has_help(path: str, place: str, invoke: Invoke) -> None:
    command = commands.load(place)

    assert isinstance(command, Command)
    assert command.name == path.split()[-1]
    names = [option.name for option in command.options]
    shorts = [option.short for option in command.options if option.short]
    assert len(names) == len(set(names))
    assert len(shorts) == len(set(shorts))
    if not command.raw:
        done = invoke(*path.split(), "--help")
        assert done.status == 0
        assert done.stdout.startswith(f"Usage:  pinnace {path}")


def test_modules_name_no_unused_command() -> None:
    places = set(commands.TOP.values())
    for _, members in commands.GROUPS.values():
        places |= set(members.values())
    folder = Path(main.__file__).parent

    for path in folder.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Call(func=ast.Name(id="Command" | "_of" | "_many")),
                ):
                    assert f"{path.stem}.{name}" in places


def test_without_a_command_the_help_is_shown(invoke: Invoke) -> None:
    done = invoke()

    assert done.status == 0
    assert done.stderr.startswith("Usage:  pinnace [OPTIONS] COMMAND\n")
    assert "  container   Manage containers\n" in done.stderr
    assert invoke("--help").stdout == done.stderr
    assert invoke("help").stdout == done.stderr


def test_help_of_a_command_has_two_ways(invoke: Invoke) -> None:
    assert invoke("help", "ps").stdout == invoke("ps", "--help").stdout
    assert invoke("help", "volume", "ls").stdout == invoke("volume", "ls", "--help").stdout
    assert invoke("help", "nope").stderr == "unknown help topic: nope\n"


@pytest.mark.parametrize(
    ("words", "guesses"),
    [
        (["stp"], ["stop"]),
        (["rn"], ["rm", "run"]),
        (["imag"], ["image", "images"]),
        (["xyzzy"], []),
    ],
)
def test_a_slip_of_the_finger_is_guessed(
    words: list[str], guesses: list[str], invoke: Invoke
) -> None:
    done = invoke(*words)

    assert done.status == 1
    assert done.stderr.startswith(f"pinnace: unknown command: pinnace {words[0]}\n")
    for guess in guesses:
        assert f"  pinnace {guess}\n" in done.stderr
    assert ("Did you mean" in done.stderr) == bool(guesses)


def test_other_names_of_commands(invoke: Invoke) -> None:
    assert "pinnace volume ls" in invoke("volume", "list", "--help").stdout


def test_options_of_a_group_are_refused(invoke: Invoke) -> None:
    done = invoke("volume", "--nope")

    assert done.status == 125
    assert done.stderr.startswith("unknown flag: --nope\n\nUsage:  pinnace volume")


def test_only_one_daemon_can_be_asked(invoke: Invoke) -> None:
    assert invoke("-H", "unix:///a", "-H", "unix:///b", "ps").stderr == "specify only one -H\n"


@pytest.mark.parametrize("place", ["-H", "DOCKER_HOST"])
def test_an_address_that_is_none(place: str, invoke: Invoke) -> None:
    words = ["-H", "foo://x", "ps"] if place == "-H" else ["ps"]

    done = invoke(*words, host="foo://x")

    assert done.status == 1
    assert done.stderr == (
        "Failed to initialize: unable to resolve docker endpoint: "
        "invalid bind address format: foo://x\n"
    )


def test_no_daemon(invoke: Invoke) -> None:
    done = invoke("ps", host="unix:///nonexistent")

    assert done == (
        1,
        "",
        "Cannot connect to the pinnace daemon at unix:///nonexistent. "
        "Is the pinnace daemon running?\n",
    )


def test_the_version_of_the_client_needs_no_daemon(invoke: Invoke) -> None:
    assert invoke("--version").stdout.startswith("pinnace version ")
    done = invoke("version", host="unix:///nonexistent")
    assert done.stdout.startswith("Client:\n Version: ")
    assert done.status == 1


def test_contexts_and_tls_are_refused_and_not_ignored(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'context "far": contexts are not supported yet' in invoke("-c", "far", "ps").stderr

    environment = {"DOCKER_HOST": "tcp://127.0.0.1:2376", "DOCKER_TLS_VERIFY": "1"}
    assert main.run("pinnace", ["ps"], environment) == 1
