"""A Dockerfile and what its user asks → what BuildKit's build checks say about it.

Three passes, as BuildKit has them: over the nodes, over the FROMs, and down each stage with its
variables. Each ends where a build would fail; what was found until then is told with the error.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from pinnace import errors
from pinnace.dockerfile import directives, golang, parser, plan, rules, stages
from pinnace.dockerfile.expand import Expansion, ExpansionError, Lexer
from pinnace.dockerfile.findings import Findings
from pinnace.dockerfile.ignore import Matcher
from pinnace.dockerfile.instructions import Arg, From, Instruction
from pinnace.dockerfile.parser import Node
from pinnace.dockerfile.plan import Plan, PlannedStage, Request
from pinnace.dockerfile.rules import Options, Report
from pinnace.dockerfile.scope import Globals, global_scope
from pinnace.dockerfile.source import DockerfileError
from pinnace.dockerfile.stagechecks import StageChecks
from pinnace.dockerfile.stages import Dockerfile
from pinnace.dockerfile.suggest import suggestion
from pinnace.oci import reference
from pinnace.oci.image import ImageConfig

# Overrides the directive `check`.
_BUILD_ARG = "BUILDKIT_DOCKERFILE_CHECK"
_RESERVED = ("context", "scratch")

Base = Callable[[PlannedStage], ImageConfig | None]


def check(
    data: bytes,
    request: Request,
    *,
    ignored: Matcher | None = None,
    base: Base = lambda stage: None,
) -> Report:
    """`base` gives the configuration of a stage's base image, if it is known.

    Without a target all stages are checked.
    """
    try:
        findings = Findings(_options(data, request))
    except errors.Invalid as failure:
        return Report((), failure)
    error: errors.PinnaceError | None = None
    try:
        _Checker(findings, request, ignored, base).check(data)
    except (DockerfileError, errors.NotFound) as failure:
        error = failure
    return Report(tuple(findings.found), error, findings.options)


def _options(data: bytes, request: Request) -> Options:
    given = request.build_args.get(_BUILD_ARG)
    if given is None:
        directive = directives.find("check", data)
        given = directive.word if directive else ""
    try:
        return rules.parse(given)
    except errors.Invalid as error:
        raise errors.Invalid(f"failed to parse check options: {error.message}") from error


class _Checker:
    def __init__(
        self, findings: Findings, request: Request, ignored: Matcher | None, base: Base
    ) -> None:
        self._findings = findings
        self._request = request
        self._ignored = ignored
        self._base = base

    def check(self, data: bytes) -> None:
        if not data:
            raise DockerfileError("the Dockerfile cannot be empty")
        tree = parser.parse(data)
        for lines in tree.empty_continuations:
            self._findings.add(rules.NO_EMPTY_CONTINUATION, lines)
        for node in tree.nodes:
            self._node(node)
        dockerfile = stages.assemble(data, tree)
        self._names(dockerfile)
        self._casing(dockerfile)
        self._defaults(dockerfile)
        self._starts(dockerfile)
        planned, bases = self._planned(dockerfile)
        StageChecks(
            self._findings,
            planned,
            self._request,
            escape=tree.escape,
            ignored=self._ignored,
            bases=bases,
        ).run()

    def _node(self, node: Node) -> None:
        if node.name == "maintainer":
            self._findings.add(rules.MAINTAINER_DEPRECATED, node.lines, comments=node.comments)
        if node.name == "from":
            self._from(node)
        self._description(node, stages.instruction(node))

    def _from(self, node: Node) -> None:
        words = node.operands
        if len(words) == 3 and words[2] != words[2].lower():
            self._findings.add(
                rules.STAGE_NAME_CASING, node.lines, words[2], comments=node.comments
            )
        if len(words) < 3:
            return
        keyword = node.keyword
        # One in mixed case is told by another rule.
        lower, upper = keyword == keyword.lower(), keyword == keyword.upper()
        if (lower and words[1] != words[1].lower()) or (upper and words[1] != words[1].upper()):
            self._findings.add(
                rules.FROM_AS_CASING, node.lines, words[1], keyword, comments=node.comments
            )

    def _description(self, node: Node, instruction: Instruction) -> None:
        """The comment above a definition begins with the name it describes."""
        match instruction:
            case From(name=name) if name:
                names = [name]
            case Arg(declarations=declarations):
                names = [declaration.name for declaration in declarations]
            case _:
                return
        if not node.comments or node.comments[-1].split(" ")[0] in names:
            return
        self._findings.add(
            rules.INVALID_DEFINITION_DESCRIPTION,
            node.lines,
            node.name.upper(),
            names[0] if len(names) == 1 else "<arg_key>",
            comments=node.comments,
        )

    def _names(self, dockerfile: Dockerfile) -> None:
        seen: set[str] = set()
        for stage in dockerfile.stages:
            name, lines = stage.start.name, stage.start.origin.lines
            if name in _RESERVED:
                self._findings.add(rules.RESERVED_STAGE_NAME, lines, golang.quote(name))
            if name and name in seen:
                self._findings.add(rules.DUPLICATE_STAGE_NAME, lines, golang.quote(name))
            seen.add(name)

    def _casing(self, dockerfile: Dockerfile) -> None:
        origins = [
            instruction.origin
            for stage in dockerfile.stages
            for instruction in (stage.start, *stage.steps)
        ]
        keywords = [origin.keyword for origin in origins]
        cases = Counter("lower" if k == k.lower() else "upper" for k in keywords if _consistent(k))
        majority = "lower" if cases["lower"] > cases["upper"] else "upper"
        for origin in origins:
            cased = origin.keyword.lower() if majority == "lower" else origin.keyword.upper()
            if origin.keyword != cased:
                self._findings.add(
                    rules.CONSISTENT_INSTRUCTION_CASING,
                    origin.lines,
                    origin.keyword,
                    f"{majority}case",
                )

    def _defaults(self, dockerfile: Dockerfile) -> None:
        """What the bases are when the user gives no --build-arg."""
        values = plan.predefined_variables(dockerfile, self._request)
        lexer = Lexer(dockerfile.tree.escape)
        try:
            known = global_scope(dockerfile.args, values, {}, escape=lexer.escape).values
            for stage in dockerfile.stages:
                if not _valid_base(lexer.word(stage.start.base, known)):
                    self._findings.add(
                        rules.INVALID_DEFAULT_ARG_IN_FROM,
                        stage.start.origin.lines,
                        stage.start.base,
                    )
        except DockerfileError:
            # The same error comes back with the user's values, or is no error then.
            return

    def _starts(self, dockerfile: Dockerfile) -> None:
        known = plan.global_variables(dockerfile, self._request)
        lexer = Lexer(dockerfile.tree.escape)
        for stage in dockerfile.stages:
            start = stage.start
            base = self._expanded(lexer, start, start.base, known)
            if base is None or not base.text:
                return
            if not start.platform:
                continue
            platform = self._expanded(lexer, start, start.platform, known)
            if platform is None or not self._platform(start, platform, known):
                return

    def _expanded(self, lexer: Lexer, start: From, text: str, known: Globals) -> Expansion | None:
        try:
            expansion = lexer.expand(text, known.values)
        except ExpansionError as error:
            self._undeclared(start, error.unmatched, known)
            return None
        self._undeclared(start, expansion.unmatched, known)
        return expansion

    def _undeclared(self, start: From, unmatched: frozenset[str], known: Globals) -> None:
        options = (*sorted(known.declared), *known.values)
        for name in sorted(unmatched - known.declared):
            meant = suggestion(name, options)
            hint = f" (did you mean {meant}?)" if meant else ""
            self._add(rules.UNDEFINED_ARG_IN_FROM, start, name, hint)

    def _platform(self, start: From, platform: Expansion, known: Globals) -> bool:
        """Whether it is a platform at all."""
        only_target = platform.matched == {"TARGETPLATFORM"} and not platform.unmatched
        if only_target and platform.text == known.values["TARGETPLATFORM"]:
            self._add(rules.REDUNDANT_TARGET_PLATFORM, start, start.platform)
        try:
            parsed = plan.parse_platform(platform.text)
        except errors.Invalid:
            return False
        constant = not (platform.matched or platform.unmatched)
        # A stage that is named after its platform is meant to have that one.
        if constant and parsed.os not in start.name and parsed.architecture not in start.name:
            quoted = golang.quote(platform.text)
            self._add(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, start, quoted)
        return True

    def _planned(self, dockerfile: Dockerfile) -> tuple[Plan, dict[int, ImageConfig]]:
        """With the triggers of the bases, which may need more stages with more bases."""
        request = self._request
        while True:
            planned = plan.link(dockerfile, request)
            bases = {stage.index: self._base(stage) for stage in _on_images(planned, request)}
            known = {index: image for index, image in bases.items() if image is not None}
            triggers = {
                index: tuple(image.config.on_build)
                for index, image in known.items()
                if image.config and image.config.on_build
            }
            if triggers == request.triggers:
                return planned, known
            request = replace(request, triggers=triggers)

    def _add(self, rule: rules.Rule, start: From, *values: str) -> None:
        self._findings.add(rule, start.origin.lines, *values, comments=start.origin.comments)


def _on_images(planned: Plan, request: Request) -> list[PlannedStage]:
    return [
        stage
        for stage in planned.stages
        if stage.parent is None
        and not (stage.scratch or stage.replaced)
        and (not request.target or stage.index in planned.reachable)
    ]


def _consistent(keyword: str) -> bool:
    return keyword in (keyword.lower(), keyword.upper())


def _valid_base(name: str) -> bool:
    try:
        reference.parse(name)
    except errors.Invalid:
        return False
    return True
