"""Which files of a build context are left out: .dockerignore, and its patterns.

    patterns = ignore.read(data);  matcher = ignore.Matcher(patterns);  matcher.matches("a/b")

Rule 1: the last pattern that fits decides; "!" takes back. A pattern that fits a folder fits all
that is below it, if it was asked about the folder: one is only asked where it could change
something. So "a/*", "!a" takes nothing back: nothing had left out the folder itself.
Rule 2: patterns mean what moby/patternmatcher makes of them, its oddities included: ** of any
depth, "**" before a name without a slash fits the name's end, a backslash escapes.
"""

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pinnace import errors
from pinnace.dockerfile import directives, globs, golang
from pinnace.dockerfile.globs import Kind, Token

NAME = ".dockerignore"
_LINE_LIMIT = 65535


@dataclass(frozen=True, slots=True)
class Pattern:
    text: str
    """Cleaned, and without the "!"."""
    exception: bool
    kind: Kind
    tokens: tuple[Token, ...]


def candidates(dockerfile: str) -> tuple[str, str]:
    """The files that may hold the patterns; the first that exists does."""
    return dockerfile + NAME, NAME


def read(data: bytes) -> list[str]:
    """The patterns of a .dockerignore: comments, spaces and leading slashes are gone."""
    lines = directives.without_bom(data).decode(errors="surrogateescape").split("\n")
    found: list[str] = []
    for line in lines:
        if len(line) > _LINE_LIMIT:
            raise errors.Invalid("bufio.Scanner: token too long")
        text = golang.trim(line)
        if line.startswith("#") or not text:
            continue
        mark = "!" if text.startswith("!") else ""
        found.append(mark + _relative(golang.trim(text.removeprefix(mark))))
    return found


def _relative(path: str) -> str:
    if not path:
        return ""
    path = clean(path)
    return path[1:] if len(path) > 1 and path.startswith("/") else path


def clean(path: str) -> str:
    """Go's filepath.Clean, which unlike ours knows no second leading slash."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def parse(text: str) -> Pattern | None:
    """None for an empty one. Raises Invalid for one that is malformed."""
    text = golang.trim(text)
    if not text:
        return None
    text = clean(text)
    exception = text.startswith("!")
    text = text[1:] if exception else text
    if not text:
        raise errors.Invalid('illegal exclusion pattern: "!"')
    try:
        kind, tokens = globs.parse(text)
    except ValueError:
        raise errors.Invalid("syntax error in pattern") from None
    return Pattern(text, exception, kind, tokens)


class Matcher:
    """Many patterns at once: those of one sign that follow each other are one test."""

    def __init__(self, patterns: Iterable[str]) -> None:
        parsed = (parse(text) for text in patterns)
        self.patterns = tuple(pattern for pattern in parsed if pattern is not None)
        runs = groupby(self.patterns, key=lambda pattern: pattern.exception)
        self._runs = [_Run(exception, list(run)) for exception, run in runs]
        # Of the folders, which runs fit them: a folder has many files.
        self._folders: dict[str, tuple[bool, ...]] = {"": (False,) * len(self._runs)}

    def __bool__(self) -> bool:
        return bool(self.patterns)

    @property
    def exceptions(self) -> bool:
        return any(pattern.exception for pattern in self.patterns)

    def matches(self, path: str) -> bool:
        """Whether a path with slashes, relative to the context, is left out."""
        folder = path.rpartition("/")[0]
        return self._judged(path, self._folder(folder))[0]

    def _folder(self, path: str) -> tuple[bool, ...]:
        unknown: list[str] = []
        while (fits := self._folders.get(path)) is None:
            unknown.append(path)
            path = path.rpartition("/")[0]
        for folder in reversed(unknown):
            fits = self._folders[folder] = self._judged(folder, fits)[1]
        return fits

    def _judged(self, path: str, above: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        """Whether it is left out, and which runs fit it or a folder above."""
        left_out = False
        fits: list[bool] = []
        for run, inherited in zip(self._runs, above, strict=True):
            fit = inherited or (run.exception == left_out and run.fits(path))
            if fit:
                left_out = not run.exception
            fits.append(fit)
        return left_out, tuple(fits)

    def may_hold_exceptions(self, folder: str) -> bool:
        """Whether something below a folder that is left out may be taken back by a "!"."""
        return any(_reaches(pattern.text, folder) for pattern in self.patterns if pattern.exception)


def _reaches(pattern: str, folder: str) -> bool:
    below = folder + "/"
    literal = re.split(r"[*?\[\]^\\]", pattern, maxsplit=1)[0]
    if literal == pattern:
        return (literal + "/").startswith(below)
    return literal.startswith(below) or below.startswith(literal)


class _Run:
    """Patterns of one sign that follow each other: any of them is as good as all."""

    def __init__(self, exception: bool, patterns: Sequence[Pattern]) -> None:
        by_kind = {
            kind: [pattern.text for pattern in patterns if pattern.kind is kind] for kind in Kind
        }
        self.exception = exception
        suffixes = [text[2:] for text in by_kind[Kind.SUFFIX]]
        # **/name fits the name at the top too.
        names = [suffix[1:] for suffix in suffixes if suffix.startswith("/")]
        self._exact = frozenset((*by_kind[Kind.EXACT], *names))
        self._prefixes = tuple(text[:-2] for text in by_kind[Kind.PREFIX])
        self._suffixes = tuple(suffixes)
        tokens = [pattern.tokens for pattern in patterns if pattern.kind is Kind.TOKENS]
        self._fits_tokens = globs.test(tokens) if tokens else None

    def fits(self, path: str) -> bool:
        if path in self._exact or path.startswith(self._prefixes) or path.endswith(self._suffixes):
            return True
        return self._fits_tokens is not None and self._fits_tokens(path)
