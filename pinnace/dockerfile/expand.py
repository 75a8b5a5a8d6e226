"""Words of a Dockerfile: quotes, escapes and variables, split at spaces or not.

    $v ${v} ${v:-x} ${v-x} ${v:+x} ${v+x} ${v:?x} ${v?x}
    ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}

Rule: everything is read once, from left to right; a value put in is not read again.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pinnace.dockerfile import golang, wildcards
from pinnace.dockerfile.source import DockerfileError

_SPECIAL = frozenset("@*#?-$!0")
_MODIFIERS = frozenset("+-?#%")

# No Dockerfile nests deeper; Python's stack ends at about 300.
_DEPTH = 60

# What variables may add to a word: no program can be given more than 128 KiB in one.
_GROWTH = 1 << 20

_END = ""
_MISSING_BRACE = "syntax error: missing '}'"


class ExpansionError(DockerfileError):
    """A word that can't be read; the names that were asked for in vain until then."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.unmatched: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Expansion:
    text: str
    words: tuple[str, ...]
    matched: frozenset[str]
    unmatched: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lexer:
    """How words are read; the defaults are right for the operands of instructions."""

    escape: str = "\\"
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False
    quotes: bool = True

    def expand(self, text: str, environment: Mapping[str, str]) -> Expansion:
        """Both readings of a text: as one word that keeps its spaces, and split at them."""
        reader = _Reader(self, text, environment)
        try:
            word, words = reader.until(_END, keep_escapes=self.keep_escapes)
        except ExpansionError as error:
            failure = ExpansionError(f"failed to process {golang.quote(text)}: {error.message}")
            failure.unmatched = frozenset(reader.unmatched)
            raise failure from None
        return Expansion(word, words, frozenset(reader.matched), frozenset(reader.unmatched))

    def word(self, text: str, environment: Mapping[str, str]) -> str:
        return self.expand(text, environment).text

    def words(self, text: str, environment: Mapping[str, str]) -> tuple[str, ...]:
        return self.expand(text, environment).words


def environment(entries: Iterable[str], *, os: str = "linux") -> Mapping[str, str]:
    """NAME=value, the last one wins; names on Windows are the same in any case."""
    pairs = (entry.partition("=") for entry in entries)
    if os == "windows":
        return Folded({name.upper(): value for name, _, value in pairs})
    return {name: value for name, _, value in pairs}


class Folded(dict[str, str]):
    """An environment of Windows; its keys are in capitals."""

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return super().get(key.upper(), default)


_split = re.compile(f"[{re.escape(''.join(golang.SPACES))}]").split


@functools.cache
def _plain(stop: str, lexer: Lexer) -> Callable[[str, int], re.Match[str] | None]:
    """Finds the characters, from a position on, that mean nothing but themselves."""
    special = "$<" + ("'\"" if lexer.quotes else "") + lexer.escape + stop
    return re.compile(f"[^{re.escape(special)}]+").match


