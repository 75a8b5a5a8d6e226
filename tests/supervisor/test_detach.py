import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.supervisor import detach


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-a,b", b"\x01b"),
        ("ctrl-@", b"\0"),
        ("ctrl-_", b"\x1f"),
    ],
)
def test_keys_are_read_as_docker_writes_them(text: str, keys: bytes) -> None:
    assert detach.parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-aa", "shift-a", "ctrl-1", "ab"])
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(errors.Invalid, match="Invalid escape keys"):
        detach.parse(text)


def test_the_sequence_is_found_across_reads_and_not_passed_on() -> None:
    watch = detach.Watch(detach.parse(""))

    assert watch.feed(b"ls\n\x10") == (b"ls\n", False)
    assert watch.feed(b"\x11more") == (b"", True)


def test_a_beginning_that_goes_on_otherwise_is_passed_on() -> None:
    watch = detach.Watch(b"\x10\x11")

    assert watch.feed(b"a\x10") == (b"a", False)
    assert watch.feed(b"b") == (b"\x10b", False)
    assert watch.feed(b"\x10\x10\x11") == (b"\x10", True)


@given(st.lists(st.binary(max_size=5).filter(lambda data: b"\x11" not in data)))
def test_without_the_whole_sequence_nothing_is_lost(reads: list[bytes]) -> None:
    watch = detach.Watch(b"\x10\x11")
    passed = b"".join(watch.feed(data)[0] for data in [*reads, b"."])

    assert passed == b"".join(reads) + b"."
