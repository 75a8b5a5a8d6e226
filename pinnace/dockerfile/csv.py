"""One record of comma-separated values (RFC 4180), as --mount and --device are written."""


def fields(text: str) -> list[str]:
    """Raises ValueError in the words of Go's encoding/csv."""
    if not text:
        raise ValueError("EOF")
    found: list[str] = []
    at = 0
    while True:
        read = _quoted if text.startswith('"', at) else _plain
        value, at = read(text, at)
        found.append(value)
        if at >= len(text):
            return found
        at += 1


def _plain(text: str, at: int) -> tuple[str, int]:
    end = text.find(",", at)
    end = len(text) if end < 0 else end
    value = text[at:end]
    if '"' in value:
        raise _wrong(text, at + value.index('"'), 'bare " in non-quoted field')
    return value, end


def _quoted(text: str, at: int) -> tuple[str, int]:
    pieces: list[str] = []
    start = at + 1
    while True:
        end = text.find('"', start)
        if end < 0:
            raise _wrong(text, start, 'extraneous or missing " in quoted-field')
        pieces.append(text[start:end])
        following = text[end + 1 : end + 2]
        if following in ("", ","):
            return "".join(pieces), end + 1
        if following != '"':
            raise _wrong(text, end, 'extraneous or missing " in quoted-field')
        pieces.append('"')
        start = end + 2


def _wrong(text: str, at: int, what: str) -> ValueError:
    column = len(text[:at].encode()) + 1
    return ValueError(f"parse error on line 1, column {column}: {what}")
