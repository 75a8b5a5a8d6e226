"""The stages of a Dockerfile linked to each other and to images outside; which ones a target needs.

Rule 1: nothing is fetched here. What an image's ONBUILD adds is given by the caller, who asks
again with the triggers of the bases he found: `make` is a pure function.
Rule 2: a FROM sees the stages above it; a COPY --from sees all, so circles are looked for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pinnace import errors
from pinnace.dockerfile import golang
from pinnace.dockerfile.expand import ExpansionError, Lexer
from pinnace.dockerfile.instructions import Copy, From, Onbuild, Run, Step
from pinnace.dockerfile.scope import Globals, global_scope, normalized, predefined
from pinnace.dockerfile.source import DockerfileError, Lines
from pinnace.dockerfile.stages import Dockerfile, onbuild_steps
from pinnace.dockerfile.suggest import hint, suggestion
from pinnace.oci import image, reference
from pinnace.oci.image import Platform

SCRATCH = "scratch"

# These names mean something else, whatever --build-context says.
_NO_CONTEXTS = ("", "scratch", "context")

_PLATFORM_PART = "^[A-Za-z0-9_.-]+$"


@dataclass(frozen=True, slots=True)
class Source:
    """Where COPY --from or a mount reads: a stage of the file, or an image or context outside."""

    stage: int | None
    name: str


@dataclass(frozen=True, slots=True)
class PlannedStep:
    step: Step
    sources: tuple[Source | None, ...] = ()
    """For COPY one, for RUN one for each mount; None is the build context or nothing."""
    onbuild: bool = False
    """From a trigger of the base."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    index: int
    start: From
    label: str
    """For the progress display: its name, else stage-0; "" when it alone is read."""
    base: str
    """The name of an image, with variables expanded; or of a stage."""
    parent: int | None
    """The stage that it derives from, if its base is one."""
    platform: Platform | None
    """What FROM --platform asks for."""
    replaced: bool
    """A named context of the stage's name stands for it: its instructions are not carried out."""
    steps: tuple[PlannedStep, ...]

    @property
    def scratch(self) -> bool:
        return self.parent is None and not self.replaced and self.base == SCRATCH

    @property
    def needs(self) -> tuple[int, ...]:
        """The stages that it reads in any way."""
        parents = () if self.parent is None else (self.parent,)
        return (*parents, *(n for step in self.steps for n in _stages_of(step)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asks of a Dockerfile."""

    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    build_platform: Platform = field(default_factory=image.host_platform)
    target_platform: Platform = field(default_factory=image.host_platform)
    contexts: frozenset[str] = frozenset()
    """Names given by --build-context."""
    triggers: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """ONBUILD of base images, under the number of the stage that starts from them."""


@dataclass(frozen=True, slots=True)
class Plan:
    stages: tuple[PlannedStage, ...]
    target: int
    globals: Globals
    reachable: frozenset[int]
    """The stages that the target needs, itself included."""


def predefined_variables(dockerfile: Dockerfile, request: Request) -> dict[str, str]:
    return predefined(
        request.build_platform,
        request.target_platform,
        stage=request.target or dockerfile.stages[-1].start.name,
        build_args=request.build_args,
    )


def global_variables(dockerfile: Dockerfile, request: Request) -> Globals:
    values = predefined_variables(dockerfile, request)
    return global_scope(dockerfile.args, values, request.build_args, escape=dockerfile.tree.escape)


def make(dockerfile: Dockerfile, request: Request) -> Plan:
    """What has to be built. Raises DockerfileError, and NotFound for a target that there is not."""
    plan = link(dockerfile, request)
    for index in sorted(plan.reachable):
        for planned in plan.stages[index].steps:
            check_order(plan.stages[index], planned)
    return plan


def link(dockerfile: Dockerfile, request: Request) -> Plan:
    """The same, but what a stage reads may stand below it, where it can't be read."""
    known = global_variables(dockerfile, request)
    planner = _Planner(dockerfile, request, known)
    stages = planner.stages()
    target = planner.target()
    _check_circles(stages)
    _check_names(stages)
    return Plan(stages, target, known, reachable(stages, target))


def reachable(stages: Sequence[PlannedStage], target: int) -> frozenset[int]:
    found: set[int] = set()
    todo = [target]
    while todo:
        index = todo.pop()
        if index not in found:
            found.add(index)
            todo.extend(stages[index].needs)
    return frozenset(found)


def _check_circles(stages: Sequence[PlannedStage]) -> None:
    """Raises DockerfileError with the instructions that close a circle."""
    finished: set[int] = set()
    for start in range(len(stages)):
        if start not in finished:
            _visit(stages, start, finished)


def _visit(stages: Sequence[PlannedStage], start: int, finished: set[int]) -> None:
    """Depth first with a stack of our own: a file may have more stages than Python has frames."""
    path: dict[int, Lines | None] = {start: None}
    stack = [iter(_reads(stages[start]))]
    while stack:
        following = next(stack[-1], None)
        if following is None:
            stack.pop()
            finished.add(path.popitem()[0])
            continue
        index, lines = following
        if index in path:
            places = [place for place in path.values() if place] + [lines]
            label = stages[start].label
            raise DockerfileError(f"circular dependency detected on stage: {label}", *places)
        if index not in finished:
            path[index] = lines
            stack.append(iter(_reads(stages[index])))


def _check_names(stages: Sequence[PlannedStage]) -> None:
    """Of images: those outside of the file, whether the target needs them or not."""
    for stage in stages:
        if stage.parent is None and not stage.scratch:
            _check_name(stage.base, stage.start.origin.lines)
        for planned in stage.steps:
            for source in planned.sources:
                if source and source.stage is None:
                    _check_name(source.name, planned.step.origin.lines)


def _check_name(name: str, lines: Lines) -> None:
    try:
        reference.parse(name)
    except errors.Invalid as error:
        message = f"failed to parse stage name {golang.quote(name)}: {error.message}"
        raise DockerfileError(message, lines) from error


def check_order(stage: PlannedStage, planned: PlannedStep) -> None:
    """What a stage reads must stand above it. Raises DockerfileError."""
    for number, source in enumerate(planned.sources):
        if source is None or source.stage is None or source.stage < stage.index:
            continue
        lines = planned.step.origin.lines
        if isinstance(planned.step, Run):
            target = planned.step.mounts[number].target
            raise DockerfileError(
                f'cannot mount from stage "{source.name}" to "{target}", '
                "stage needs to be defined before current command",
                lines,
            )
        raise DockerfileError(
            f'cannot copy from stage "{source.name}", '
            f'it needs to be defined before current stage "{stage.label}"',
            lines,
        )


def _reads(stage: PlannedStage) -> list[tuple[int, Lines]]:
    """A parent stands above its stage, so circles are only made by what is copied or mounted."""
    return [(n, step.step.origin.lines) for step in stage.steps for n in _stages_of(step)]


def _stages_of(step: PlannedStep) -> list[int]:
    sources = (source.stage for source in step.sources if source)
    return [stage for stage in sources if stage is not None]


class _Planner:
    def __init__(self, dockerfile: Dockerfile, request: Request, known: Globals) -> None:
        self._dockerfile = dockerfile
        self._request = request
        self._globals = known
        self._lexer = Lexer(dockerfile.tree.escape)
        self._names: dict[str, int] = {}
        """Of the stages above the one that is looked at, then of all."""

    def stages(self) -> tuple[PlannedStage, ...]:
        started = [self._started(index) for index in range(len(self._dockerfile.stages))]
        stages: list[PlannedStage] = []
        for stage, written in zip(started, self._dockerfile.stages, strict=True):
            steps = (*self._triggers(stage, stages), *map(self._step, written.steps))
            stages.append(replace(stage, steps=() if stage.replaced else steps))
        if len(stages) == 1 and not any(step.sources for step in stages[0].steps):
            stages[0] = replace(stages[0], label="")
        return tuple(stages)

    def target(self) -> int:
        wanted = self._request.target
        if not wanted:
            return len(self._dockerfile.stages) - 1
        found = self._names.get(wanted.lower())
        if found is None:
            labels = [s.start.name or f"stage-{n}" for n, s in enumerate(self._dockerfile.stages)]
            raise errors.NotFound(
                f'target stage "{wanted}" could not be found{hint(wanted, labels)}'
            )
        return found

    def _started(self, index: int) -> PlannedStage:
        start = self._dockerfile.stages[index].start
        base = self._base(start)
        platform = self._platform(start) if start.platform else None
        replaced = start.name in self._request.contexts and start.name not in _NO_CONTEXTS
        stage = PlannedStage(
            index,
            start,
            label=start.name or f"stage-{index}",
            base=base,
            parent=None if replaced else self._names.get(base),
            platform=platform,
            replaced=replaced,
            steps=(),
        )
        if start.name:
            self._names[start.name] = index
        return stage

    def _base(self, start: From) -> str:
        try:
            base = self._lexer.word(start.base, self._globals.values)
        except ExpansionError as error:
            raise error.at(start.origin.lines) from None
        if not base:
            raise DockerfileError(
                f"base name ({start.base}) should not be blank", start.origin.lines
            )
        return base

    def _platform(self, start: From) -> Platform:
        lines = start.origin.lines
        try:
            expansion = self._lexer.expand(start.platform, self._globals.values)
        except ExpansionError as error:
            message = f"failed to process arguments for platform : {error.message}"
            raise DockerfileError(message, lines) from error
        meant = self._meant(expansion.unmatched)
        if not expansion.text:
            message = f"empty platform value from expression {start.platform}{meant}"
            raise DockerfileError(message, lines)
        try:
            return parse_platform(expansion.text)
        except errors.Invalid as error:
            message = f"failed to parse platform {start.platform}: {error.message}{meant}"
            raise DockerfileError(message, lines) from error

    def _meant(self, unmatched: frozenset[str]) -> str:
        options = tuple(self._globals.values)
        hints = (suggestion(name, options) for name in sorted(unmatched))
        best = next(filter(None, hints), "")
        return f" (did you mean {best}?)" if best else ""

    def _step(self, step: Step) -> PlannedStep:
        try:
            return PlannedStep(step, self._sources(step))
        except DockerfileError as error:
            raise error.at(step.origin.lines) from None

    def _sources(self, step: Step) -> tuple[Source | None, ...]:
        match step:
            case Copy(from_=name) if name:
                return (self._copied_from(name),)
            case Run():
                return tuple(self._named(m.from_) if m.from_ else None for m in step.mounts)
            case _:
                return ()

    def _copied_from(self, name: str) -> Source:
        if self._lexer.word(name, {}) != name:
            raise DockerfileError(
                "variable expansion is not supported for --from, define a new stage with FROM "
                "using ARG from global scope as a workaround"
            )
        digits = name[1:] if name[:1] in ("+", "-") else name
        if not (digits.isascii() and digits.isdigit()):
            return self._named(name)
        if name.startswith("-") or len(digits) > 9 or int(digits) >= len(self._dockerfile.stages):
            raise DockerfileError(f"invalid stage index {name}")
        return Source(int(digits), name)

    def _named(self, name: str) -> Source:
        return Source(self._names.get(name.lower()), name)

    def _triggers(
        self, stage: PlannedStage, above: Sequence[PlannedStage]
    ) -> tuple[PlannedStep, ...]:
        """What the base wants to be done first."""
        if stage.parent is None:
            triggers = self._request.triggers.get(stage.index, ())
        else:
            steps = (planned.step for planned in above[stage.parent].steps)
            triggers = [step.trigger for step in steps if isinstance(step, Onbuild)]
        return tuple(
            PlannedStep(step, self._step(step).sources, onbuild=True)
            for step in onbuild_steps(triggers, stage.start.origin.lines)
        )


def parse_platform(text: str) -> Platform:
    system, *rest = text.split("/")
    # The system may have a version, as windows(10.0.17763) has.
    for part in (system.partition("(")[0], *rest):
        if not re.match(_PLATFORM_PART, part):
            raise errors.Invalid(
                f"{golang.quote(part)} is an invalid component of {golang.quote(text)}: "
                f'platform specifier component must match "{_PLATFORM_PART}": invalid argument'
            )
    return normalized(image.parse_platform(text))
