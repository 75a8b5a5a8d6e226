"""Argument vectors as Docker's own parser reads them: options as a table, values and operands out.

Short options combine (`-it`), values may be attached (`-p80`, `--name=web`) or apart, `--` ends
the options; for some commands (`interspersed=False`) the first operand ends them too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pinnace.cli.invocation import Invocation

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
MANY = 1 << 30


class UsageError(Exception):
    """The arguments can't be read; the message is told together with the usage line."""


class Failure(Exception):
    """The command can't go on; its message is told as it is (none when empty)."""

    def __init__(self, message: str = "", status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Option:
    """One row of a command's table of options.

    `kind` is the word that help shows after the name, and says how a value is read;
    `check` sees each text before it is kept, and may refuse it with ValueError or change it.
    """

    __slots__ = ("check", "default", "deprecated", "help", "hidden", "key", "kind", "name", "short")

    def __init__(
        self,
        name: str,
        kind: str,
        help: str,
        *,
        short: str = "",
        default: Any = None,
        check: Callable[[str], Any] | None = None,
        key: str = "",
        hidden: bool = False,
        deprecated: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.short = short
        self.default = default if default is not None else _ZEROS.get(kind)
        self.check = check
        self.key = key or name
        self.hidden = hidden
        self.deprecated = deprecated

    @property
    def title(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Command:
    """A command: what help says of it, what it takes, and the function that carries it out."""

    __slots__ = (
        "aliases",
        "at_least",
        "at_most",
        "interspersed",
        "long",
        "name",
        "operands",
        "options",
        "raw",
        "run",
        "short",
    )

    def __init__(
        self,
        name: str,
        operands: str,
        short: str,
        run: Callable[[Invocation], int | None],
        options: Sequence[Option] = (),
        *,
        at_least: int = 0,
        at_most: int = 0,
        interspersed: bool = True,
        aliases: Sequence[str] = (),
        long: str = "",
        raw: bool = False,
    ) -> None:
        self.name = name
        self.operands = operands
        self.short = short
        self.run = run
        self.options = options
        self.at_least = at_least
        self.at_most = at_most
        self.interspersed = interspersed
        self.aliases = aliases
        self.long = long
        self.raw = raw  # its arguments are another program's, and are passed on unread

    def usage(self, path: str) -> str:
        program = path.partition(" ")[0]
        return f"{path} {self.operands.replace('{program}', program)}".rstrip()


# For --format where the usual output is no table; where it is one: `ps.TABLE_FORMAT_HELP`.
FORMAT_HELP = (
    "Format output using a custom template:\n"
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template.\n"
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output"
    " with templates"
)

_ZEROS = {"bool": False, "string": "", "int": 0, "uint": 0, "uint16": 0, "bytes": 0, "duration": 0}


class Values:
    """What was given: a value for each option of the table, and the operands.

    `changed` has the keys that were said at all, `count` how many options were.
    """

    __slots__ = ("_table", "_values", "changed", "operands", "warnings")

    def __init__(self, options: Sequence[Option]) -> None:
        self._table = {option.key: option for option in reversed(options)}
        self._values: dict[str, Any] = {}
        self.changed: set[str] = set()
        self.operands: list[str] = []
        self.warnings: list[str] = []

    def __getitem__(self, key: str) -> Any:
        if key in self._values:
            return self._values[key]
        option = self._table[key]
        if option.kind in _COLLECTORS:
            return _COLLECTORS[option.kind]()
        return option.default

    def flag(self, key: str) -> bool:
        return bool(self[key])

    def text(self, key: str) -> str:
        return str(self[key])

    def number(self, key: str) -> int:
        return int(self[key])

    def texts(self, key: str) -> list[str]:
        return list(self[key])

    def record(self, option: Option, text: str) -> None:
        """Keeps one given value; ValueError if it can't be read."""
        if option.deprecated and option.key not in self.changed:
            self.warnings.append(f"Flag --{option.name} has been deprecated, {option.deprecated}")
        value = _READERS.get(option.kind, _read_other)(option, text, self._values.get(option.key))
        self._values[option.key] = value
        self.changed.add(option.key)


def parse(arguments: Sequence[str], options: Sequence[Option], *, interspersed: bool) -> Values:
    """Reads `arguments` by the table; UsageError says what is wrong with them."""
    values = Values(options)
    longs = {option.name: option for option in options}
    shorts = {option.short: option for option in options if option.short}
    rest = list(arguments)
    rest.reverse()
    while rest:
        word = rest.pop()
        if word == "--":
            values.operands.extend(reversed(rest))
            break
        if word.startswith("--"):
            _long(word, rest, longs, values)
        elif word.startswith("-") and word != "-":
            _shorts(word, rest, shorts, values)
        else:
            values.operands.append(word)
            if not interspersed:
                values.operands.extend(reversed(rest))
                break
    return values


class HelpWanted(Exception):
    """`--help`, or `-h` where it has no other meaning."""


def _long(word: str, rest: list[str], options: dict[str, Option], values: Values) -> None:
    name, equals, text = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    option = options.get(name)
    if name == "help":
        raise HelpWanted
    if option is None:
        raise UsageError(f"unknown flag: --{name}")
    if not equals:
        if option.kind == "bool":
            text = "true"
        elif rest:
            text = rest.pop()
        else:
            raise UsageError(f"flag needs an argument: --{name}")
    _record(option, text, values)


def _shorts(word: str, rest: list[str], options: dict[str, Option], values: Values) -> None:
    position = 1
    while position < len(word):
        letter, after = word[position], word[position + 1 :]
        option = options.get(letter)
        if option is None:
            if letter == "h":
                raise HelpWanted
            raise UsageError(f"unknown shorthand flag: '{letter}' in -{word[position:]}")
        position += 1
        if after.startswith("=") and len(after) > 1:
            text, position = after[1:], len(word)
        elif option.kind == "bool":
            text = "true"
        elif after:
            text, position = after, len(word)
        elif rest:
            text = rest.pop()
        else:
            raise UsageError(f"flag needs an argument: '{letter}' in -{word[position - 1 :]}")
        _record(option, text, values)


def _record(option: Option, text: str, values: Values) -> None:
    try:
        values.record(option, text)
    except ValueError as error:
        shown = _quoted(text)
        raise UsageError(f'invalid argument {shown} for "{option.title}" flag: {error}') from None


def _quoted(text: str) -> str:
    from pinnace.cli.document import encode

    return encode(text)


def _read_bool(option: Option, text: str, _before: object) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"strconv.ParseBool: parsing {_quoted(text)}: invalid syntax")


def _read_string(option: Option, text: str, _before: object) -> str:
    return option.check(text) if option.check else text


def _read_list(option: Option, text: str, before: list[Any] | None) -> list[Any]:
    value = option.check(text) if option.check else text
    return [*(before or ()), value]


def _read_strings(option: Option, text: str, before: list[str] | None) -> list[str]:
    """Several at once, between commas."""
    from pinnace.cli.specifications import csv

    return [*(before or ()), *(csv(text) if text else ())]


def _read_map(option: Option, text: str, before: dict[str, str] | None) -> dict[str, str]:
    key, _, value = (option.check(text) if option.check else text).partition("=")
    return {**(before or {}), key: value}


def _read_filter(
    option: Option, text: str, before: dict[str, dict[str, bool]] | None
) -> dict[str, dict[str, bool]]:
    found = {name: dict(wanted) for name, wanted in (before or {}).items()}
    if not text:
        return found
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    found.setdefault(name.strip().lower(), {})[value.strip()] = True
    return found


def _read_other(option: Option, text: str, before: object) -> object:
    """Sizes, durations and numbers; their readers are imported only when one is given."""
    if option.check is not None:
        return option.check(text)
    from pinnace.cli import quantities

    return quantities.READERS[option.kind](text)


_READERS: dict[str, Callable[[Option, str, Any], Any]] = {
    "bool": _read_bool,
    "string": _read_string,
    "list": _read_list,
    "strings": _read_strings,
    "mount": _read_list,
    "network": _read_list,
    "gpu-request": _read_list,
    "ulimit": _read_list,
    "map": _read_map,
    "filter": _read_filter,
}
_COLLECTORS: dict[str, Callable[[], Any]] = {
    "list": list,
    "strings": list,
    "mount": list,
    "network": list,
    "gpu-request": list,
    "ulimit": list,
    "map": dict,
    "filter": dict,
}


def check_operands(command: Command, path: str, usage: str, count: int) -> None:
    """Docker's sentences about too few or too many operands."""
    low, high = command.at_least, command.at_most
    if low <= count <= high:
        return
    if high == 0:
        wants, see = "accepts no arguments", "Run"
    elif low == high:
        wants, see = f"requires {_arguments(low)}", "Run"
    elif high == MANY:
        wants, see = f"requires at least {_arguments(low)}", "See"
    elif low == 0:
        wants, see = f"requires at most {_arguments(high)}", "Run"
    else:
        wants, see = f"requires at least {low} and at most {_arguments(high)}", "Run"
    program = path.partition(" ")[0]
    raise Failure(
        f"{program}: '{path}' {wants}\n\nUsage:  {usage}\n\n"
        f"{see} '{path} --help' for more information"
    )


def _arguments(count: int) -> str:
    return "1 argument" if count == 1 else f"{count} arguments"
