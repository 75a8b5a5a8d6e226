"""The arguments of `ps` → what to list: columns, order, selection. Pure but for users' names.

As procps-ng 4 reads them: words with a dash are SysV's, words without are BSD's, and when the
former make no sense they are all taken for BSD's (`-aux`). Words are split at blanks only, as
Docker splits them. What chooses among the host's processes (-e, -a, a, x) chooses nothing here.
"""

import grp
import pwd
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

from pinnace.engine.ps_columns import COLUMNS, Value


class Refused(Exception):
    """The arguments make no sense; the words are those of ps."""


class Threads(Enum):
    NONE = 0
    ROWS = 1  # a line for each thread
    BELOW = 2  # a line for each process, and one below it for each of its threads


class Chosen(NamedTuple):
    header: str
    name: str
    width: int = 0


class Key(NamedTuple):
    name: str
    descending: bool


class Selector(NamedTuple):
    name: str
    values: frozenset[Value]


class Listing(NamedTuple):
    """No `selection`: everything; `inverted`: all but the selected ones."""

    columns: list[Chosen]
    headers: bool = True
    threads: Threads = Threads.NONE
    forest: bool = False  # children below their parents; -H would too, but draws nothing
    sort: Sequence[Key] = ()
    selection: Sequence[Selector] = ()
    inverted: bool = False
    running: bool = False


def parse(words: Sequence[str]) -> Listing:
    """Raises Refused."""
    try:
        parser = _Parser(words, bsd=False)
    except Refused as refused:
        try:
            parser = _Parser(words, bsd=True)
        except Refused:
            raise refused from None
    return parser.listing()


# Which options there are


def _number(text: str) -> Value:
    if not (text.isascii() and text.isdigit()):
        raise Refused("process ID list syntax error")
    return int(text)


def _user(text: str) -> Value:
    try:
        return int(text) if text.isdigit() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise Refused("user name does not exist") from None


def _group(text: str) -> Value:
    try:
        return int(text) if text.isdigit() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise Refused("group name does not exist") from None


def _tty(text: str) -> Value:
    return text.removeprefix("/dev/")


class _List(NamedTuple):
    """An option that selects by a list."""

    name: str
    read: Callable[[str], Value]
    words: str


_PIDS: Final = _List("pid", _number, "list of process IDs")
_PARENTS: Final = _List("ppid", _number, "list of process IDs")
_SESSIONS: Final = _List("sid", _number, "list of session IDs")
_TTYS: Final = _List("tname", _tty, "list of terminals (pty, tty...)")
_COMMANDS: Final = _List("comm", str, "list of command names")
_USERS: Final = _List("euid", _user, "list of effective users")
_REAL_USERS: Final = _List("ruid", _user, "list of real users")
_GROUPS: Final = _List("egid", _group, "list of effective groups")
_REAL_GROUPS: Final = _List("rgid", _group, "list of real groups")
_LISTS: Final = {
    "-p": _PIDS, "-q": _PIDS, "--pid": _PIDS, "--quick-pid": _PIDS, "p": _PIDS, "q": _PIDS,
    "--ppid": _PARENTS, "-s": _SESSIONS, "--sid": _SESSIONS, "-g": _SESSIONS,
    "-t": _TTYS, "--tty": _TTYS, "t": _TTYS, "-C": _COMMANDS,
    "-u": _USERS, "--user": _USERS, "U": _USERS, "-U": _REAL_USERS, "--User": _REAL_USERS,
    "--group": _GROUPS, "-G": _REAL_GROUPS, "--Group": _REAL_GROUPS,
}  # fmt: skip
_FORMATS: Final = ("-o", "o", "--format")
_PRELOADED: Final = ("-O", "O")
_SORTS: Final = ("k", "--sort")
_WITH_ARGUMENT: Final = {
    **{name: option.words for name, option in _LISTS.items()},
    **dict.fromkeys(_FORMATS, "format specification"),
    **dict.fromkeys(_PRELOADED, "format or sort specification"),
    **dict.fromkeys(_SORTS, "long sort specification"),
    **dict.fromkeys(("--cols", "--columns", "--width"), "number of columns"),
    **dict.fromkeys(("--rows", "--lines"), "number of rows"),
}
_SYSV_FLAGS: Final = frozenset("AFHLMNPTVZacdefjlmwy")
_BSD_FLAGS: Final = frozenset("HLMSTVZaceghfjlmnrsuvwx")
_LONG_FLAGS: Final = {
    "--forest": "f", "--no-headers": "h", "--no-heading": "h", "--no-headings": "h",
    "--noheader": "h", "--noheaders": "h", "--deselect": "-N", "--context": "-Z",
    "--version": "V", "--help": "V", "--info": "V", "--headers": "w", "--heading": "w",
    "--headings": "w", "--cumulative": "w",
}  # fmt: skip


