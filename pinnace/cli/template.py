"""Go's text/template, as far as `--format` needs it: parsed to nodes, run over plain values.

A value is what JSON has (or a `Row`: named fields worked out when asked for). Field names are
looked up as JSON spells them, then ignoring case, since Go's names and the API's differ in case
only (`.ID` is `Id`).
"""

from __future__ import annotations

from pinnace.cli import template_functions as functions
from pinnace.cli.arguments import Failure
from pinnace.cli.template_functions import Row, TemplateError
from pinnace.cli.template_parser import (
    Action,
    Branch,
    Command,
    Field,
    Jump,
    Literal,
    Node,
    Pipeline,
    Text,
    Variable,
    parse,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pinnace.cli.format import View

__all__ = ["TemplateError", "check", "parse", "render", "render_rows"]

_JSON = "{{json .}}"


def check(layout: str, view: View | None = None) -> None:
    """Failure if `layout` is no template or names unknown fields, before the daemon is asked."""
    try:
        nodes = parse(_source(layout))
    except TemplateError as error:
        raise Failure(f"failed to parse template: {error}") from None
    if view is None:
        return
    try:
        headers = Row(view.kind, _header_fields(view), None)
        Execution(nodes, functions.HEADER_FUNCTIONS).run(headers)
    except TemplateError as error:
        if "can't evaluate field" in str(error):
            raise Failure(f"failed to execute template: {error}") from None


def render(source: str, value: Any) -> str:
    """The text of one template over one value; TemplateError if it can't be."""
    return Execution(parse(source), functions.FUNCTIONS).run(value)


def render_rows(layout: str, rows: Iterable[Any], view: View) -> str:
    """A line for each row; with headers and in columns for `table ...`."""
    from pinnace.cli import format

    try:
        nodes = parse(_source(layout))
        lines = [
            Execution(nodes, functions.FUNCTIONS).run(Row(view.kind, view.fields, row)) + "\n"
            for row in rows
        ]
        if not layout.startswith("table"):
            return "".join(lines)
        headers = Row(view.kind, _header_fields(view), None)
        title = Execution(nodes, functions.HEADER_FUNCTIONS).run(headers) + "\n"
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}") from None
    return format.align(line for text in (title, *lines) for line in text[:-1].split("\n"))


def _source(layout: str) -> str:
    if layout == "json":
        return _JSON
    if layout.startswith("table"):
        layout = layout[len("table") :]
    return layout.strip(" ").replace("\\t", "\t").replace("\\n", "\n")


def _header_fields(view: View) -> Mapping[str, Callable[..., Any]]:
    fields: dict[str, Callable[..., Any]] = {name: _always(view, name) for name in view.fields}
    fields["Label"] = lambda _, name: name.rpartition(".")[2].replace("-", " ").replace("_", " ")
    return fields


def _always(view: View, name: str) -> Callable[..., Any]:
    return lambda _: view.headers.get(name, name.upper())


class _Jumped(Exception):
    def __init__(self, *, again: bool) -> None:
        self.again = again