class _Words:
    """What is split at spaces, but for those that are quoted or escaped."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._current: list[str] = []

    def add(self, text: str) -> None:
        first, *others = _split(text)
        self.add_raw(first)
        for word in others:
            self.finish()
            self.add_raw(word)

    def add_raw(self, text: str) -> None:
        if text:
            self._current.append(text)

    def finish(self) -> tuple[str, ...]:
        if self._current:
            self._done.append("".join(self._current))
            self._current.clear()
        return tuple(self._done)


class _Reader:
    def __init__(self, lexer: Lexer, text: str, environment: Mapping[str, str]) -> None:
        self._lexer = lexer
        self._text = text
        self._at = 0
        self._environment = environment
        self._keep_escapes = lexer.keep_escapes
        self._depth = 0
        self._grown = 0
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += len(character)
        return character

    def until(self, stop: str, *, keep_escapes: bool) -> tuple[str, tuple[str, ...]]:
        """Read to a character, which is consumed, or to the end of the text."""
        if self._depth >= _DEPTH:
            raise ExpansionError("substitutions are nested too deep")
        self._depth += 1
        kept, self._keep_escapes = self._keep_escapes, keep_escapes
        try:
            return self._until(stop)
        finally:
            self._keep_escapes = kept
            self._depth -= 1

    def _until(self, stop: str) -> tuple[str, tuple[str, ...]]:
        result: list[str] = []
        words = _Words()
        plain = _plain(stop, self._lexer)
        while character := self._peek():
            if run := plain(self._text, self._at):
                self._at = run.end()
                result.append(run[0])
                words.add(run[0])
                continue
            if character == stop:
                self._next()
                return "".join(result), words.finish()
            piece, splits = self._piece(character)
            result.append(piece)
            (words.add if splits else words.add_raw)(piece)
        if stop:
            raise ExpansionError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(result), words.finish()

    def _piece(self, character: str) -> tuple[str, bool]:
        """The next piece of a word, and whether its spaces end the word."""
        if character == "$":
            return self._dollar(), True
        if character == "<":
            return self._heredoc(), False
        if self._lexer.quotes and character == "'":
            return self._single_quoted(), False
        if self._lexer.quotes and character == '"':
            return self._double_quoted(), False
        self._next()
        if character != self._lexer.escape:
            return character, True
        # An escape at the end of the text escapes nothing and is dropped.
        return (character if self._keep_escapes else "") + self._next(), False

    def _heredoc(self) -> str:
        """<< and the spaces before its word, which belong together."""
        self._next()
        if self._peek() != "<":
            return "<"
        start = self._at
        self._next()
        while self._peek() in ("\t", "\r", " "):
            self._next()
        return "<" + self._text[start : self._at]

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            self._at = len(self._text)
            raise ExpansionError(
                "unexpected end of statement while looking for matching single-quote"
            )
        start, self._at = self._at, end + 1
        return (
            self._text[start : end + 1] if self._lexer.keep_quotes else self._text[start + 1 : end]
        )

    def _double_quoted(self) -> str:
        quote = self._next()
        result = [quote] if self._lexer.keep_quotes else []
        while character := self._peek():
            if character == "$":
                result.append(self._dollar())
                continue
            self._next()
            if character == quote:
                return "".join((*result, quote if self._lexer.keep_quotes else ""))
            if character == self._lexer.escape:
                if self._keep_escapes:
                    result.append(character)
                following = self._peek()
                if not following:
                    continue
                # Of other characters the escape is no escape, it stays.
                if following in ('"', "$", self._lexer.escape):
                    character = self._next()
            result.append(character)
        raise ExpansionError("unexpected end of statement while looking for matching double-quote")

    def _dollar(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            return self._counted(self._plain(name, f"${name}"))
        self._next()
        match self._peek():
            case "":
                raise ExpansionError(_MISSING_BRACE)
            case "{" | "}" | ":":
                raise ExpansionError("syntax error: bad substitution")
        name = self._name()
        return self._counted(self._substitution(name))

    def _counted(self, value: str) -> str:
        """A variable made of variables made of variables soon fills the memory."""
        self._grown += len(value)
        if self._grown > _GROWTH:
            raise ExpansionError("the variables make it too long")
        return value

    def _substitution(self, name: str) -> str:
        """What follows the name in ${name...}."""
        operator = self._next()
        if operator == "}":
            return self._plain(name, f"${{{name}}}")
        if operator == "/":
            return self._replaced(name)
        empty_is_unset = operator == ":"
        kind = self._next() if empty_is_unset else operator
        spelled = (":" if empty_is_unset else "") + (kind or "�")
        trims = kind in ("#", "%")
        if (not empty_is_unset and kind not in _MODIFIERS) or (empty_is_unset and trims):
            raise _unsupported(spelled)
        word = self._operand("}", keep_escapes=trims, missing=_MISSING_BRACE)
        value = self._lookup(name)
        if value is None and self._lexer.keep_unset:
            return f"${{{name}{spelled}{word}}}"
        if trims:
            return _trimmed(value or "", kind, word)
        return _chosen(name, value, kind, word, empty_is_unset=empty_is_unset, spelled=spelled)

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._operand("/", keep_escapes=True, missing="syntax error: missing '/' in ${}")
        replacement = self._operand("}", keep_escapes=True, missing=_MISSING_BRACE)
        value = self._lookup(name)
        if value is None and self._lexer.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        try:
            parsed = wildcards.parse(pattern)
            return wildcards.replace(parsed, value or "", replacement, everywhere=everywhere)
        except ValueError as error:
            raise _bad_pattern(pattern, error) from error

    def _operand(self, stop: str, *, keep_escapes: bool, missing: str) -> str:
        try:
            return self.until(stop, keep_escapes=keep_escapes)[0]
        except ExpansionError:
            if self._peek():
                raise
            raise ExpansionError(missing) from None

    def _name(self) -> str:
        """A name, a number, or a special parameter of the shell; "" if there is none."""
        first = self._peek()
        start = self._at
        if first.isdecimal():
            while self._peek().isdecimal():
                self._next()
        elif first in _SPECIAL:
            self._next()
        else:
            while (c := self._peek()).isalpha() or c.isdecimal() or c == "_":
                self._next()
        return self._text[start : self._at]

    def _plain(self, name: str, spelled: str) -> str:
        value = self._lookup(name)
        if value is None:
            return spelled if self._lexer.keep_unset else ""
        return value

    def _lookup(self, name: str) -> str | None:
        value = self._environment.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value


def _chosen(
    name: str, value: str | None, kind: str, word: str, *, empty_is_unset: bool, spelled: str
) -> str:
    """The four modifiers that look at whether the variable is set."""
    unset = value is None or (empty_is_unset and not value)
    match kind:
        case "-":
            return word if unset else value or ""
        case "+":
            return "" if unset else word
        case "?":
            if unset:
                state = "unset" if value is None else "empty"
                raise ExpansionError(f"{name}: {word or f'is not allowed to be {state}'}")
            return value or ""
        case _:
            raise _unsupported(spelled)


def _trimmed(value: str, kind: str, word: str) -> str:
    greedy = word.startswith(kind)
    pattern = word[1:] if greedy else word
    trim = wildcards.trim_prefix if kind == "#" else wildcards.trim_suffix
    try:
        return trim(wildcards.parse(pattern), value, greedy=greedy)
    except ValueError as error:
        raise _bad_pattern(pattern, error) from error


def _unsupported(spelled: str) -> ExpansionError:
    return ExpansionError(f"unsupported modifier ({spelled}) in substitution")


def _bad_pattern(pattern: str, error: ValueError) -> ExpansionError:
    return ExpansionError(f"invalid pattern ({pattern}) in substitution: {error}")
