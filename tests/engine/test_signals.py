"""Names of signals and keys."""

import pytest

from pinnace import errors
from pinnace.engine import signals


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGKILL", 9), ("RTMIN+3", 37),
        ("sigrtmin+3", 37), ("RTMAX-1", 63), ("RTMAX", 64), ("RTMIN", 34), ("CLD", 17),
        ("WINCH", 28), ("64", 64),
    ],
)  # fmt: skip
def test_signals(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid signal: "),
        ("FOO", "invalid signal: FOO"),
        ("0", "invalid signal: 0"),
        ("99", "the linux daemon does not support signal 99"),
        ("-3", "the linux daemon does not support signal -3"),
        ("32", "the linux daemon does not support signal 32"),
        ("9" * 30, f"the linux daemon does not support signal {'9' * 30}"),
        ("٣", "invalid signal: ٣"),
    ],
)
def test_signals_that_are_none(text: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        signals.parse(text)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b""),
        ("ctrl-p,ctrl-q", signals.DEFAULT_DETACH_KEYS),
        ("a,ctrl-@,DEL,ctrl-_", b"a\x00\x7f\x1f"),
        ("ctrl-[", b"\x1b"),
    ],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert signals.detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-A", "ab", "a,,b", "é"])
def test_detach_keys_that_are_none(text: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        signals.detach_keys(text)
    assert refused.value.message == f"Invalid escape keys ({text}) provided"
