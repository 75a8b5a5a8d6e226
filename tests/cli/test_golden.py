"""What the real docker asked and said, compared with ours: requests, output, errors, status."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import fakes, record
from tests.cli.conftest import Invoke

GOLDEN = Path(__file__).parent / "golden"

# Where we differ on purpose, and why.
DIFFERENT = {
    "info": "the client's own version",
    "images a b": "docker's typing error (SRun)",
    "image ls foo bar": "docker's typing error (SRun)",
    "images --help": "--tree is not there",
    "image ls --help": "--tree is not there",
    "volume create --help": "no cluster volumes",
    "volume ls --help": "no cluster volumes",
    "foo": "we guess what was meant",
    "container foo": "we guess what was meant",
    "--foo": "our own usage line",
}


def _cases(name: str) -> list[Any]:
    document = json.loads((GOLDEN / f"{name}.json").read_text())
    return [
        pytest.param(case, document["now"], id=case["line"])
        for case in document["cases"]
        if case["line"] not in DIFFERENT
    ]


def _compare(case: dict[str, Any], invoke: Invoke, fake: fakes.FakeDaemon) -> None:
    outcome = invoke(*shlex.split(case["line"]), host=fake.host, program="docker")

    requests = [found for request in fake.requests if (found := record.normal(request))]
    # Docker begins to wait in these too, and then never looks at the answer.
    detached = case["line"].startswith(("run -d", "attach"))
    expected = [r for r in case["requests"] if not (detached and r["path"].endswith("/wait"))]
    assert _unordered(requests) == _unordered(expected)
    assert outcome.stdout == case["stdout"]
    assert outcome.stderr == case["stderr"]
    assert outcome.status == case["status"]


def _unordered(requests: list[dict[str, Any]]) -> list[str]:
    """Requests for several containers are made at the same time."""
    return sorted(json.dumps(request, sort_keys=True) for request in requests)


@pytest.mark.parametrize(("case", "moment"), _cases("create"))
def test_creates_what_docker_creates(
    case: dict[str, Any],
    moment: int,
    invoke: Invoke,
    daemon: Callable[..., fakes.FakeDaemon],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(record.DATA)

    _compare(case, invoke, daemon(fakes.creating, api_version="1.50"))


@pytest.mark.parametrize(("case", "moment"), _cases("show"))
def test_shows_what_docker_shows(
    case: dict[str, Any],
    moment: int,
    invoke: Invoke,
    daemon: Callable[..., fakes.FakeDaemon],
    now: Callable[[float], None],
) -> None:
    now(moment)
    answers = record.Answers(json.loads((GOLDEN / "answers.json").read_text()))

    _compare(case, invoke, daemon(answers, api_version="1.50"))


@pytest.mark.parametrize(("case", "moment"), _cases("usage"))
def test_refuses_and_helps_in_dockers_words(
    case: dict[str, Any], moment: int, invoke: Invoke, daemon: Callable[..., fakes.FakeDaemon]
) -> None:
    _compare(case, invoke, daemon(api_version="1.50"))
