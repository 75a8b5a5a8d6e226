import base64

import msgspec

from pinnace.dockerfile import answers, checks, stages
from pinnace.dockerfile.plan import Request

DATA = b"FROM scratch as base\nCOPY Dockerfile \\\n .\nFOO b\n"


def line(*numbers: int) -> dict[str, object]:
    return {"ranges": [{"start": {"line": n}, "end": {"line": n}} for n in numbers]}


def document(value: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_a_check_is_answered_with_warnings_the_source_and_the_error() -> None:
    report = checks.check(DATA, Request())

    assert document(answers.lint(report, DATA)) == {
        "warnings": [
            {
                "ruleName": "FromAsCasing",
                "description": "The 'as' keyword should match the case of the 'from' keyword",
                "url": "https://docs.docker.com/go/dockerfile/rule/from-as-casing/",
                "detail": "'as' and 'FROM' keywords' casing do not match",
                "location": line(1),
            }
        ],
        "sources": [
            {
                "filename": "Dockerfile",
                "data": base64.b64encode(DATA).decode(),
                "language": "Dockerfile",
            }
        ],
        "buildError": {
            "message": "dockerfile parse error on line 4: unknown instruction: FOO "
            "(did you mean FROM?)",
            "location": line(4),
        },
    }
    assert answers.status(report) == 1


def test_a_clean_check_has_no_error() -> None:
    report = checks.check(b"FROM scratch\n", Request())

    found = answers.lint(report, b"FROM scratch\n")
    assert found.warnings == ()
    assert found.build_error is None
    assert answers.status(report) == 0


def test_an_error_may_have_no_place() -> None:
    report = checks.check(b"FROM scratch\n", Request(target="x"))

    error = answers.lint(report, b"").build_error
    assert error is not None
    assert document(error.location) == {}


def test_findings_may_be_the_error() -> None:
    report = checks.check(b"# check=error=true\nFROM scratch\nWORKDIR a\n", Request())

    error = answers.lint(report, b"").build_error
    assert error is not None
    assert error.message == "lint violation found for rules: WorkdirRelativePath"


def test_the_targets_are_listed() -> None:
    data = b"# web the server\nFROM --platform=$X a AS web\nFROM web \\\n AS test\nFROM web\n"

    found = answers.targets(stages.read(data))

    assert document(found.targets) == [
        {
            "name": "web",
            "description": "the server",
            "base": "a",
            "platform": "$X",
            "location": line(2),
        },
        {"name": "test", "base": "web", "location": line(3, 4)},
        {"default": True, "base": "web", "location": line(5)},
    ]
    assert found.text() == "TARGET    DESCRIPTION\nweb       the server\ntest      \n(default) \n"


def test_a_named_default_is_told() -> None:
    found = answers.targets(stages.read(b"FROM a AS b\n"))

    assert found.text() == "TARGET      DESCRIPTION\nb (default) \n"