class _Parser:
    """Flags are kept as they are spelled: "-f" is SysV's full format, "f" is BSD's forest."""

    def __init__(self, words: Sequence[str], *, bsd: bool) -> None:
        self._left = list(reversed(words))
        self._all_bsd = bsd
        self._bsd = False
        self._flags: set[str] = set()
        self._columns: list[Chosen] = []
        self._sort: list[Key] = []
        self._selection: list[Selector] = []
        while self._left:
            self._word(self._left.pop())

    def _word(self, word: str) -> None:
        head, letter = word[:1], word[1:2]
        if word.startswith("--") and len(word) > 2:
            self._long(word)
        elif head == "-" and letter.isalpha():
            self._letters(word[1:], "" if self._all_bsd else "-")
        elif head.isalpha():
            self._letters(word, "")
        elif head.isdigit():
            self._bsd = True
            self._take("p", word)
        elif head == "-" and letter.isdigit():
            self._take("-s", word[1:])
        else:
            raise Refused("garbage option")

    def _letters(self, letters: str, dash: str) -> None:
        self._bsd = self._bsd or not dash
        flags = _SYSV_FLAGS if dash else _BSD_FLAGS
        for place, letter in enumerate(letters):
            option = dash + letter
            if option in _WITH_ARGUMENT:
                self._take(option, letters[place + 1 :] or self._next(option))
                return
            if letter not in flags:
                kind = "SysV option" if dash else "option (BSD syntax)"
                raise Refused(f"unsupported {kind}")
            self._flags.add(option)

    def _long(self, word: str) -> None:
        name, equals, argument = word.partition("=")
        if name in _WITH_ARGUMENT:
            argument = argument if equals else self._next(name)
            if not argument:
                raise Refused(f"{_WITH_ARGUMENT[name]} must follow {name}")
            self._take(name, argument)
        elif name not in _LONG_FLAGS:
            raise Refused("unknown gnu long option")
        elif equals:
            raise Refused(f"option {name} does not take an argument")
        else:
            self._flags.add(_LONG_FLAGS[name])

    def _next(self, option: str) -> str:
        if not self._left or not self._left[-1]:
            raise Refused(f"{_WITH_ARGUMENT[option]} must follow {option}")
        return self._left.pop()

    def _take(self, option: str, argument: str) -> None:
        if option in _LISTS:
            chosen = _LISTS[option]
            values = frozenset(chosen.read(text) for text in argument.split(","))
            self._selection.append(Selector(chosen.name, values))
        elif option in _FORMATS:
            self._columns += columns(argument)
        elif option in _PRELOADED:
            rest = columns("state,tname,time," + ("command" if option == "-O" else "comm"))
            self._columns += [*columns("pid"), *columns(argument), *rest]
        elif option in _SORTS:
            self._sort += _keys(argument)

    # What it all means

    def listing(self) -> Listing:
        flags = self._flags
        if flags & {"V", "-V", "L"}:
            return Listing([], headers=False)  # Docker takes the text for a table
        return Listing(
            columns=self._chosen(),
            headers="h" not in flags,
            threads=self._threads(),
            forest="f" in flags,
            sort=self._sort,
            selection=self._selection,
            inverted="-N" in flags,
            running="r" in flags,
        )

    def _threads(self) -> Threads:
        if {"-L", "-T"} <= self._flags:
            raise Refused("thread flags conflict; can't use both -L and -T")
        if self._flags & {"m", "-m"}:
            return Threads.BELOW
        return Threads.ROWS if self._flags & {"-L", "-T", "H"} else Threads.NONE

    def _chosen(self) -> list[Chosen]:
        named = sorted(self._flags & _BSD_FORMATS.keys())
        if len(named) + bool(self._columns) > 1 or (named and self._flags & _SYSV_FORMATS):
            raise Refused("conflicting format options")
        if self._columns:
            return self._columns
        chosen = columns(_BSD_FORMATS[named[0]]) if named else self._sysv()
        if self._flags & {"Z", "M", "-Z", "-M"}:
            chosen = [*columns("label"), *chosen]
        return [self._modified(column) for column in chosen]

    def _modified(self, column: Chosen) -> Chosen:
        """BSD's c: the name of the command only; n: numbers of users."""
        if "c" in self._flags and column.name in ("args", "command", "cmd"):
            return column._replace(name="comm")
        if "n" in self._flags and column.name in ("user", "uname", "uid_hack"):
            return column._replace(name="uid")
        return column

    def _sysv(self) -> list[Chosen]:
        """The formats -f, -F, -l, -j and what changes them, and the default one."""
        flags = {flag[1:] for flag in self._flags if flag.startswith("-")}
        full, long, y = bool(flags & set("fF")), "l" in flags, "y" in flags
        if y and not long:
            raise Refused("modifier -y without format -l makes no sense")
        detailed = full or long
        names = _where(
            ("f", long and not y),
            ("s", long),
            ("uid_hack" if full else "uid", detailed),
            ("pid", True),
            ("spid", "T" in flags),
            ("ppid", detailed),
            ("pgid,sid", "j" in flags),
            ("lwp", "L" in flags),
            ("psr", "P" in flags),
            ("cls,pri", "c" in flags),
            ("c", detailed and "c" not in flags),
            ("nlwp", full and "L" in flags),
            ("opri,ni", long and "c" not in flags),
            ("rss" if y else "addr", long),
            ("sz", long or "F" in flags),
            ("wchan", long),
            ("rss", "F" in flags and not y),
            ("psr", "F" in flags and "P" not in flags),
            ("stime", full),
            ("tname", True),
            ("stat", self._bsd and not long),
            ("bsdtime" if self._bsd else "time", True),
            (_command(detailed=detailed, full=full, bsd=self._bsd), True),
        )
        return columns(",".join(names))


