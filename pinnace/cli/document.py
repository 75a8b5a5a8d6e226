"""JSON through the interpreter's own C scanner and encoder.

The json package costs six milliseconds to import, most of it regular expressions for a
pure-Python fallback that is never used; a whole `ps` must not take longer than that.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Document = dict[str, Any]

_SPACE = " \t\r\n"


class _Settings:
    """What the C scanner asks its owner for; the values are the json package's defaults."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner's cache of keys, cleared by itself


def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    """(text, position) → (value, its end). The C part is private: another interpreter has none."""
    try:
        import _json

        scan: Callable[[str, int], tuple[Any, int]] = _json.make_scanner(_Settings())  # type: ignore
    except (ImportError, AttributeError, TypeError):
        import json

        scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
    return scan


_scan = _scanner()


def decode(data: bytes | str) -> Any:
    """The one value in `data`; ValueError if there is none or something follows it."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    value, end = _scan_at(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise ValueError("something follows the JSON value")
    return value


def decode_all(text: str) -> tuple[list[Any], str]:
    """Every complete value at the start of `text`, and the rest, which is incomplete or empty."""
    values = []
    position = _skip(text, 0)
    while position < len(text):
        try:
            value, position = _scan_at(text, position)
        except ValueError:
            break
        values.append(value)
        position = _skip(text, position)
    return values, text[position:]


def decode_stream(chunks: Iterator[bytes]) -> Iterator[Any]:
    """The values of a body that is many of them, one after another, as they come."""
    pending = b""
    for chunk in chunks:
        # Every producer ends a value with a newline, and none has a newline inside.
        complete, newline, rest = (pending + chunk).rpartition(b"\n")
        if not newline:
            pending = rest
            continue
        values, left = decode_all(complete.decode("utf-8", "replace"))
        yield from values
        pending = left.encode() + rest
    yield from decode_all(pending.decode("utf-8", "replace"))[0]


def encode(value: object, *, sort_keys: bool = False) -> str:
    """`value` without spaces, as Go's encoder writes it."""
    try:
        import _json

        encoder = _json.make_encoder(
            None, _refuse, _json.encode_basestring, None, ":", ",", sort_keys, False, False
        )
    except (ImportError, AttributeError, TypeError):
        import json

        return json.dumps(
            value,
            ensure_ascii=False,
            separators=(",", ":"),
            sort_keys=sort_keys,
            allow_nan=False,
        )
    return "".join(encoder(value, 0))


def indented(value: object, step: str = "    ", margin: str = "") -> str:
    """`value` over many lines; empty objects and arrays stay on one, as Go has them."""
    inner = margin + step
    if isinstance(value, dict) and value:
        items = [f"{encode(k)}: {indented(v, step, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + indented(v, step, inner) for v in value) + f"\n{margin}]"
    return encode(value)


def _scan_at(text: str, position: int) -> tuple[Any, int]:
    try:
        found: tuple[Any, int] = _scan(text, position)
    except StopIteration:
        raise ValueError("not a JSON value") from None
    return found


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON value")
