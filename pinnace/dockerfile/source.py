"""Places in a Dockerfile: lines, the errors that carry them, and the excerpt that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pinnace import errors

_RULE = "--------------------\n"


@dataclass(frozen=True, slots=True, order=True)
class Lines:
    """From a first to a last line, both counted from 1 and both included."""

    first: int
    last: int


class DockerfileError(errors.Invalid):
    """What is wrong with a Dockerfile, in BuildKit's words, and where."""

    def __init__(self, message: str, *places: Lines) -> None:
        super().__init__(message)
        self.places = places

    def at(self, lines: Lines) -> Self:
        """The same error with a place, if it has none yet."""
        self.places = self.places or (lines,)
        return self

    def excerpts(self, data: bytes, name: str = "Dockerfile") -> str:
        return "".join(excerpt(data, [place], name) for place in self.places)


def excerpt(data: bytes, places: Sequence[Lines], name: str = "Dockerfile") -> str:
    """The lines with some around them, as the clients of BuildKit print them; "" if there are none.

    A single line is shown between two and two, several between one and one; what is missing on
    one side is added to the other.
    """
    lines = data.decode(errors="replace").split("\n")
    if not places:
        return ""
    first = min(place.first for place in places)
    last = min(max(place.last for place in places), len(lines))
    if not 1 <= first <= len(lines):
        return ""
    head = f"{name}:{first}\n"
    first, last = _padded(first, last, len(lines))
    shown = [
        f" {number:3} | {_mark(number, places)} {lines[number - 1]}\n"
        for number in range(first, last + 1)
    ]
    return head + _RULE + "".join(shown) + _RULE


def _padded(first: int, last: int, total: int) -> tuple[int, int]:
    wanted = 4 if first == last else 2
    done = 0
    while done < wanted:
        if first > 1:
            first -= 1
            done += 1
        if last != total:
            last += 1
            done += 1
        done += 1
    return first, last


def _mark(number: int, places: Sequence[Lines]) -> str:
    marked = any(place.first <= number <= place.last for place in places)
    return ">>>" if marked else "   "