def _command(*, detailed: bool, full: bool, bsd: bool) -> str:
    if bsd:
        return "cmd" if detailed else "command"
    return "cmd" if full else "ucmd"


def _where(*rows: tuple[str, bool]) -> Iterator[str]:
    return (names for names, wanted in rows if wanted)


_SYSV_FORMATS: Final = frozenset({"-f", "-F", "-l", "-j", "-y", "-c", "-P"})
_BSD_FORMATS: Final = {
    "u": "user,pid,pcpu,pmem,vsz,rss,tname,stat,start_time,bsdtime,args",
    "l": "f,uid,pid,ppid,priority,ni,vsz,rss,wchan,stat,tname,bsdtime,args",
    "j": "ppid,pid,pgid,sid,tname,tpgid,stat,uid,bsdtime,args",
    "s": "uid,pid,pending,blocked,ignored,caught,stat,tname,bsdtime,args",
    "v": "pid,tname,stat,bsdtime,maj_flt,trs,drs,rss,pmem,args",
}


def columns(text: str) -> list[Chosen]:
    """`pid,user:20,args=CMD`, the argument of -o."""
    items = text.removesuffix(",").split(",")
    if "" in items:
        raise Refused("improper format list")
    return [_column(item) for item in items]


def _column(item: str) -> Chosen:
    left, equals, header = item.partition("=")
    name, colon, width = left.partition(":")
    if colon and not (width.isascii() and width.isdigit()):
        raise Refused("column widths must be unsigned decimal numbers")
    known = COLUMNS.get(name)
    if known is None:
        raise Refused(f'unknown user-defined format specifier "{name}"')
    return Chosen(header if equals else known.header, name, int(width or 0))


def _keys(text: str) -> Iterator[Key]:
    for item in text.split(","):
        name = item.lstrip("+-")
        if name not in COLUMNS:
            raise Refused("unknown sort specifier")
        yield Key(name, item.startswith("-"))
