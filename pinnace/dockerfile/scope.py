"""Variables: those of the whole Dockerfile, and those of a stage while it is read downwards.

Rule 1: FROM sees the ARGs before the first FROM, and the predefined ones.
Rule 2: a stage sees what its base's environment holds, its own ENV and its own ARG. A global or
predefined variable is seen after an ARG of its name without a default.
Rule 3: what the user gives (--build-arg) wins over every default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec

from pinnace.dockerfile.expand import Expansion, ExpansionError, Lexer, environment
from pinnace.dockerfile.instructions import Arg, Declaration, Env, Expose, Step, expanded
from pinnace.dockerfile.source import DockerfileError
from pinnace.oci.image import Platform

# Seen by RUN without an ARG, and kept out of the history and of the cache's keys.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_GROWTH = 16 << 20

# ARGs that say which stages are scanned; they are no variables.
NOT_VARIABLES = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})

S = TypeVar("S", bound=Step)


@dataclass(frozen=True, slots=True)
class Globals:
    """The variables outside of stages."""

    values: Mapping[str, str]
    declared: frozenset[str]
    """By an ARG, with a value or without."""


def predefined(
    build: Platform, target: Platform, *, stage: str, build_args: Mapping[str, str]
) -> dict[str, str]:
    """BUILDPLATFORM, TARGETARCH and so on; --build-arg may give others."""
    build, target = normalized(build), normalized(target)
    values = {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": build.os_version or "",
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant or "",
        "TARGETPLATFORM": _complete(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": target.os_version or "",
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant or "",
        "TARGETSTAGE": stage or "default",
    }
    return {name: build_args.get(name, value) for name, value in values.items()}


def normalized(platform: Platform) -> Platform:
    """containerd's normal form: every arm64 is a v8, so that one is not told."""
    if (platform.architecture, platform.variant) == ("arm64", "v8"):
        return msgspec.structs.replace(platform, variant=None)
    return platform


def _complete(platform: Platform) -> str:
    """With the system's version, which only Windows has: windows(10.0.17763)/amd64."""
    if not platform.os_version:
        return str(platform)
    head = f"{platform.os}({platform.os_version})"
    return "/".join(filter(None, (head, platform.architecture, platform.variant)))


def proxies(build_args: Mapping[str, str]) -> dict[str, str]:
    """The proxies given by --build-arg, for RUN: in capitals and in small letters."""
    given = {name.upper(): build_args[name] for name in sorted(build_args)}
    found = {name: given[name] for name in PROXIES if name in given}
    return found | {name.lower(): value for name, value in found.items()}


def global_scope(
    args: Sequence[Arg],
    predefined: Mapping[str, str],
    build_args: Mapping[str, str],
    *,
    escape: str = "\\",
) -> Globals:
    """Raises DockerfileError with the lines of the ARG that can't be expanded."""
    values = dict(predefined)
    declared: set[str] = set()
    lexer = Lexer(escape)
    budget = _Budget()
    for arg in args:
        for declaration in arg.declarations:
            value = build_args.get(declaration.name)
            if value is None and declaration.value is not None:
                value = _word(lexer, declaration.value, values, arg, budget)
            if value is not None:
                values[declaration.name] = value
            declared.add(declaration.name)
    return Globals(values, frozenset(declared))


def _word(lexer: Lexer, text: str, values: Mapping[str, str], arg: Arg, budget: "_Budget") -> str:
    try:
        word = lexer.word(text, values)
        budget.spend(text, word)
    except DockerfileError as error:
        raise error.at(arg.origin.lines) from None
    return word


def base_environment(entries: Sequence[str] | None, os: str = "linux") -> dict[str, str]:
    """What a base image sets; PATH is always set, but on Windows."""
    values = dict(environment(entries or ()))
    if os != "windows":
        values.setdefault("PATH", PATH)
    return values


