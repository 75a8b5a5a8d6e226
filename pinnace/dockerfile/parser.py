"""A Dockerfile's text → its instructions as nodes: keyword, flags, operands, heredocs and lines.

Rule 1: a node is a logical line; comments and continuations are gone, flags are unquoted, and
nothing is expanded.
Rule 2: sizes are bounded here, before anything is made of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pinnace.dockerfile import directives, golang, heredocs, operands
from pinnace.dockerfile.directives import Directive
from pinnace.dockerfile.heredocs import Heredoc
from pinnace.dockerfile.source import DockerfileError, Lines

# Of BuildKit: the longest line its scanner takes, and the longest message its gRPC takes.
_LINE_LIMIT = 65535
_FILE_LIMIT = 16 << 20

_WITH_HEREDOCS = frozenset({"add", "copy", "run"})


@dataclass(frozen=True, slots=True)
class Node:
    keyword: str
    """As it is written."""
    source: str
    """The logical line."""
    lines: Lines
    flags: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    json: bool = False
    trigger: "Node | None" = None
    """What ONBUILD announces."""
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.keyword.lower()


@dataclass(frozen=True, slots=True)
class Tree:
    nodes: tuple[Node, ...]
    escape: str
    directives: tuple[Directive, ...]
    empty_continuations: tuple[Lines, ...]
    """Where an instruction with empty lines within it ends; BuildKit warns of these."""


def parse(data: bytes) -> Tree:
    """Raises DockerfileError."""
    if len(data) > _FILE_LIMIT:
        raise DockerfileError(f"dockerfile greater than max allowed size of {_FILE_LIMIT}")
    return _Parser(directives.without_bom(data).decode(errors="replace")).parse()


class _Lines:
    """The physical lines with their ends; one that is too long ends them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.number = 0
        self.too_long = False

    def next(self) -> str | None:
        if self._at >= len(self._text):
            return None
        end = self._text.find("\n", self._at) + 1 or len(self._text)
        line = self._text[self._at : end]
        if len(line) > _LINE_LIMIT // 4 and len(line.rstrip("\n").encode()) > _LINE_LIMIT:
            self._at = len(self._text)
            self.too_long = True
            return None
        self._at = end
        self.number += 1
        return line

    def __iter__(self) -> Iterator[str]:
        return iter(self.next, None)


class _Parser:
    def __init__(self, text: str) -> None:
        self._lines = _Lines(text)
        self._reader = directives.Reader()
        self._escape = "\\"
        self._directives: list[Directive] = []
        self._comments: list[str] = []
        self._empty_continuations: list[Lines] = []

    def parse(self) -> Tree:
        nodes = [node for line in self._lines for node in self._instruction(line)]
        here = Lines(self._lines.number, self._lines.number)
        if not nodes:
            raise DockerfileError("file with no instructions", here)
        if self._lines.too_long:
            raise DockerfileError(
                f"dockerfile line greater than max allowed size of {_LINE_LIMIT}", here
            )
        return Tree(
            tuple(nodes), self._escape, tuple(self._directives), tuple(self._empty_continuations)
        )

    def _instruction(self, line: str) -> Iterator[Node]:
        """The instruction that begins with a line, if one does."""
        if _is_comment(line):
            self._comment(line)
            return
        line = golang.trim_left(line.rstrip("\r\n"))
        self._reader.read(line, self._lines.number)
        line, continued = self._continuation(line)
        if not continued and not line:
            return
        first = self._lines.number
        line = self._joined(line) if continued else line
        try:
            node = self._node(line, Lines(first, self._lines.number))
            node = self._with_heredocs(node)
        except DockerfileError as error:
            raise error.at(Lines(first, self._lines.number)) from None
        self._comments.clear()
        yield node

    def _comment(self, line: str) -> None:
        stripped = golang.trim_left(line.rstrip("\r\n"))
        directive = self._reader.read(stripped, self._lines.number)
        if directive is None:
            # An indented comment keeps its "#": BuildKit drops the line's first character.
            comment = golang.trim(line[1:])
            if comment:
                self._comments.append(comment)
            else:
                self._comments.clear()
            return
        self._directives.append(directive)
        if directive.name == "escape":
            if directive.value not in ("`", "\\"):
                raise DockerfileError(
                    f"invalid escape token '{directive.value}' does not match ` or \\",
                    directive.lines,
                )
            self._escape = directive.value

    def _joined(self, line: str) -> str:
        pieces = [line]
        empty = False
        for following in self._lines:
            if _is_comment(following):
                continue
            following = following.rstrip("\r\n")
            if not golang.trim_left(following):
                empty = True
                continue
            piece, continued = self._continuation(following)
            pieces.append(piece)
            if not continued:
                break
        if empty:
            self._empty_continuations.append(Lines(self._lines.number, self._lines.number))
        return "".join(pieces)

    def _continuation(self, line: str) -> tuple[str, bool]:
        """The line without its escape at the end, and whether there was one.

        One that is itself escaped is none, but of three in a row BuildKit sees only two.
        """
        stripped = line.rstrip(" \t")
        if not stripped.endswith(self._escape):
            return line, False
        before = stripped[:-1]
        if before.endswith(self._escape):
            return line, False
        return before, True

    def _node(self, line: str, lines: Lines) -> Node:
        parts = operands.statement(line, self._escape)
        node = Node(parts.keyword, line, lines, parts.flags, comments=tuple(self._comments))
        if node.name == "onbuild":
            return replace(node, trigger=self._trigger(parts.rest, lines))
        parsed = operands.parse(parts.keyword, parts.rest, self._escape)
        return replace(node, operands=parsed.values, json=parsed.json)

    def _trigger(self, rest: str, lines: Lines) -> Node | None:
        if not rest:
            return None
        # ONBUILD ONBUILD is refused later; following a chain of them would exhaust the stack.
        parts = operands.statement(rest, self._escape)
        parsed = operands.parse(parts.keyword, parts.rest, self._escape)
        return Node(parts.keyword, rest, lines, parts.flags, parsed.values, parsed.json)

    def _with_heredocs(self, node: Node) -> Node:
        owner = node.trigger or node
        if owner.name not in _WITH_HEREDOCS or owner.json or "<<" not in node.source:
            return node
        announced = heredocs.of_line(node.source)
        if not announced:
            return node
        read = tuple(replace(heredoc, content=self._content(heredoc)) for heredoc in announced)
        lines = Lines(node.lines.first, self._lines.number)
        return replace(node, heredocs=read, lines=lines)

    def _content(self, heredoc: Heredoc) -> str:
        content: list[str] = []
        for line in self._lines:
            if heredoc.ends_at(line):
                return "".join(content)
            content.append(line)
        raise DockerfileError("unterminated heredoc")


def _is_comment(line: str) -> bool:
    return golang.trim_left(line).startswith("#")
