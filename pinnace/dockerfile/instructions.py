"""The 18 instructions as typed values, and what expansion makes of each.

Rule: an operand is as it is written until `expanded` has put the variables in. Where BuildKit
expands nothing (CMD, RUN's command, SHELL, ONBUILD, COPY --from, --exclude), nothing changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from pinnace.dockerfile import mounts
from pinnace.dockerfile.mounts import Device, Mount
from pinnace.dockerfile.source import Lines

Expand = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an instruction comes from."""

    keyword: str
    """As it is written."""
    source: str
    """The logical line, as a progress display and the history show it."""
    lines: Lines
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    name: str
    value: str
    legacy: bool = False
    """Written with a space for its equals sign."""

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One variable of an ARG; without a default its value is None."""

    name: str
    value: str | None = None
    description: str = ""
    """What the comment above says of it: # name description."""


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A heredoc that COPY or ADD writes to a file."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True)
class Files:
    """What is copied, and where to."""

    sources: tuple[str, ...]
    inline: tuple[InlineFile, ...]
    destination: str


@dataclass(frozen=True, slots=True)
class Script:
    """A heredoc of RUN; its content is as it is written, with the tabs that <<- drops."""

    name: str
    content: str
    chomp: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, or a text for a shell, which is put before it."""

    arguments: tuple[str, ...]
    shell: bool
    scripts: tuple[Script, ...] = ()


@dataclass(frozen=True, slots=True)
class Add:
    origin: Origin
    files: Files
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    keep_git_dir: bool | None = None
    checksum: str = ""
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Arg:
    origin: Origin
    declarations: tuple[Declaration, ...]


@dataclass(frozen=True, slots=True)
class Cmd:
    origin: Origin
    command: Command


@dataclass(frozen=True, slots=True)
class Copy:
    origin: Origin
    files: Files
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entrypoint:
    origin: Origin
    command: Command


@dataclass(frozen=True, slots=True)
class Env:
    origin: Origin
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Expose:
    origin: Origin
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class From:
    origin: Origin
    base: str
    name: str = ""
    platform: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """The times in nanoseconds; 0 is inherited, and so is an empty test."""

    origin: Origin
    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Label:
    origin: Origin
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Maintainer:
    origin: Origin
    author: str


@dataclass(frozen=True, slots=True)
class Onbuild:
    origin: Origin
    trigger: str
    """An instruction as text: it becomes one in the builds that start from this image."""


@dataclass(frozen=True, slots=True)
class Run:
    origin: Origin
    command: Command
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True)
class Shell:
    origin: Origin
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stopsignal:
    origin: Origin
    signal: str


@dataclass(frozen=True, slots=True)
class User:
    origin: Origin
    user: str


@dataclass(frozen=True, slots=True)
class Volume:
    origin: Origin
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workdir:
    origin: Origin
    path: str


Step = (
    Add
    | Arg
    | Cmd
    | Copy
    | Entrypoint
    | Env
    | Expose
    | Healthcheck
    | Label
    | Maintainer
    | Onbuild
    | Run
    | Shell
    | Stopsignal
    | User
    | Volume
    | Workdir
)
"""What stands within a stage."""

Instruction = From | Step

S = TypeVar("S", bound=Step)


def expanded(step: S, expand: Expand, expand_content: Expand) -> S:
    """The instruction with variables in its operands; heredocs keep their quotes, so theirs are
    put in by another function. ARG, EXPOSE and FROM are expanded by their own rules."""
    changed: dict[str, object]
    match step:
        case Add() | Copy():
            changed = {
                "chown": expand(step.chown),
                "chmod": expand(step.chmod),
                **({"checksum": expand(step.checksum)} if isinstance(step, Add) else {}),
                "files": _expanded_files(step.files, expand, expand_content),
            }
        case Env() | Label():
            changed = {"pairs": tuple(_expanded_pair(pair, expand) for pair in step.pairs)}
        case Run():
            changed = {"mounts": tuple(mounts.parse(m.text, expand) for m in step.mounts)}
        case Stopsignal():
            changed = {"signal": expand(step.signal)}
        case User():
            changed = {"user": expand(step.user)}
        case Volume():
            changed = {"paths": tuple(expand(path) for path in step.paths)}
        case Workdir():
            changed = {"path": expand(step.path)}
        case _:
            return step
    return replace(step, **changed)  # type: ignore[arg-type]


def _expanded_files(files: Files, expand: Expand, expand_content: Expand) -> Files:
    sources = tuple(expand(source) for source in files.sources)
    destination = expand(files.destination)
    inline = tuple(
        replace(file, content=expand_content(file.content)) if file.expand else file
        for file in files.inline
    )
    return Files(sources, inline, destination)


def _expanded_pair(pair: Pair, expand: Expand) -> Pair:
    return Pair(expand(pair.name), expand(pair.value), pair.legacy)
