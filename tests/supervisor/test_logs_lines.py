"""Output → entries, as Docker's copier cuts them."""

from hypothesis import given
from hypothesis import strategies as st

from pinnace.supervisor.logs_lines import LONGEST, Lines, Run


def entries(runs: list[Run]) -> list[Run]:
    return [Run(line, time) for data, time in runs for line in data.splitlines(keepends=True)]


def naive(data: bytes) -> list[bytes]:
    """The rules of the module, one entry at a time."""
    found = []
    while data:
        newline = data.find(b"\n", 0, LONGEST)
        end = newline + 1 if newline >= 0 else min(LONGEST, len(data))
        found.append(data[:end])
        data = data[end:]
    return found


# Lengths of lines that are around what matters, and sizes of reads likewise.
LENGTHS = st.one_of(
    st.integers(0, 40),
    st.sampled_from([1, 2, 3]).flatmap(lambda n: st.integers(n * LONGEST - 2, n * LONGEST + 2)),
)
READS = st.one_of(st.integers(1, 50), st.integers(LONGEST - 2, 3 * LONGEST))


@given(st.lists(LENGTHS, max_size=8), st.lists(READS, max_size=12), st.booleans())
def test_entries_do_not_depend_on_how_the_output_was_read(
    lengths: list[int], reads: list[int], is_terminated: bool
) -> None:
    data = b"\n".join(b"x" * length for length in lengths) + b"\n" * is_terminated
    lines = Lines()

    runs, rest = [], data
    for size in [*reads, len(data) + 1]:
        runs += lines.feed(rest[:size], 1)
        rest = rest[size:]
    runs += lines.flush(1)

    assert [run.data for run in entries(runs)] == naive(data)


def test_a_line_waits_for_its_end_and_gets_the_time_of_it() -> None:
    lines = Lines()

    assert lines.feed(b"half", 1) == []
    assert lines.feed(b" a line\nnext", 2) == [Run(b"half a line\n", 2)]
    assert lines.flush(3) == [Run(b"next", 3)]
    assert lines.flush(4) == []


def test_the_pieces_of_a_long_line_have_the_time_of_the_first() -> None:
    lines = Lines()

    runs = lines.feed(b"ok\n" + b"x" * LONGEST, 1)
    runs += lines.feed(b"y" * LONGEST, 2)
    runs += lines.feed(b"z\nafter\n", 3)

    assert runs == [
        Run(b"ok\n", 1),
        Run(b"x" * LONGEST, 1),
        Run(b"y" * LONGEST, 1),
        Run(b"z\n", 1),
        Run(b"after\n", 3),
    ]


def test_what_ends_a_long_line_without_a_newline_has_its_time_too() -> None:
    lines = Lines()

    lines.feed(b"x" * LONGEST + b"rest", 1)

    assert lines.flush(2) == [Run(b"rest", 1)]


def test_no_more_than_a_piece_is_kept() -> None:
    lines = Lines()

    for _ in range(100):
        lines.feed(b"x" * 5000, 1)

    assert len(lines._rest) < LONGEST
