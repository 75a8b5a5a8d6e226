"""The build checks: BuildKit's linter rules with their words, and which of them are asked for.

# check=skip=JSONArgsRecommended,StageNameCasing;error=true
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pinnace import errors
from pinnace.dockerfile import directives, golang
from pinnace.dockerfile.source import Lines, excerpt

_URL = "https://docs.docker.com/go/dockerfile/rule/"


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    page: str
    """Of the documentation."""
    description: str
    message: str
    """With places for what was found."""
    experimental: bool = False

    @property
    def url(self) -> str:
        return f"{_URL}{self.page}/" if self.page else ""


STAGE_NAME_CASING = Rule(
    "StageNameCasing",
    "stage-name-casing",
    "Stage names should be lowercase",
    "Stage name '{}' should be lowercase",
)
FROM_AS_CASING = Rule(
    "FromAsCasing",
    "from-as-casing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "'{}' and '{}' keywords' casing do not match",
)
NO_EMPTY_CONTINUATION = Rule(
    "NoEmptyContinuation",
    "no-empty-continuation",
    "Empty continuation lines will become errors in a future release",
    "Empty continuation line",
)
CONSISTENT_INSTRUCTION_CASING = Rule(
    "ConsistentInstructionCasing",
    "consistent-instruction-casing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "Command '{}' should match the case of the command majority ({})",
)
DUPLICATE_STAGE_NAME = Rule(
    "DuplicateStageName",
    "duplicate-stage-name",
    "Stage names should be unique",
    "Duplicate stage name {}, stage names should be unique",
)
RESERVED_STAGE_NAME = Rule(
    "ReservedStageName",
    "reserved-stage-name",
    "Reserved words should not be used as stage names",
    "Stage name should not use the same name as reserved stage {}",
)
JSON_ARGS_RECOMMENDED = Rule(
    "JSONArgsRecommended",
    "json-args-recommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
    "OS signals",
    "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
)
MAINTAINER_DEPRECATED = Rule(
    "MaintainerDeprecated",
    "maintainer-deprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "Maintainer instruction is deprecated in favor of using label",
)
UNDEFINED_ARG_IN_FROM = Rule(
    "UndefinedArgInFrom",
    "undefined-arg-in-from",
    "FROM command must use declared ARGs",
    "FROM argument '{}' is not declared{}",
)
WORKDIR_RELATIVE_PATH = Rule(
    "WorkdirRelativePath",
    "workdir-relative-path",
    "Relative workdir without an absolute workdir declared within the build can have unexpected "
    "results if the base image changes",
    "Relative workdir {} can have unexpected results if the base image changes",
)
UNDEFINED_VAR = Rule(
    "UndefinedVar",
    "undefined-var",
    "Variables should be defined before their use",
    "Usage of undefined variable '${}'{}",
)
MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule(
    "MultipleInstructionsDisallowed",
    "multiple-instructions-disallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "Multiple {} instructions should not be used in the same stage because only the last one "
    "will be used",
)
LEGACY_KEY_VALUE_FORMAT = Rule(
    "LegacyKeyValueFormat",
    "legacy-key-value-format",
    "Legacy key/value format with whitespace separator should not be used",
    '"{0} key=value" should be used instead of legacy "{0} key value" format',
)
INVALID_BASE_IMAGE_PLATFORM = Rule(
    "InvalidBaseImagePlatform",
    "",
    "Base image platform does not match expected target platform",
    "Base image {} was pulled with platform {}, expected {} for current build",
)
REDUNDANT_TARGET_PLATFORM = Rule(
    "RedundantTargetPlatform",
    "redundant-target-platform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
    "behavior",
    "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
)
SECRETS_USED_IN_ARG_OR_ENV = Rule(
    "SecretsUsedInArgOrEnv",
    "secrets-used-in-arg-or-env",
    "Sensitive data should not be used in the ARG or ENV commands",
    "Do not use ARG or ENV instructions for sensitive data ({} {})",
)
INVALID_DEFAULT_ARG_IN_FROM = Rule(
    "InvalidDefaultArgInFrom",
    "invalid-default-arg-in-from",
    "Default value for global ARG results in an empty or invalid base image name",
    "Default value for ARG {} results in empty or invalid base image name",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule(
    "FromPlatformFlagConstDisallowed",
    "from-platform-flag-const-disallowed",
    "FROM --platform flag should not use a constant value",
    "FROM --platform flag should not use constant value {}",
)
COPY_IGNORED_FILE = Rule(
    "CopyIgnoredFile",
    "copy-ignored-file",
    "Attempting to Copy file that is excluded by .dockerignore",
    "Attempting to {} file {} that is excluded by .dockerignore",
)
INVALID_DEFINITION_DESCRIPTION = Rule(
    "InvalidDefinitionDescription",
    "invalid-definition-description",
    "Comment for build stage or argument should follow the format: "
    "`# <arg/stage name> <description>`. If this is not intended to be a description comment, "
    "add an empty line or comment between the instruction and the comment.",
    "Comment for {} should follow the format: `# {} <description>`",
    experimental=True,
)
EXPOSE_PROTO_CASING = Rule(
    "ExposeProtoCasing",
    "expose-proto-casing",
    "Protocol in EXPOSE instruction should be lowercase",
    "Defined protocol '{}' in EXPOSE instruction should be lowercase",
)
EXPOSE_INVALID_FORMAT = Rule(
    "ExposeInvalidFormat",
    "expose-invalid-format",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become "
    "an error in a future release",
    "EXPOSE instruction should not define an IP address or host-port mapping, found '{}'",
)
ALL = tuple(rule for rule in globals().values() if isinstance(rule, Rule))


@dataclass(frozen=True, slots=True)
class Options:
    """Which rules are looked at, and whether what they find is an error."""

    skip_all: bool = False
    skip: frozenset[str] = frozenset()
    experimental_all: bool = False
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, rule: Rule) -> bool:
        if rule.experimental:
            return self.experimental_all or rule.name in self.experimental
        return not self.skip_all and rule.name not in self.skip

    def merged(self, other: "Options") -> "Options":
        """With what the comments of one instruction ask for; `error` is the whole file's."""
        return Options(
            self.skip_all or other.skip_all,
            self.skip | other.skip,
            self.experimental_all or other.experimental_all,
            self.experimental | other.experimental,
            self.error,
        )

    def for_comments(self, comments: Iterable[str]) -> "Options":
        for comment in comments:
            directive = directives.inline(comment)
            if directive is None or directive.name != "check":
                continue
            try:
                return self.merged(parse(directive.word))
            except errors.Invalid:
                return self
        return self


