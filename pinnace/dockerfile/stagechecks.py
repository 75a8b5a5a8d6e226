"""The checks that need a stage's variables: down its instructions, after those of its parent."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pinnace.dockerfile import golang, ports, remotes, rules, scope, verify
from pinnace.dockerfile.findings import Findings
from pinnace.dockerfile.ignore import Matcher
from pinnace.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Shell,
    Step,
    Workdir,
)
from pinnace.dockerfile.plan import Plan, PlannedStage, PlannedStep, Request, check_order
from pinnace.dockerfile.scope import Scope
from pinnace.dockerfile.source import Lines
from pinnace.dockerfile.suggest import suggestion
from pinnace.oci.image import Config, ImageConfig, Platform

_ROOT_PATTERNS = ("*", "**", "**/*")
_secret = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)",
    re.IGNORECASE,
).search
_harmless = re.compile(r"(?:_|^)(?:public|file|version)(?:_|\Z)", re.IGNORECASE).search


@dataclass(slots=True)
class _State:
    """What the instructions above have set."""

    scope: Scope
    shell: bool
    """By SHELL, here or in the base: the user knows what he does."""
    directory: str = "/"
    workdir: bool = False
    """By a WORKDIR of this Dockerfile."""
    last: dict[str, Lines] = field(default_factory=dict)
    """Where the instructions stand of which only the last counts."""

    def derived(self) -> "_State":
        return _State(self.scope.derived(), self.shell, self.directory, self.workdir)


class StageChecks:
    def __init__(
        self,
        findings: Findings,
        planned: Plan,
        request: Request,
        *,
        escape: str,
        ignored: Matcher | None,
        bases: Mapping[int, ImageConfig],
    ) -> None:
        self._findings = findings
        self._plan = planned
        self._request = request
        self._escape = escape
        # Whether something below an ignored folder is taken back can't be told from here.
        self._ignored = None if ignored is None or ignored.exceptions else ignored
        self._bases = bases
        self._states: dict[int, _State] = {}

    def run(self) -> None:
        """Raises DockerfileError where a build would fail before its first step."""
        for stage in self._plan.stages:
            if self._request.target and stage.index not in self._plan.reachable:
                continue
            state = self._started(stage)
            self._states[stage.index] = state
            for planned in stage.steps:
                self._step(stage, planned, state)

    def _started(self, stage: PlannedStage) -> _State:
        if stage.parent is not None:
            return self._states[stage.parent].derived()
        image = self._bases.get(stage.index)
        config = (image.config if image else None) or Config()
        if image:
            self._check_platform(stage, image)
        new = Scope(
            self._plan.globals,
            self._request.build_args,
            scope.base_environment(config.env),
            escape=self._escape,
        )
        directory = posixpath.join("/", config.working_dir or "")
        return _State(new, shell=bool(config.shell), directory=directory)

    def _check_platform(self, stage: PlannedStage, image: ImageConfig) -> None:
        expected = stage.platform or self._request.target_platform
        if (image.os, image.architecture) == (expected.os, expected.architecture):
            return
        actual = Platform(
            os=image.os or "", architecture=image.architecture or "", variant=image.variant
        )
        self._findings.add(
            rules.INVALID_BASE_IMAGE_PLATFORM,
            stage.start.origin.lines,
            stage.base,
            golang.quote(str(actual)),
            golang.quote(str(scope.normalized(expected))),
        )

    def _step(self, stage: PlannedStage, planned: PlannedStep, state: _State) -> None:
        known = tuple(state.scope.environment)
        if isinstance(planned.step, Arg):
            self._check_secrets("ARG", [d.name for d in planned.step.declarations], planned.step)
        try:
            step = state.scope.enter(planned.step)
        finally:
            self._report_unmatched(planned.step, state.scope.unmatched, known)
        check_order(stage, planned)
        verify.check(step, state.directory)
        self._check(step, state)
        if isinstance(step, Add | Copy) and not planned.sources:
            self._check_ignored(step)

    def _report_unmatched(self, step: Step, names: list[str], known: tuple[str, ...]) -> None:
        for name in names:
            meant = suggestion(name, known)
            hint = f" (did you mean ${meant}?)" if meant else ""
            self._add(rules.UNDEFINED_VAR, step, name, hint)

    def _check(self, step: Step, state: _State) -> None:
        match step:
            case Env(pairs=pairs):
                self._check_pairs(step)
                self._check_secrets("ENV", [pair.name for pair in pairs], step)
            case Label():
                self._check_pairs(step)
            case Cmd() | Entrypoint():
                self._check_once(step, state)
                if step.command.shell and not state.shell:
                    self._add(rules.JSON_ARGS_RECOMMENDED, step, step.origin.keyword)
            case Healthcheck():
                self._check_once(step, state)
            case Shell():
                state.shell = True
            case Workdir(path=path):
                if not state.workdir and not path.startswith("/"):
                    self._add(rules.WORKDIR_RELATIVE_PATH, step, golang.quote(path))
                state.workdir = True
                state.directory = posixpath.join(state.directory, path)
            case Expose():
                self._check_ports(step)

    def _check_pairs(self, step: Env | Label) -> None:
        for pair in step.pairs:
            if pair.legacy:
                self._add(rules.LEGACY_KEY_VALUE_FORMAT, step, step.origin.keyword)

    def _check_secrets(self, instruction: str, names: list[str], step: Step) -> None:
        for name in names:
            if _secret(name) and not _harmless(name):
                quoted = golang.quote(name)
                self._add(rules.SECRETS_USED_IN_ARG_OR_ENV, step, instruction, quoted)

    def _check_once(self, step: Cmd | Entrypoint | Healthcheck, state: _State) -> None:
        """Told is the place of the former, which is the one without effect."""
        name = type(step).__name__
        if name in state.last:
            self._findings.add(
                rules.MULTIPLE_INSTRUCTIONS_DISALLOWED,
                state.last[name],
                step.origin.keyword,
                comments=step.origin.comments,
            )
        state.last[name] = step.origin.lines

    def _check_ports(self, step: Expose) -> None:
        for text in step.ports:
            port = ports.parse(text)
            if port.protocol != port.protocol.lower():
                self._add(rules.EXPOSE_PROTO_CASING, step, text)
            if port.mapped:
                self._add(rules.EXPOSE_INVALID_FORMAT, step, text)

    def _check_ignored(self, step: Add | Copy) -> None:
        if self._ignored is None:
            return
        verb = "Add" if isinstance(step, Add) else "Copy"
        for source in step.files.sources:
            if remotes.parse(source) is None and self._left_out(self._ignored, source):
                path = posixpath.normpath(source)
                self._add(rules.COPY_IGNORED_FILE, step, verb, golang.quote(path))

    def _left_out(self, ignored: Matcher, source: str) -> bool:
        path = posixpath.normpath(source)
        # The context itself is no file; it is only empty when all in it is left out.
        if path in (".", "/") and not any(p.text in _ROOT_PATTERNS for p in ignored.patterns):
            return False
        return ignored.matches(path)

    def _add(self, rule: rules.Rule, step: Step, *values: str) -> None:
        self._findings.add(rule, step.origin.lines, *values, comments=step.origin.comments)
