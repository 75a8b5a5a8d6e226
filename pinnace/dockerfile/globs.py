"""One pattern of a .dockerignore as moby/patternmatcher understands it: tokens, and their tests.

    *  any text without a slash     **  folders, or any text at the end     ?  one character
    [a-c] [^x]  a class             \\  the next character as it is

Moby makes a regular expression of each. So do we, for those with few wildcards; with many, one may
take time that grows with a high power of the path's length, so an automaton reads the path once.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

_WILDCARDS = 2

# Escaped, these letters are classes, controls and conditions in Go's regular expressions, which
# moby does not prevent; other letters and digits Go refuses.
_CLASSES = frozenset("dDsSwW")
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONDITIONS = frozenset("bBA")


class Wild(Enum):
    """The value is the regular expression."""

    ANY = "[^/]"
    STAR = "[^/]*"
    FOLDERS = "(?:.*/)?"
    REST = ".*"
    NEVER = "(?!)"


@dataclass(frozen=True, slots=True)
class Class:
    """One character of several; as a regular expression."""

    source: str


Token = str | Wild | Class


class Kind(Enum):
    """How a pattern is compared; in most files nearly all need no regular expression."""

    EXACT = "exact"
    PREFIX = "prefix"
    """Literal, then ** at the end."""
    SUFFIX = "suffix"
    """** at the beginning, then literal."""
    TOKENS = "tokens"


def parse(pattern: str) -> tuple[Kind, tuple[Token, ...]]:
    """Raises ValueError for what Go's filepath.Match or regexp refuses."""
    parser = _Parser(pattern)
    return parser.kind, parser.tokens()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self.kind = _kind(pattern)

    def tokens(self) -> tuple[Token, ...]:
        tokens: list[Token] = []
        while self._at < len(self._pattern):
            start = self._at
            token = self._token()
            if token == "^" and self._pattern[start] == "^" and self.kind is Kind.TOKENS:
                # Moby does not escape it: an anchor, which only fits at the beginning.
                token = Wild.NEVER
                if not start:
                    continue
            # Folders after folders add nothing but time.
            if not (token is Wild.FOLDERS and tokens and tokens[-1] is Wild.FOLDERS):
                tokens.append(token)
        return tuple(tokens)

    def _token(self) -> Token:
        character = self._pattern[self._at]
        self._at += 1
        match character:
            case "*":
                return self._star()
            case "?":
                return Wild.ANY
            case "[":
                return self._class()
            case "\\":
                return self._escaped()
            case _:
                return character

    def _star(self) -> Wild:
        if not self._pattern.startswith("*", self._at):
            return Wild.STAR
        self._at += 1
        self._at += self._pattern.startswith("/", self._at)
        return Wild.FOLDERS if self._at < len(self._pattern) else Wild.REST

    def _escaped(self) -> Token:
        if self._at == len(self._pattern):
            raise ValueError("escape at the end")
        character = self._pattern[self._at]
        self._at += 1
        if character in _CLASSES:
            return Class("\\" + character)
        return Wild.NEVER if character in _CONDITIONS else _unescaped(character)

    def _class(self) -> Class:
        negated = self._pattern.startswith("^", self._at)
        self._at += negated
        parts: list[str] = []
        while not (parts and self._pattern.startswith("]", self._at)):
            low = self._member()
            if not self._pattern.startswith("-", self._at):
                parts.append(low)
                continue
            self._at += 1
            parts.append(f"{low}-{self._member()}")
        self._at += 1
        source = f"[{'^' if negated else ''}{''.join(parts)}]"
        try:
            re.compile(source)
        except re.error as error:
            raise ValueError(str(error)) from error
        return Class(source)

    def _member(self) -> str:
        """A character of a class; a class must be closed, so another follows it."""
        character = self._pattern[self._at : self._at + 1]
        escaped = character == "\\"
        self._at += escaped
        if character in ("", "-", "]") or self._at + 1 >= len(self._pattern):
            raise ValueError("malformed class")
        character = self._pattern[self._at]
        self._at += 1
        if escaped and character in _CLASSES:
            return "\\" + character
        return re.escape(_unescaped(character) if escaped else character)


