"""Help texts in Docker's layout, from the same tables that the arguments are read by."""

from __future__ import annotations

import os

from pinnace.cli import commands, terminal
from pinnace.cli.arguments import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pinnace.cli.arguments import Command, Option

_SUBJECT = "A container engine: Docker's commands, confined by default, quick to start"


def render(program: str, topic: Sequence[str], global_options: Sequence[Option]) -> str:
    """What `--help` of the program, of a group or of a command prints."""
    if not topic:
        return _root(program, global_options)
    group, *rest = topic
    if group in commands.GROUPS and not rest:
        return _group(program, group)
    members = commands.GROUPS[group][1] if group in commands.GROUPS and rest else commands.TOP
    name = rest[0] if rest else group
    if rest:
        name = commands.ALIASES.get((group, name), name)
    if name not in members or len(rest) > 1:
        raise Failure(f"unknown help topic: {' '.join(topic)}")
    command = commands.load(members[name])
    return _command(program, [*topic[:-1], name], command)


def similar(name: str, known: Sequence[str]) -> list[str]:
    """Names that a slip of the finger may have meant."""
    allowed = 1 if len(name) < 4 else 2
    return sorted(
        each for each in known if each.startswith(name) or _distance(name, each) <= allowed
    )


def _root(program: str, global_options: Sequence[Option]) -> str:
    parts = [f"Usage:  {program} [OPTIONS] COMMAND\n\n{_SUBJECT}\n"]
    common = [(name, _short(name)) for name in commands.COMMON]
    groups = [(name, text) for name, (text, _) in sorted(commands.GROUPS.items())]
    others = [(name, _short(name)) for name in sorted(commands.TOP) if name not in commands.COMMON]
    parts.append(_listing("Common Commands", common))
    parts.append(_listing("Management Commands", groups))
    parts.append(_listing("Commands", others))
    parts.append(f"Global Options:\n{option_lines(global_options, _columns())}\n")
    parts.append(f"Run '{program} COMMAND --help' for more information on a command.\n")
    return "\n".join(parts)


def _group(program: str, group: str) -> str:
    text, members = commands.GROUPS[group]
    rows = [(name, commands.load(place).short) for name, place in sorted(members.items())]
    path = f"{program} {group}"
    return (
        f"Usage:  {path} COMMAND\n\n{text}\n\n{_listing('Commands', rows)}\n"
        f"Run '{path} COMMAND --help' for more information on a command.\n"
    )


def _command(program: str, topic: Sequence[str], command: Command) -> str:
    path = " ".join([program, *topic])
    text = f"Usage:  {command.usage(path)}\n\n{command.long or command.short}\n"
    if command.aliases:
        text += "\nAliases:\n  " + ", ".join(f"{program} {each}" for each in command.aliases) + "\n"
    shown = [option for option in command.options if not option.hidden and not option.deprecated]
    if shown:
        text += f"\nOptions:\n{option_lines(shown, _columns())}\n"
    return text


def _short(name: str) -> str:
    return commands.load(commands.TOP[name]).short


def _listing(title: str, rows: Sequence[tuple[str, str]]) -> str:
    padding = 11
    return f"{title}:\n" + "".join(f"  {name:<{padding}} {text}\n" for name, text in rows)


def _columns() -> int:
    # Docker asks standard input's terminal, so that help in a pipe wraps as it does on screen.
    return terminal.width(terminal.STDIN) - 1


def option_lines(options: Sequence[Option], columns: int) -> str:
    """The table of options, wrapped to `columns`."""
    heads = []
    for option in sorted(options, key=lambda option: option.name):
        head = f"  -{option.short}, --{option.name}" if option.short else f"      --{option.name}"
        heads.append((head if option.kind == "bool" else f"{head} {option.kind}", option.help))
    margin = max(len(head) for head, _ in heads) + 3
    lines = []
    for head, text in heads:
        text = text.replace("{config}", f'"{_config_dir()}"')
        lines.append(head.ljust(margin) + wrap(margin, columns, text))
    return "\n".join(lines)


def _config_dir() -> str:
    return os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")


def wrap(margin: int, columns: int, text: str) -> str:
    """`text` in the room right of `margin`; if there is hardly any, below it, as pflag does."""
    room = columns - margin
    prefix = ""
    if room < 24:
        margin = 16
        room = columns - margin
        prefix = "\n" + " " * margin
    if room < 24:
        return prefix + text.replace("\n", "\n" + " " * margin)
    slop = 5
    out = []
    rest = text
    line, rest = _cut(room - slop, slop, rest)
    out.append(line)
    while rest:
        line, rest = _cut(room - slop, slop, rest)
        out.append(line)
    joined = ("\n" + " " * margin).join(line.replace("\n", "\n" + " " * margin) for line in out)
    return prefix + joined


def _cut(room: int, slop: int, text: str) -> tuple[str, str]:
    """A line of `room` characters, or `slop` more if that is all of it."""
    if room + slop > len(text):
        return text, ""
    cut = max(text.rfind(each, 0, room) for each in " \t\n")
    if cut <= 0:
        return text, ""
    newline = text.find("\n", 0, cut)
    if 0 < newline < cut:
        return text[:newline], text[newline + 1 :]
    return text[:cut], text[cut + 1 :]


def _distance(one: str, other: str) -> int:
    """How many letters must be changed, added or left out."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]
