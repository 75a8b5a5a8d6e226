"""The command line's entry: options before the command, the command's table, one way to fail.

Rule: this module and what it imports at once (arguments, client, commands, document, invocation,
terminal) stay light; everything else is imported by the command that needs it.
"""

from __future__ import annotations

import os
import sys

from pinnace.cli import arguments, commands, terminal
from pinnace.cli.arguments import Failure, HelpWanted, Option, UsageError
from pinnace.cli.client import DaemonError, Unreachable
from pinnace.cli.invocation import Globals, Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pinnace.cli.arguments import Command

GLOBAL_OPTIONS = (
    Option("config", "string", "Location of client config files (default {config})"),
    Option(
        "context",
        "string",
        'Name of the context to use to connect to the daemon (only "default" is known yet)',
        short="c",
    ),
    Option("debug", "bool", "Enable debug mode", short="D"),
    Option("host", "list", "Daemon socket to connect to", short="H"),
    Option(
        "log-level",
        "string",
        'Set the logging level ("debug", "info", "warn", "error", "fatal") (default "info")',
        short="l",
        default="info",
    ),
    Option("version", "bool", "Print version information and quit", short="v"),
)


def main() -> NoReturn:
    """The console script: runs the command in `sys.argv` and leaves without any ado."""
    import _signal  # type: ignore[import-not-found]

    # A reader that has gone (`ps | head -1`) and Ctrl-C end us as they end any program.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    program = "docker" if os.path.basename(sys.argv[0]) == "docker" else "pinnace"
    status = run(program, sys.argv[1:], os.environ)
    # Nothing of ours is left to be torn down, and the interpreter's own takes a millisecond.
    os._exit(status)


def run(program: str, words: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status of `program words...`; all that is to be said has been said."""
    try:
        return _dispatch(program, words, environment)
    except Failure as failure:
        if failure.message:
            terminal.warn(failure.message)
        return failure.status
    except (DaemonError, Unreachable) as error:
        terminal.warn(str(error))
        return 1


def _dispatch(program: str, words: Sequence[str], environment: Mapping[str, str]) -> int:
    root = f"{program} [OPTIONS] COMMAND [ARG...]"
    try:
        values = arguments.parse(words, GLOBAL_OPTIONS, interspersed=False)
    except HelpWanted:
        return _help(program, [])
    except UsageError as error:
        raise _with_usage(error, root, program) from None
    if values.flag("version"):
        from pinnace.cli import version

        terminal.say(version.line())
        return 0
    if not values.operands:
        return _help(program, [], fd=terminal.STDERR)
    context = values.text("context") or environment.get("DOCKER_CONTEXT", "")
    if context not in ("", "default"):
        raise Failure(
            f'Failed to initialize: unable to resolve docker endpoint: context "{context}": '
            "contexts are not supported yet, name the daemon with -H or DOCKER_HOST"
        )
    options = Globals()
    options.hosts = values.texts("host")
    options.config_dir = values.text("config")
    options.debug = values.flag("debug")
    name, *rest = values.operands
    if name == "help":
        return _help(program, rest)
    if name in commands.GROUPS:
        return _group(program, name, rest, options, environment)
    if name not in commands.TOP:
        raise _unknown(program, program, name, [*commands.TOP, *commands.GROUPS])
    return execute(
        commands.load(commands.TOP[name]), f"{program} {name}", rest, options, environment
    )


def _group(
    program: str, group: str, words: Sequence[str], options: Globals, environment: Mapping[str, str]
) -> int:
    members = commands.GROUPS[group][1]
    path = f"{program} {group}"
    if not words:
        return _help(program, [group], fd=terminal.STDERR)
    name, *rest = words
    if name in ("--help", "-h"):
        return _help(program, [group])
    if name.startswith("-"):
        said = (
            f"unknown flag: {name.partition('=')[0]}"
            if name[:2] == "--"
            else (f"unknown shorthand flag: '{name[1:2]}' in {name}")
        )
        raise _with_usage(UsageError(said), path, path)
    name = commands.ALIASES.get((group, name), name)
    if name not in members:
        raise _unknown(program, path, name, list(members))
    command = commands.load(members[name])
    return execute(command, f"{path} {name}", rest, options, environment)


def execute(
    command: Command,
    path: str,
    words: Sequence[str],
    options: Globals,
    environment: Mapping[str, str],
) -> int:
    usage = command.usage(path)
    try:
        table = () if command.raw else command.options
        values = arguments.parse(
            [] if command.raw else words, table, interspersed=command.interspersed
        )
    except HelpWanted:
        return _help(path.partition(" ")[0], path.split(" ")[1:])
    except UsageError as error:
        raise _with_usage(error, usage, path) from None
    if not command.raw:
        arguments.check_operands(command, path, usage, len(values.operands))
    for warning in values.warnings:
        terminal.say(warning)  # where Docker says it, too
    invocation = Invocation(path, values, words, options, environment)
    return command.run(invocation) or 0


def _with_usage(error: UsageError, usage: str, path: str) -> Failure:
    return Failure(
        f"{error}\n\nUsage:  {usage}\n\nRun '{path} --help' for more information", status=125
    )


def _unknown(program: str, path: str, name: str, known: Sequence[str]) -> Failure:
    from pinnace.cli import help as help_texts

    message = f"{program}: unknown command: {path} {name}\n"
    if guesses := help_texts.similar(name, known):
        message += "\nDid you mean this?\n" + "".join(f"  {path} {guess}\n" for guess in guesses)
    if path != program:
        message += f"\nUsage:  {path}\n"
    return Failure(f"{message}\nRun '{path} --help' for more information")


def _help(program: str, topic: Sequence[str], fd: int = terminal.STDOUT) -> int:
    from pinnace.cli import help as help_texts

    terminal.write(help_texts.render(program, topic, GLOBAL_OPTIONS), fd)
    return 0


if __name__ == "__main__":
    main()
