"""A Dockerfile's text → its stages, checked instruction by instruction; and ONBUILD's texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pinnace.dockerfile import interpret, parser
from pinnace.dockerfile.instructions import Arg, From, Instruction, Step
from pinnace.dockerfile.parser import Node, Tree
from pinnace.dockerfile.source import DockerfileError, Lines


@dataclass(frozen=True, slots=True)
class Stage:
    """As it is written: FROM and what follows it."""

    start: From
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    data: bytes
    tree: Tree
    args: tuple[Arg, ...]
    """Those before the first FROM."""
    stages: tuple[Stage, ...]


def read(data: bytes) -> Dockerfile:
    """Raises DockerfileError."""
    if not data:
        raise DockerfileError("the Dockerfile cannot be empty")
    return assemble(data, parser.parse(data))


def assemble(data: bytes, tree: Tree) -> Dockerfile:
    args: list[Arg] = []
    stages: list[tuple[From, list[Step]]] = []
    for node in tree.nodes:
        match instruction(node):
            case From() as start:
                stages.append((start, []))
            case Arg() as arg if not stages:
                args.append(arg)
            case _ if not stages:
                raise DockerfileError("no build stage in current context", node.lines)
            case step:
                stages[-1][1].append(step)
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build")
    done = tuple(Stage(start, tuple(steps)) for start, steps in stages)
    return Dockerfile(data, tree, tuple(args), done)


def instruction(node: Node) -> Instruction:
    """Raises DockerfileError with the line in its words too."""
    try:
        return interpret.instruction(node)
    except DockerfileError as error:
        message = f"dockerfile parse error on line {node.lines.first}: {error.message}"
        raise DockerfileError(message, *error.places) from error


def onbuild_steps(triggers: Sequence[str], lines: Lines) -> tuple[Step, ...]:
    """ONBUILD's instructions, whose place is the FROM that brought them. Raises DockerfileError."""
    return tuple(_onbuild_step(trigger, lines) for trigger in triggers)


def _onbuild_step(trigger: str, lines: Lines) -> Step:
    try:
        nodes = parser.parse(trigger.encode(errors="replace")).nodes
        if len(nodes) != 1:
            raise DockerfileError("onbuild trigger should be a single expression")
        found = interpret.instruction(replace(nodes[0], lines=lines))
    except DockerfileError as error:
        raise DockerfileError(error.message, lines) from error
    if isinstance(found, From):
        raise DockerfileError("FROM isn't allowed as an ONBUILD trigger", lines)
    return found
