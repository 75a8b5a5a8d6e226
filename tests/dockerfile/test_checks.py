"""The build checks, compared with the answers of BuildKit.

data/checks.jsonl holds a Dockerfile a line with what `docker buildx build --check` of Docker 28.5
(BuildKit 0.25) said: the findings, and the error with its lines. Where this package follows a newer
BuildKit, or tells more, the case says so in `differs`.
"""

import json
from pathlib import Path
from typing import TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.dockerfile import checks, ignore, rules
from pinnace.dockerfile.plan import PlannedStage, Request
from pinnace.dockerfile.rules import Options, Report
from pinnace.dockerfile.source import DockerfileError
from pinnace.oci.image import Config, ImageConfig, Platform, RootFS

DATA = Path(__file__).parent / "data" / "checks.jsonl"
AMD64 = Platform(os="linux", architecture="amd64")


class Case(TypedDict, total=False):
    name: str
    dockerfile: str
    ignore: str
    args: dict[str, str]
    target: str
    findings: list[list[object]]
    error: str
    lines: list[int]


CASES: list[Case] = [json.loads(line) for line in DATA.read_text().splitlines()]


def request(**changes: object) -> Request:
    plain = {"build_platform": AMD64, "target_platform": AMD64}
    return Request(**(plain | changes))  # type: ignore[arg-type]


def error_of(report: Report) -> str | None:
    return report.error.message if report.error else report.violation


def lines_of(report: Report) -> list[int]:
    places = report.error.places if isinstance(report.error, DockerfileError) else ()
    return [line for place in places for line in range(place.first, place.last + 1)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_dockerfile_is_judged_as_by_buildkit(case: Case) -> None:
    asked = request(target=case.get("target", ""), build_args=case.get("args", {}))
    patterns = ignore.read(case["ignore"].encode()) if "ignore" in case else None
    ignored = ignore.Matcher(patterns) if patterns is not None else None

    report = checks.check(case["dockerfile"].encode(), asked, ignored=ignored)

    found = sorted([f.lines.first, f.rule.name, f.message] for f in report.findings)
    assert found == case["findings"]
    assert error_of(report) == case.get("error")
    assert lines_of(report) == case.get("lines", [])


def test_the_findings_are_shown_with_their_lines() -> None:
    data = b"FROM scratch as base\ncopy Dockerfile .\nENV a=b\nCMD foo\n"

    text = checks.check(data, request()).text(data)

    assert text == (
        "\nWARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/\n"
        "'as' and 'FROM' keywords' casing do not match\n"
        "Dockerfile:1\n--------------------\n"
        "   1 | >>> FROM scratch as base\n"
        "   2 |     copy Dockerfile .\n"
        "   3 |     ENV a=b\n"
        "--------------------\n"
        "\nWARNING: ConsistentInstructionCasing - "
        "https://docs.docker.com/go/dockerfile/rule/consistent-instruction-casing/\n"
        "Command 'copy' should match the case of the command majority (uppercase)\n"
        "Dockerfile:2\n--------------------\n"
        "   1 |     FROM scratch as base\n"
        "   2 | >>> copy Dockerfile .\n"
        "   3 |     ENV a=b\n"
        "   4 |     CMD foo\n"
        "--------------------\n"
        "\nWARNING: JSONArgsRecommended - "
        "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
        "Dockerfile:4\n--------------------\n"
        "   2 |     copy Dockerfile .\n"
        "   3 |     ENV a=b\n"
        "   4 | >>> CMD foo\n"
        "   5 |     \n"
        "--------------------\n"
    )


def test_a_finding_in_one_line() -> None:
    report = checks.check(b"FROM scratch\nWORKDIR x\n", request())

    assert str(report.findings[0]) == (
        'WorkdirRelativePath: Relative workdir "x" can have unexpected results '
        "if the base image changes (line 2)"
    )


def base(**config: object) -> ImageConfig:
    return ImageConfig(
        architecture="amd64",
        os="linux",
        rootfs=RootFS(),
        config=msgspec.convert(config, Config),
    )


def names(report: Report) -> list[str]:
    return [finding.rule.name for finding in report.findings]


def test_a_base_brings_variables_a_shell_and_triggers() -> None:
    data = b"FROM base\nCOPY $FROM_BASE $ELSE /\nCMD x\n"
    image = base(Env=["FROM_BASE=1"], Shell=["/x"], OnBuild=["ENV ELSE=2", "LABEL a b"])

    report = checks.check(data, request(), base=lambda stage: image)

    assert names(report) == ["LegacyKeyValueFormat"]
    assert report.error is None


def test_a_trigger_may_need_another_stage() -> None:
    data = b"FROM base AS other\nCOPY $x /\nFROM base AS last\n"
    image = base(OnBuild=["COPY --from=other / /"])
    asked = request(target="last")

    def only_last(stage: PlannedStage) -> ImageConfig:
        return image if stage.start.name == "last" else base()

    assert names(checks.check(data, asked, base=only_last)) == ["UndefinedVar"]


def test_a_wrong_trigger_is_told_at_its_from() -> None:
    report = checks.check(b"\nFROM base\n", request(), base=lambda s: base(OnBuild=["QUUX x"]))

    assert error_of(report) == "unknown instruction: QUUX"
    assert lines_of(report) == [2]


def test_a_base_of_another_platform_is_told() -> None:
    image = msgspec.structs.replace(base(), architecture="arm64", variant="v8")

    report = checks.check(b"FROM base\n", request(), base=lambda stage: image)

    assert [finding.message for finding in report.findings] == [
        'Base image base was pulled with platform "linux/arm64/v8", expected "linux/amd64" '
        "for current build"
    ]
    assert report.findings[0].rule.url == ""


def test_options_are_read() -> None:
    assert rules.parse(" skip=A, B;experimental=all;error=true") == Options(
        skip=frozenset({"A", "B"}), experimental_all=True, error=True
    )
    assert rules.parse("") == Options()


@pytest.mark.parametrize("text", ["foo", "foo=bar", "error=perhaps"])
def test_wrong_options_are_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        rules.parse(text)


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in rules.ALL}) == len(rules.ALL) == 22


WORDS = st.sampled_from(
    [
        "FROM scratch AS a b\n",
        "FROM a\n",
        "FROM $x\n",
        "ARG x=1\n",
        "ENV a $b\n",
        "COPY --from=a x /\n",
        "RUN x\n",
        "RUN --mount=type=cache,target=$x y\n",
        "COPY <<EOF /\nEOF\n",
        "ONBUILD RUN x\n",
        "CMD x\n",
        "EXPOSE $p\n",
        "# check=skip=all\n",
        "WORKDIR x\n",
        "HEALTHCHECK NONE\n",
        "$\n",
        "\\\n",
        "SHELL [\n",
        '"',
        "'",
        "FROM scratch\n",
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS | st.text(max_size=10), max_size=12))
def test_any_text_is_checked(pieces: list[str]) -> None:
    data = "".join(pieces).encode(errors="replace")

    report = checks.check(data, request())

    report.text(data)
