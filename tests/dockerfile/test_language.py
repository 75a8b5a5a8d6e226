"""The recorded cases of the language: trees, expansions and splits, as BuildKit has them.

data/language.jsonl holds one case a line, in four suites: `parser` (text and tree), `negative`
(text that is refused), `env` (a word and its expansion; platform A is all, U is Unix, W is Windows)
and `words` (a text and the words it is split into, with commas between them).
"""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from pinnace import errors
from pinnace.dockerfile import expand, golang, parser
from pinnace.dockerfile.parser import Node

DATA = Path(__file__).parent / "data" / "language.jsonl"

# The variables of the suite `words`; `hi` is set after its second line.
WORDS = ["space=abc  def", "leading=  ab c", "trailing=ab c   "]


class Case(TypedDict, total=False):
    suite: str
    name: str
    dockerfile: str
    result: str
    line: int
    platform: str
    input: str
    expect: str
    env: list[str]


CASES: list[Case] = [json.loads(line) for line in DATA.read_text().splitlines()]


def cases(suite: str) -> list[Case]:
    return [case for case in CASES if case["suite"] == suite]


def label(case: Case) -> str:
    return case.get("name") or f"line-{case['line']}"


def dump(node: Node) -> str:
    """The tree as BuildKit's tests write it: (copy ["--from=a"] "b" "c")."""
    flags = [f"[{' '.join(map(golang.quote, node.flags))}]"] if node.flags else []
    trigger = [dump(node.trigger)] if node.trigger else []
    operands = map(golang.quote, node.operands)
    return f"({' '.join((node.name, *flags, *trigger, *operands))})"


def test_no_case_is_lost() -> None:
    assert len(CASES) == 291


@pytest.mark.parametrize("case", cases("parser"), ids=label)
def test_a_dockerfile_has_the_recorded_tree(case: Case) -> None:
    tree = parser.parse(case["dockerfile"].encode())

    assert "".join(f"{dump(node)}\n" for node in tree.nodes) == case["result"]


@pytest.mark.parametrize("case", cases("negative"), ids=label)
def test_a_wrong_dockerfile_is_refused(case: Case) -> None:
    with pytest.raises(errors.Invalid):
        parser.parse(case["dockerfile"].encode())


@pytest.mark.parametrize("case", cases("env"), ids=label)
@pytest.mark.parametrize("os", ["linux", "windows"])
def test_a_word_expands_as_recorded(case: Case, os: str) -> None:
    if case["platform"] not in ("A", "W" if os == "windows" else "U"):
        return
    environment = expand.environment(case["env"], os=os)

    if case["expect"] == "error":
        with pytest.raises(errors.Invalid):
            expand.Lexer().word(case["input"], environment)
    else:
        assert expand.Lexer().word(case["input"], environment) == case["expect"]


@pytest.mark.parametrize("case", cases("words"), ids=label)
def test_a_text_is_split_as_recorded(case: Case) -> None:
    environment = expand.environment([*WORDS, *(["hi=hi"] if case["line"] > 2 else [])])

    if case["expect"] == "error":
        with pytest.raises(errors.Invalid):
            expand.Lexer().words(case["input"], environment)
    else:
        # The record has lost the spaces at its lines' ends.
        words = expand.Lexer().words(case["input"], environment)
        assert ",".join(words).rstrip() == case["expect"]