def _unescaped(character: str) -> str:
    if character.isascii() and not character.isalnum():
        return character
    if character not in _CONTROLS:
        raise ValueError("invalid escape sequence")
    return _CONTROLS[character]


def _kind(pattern: str) -> Kind:
    """As moby finds out in passing: the first character that is not literal decides, mostly."""
    special = re.compile(r"[*?\[\]\\]").search
    if special(pattern) is None:
        return Kind.EXACT
    if pattern.startswith("**"):
        # "**/" is cleaned to "**" before, and "**" fits everything.
        rest = pattern[2:]
        return Kind.SUFFIX if special(rest) is None else Kind.TOKENS
    body = pattern.removesuffix("**")
    return Kind.PREFIX if body != pattern and special(body) is None else Kind.TOKENS


def test(patterns: Sequence[Sequence[Token]]) -> Callable[[str], bool]:
    """Whether one of the patterns fits a whole path."""
    simple = [tokens for tokens in patterns if _wildcards(tokens) <= _WILDCARDS]
    automatons = [Automaton(tokens) for tokens in patterns if _wildcards(tokens) > _WILDCARDS]
    source = "|".join(map(_regexp, simple)) if simple else "(?!)"
    fits = re.compile(source, re.ASCII).fullmatch

    def any_fits(path: str) -> bool:
        return fits(path) is not None or any(a.fits(path) for a in automatons)

    return any_fits


def _wildcards(tokens: Sequence[Token]) -> int:
    return sum(token in (Wild.STAR, Wild.FOLDERS, Wild.REST) for token in tokens)


def _regexp(tokens: Sequence[Token]) -> str:
    return "".join(map(_source, tokens))


def _source(token: Token) -> str:
    match token:
        case Wild():
            return token.value
        case Class():
            return token.source
        case _:
            return re.escape(token)


class Automaton:
    """All states at once, as the bits of a number: one step for each character of the path."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._states: list[Token] = []
        self._skip = self._skip_two = 0
        for token in tokens:
            bit = 1 << len(self._states)
            if token in (Wild.STAR, Wild.REST):
                self._skip |= bit
            if token is Wild.FOLDERS:
                # The way in, which may be passed over, and the state within the folders.
                self._skip |= bit
                self._skip_two |= bit
                self._states.append(Wild.NEVER)
            self._states.append(token)
        self._accepting = 1 << len(self._states)
        self._steps: dict[str, tuple[int, int]] = {}

    def fits(self, path: str) -> bool:
        states = self._reached(1)
        for character in path:
            advancing, staying = self._steps.get(character) or self._step(character)
            states = self._reached(((states & advancing) << 1) | (states & staying))
            if not states:
                return False
        return bool(states & self._accepting)

    def _reached(self, states: int) -> int:
        """With those that are reached without a character."""
        while True:
            more = states | (states & self._skip) << 1 | (states & self._skip_two) << 2
            if more == states:
                return states
            states = more

    def _step(self, character: str) -> tuple[int, int]:
        advancing = staying = 0
        for number, token in enumerate(self._states):
            advances, stays = _effect(token, character)
            advancing |= advances << number
            staying |= stays << number
        self._steps[character] = advancing, staying
        return advancing, staying


def _effect(token: Token, character: str) -> tuple[bool, bool]:
    """Whether a character leads from the token to the next, and whether it may stay there."""
    match token:
        case Wild.FOLDERS:
            return character == "/", character != "\n"
        case Wild.STAR:
            return False, character != "/"
        case Wild.REST:
            return False, character != "\n"
        case Wild.ANY:
            return character != "/", False
        case Wild.NEVER:
            return False, False
        case Class(source):
            return re.fullmatch(source, character, re.ASCII) is not None, False
        case _:
            return character == token, False