def parse(text: str) -> Options:
    """skip=A,B;experimental=all;error=true. Raises Invalid."""
    names: dict[str, frozenset[str]] = {}
    error = False
    text = golang.trim(text)
    for part in text.split(";", 2) if text else ():
        key, equals, value = part.partition("=")
        key = golang.trim(key)
        if not equals:
            raise errors.Invalid(f"invalid check option {golang.quote(part)}")
        if key in ("skip", "experimental"):
            names[key] = frozenset(map(golang.trim, value.split(",")))
        elif key == "error":
            error = _error(golang.trim(value), part)
        else:
            raise errors.Invalid(f"invalid check option {golang.quote(key)}")
    skip, experimental = (names.get(key, frozenset()) for key in ("skip", "experimental"))
    everything = frozenset({"all"})
    return Options(
        skip == everything,
        skip - everything,
        experimental == everything,
        experimental - everything,
        error,
    )


def _error(value: str, part: str) -> bool:
    try:
        return golang.boolean(value)
    except ValueError as error:
        message = f"failed to parse check option {golang.quote(part)}: {error}"
        raise errors.Invalid(message) from error


@dataclass(frozen=True, slots=True)
class Finding:
    rule: Rule
    message: str
    lines: Lines

    def __str__(self) -> str:
        """In one line, as the warnings of a build are shown."""
        return f"{self.rule.name}: {self.message} (line {self.lines.first})"


@dataclass(frozen=True, slots=True)
class Report:
    findings: tuple[Finding, ...]
    error: errors.PinnaceError | None = None
    """What ends the build before its first step; the rules are checked no further."""
    options: Options = field(default_factory=Options)

    @property
    def violation(self) -> str | None:
        """The error that ends a build whose findings are errors."""
        if not (self.options.error and self.findings):
            return None
        names = dict.fromkeys(finding.rule.name for finding in self.findings)
        return f"lint violation found for rules: {', '.join(names)}"

    def text(self, data: bytes, name: str = "Dockerfile") -> str:
        """The findings with their lines, from top to bottom, as `docker build --check` shows."""
        findings = sorted(self.findings, key=lambda finding: finding.lines.first)
        return "".join(_described(finding, data, name) for finding in findings)


def _described(finding: Finding, data: bytes, name: str) -> str:
    url = f" - {finding.rule.url}" if finding.rule.url else ""
    head = f"\nWARNING: {finding.rule.name}{url}\n{finding.message}\n"
    return head + excerpt(data, [finding.lines], name)