class Execution:
    """One run of a template; `dot` is what `.` means at the moment."""

    def __init__(self, nodes: list[Node], known: Mapping[str, Callable[..., Any]]) -> None:
        self._nodes = nodes
        self._functions = known
        self._out: list[str] = []
        self._variables: list[tuple[str, Any]] = []

    def run(self, value: Any) -> str:
        self._variables = [("$", value)]
        self._walk(self._nodes, value)
        return "".join(self._out)

    def _walk(self, nodes: list[Node], dot: Any) -> None:
        for node in nodes:
            match node:
                case Text(text=text):
                    self._out.append(text)
                case Action(pipeline=pipeline):
                    value = self._pipeline(pipeline, dot)
                    if not pipeline.names:
                        self._out.append(functions.show(value))
                case Jump(again=again):
                    raise _Jumped(again=again)
                case Branch():
                    self._branch(node, dot)

    def _branch(self, node: Branch, dot: Any) -> None:
        depth = len(self._variables)
        if node.word == "range":
            self._range(node, dot)
        else:
            value = self._pipeline(node.pipeline, dot)
            inner = value if node.word == "with" else dot
            if functions.truth(value):
                self._walk(node.body, inner)
            else:
                self._walk(node.otherwise, dot)
        del self._variables[depth:]

    def _range(self, node: Branch, dot: Any) -> None:
        value = self._pipeline(node.pipeline, dot, declare=False)
        pairs = functions.pairs(value, node.pipeline)
        depth = len(self._variables)
        for key, element in pairs:
            names = node.pipeline.names
            given = [element] if len(names) == 1 else [key, element]
            self._variables += list(zip(names, given, strict=False))
            try:
                self._walk(node.body, element)
            except _Jumped as jump:
                if not jump.again:
                    break
            finally:
                del self._variables[depth:]
        if not pairs:
            self._walk(node.otherwise, dot)

    def _pipeline(self, pipeline: Pipeline, dot: Any, *, declare: bool = True) -> Any:
        value: Any = None
        final: list[Any] = []
        for command in pipeline.commands:
            value = self._command(command, dot, final)
            final = [value]
        if declare:
            for name in pipeline.names:
                if pipeline.assigns:
                    self._assign(name, value)
                else:
                    self._variables.append((name, value))
        return value

    def _assign(self, name: str, value: Any) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        raise TemplateError(f"undefined variable: {name}")

    def _command(self, command: Command, dot: Any, final: list[Any]) -> Any:
        first, *rest = command.words
        if isinstance(first, str):
            return self._call(first, command, dot, final)
        arguments = [self._operand(word, dot) for word in rest] + final
        if isinstance(first, Field | Variable) and first.path:
            return self._operand(first, dot, arguments)
        if arguments:
            raise TemplateError(
                f"template: :1:{command.position}: can't give argument to non-function {first}"
            )
        return self._operand(first, dot)

    def _call(self, name: str, command: Command, dot: Any, final: list[Any]) -> Any:
        words = command.words[1:]
        where = f'template: :1:{command.position}: executing "" at <{name}'
        if name in ("and", "or"):
            return self._short_circuit(name, words, dot, final)
        arguments = [self._operand(word, dot) for word in words] + final
        try:
            return self._functions[name](*arguments)
        except functions.CallError as error:
            raise TemplateError(
                f"{where} {_shown(words)}>: error calling {name}: {error}"
            ) from None
        except TypeError:
            raise TemplateError(
                f"{where}>: wrong number or type of args for {name}: got {len(arguments)}"
            ) from None

    def _short_circuit(self, name: str, words: list[Any], dot: Any, final: list[Any]) -> Any:
        value: Any = None
        for word in words:
            value = self._operand(word, dot)
            if functions.truth(value) == (name == "or"):
                return value
        return final[0] if final else value

    def _operand(self, word: Any, dot: Any, arguments: list[Any] | None = None) -> Any:
        match word:
            case Literal(value=value):
                return value
            case Field(path=path, base=base):
                start = dot if base is None else self._operand(base, dot)
                return self._follow(start, path, word, arguments or [])
            case Variable(name=name, path=path):
                for known, value in reversed(self._variables):
                    if known == name:
                        return self._follow(value, path, word, arguments or [])
                raise TemplateError(f'template: :1: undefined variable "{name}"')
            case Pipeline():
                return self._pipeline(word, dot)
            case str():
                return self._call(word, Command([word], 0), dot, [])
        raise TemplateError(f"template: :1: unexpected {word}")

    def _follow(self, value: Any, path: list[str], node: Any, arguments: list[Any]) -> Any:
        # Where Go's parser puts the node: at the second name if there is one.
        position = node.position + (len(path[0]) + 1 if len(path) > 1 else 0)
        for index, name in enumerate(path):
            given = arguments if index == len(path) - 1 else []
            where = f'template: :1:{position}: executing "" at <{node}>'
            try:
                found = functions.field(value, name, given)
            except functions.CallError as error:
                raise TemplateError(f"{where}: {error}") from None
            if found is None and index < len(path) - 1:
                raise TemplateError(f'{where}: map has no entry for key "{name}"')
            value = found
        return value


def _shown(words: list[Any]) -> str:
    return " ".join(str(word) for word in words)
