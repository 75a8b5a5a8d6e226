"""Where the checks collect what they find."""

from collections.abc import Iterable

from pinnace.dockerfile.rules import Finding, Options, Rule
from pinnace.dockerfile.source import Lines


class Findings:
    """Only of the rules that are asked for; the comments of an instruction may skip some for it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.found: list[Finding] = []

    def add(self, rule: Rule, lines: Lines, *values: str, comments: Iterable[str] = ()) -> None:
        if self.options.for_comments(comments).wants(rule):
            self.found.append(Finding(rule, rule.message.format(*values), lines))
