"""Heredocs: finding <<NAME in a line, and what its spelling says about the text that follows."""

import re
from dataclasses import dataclass

from pinnace.dockerfile.expand import ExpansionError, Lexer
from pinnace.dockerfile.source import DockerfileError

_match = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)").fullmatch
_leading_tabs = re.compile(r"^\t+", re.MULTILINE)

# The escape of heredocs is the shell's, whatever the Dockerfile's is.
_bare = Lexer(keep_unset=True)
_quoted = Lexer(keep_unset=True, keep_quotes=True)
_raw = Lexer(keep_unset=True, keep_quotes=True, keep_escapes=True)


@dataclass(frozen=True, slots=True)
class Heredoc:
    name: str
    expand: bool = True
    """Variables are put in: no part of the name was quoted."""
    chomp: bool = False
    """<<-: leading tabs are dropped."""
    content: str = ""

    @property
    def text(self) -> str:
        return chomped(self.content) if self.chomp else self.content

    def ends_at(self, line: str) -> bool:
        line = line.rstrip("\r\n")
        return (line.lstrip("\t") if self.chomp else line) == self.name


def chomped(content: str) -> str:
    return _leading_tabs.sub("", content)


def parse(word: str) -> Heredoc | None:
    """<<NAME, <<-NAME, 3<<"NAME"; None for what is none. Raises DockerfileError."""
    match = _match(word)
    if match is None or not match[3]:
        return None
    names = _bare.words(match[3], {})
    if len(names) != 1:
        return None
    spellings = _quoted.words(match[3], {})
    if len(spellings) != 1:
        raise DockerfileError(
            f"internal lexing of heredoc produced inconsistent results: {match[3]}"
        )
    expand = _quotes(names[0]) == _quotes(spellings[0])
    return Heredoc(names[0], expand=expand, chomp=match[2] == "-")


def lenient(word: str) -> Heredoc | None:
    try:
        return parse(word)
    except DockerfileError:
        return None


def of_line(line: str) -> tuple[Heredoc, ...]:
    """Those that a line announces, in their order; their contents are still to be read."""
    try:
        words = _raw.words(line, {})
    except ExpansionError:
        return ()
    found = (parse(word) for word in words)
    return tuple(heredoc for heredoc in found if heredoc is not None)


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')
