"""The likeliest word that was meant: "(did you mean RUN?)"."""

from collections.abc import Iterable

# As in BuildKit, which took it from HCL: two edits may be a slip, three are another word.
_DISTANCE = 3

# The distance of two words takes time that grows with both.
_LONGEST = 100


def suggestion(word: str, options: Iterable[str], *, fold_case: bool = False) -> str:
    """The nearest option, or "" if none is near or one is the word itself."""
    wanted = word.lower() if fold_case else word
    best, nearest = "", _DISTANCE
    for option in options:
        candidate = option.lower() if fold_case else option
        if candidate == wanted:
            return ""
        distance = _distance(wanted, candidate, nearest)
        if distance < nearest:
            best, nearest = candidate, distance
    return _cased_as(word, best) if fold_case else best


def hint(word: str, options: Iterable[str], *, fold_case: bool = False) -> str:
    """What is appended to an error's message."""
    best = suggestion(word, options, fold_case=fold_case)
    return f" (did you mean {best}?)" if best else ""


def _distance(left: str, right: str, limit: int) -> int:
    """Levenshtein's; the limit or more when it is not below the limit."""
    if abs(len(left) - len(right)) >= limit or len(left) > _LONGEST:
        return limit
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        above, row[0] = row[0], i
        for j, b in enumerate(right, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
        if min(row) >= limit:
            return limit
    return row[-1]


def _cased_as(model: str, word: str) -> str:
    return word.upper() if model == model.upper() and model != model.lower() else word
