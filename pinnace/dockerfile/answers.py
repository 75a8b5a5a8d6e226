"""What `docker build --call=check` and `--call=targets` are answered, as BuildKit's documents."""

from collections.abc import Iterable

import msgspec

from pinnace.dockerfile.rules import Finding, Report
from pinnace.dockerfile.source import DockerfileError, Lines
from pinnace.dockerfile.stages import Dockerfile

# The versions of the two requests.
CHECK_VERSION = TARGETS_VERSION = "1.0.0"


class Position(msgspec.Struct, frozen=True):
    line: int


class Range(msgspec.Struct, frozen=True):
    start: Position
    end: Position


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    ranges: tuple[Range, ...] = ()


class LintWarning(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    rule_name: str
    description: str = ""
    url: str = ""
    detail: str = ""
    location: Location


class SourceInfo(msgspec.Struct, frozen=True):
    filename: str
    data: bytes
    language: str = "Dockerfile"


class BuildError(msgspec.Struct, frozen=True):
    message: str
    location: Location


class Lint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    warnings: tuple[LintWarning, ...]
    sources: tuple[SourceInfo, ...]
    build_error: BuildError | None = None


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str = ""
    default: bool = False
    description: str = ""
    base: str = ""
    platform: str = ""
    location: Location = Location()


class Targets(msgspec.Struct, frozen=True):
    targets: tuple[Target, ...]
    sources: tuple[bytes, ...]

    def text(self) -> str:
        """A table of two columns."""
        rows = [("TARGET", "DESCRIPTION"), *((_shown(t), t.description) for t in self.targets)]
        width = max(len(name) for name, _ in rows)
        return "".join(f"{name.ljust(width)} {description}\n" for name, description in rows)


def lint(report: Report, data: bytes, name: str = "Dockerfile") -> Lint:
    return Lint(
        tuple(_warning(finding) for finding in report.findings),
        (SourceInfo(name, data),),
        _error(report),
    )


def status(report: Report) -> int:
    """The exit code of a check."""
    return 1 if report.findings or report.error else 0


def targets(dockerfile: Dockerfile) -> Targets:
    last = len(dockerfile.stages) - 1
    found = (
        Target(
            name=stage.start.name,
            default=number == last,
            description=stage.start.description,
            base=stage.start.base,
            platform=stage.start.platform,
            location=_location([stage.start.origin.lines]),
        )
        for number, stage in enumerate(dockerfile.stages)
    )
    return Targets(tuple(found), (dockerfile.data,))


def _warning(finding: Finding) -> LintWarning:
    return LintWarning(
        rule_name=finding.rule.name,
        description=finding.rule.description,
        url=finding.rule.url,
        detail=finding.message,
        location=_location([finding.lines]),
    )


def _error(report: Report) -> BuildError | None:
    if isinstance(report.error, DockerfileError):
        return BuildError(report.error.message, _location(report.error.places))
    message = report.error.message if report.error else report.violation
    return BuildError(message, Location()) if message else None


def _location(places: Iterable[Lines]) -> Location:
    """BuildKit has a range for each line."""
    numbers = (n for place in places for n in range(place.first, place.last + 1))
    return Location(tuple(Range(Position(n), Position(n)) for n in numbers))


def _shown(target: Target) -> str:
    if not target.default:
        return target.name
    return f"{target.name} (default)" if target.name else "(default)"
