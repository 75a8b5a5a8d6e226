"""Shell patterns (* ? \\) of ${v#p}, ${v%p} and ${v/p/r}: what they match, in bounded time.

A match is what Perl would choose (the leftmost, then each star as long or as short as asked),
found without its exponential time: no pair of pattern position and text position is tried twice.
"""

from collections.abc import Sequence
from enum import Enum

# More than this is no honest Dockerfile: of a value of 1,000 characters, a pattern of 200.
_LIMIT = 200_000

# Of what a replacement makes.
_SIZE = 1 << 20


class Wild(Enum):
    ANY = "?"
    STAR = "*"


Pattern = tuple[str | Wild, ...]


def parse(text: str) -> Pattern:
    """Raises ValueError for an escape of anything but * ? \\ } and /."""
    pattern: list[str | Wild] = []
    at = 0
    while at < len(text):
        character = text[at]
        following = text[at + 1 : at + 2]
        at += 1
        if character in "*?":
            pattern.append(Wild(character))
        elif character != "\\":
            pattern.append(character)
        elif following not in ("}", "/"):
            # Those two had to be escaped within ${}, and the escape is not part of the pattern.
            if following not in ("*", "?", "\\"):
                raise ValueError(f"invalid escape '\\{following or '�'}'")
            pattern.append(following)
            at += 1
    return tuple(pattern)


def trim_prefix(pattern: Pattern, text: str, *, greedy: bool) -> str:
    end = _Search(pattern, text, greedy=greedy).match(0)
    return text if end is None else text[end:]


def trim_suffix(pattern: Pattern, text: str, *, greedy: bool) -> str:
    return trim_prefix(pattern[::-1], text[::-1], greedy=greedy)[::-1]


def replace(pattern: Pattern, text: str, replacement: str, *, everywhere: bool) -> str:
    """An empty match counts too, but not right after another match."""
    pieces: list[str] = []
    copied = at = made = 0
    while at <= len(text):
        found = _Search(pattern, text, greedy=True).find(at)
        if found is None:
            break
        start, end = found
        pieces.append(text[copied:start])
        if end > copied or start == 0:
            pieces.append(replacement)
            made += len(replacement)
            if made > _SIZE:
                raise ValueError("replacement is too long")
        copied = end
        at = max(end, at + 1)
        if not everywhere:
            break
    return "".join((*pieces, text[copied:]))


class _Search:
    """One search for a pattern in a text; failed pairs are remembered between the starts."""

    def __init__(self, pattern: Sequence[str | Wild], text: str, *, greedy: bool) -> None:
        self._pattern = pattern
        self._text = text
        self._greedy = greedy
        self._tried: set[tuple[int, int]] = set()

    def find(self, start: int) -> tuple[int, int] | None:
        for at in range(start, len(self._text) + 1):
            end = self.match(at)
            if end is not None:
                return at, end
        return None

    def match(self, start: int) -> int | None:
        """Where the match that begins here ends."""
        todo = [(0, start)]
        while todo:
            pair = todo.pop()
            if pair in self._tried:
                continue
            if len(self._tried) > _LIMIT:
                raise ValueError("pattern is too complex for the value")
            self._tried.add(pair)
            index, at = pair
            if index == len(self._pattern):
                return at
            todo.extend(self._next(index, at))
        return None

    def _next(self, index: int, at: int) -> list[tuple[int, int]]:
        """The pairs to try, the preferred one last."""
        wanted = self._pattern[index]
        # As a dot in Go's regular expressions, a wildcard does not match the end of a line.
        here = self._text[at : at + 1]
        wild = here not in ("", "\n")
        if wanted is Wild.STAR:
            longer = [(index, at + 1)] if wild else []
            shorter = [(index + 1, at)]
            return [*shorter, *longer] if self._greedy else [*longer, *shorter]
        if wild if wanted is Wild.ANY else here == wanted:
            return [(index + 1, at + 1)]
        return []
