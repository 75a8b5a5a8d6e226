import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.cli import connection
from pinnace.cli.connection import Address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unix:///run/x.sock", "unix:///run/x.sock"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("tcp://1.2.3.4:5", "tcp://1.2.3.4:5"),
        ("tcp://1.2.3.4", "tcp://1.2.3.4:2375"),
        ("tcp://", "tcp://localhost:2375"),
        ("1.2.3.4:5", "tcp://1.2.3.4:5"),
        ("tcp://[::1]:5", "tcp://[::1]:5"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("tcp://host:5/path", "tcp://host:5"),
    ],
)
def test_addresses(text: str, shown: str) -> None:
    assert Address(text).text == shown


@pytest.mark.parametrize("text", ["foo://x", "tcp://x:y", "npipe://x"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="invalid bind address format"):
        Address(text)


@given(st.text())
def test_quoting_is_undone_by_anyone(text: str) -> None:
    from urllib.parse import unquote_to_bytes

    raw = text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    assert unquote_to_bytes(connection.quote(raw)) == raw.encode("utf-8", "surrogateescape")


def test_queries() -> None:
    query = {"a": None, "b": False, "c": True, "d": 0, "e": ["1", "2"], "f": [], "g": "x y"}

    assert connection.encode_query(query) == "?c=1&d=0&e=1&e=2&g=x%20y"
    assert connection.encode_query({}) == ""
