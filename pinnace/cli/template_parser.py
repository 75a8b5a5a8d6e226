"""The text of a Go template → nodes."""

from __future__ import annotations

from pinnace.cli import template_lexer
from pinnace.cli.template_functions import FUNCTIONS, TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WORDS = ("if", "range", "with")


class Node:
    """A piece of a template."""

    __slots__ = ()


class Text(Node):
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Action(Node):
    __slots__ = ("pipeline",)

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline


class Jump(Node):
    """`continue` (again) or `break`."""

    __slots__ = ("again",)

    def __init__(self, *, again: bool) -> None:
        self.again = again


class Branch(Node):
    """`if`, `with` and `range`."""

    __slots__ = ("body", "otherwise", "pipeline", "word")

    def __init__(self, word: str, pipeline: Pipeline) -> None:
        self.word = word
        self.pipeline = pipeline
        self.body: list[Node] = []
        self.otherwise: list[Node] = []


class Pipeline:
    """Commands, each fed the one before; the result may be given to variables."""

    __slots__ = ("assigns", "commands", "names", "position")

    def __init__(self, names: list[str], commands: list[Command], position: int) -> None:
        self.names = names
        self.commands = commands
        self.position = position
        self.assigns = False

    def __str__(self) -> str:
        return "|".join(str(command) for command in self.commands)


class Command:
    """An operand, or a function or field with its arguments."""

    __slots__ = ("position", "words")

    def __init__(self, words: list[Any], position: int) -> None:
        self.words = words
        self.position = position

    def __str__(self) -> str:
        return " ".join(str(word) for word in self.words)


class Literal:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return f'"{self.value}"' if isinstance(self.value, str) else str(self.value)


class Field:
    """`.A.B`, or `(pipeline).A.B`; `.` alone has an empty path."""

    __slots__ = ("base", "path", "position")

    def __init__(self, path: list[str], base: Any, position: int) -> None:
        self.path = path
        self.base = base
        self.position = position

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.path) or "."


class Variable:
    __slots__ = ("name", "path", "position")

    def __init__(self, name: str, path: list[str], position: int) -> None:
        self.name = name
        self.path = path
        self.position = position

    def __str__(self) -> str:
        return self.name + "".join(f".{name}" for name in self.path)


def parse(source: str) -> list[Node]:
    """The nodes of `source`; TemplateError in Go's words."""
    return _Parser(source).parse()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens: list[template_lexer.Token] = []
        self._variables = {"$"}

    def parse(self) -> list[Node]:
        """One list of nodes is open for each block that `end` has not closed yet."""
        top: list[Node] = []
        lists = [top]
        open_blocks: list[tuple[Branch, int]] = []
        for kind, text, position in template_lexer.pieces(self._source):
            if kind == "text":
                if text:
                    lists[-1].append(Text(text))
                continue
            self._tokens = template_lexer.tokens(text, position)
            self._tokens.reverse()
            if not self._tokens:
                if text.startswith("/*"):
                    continue
                self._fail(position, "missing value for command")
            self._action(lists, open_blocks, position)
        if open_blocks:
            raise TemplateError(
                f"template: :{template_lexer.line(self._source, len(self._source))}: unexpected EOF"
            )
        return top

    def _action(
        self, lists: list[list[Node]], blocks: list[tuple[Branch, int]], position: int
    ) -> None:
        word = self._tokens[-1].text if self._tokens[-1].kind == "name" else ""
        if word in _WORDS:
            self._tokens.pop()
            self._open(word, lists, blocks)
        elif word == "end":
            if not blocks:
                self._fail(position, "unexpected {{end}}")
            depth = blocks.pop()[1]
            del lists[depth:]
        elif word == "else":
            self._tokens.pop()
            if not blocks:
                self._fail(position, "unexpected {{else}}")
            branch = blocks[-1][0]
            lists[-1] = branch.otherwise
            if self._tokens:  # {{else if ...}}: a branch inside, closed by the same end
                inner = Branch(self._tokens.pop().text, self._pipeline(declares=True))
                branch.otherwise.append(inner)
                blocks[-1] = (inner, blocks[-1][1])
                lists[-1] = inner.body
        elif word in ("break", "continue"):
            lists[-1].append(Jump(again=word == "continue"))
        else:
            lists[-1].append(Action(self._pipeline(declares=True)))
            if self._tokens:
                self._fail(
                    self._tokens[-1].position, f'unexpected "{self._tokens[-1].text}" in command'
                )

    def _open(self, word: str, lists: list[list[Node]], blocks: list[tuple[Branch, int]]) -> None:
        if not self._tokens:
            self._fail(len(self._source), f"missing value for {word}")
        branch = Branch(word, self._pipeline(declares=True))
        lists[-1].append(branch)
        blocks.append((branch, len(lists)))
        lists.append(branch.body)

    def _pipeline(self, *, declares: bool) -> Pipeline:
        position = self._tokens[-1].position if self._tokens else len(self._source)
        names, assigns = self._declarations() if declares else ([], False)
        commands = [self._command()]
        while self._tokens and self._tokens[-1].text == "|":
            self._tokens.pop()
            commands.append(self._command())
        pipeline = Pipeline(names, commands, position)
        pipeline.assigns = assigns
        return pipeline

    def _declarations(self) -> tuple[list[str], bool]:
        """`$x :=`, `$k, $v :=` or `$x =` in front of a pipeline."""
        ahead = [token.text for token in reversed(self._tokens[-4:])]
        for count, sign in ((1, 1), (3, 3)):
            if len(ahead) > sign and ahead[sign] in (":=", "=") and ahead[0].startswith("$"):
                if count == 3 and ahead[1] != ",":
                    continue
                names = [ahead[i] for i in range(0, count, 2)]
                assigns = ahead[sign] == "="
                self._variables.update(names)
                del self._tokens[-(sign + 1) :]
                return names, assigns
        return [], False

    def _command(self) -> Command:
        words: list[Any] = []
        position = self._tokens[-1].position if self._tokens else len(self._source)
        while self._tokens and self._tokens[-1].text not in ("|", ")"):
            words.append(self._operand())
        if not words:
            self._fail(position, "missing value for command")
        return Command(words, position)

    def _operand(self) -> Any:
        token = self._tokens.pop()
        if token.kind == "literal":
            return Literal(token.value)
        if token.kind == "field":
            return Field(
                self._path([token.text] if token.text != "." else []), None, token.position
            )
        if token.kind == "variable":
            if token.text not in self._variables:
                self._fail(token.position, f'undefined variable "{token.text}"')
            return Variable(token.text, self._path([]), token.position)
        if token.text == "(":
            inner = self._pipeline(declares=False)
            if not self._tokens or self._tokens.pop().text != ")":
                self._fail(token.position, "unclosed left paren")
            path = self._path([])
            return Field(path, inner, token.position) if path else inner
        if token.kind == "name":
            if token.text not in FUNCTIONS and token.text not in ("and", "or"):
                self._fail(token.position, f'function "{token.text}" not defined')
            return token.text
        self._fail(token.position, f'unexpected "{token.text}" in operand')
        return None

    def _path(self, names: list[str]) -> list[str]:
        """The fields that follow without a space."""
        while self._tokens and self._tokens[-1].kind == "field" and not self._tokens[-1].spaced:
            names.append(self._tokens.pop().text)
        return names

    def _fail(self, position: int, message: str) -> None:
        raise TemplateError(f"template: :{template_lexer.line(self._source, position)}: {message}")
