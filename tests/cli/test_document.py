import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.cli import document

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    if isinstance(value, float) and math.isinf(value):
        return
    try:
        text = document.encode(value)
    except ValueError:
        return  # an infinity somewhere inside
    assert document.decode(text) == value
    assert document.decode(
        f" {text}\n".encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    ) == json.loads(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


@pytest.mark.parametrize("text", ["", " ", "{", "[1,", '{"a":}', "nul", "1 2", '"x'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        document.decode(text)


def test_values_follow_each_other() -> None:
    assert document.decode_all('{"a":1}\r\n[2] 3 {"b"') == ([{"a": 1}, [2], 3], '{"b"')


@given(
    st.lists(st.dictionaries(st.text(), st.integers(), max_size=3), max_size=5), st.integers(1, 9)
)
def test_a_stream_is_read_whatever_its_pieces(values: list[Any], size: int) -> None:
    data = b"".join(document.encode(value).encode("utf-8", "replace") + b"\n" for value in values)
    pieces = [data[i : i + size] for i in range(0, len(data), size)]

    found = list(document.decode_stream(iter(pieces)))

    assert found == [json.loads(line) for line in data.split(b"\n") if line]


def test_a_stream_may_end_without_a_newline() -> None:
    assert list(document.decode_stream(iter([b'{"a"', b":1}"]))) == [{"a": 1}]


@pytest.mark.parametrize("value", [{}, [], {"a": []}, [{}], {"a": {"b": [1, "x", None]}, "c": 1.5}])
def test_indentation_is_gos(value: Any) -> None:
    assert document.indented(value) == json.dumps(value, indent=4)


def test_text_is_not_escaped_but_what_must() -> None:
    assert document.encode({"ä<&>": '"\\\n\x01'}) == '{"ä<&>":"\\"\\\\\\n\\u0001"}'


def test_without_the_private_part_the_json_package_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_json", None)
    monkeypatch.setattr(document, "_scan", document._scanner())

    assert document.decode('{"a": [1, "ä"]}') == {"a": [1, "ä"]}
    assert document.encode({"b": 1, "a": "ä"}, sort_keys=True) == '{"a":"ä","b":1}'
