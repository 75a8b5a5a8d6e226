"""Parser directives: the comments at the top that say something (# syntax=, # escape=, # check=).

Rule: the first line that is none ends them; each may be given once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from pinnace.dockerfile import golang
from pinnace.dockerfile.source import DockerfileError, Lines

_NAMES = frozenset({"syntax", "escape", "check"})
_match = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=(.+)").fullmatch
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Directive:
    name: str
    value: str
    lines: Lines

    @property
    def word(self) -> str:
        """The value without what follows a space: some write remarks there."""
        return self.value.partition(" ")[0]


class Reader:
    """Reads line by line; after the last directive it answers None for all that follows."""

    def __init__(self, comment: str = "#") -> None:
        self._comment = comment
        self._seen: set[str] = set()
        self._done = False

    def read(self, line: str, number: int) -> Directive | None:
        directive = None if self._done else self._parse(line, number)
        self._done = directive is None
        return directive

    def _parse(self, line: str, number: int) -> Directive | None:
        if not line.startswith(self._comment):
            return None
        match = _match(golang.trim_left(line.removeprefix(self._comment)))
        name = match[1].lower() if match else ""
        if match is None or name not in _NAMES:
            return None
        lines = Lines(number, number)
        if name in self._seen:
            raise DockerfileError(f"only one {name} parser directive can be used", lines)
        self._seen.add(name)
        # If there are only spaces, BuildKit takes the last of them.
        value = match[2].strip("\t\n\f\r ") or match[2][-1]
        return Directive(name, value, lines)


def find(name: str, data: bytes) -> Directive | None:
    """A directive of a Dockerfile; one that can't be read is no directive here."""
    lines, first = _lines(data)
    return next((d for d in _read(lines, first, "#") if d.name == name), None)


def syntax(data: bytes) -> Directive | None:
    """The frontend that a file of any language asks for, in one of three spellings.

    # syntax=docker/dockerfile:1    // syntax=...    {"syntax": "..."}
    """
    lines, first = _lines(data)
    for comment in ("#", "//"):
        for directive in _read(lines, first, comment):
            if directive.name == "syntax":
                return directive
    return _json("\n".join(lines), Lines(first, first))


def inline(comment: str) -> Directive | None:
    """A directive within the comments of an instruction (check=skip=...)."""
    return Reader("").read(comment, 0)


def without_bom(data: bytes) -> bytes:
    return data.removeprefix(_BOM)


def _lines(data: bytes) -> tuple[list[str], int]:
    """The lines, and the number of the first that is not a shebang."""
    lines = without_bom(data).decode(errors="replace").split("\n")
    return (lines[1:], 2) if lines[0].startswith("#!") else (lines, 1)


def _read(lines: list[str], first: int, comment: str) -> Iterator[Directive]:
    reader = Reader(comment)
    for number, line in enumerate(lines, start=first):
        try:
            directive = reader.read(line.removesuffix("\r"), number)
        except DockerfileError:
            return
        if directive is None:
            return
        yield directive


def _json(text: str, lines: Lines) -> Directive | None:
    try:
        document = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return None
    value = document.get("syntax")
    return Directive("syntax", value, lines) if isinstance(value, str) else None
