"""The arguments of ps, as procps-ng takes them."""

import pytest

from pinnace.engine import ps_options
from pinnace.engine.ps_options import Chosen, Key, Listing, Refused, Selector, Threads


def parse(text: str) -> Listing:
    return ps_options.parse(text.split(" "))


def headers(text: str) -> str:
    return " ".join(column.header for column in parse(text).columns)


# What procps-ng 4.0.2 prints.
@pytest.mark.parametrize(
    ("args", "titles"),
    [
        ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
        ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-auxww", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-e", "PID TTY TIME CMD"),
        ("ax", "PID TTY STAT TIME COMMAND"),
        ("-ax", "PID TTY STAT TIME COMMAND"),
        ("-e 1", "PID TTY STAT TIME COMMAND"),
        ("-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD"),
        ("-fl", "F S UID PID PPID C PRI NI ADDR SZ WCHAN STIME TTY TIME CMD"),
        ("-ely", "S UID PID PPID C PRI NI RSS SZ WCHAN TTY TIME CMD"),
        ("-F", "UID PID PPID C SZ RSS PSR STIME TTY TIME CMD"),
        ("-FL", "UID PID PPID LWP C NLWP SZ RSS PSR STIME TTY TIME CMD"),
        ("-fj", "UID PID PPID PGID SID C STIME TTY TIME CMD"),
        ("-j", "PID PGID SID TTY TIME CMD"),
        ("-fc", "UID PID PPID CLS PRI STIME TTY TIME CMD"),
        ("-fP", "UID PID PPID PSR C STIME TTY TIME CMD"),
        ("-T", "PID SPID TTY TIME CMD"),
        ("-L", "PID LWP TTY TIME CMD"),
        ("-ef x", "UID PID PPID C STIME TTY STAT TIME CMD"),
        ("-l x", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD"),
        ("l", "F UID PID PPID PRI NI VSZ RSS WCHAN STAT TTY TIME COMMAND"),
        ("j", "PPID PID PGID SID TTY TPGID STAT UID TIME COMMAND"),
        ("s", "UID PID PENDING BLOCKED IGNORED CAUGHT STAT TTY TIME COMMAND"),
        ("v", "PID TTY STAT TIME MAJFL TRS DRS RSS %MEM COMMAND"),
        ("uZ", "LABEL USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-O comm", "PID COMMAND S TTY TIME COMMAND"),
        ("-eo pid,comm", "PID COMMAND"),
        ("axo pid,comm", "PID COMMAND"),
        ("-o pid -o user", "PID USER"),
        ("-ef -opid", "PID"),
        ("--format=pid,", "PID"),
        ("--format pid,comm", "PID COMMAND"),
        ("-o pid=P,comm=NAME", "P NAME"),
    ],
)
def test_formats(args: str, titles: str) -> None:
    assert headers(args) == titles


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("-o nosuch", 'unknown user-defined format specifier "nosuch"'),
        ("-o", "format specification must follow -o"),
        ("-eo", "format specification must follow -o"),
        ("--format", "format specification must follow --format"),
        ("--format=", "format specification must follow --format"),
        ("-o ,pid", "improper format list"),
        ("-o pid:", "column widths must be unsigned decimal numbers"),
        ("-o pid:x", "column widths must be unsigned decimal numbers"),
        ("-Q", "unsupported SysV option"),
        ("xyz", "unsupported option (BSD syntax)"),
        ("--nosuch", "unknown gnu long option"),
        ("--forest=1", "option --forest does not take an argument"),
        ("-u nosuchuser", "user name does not exist"),
        ("-G nosuchgroup", "group name does not exist"),
        ("-p", "list of process IDs must follow -p"),
        ("-p x", "process ID list syntax error"),
        ("1,x", "process ID list syntax error"),
        ("-e --sort=nosuch", "unknown sort specifier"),
        ("-f u", "conflicting format options"),
        ("uv", "conflicting format options"),
        ("u -o pid", "conflicting format options"),
        ("-y", "modifier -y without format -l makes no sense"),
        ("-L -T", "thread flags conflict; can't use both -L and -T"),
        ("%", "garbage option"),
        ("-", "garbage option"),
        ("-ef --", "garbage option"),
        ("-ef ", "garbage option"),
    ],
)
def test_what_makes_no_sense(args: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(args)

    assert str(refused.value) == message


def test_widths_and_headers() -> None:
    assert parse("-o user:20=WHO,pid=").columns == [Chosen("WHO", "user", 20), Chosen("", "pid")]


def test_the_order() -> None:
    assert list(parse("-e --sort=-rss,+pid").sort) == [Key("rss", True), Key("pid", False)]
    assert list(parse("ax k comm").sort) == [Key("comm", False)]


@pytest.mark.parametrize(
    ("args", "selector"),
    [
        ("-p 1,2", Selector("pid", frozenset({1, 2}))),
        ("-p1", Selector("pid", frozenset({1}))),
        ("--ppid 3", Selector("ppid", frozenset({3}))),
        ("-1", Selector("sid", frozenset({1}))),
        ("-C sh,sleep", Selector("comm", frozenset({"sh", "sleep"}))),
        ("-u root,5", Selector("euid", frozenset({0, 5}))),
        ("-G root", Selector("rgid", frozenset({0}))),
        ("-t /dev/pts/0", Selector("tname", frozenset({"pts/0"}))),
    ],
)
def test_selections(args: str, selector: Selector) -> None:
    assert list(parse(args).selection) == [selector]


@pytest.mark.parametrize(
    ("args", "threads"),
    [
        ("-e", Threads.NONE),
        ("-eL", Threads.ROWS),
        ("-T", Threads.ROWS),
        ("H", Threads.ROWS),
        ("-em", Threads.BELOW),
        ("m", Threads.BELOW),
    ],
)
def test_threads(args: str, threads: Threads) -> None:
    assert parse(args).threads is threads


def test_flags() -> None:
    assert parse("axf").forest
    assert parse("--forest").forest
    assert parse("r").running
    assert parse("-p 1 -N").inverted
    assert not parse("h").headers
    assert not parse("--no-headers").headers
    assert not parse("--version").headers


def test_commands_by_name_and_users_by_number() -> None:
    assert [column.name for column in parse("uc").columns][-1] == "comm"
    assert parse("un").columns[0] == Chosen("USER", "uid")