class _Budget:
    """What variables may add to the instructions of a stage and of those it derives from.

    One word is bounded by the lexer; many, each made of two of the one before, are not.
    """

    def __init__(self) -> None:
        self._left = _GROWTH

    def spend(self, text: str, expanded: str) -> None:
        self._left -= max(0, len(expanded) - len(text))
        if self._left < 0:
            raise DockerfileError("the variables make the Dockerfile too long")


class Scope:
    """The variables of one stage at one of its lines; `enter` moves on to the next."""

    def __init__(
        self,
        globals: Globals,
        build_args: Mapping[str, str],
        environment: Mapping[str, str],
        *,
        escape: str = "\\",
        declared: Sequence[Declaration] = (),
    ) -> None:
        """`declared` are the ARGs of the stage that this one derives from."""
        self._globals = globals
        self._build_args = build_args
        self._lexer = Lexer(escape)
        self._budget = _Budget()
        self.environment = dict(environment)
        self.persistent = dict(environment)
        """Without the ARGs: what the image keeps."""
        self.declared = list(declared)
        self.unmatched: list[str] = []
        """The names that the last instruction asked for in vain, in their order."""

    def enter(self, step: S) -> S:
        """The instruction expanded; what it sets holds for the next. Raises DockerfileError."""
        self.unmatched = []
        try:
            return self._entered(step)
        except DockerfileError as error:
            raise error.at(step.origin.lines) from None

    def derived(self) -> "Scope":
        """For a stage that starts where this one ends; ENV wins over ARG again."""
        child = Scope(
            self._globals,
            self._build_args,
            self.persistent,
            escape=self._lexer.escape,
            declared=self.declared,
        )
        child.environment = self.environment | self.persistent
        child._budget = self._budget
        return child

    def arguments(self) -> dict[str, str]:
        """The ARGs with their values of now, as the history shows them before a RUN."""
        return {
            declaration.name: self.environment.get(declaration.name, declaration.value or "")
            for declaration in self.declared
        }

    def _entered(self, step: S) -> S:
        match step:
            case Arg():
                declared = tuple(map(self._declare, step.declarations))
                return cast(S, Arg(step.origin, declared))
            case Expose():
                return cast(S, Expose(step.origin, self._words(step.ports)))
        done = expanded(step, self._word, self._content)
        if isinstance(done, Env):
            changes = {pair.name: pair.value for pair in done.pairs}
            self.environment |= changes
            self.persistent |= changes
        return done

    def _declare(self, declaration: Declaration) -> Declaration:
        name = declaration.name
        value = self._build_args.get(name)
        if value is None and declaration.value is not None:
            value = self._word(declaration.value)
        elif value is None:
            value = self._globals.values.get(name)
        declared = Declaration(name, value, declaration.description)
        if value is not None and name not in NOT_VARIABLES:
            self.environment[name] = value
        self.declared.append(declared)
        return declared

    def _words(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Of what these miss, BuildKit's checks say nothing."""
        expansions = [self._lexer.expand(text, self.environment) for text in texts]
        for text, expansion in zip(texts, expansions, strict=True):
            self._budget.spend(text, expansion.text)
        return tuple(word for expansion in expansions for word in expansion.words)

    def _word(self, text: str) -> str:
        return self._expand(self._lexer, text).text

    def _content(self, text: str) -> str:
        """A heredoc's text: its quotes are its own, and its escape is the shell's."""
        return self._expand(Lexer(quotes=False), text).text

    def _expand(self, lexer: Lexer, text: str) -> Expansion:
        try:
            expansion = lexer.expand(text, self.environment)
        except ExpansionError as error:
            self._missed(error.unmatched)
            raise
        self._missed(expansion.unmatched)
        self._budget.spend(text, expansion.text)
        return expansion

    def _missed(self, names: frozenset[str]) -> None:
        known = {declaration.name for declaration in self.declared}
        self.unmatched += sorted(names - known - NOT_VARIABLES)
