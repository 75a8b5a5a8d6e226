import pytest

from pinnace.dockerfile.source import DockerfileError, Lines, excerpt

DATA = "\n".join(f"line {number}" for number in range(1, 10)).encode()


def shown(place: Lines) -> tuple[str, list[int], list[int]]:
    """The head, the lines that are shown, and those that are marked."""
    head, *rest = excerpt(DATA, [place], "sub/Dockerfile").splitlines()
    lines = [line for line in rest if "|" in line]
    numbers = [int(line.split("|")[0]) for line in lines]
    marked = [number for number, line in zip(numbers, lines, strict=True) if ">>>" in line]
    return head, numbers, marked


@pytest.mark.parametrize(
    ("place", "numbers"),
    [
        (Lines(1, 1), [1, 2, 3]),
        (Lines(2, 2), [1, 2, 3, 4]),
        (Lines(5, 5), [3, 4, 5, 6, 7]),
        (Lines(9, 9), [7, 8, 9]),
        (Lines(4, 6), [3, 4, 5, 6, 7]),
        (Lines(1, 9), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Lines(8, 20), [7, 8, 9]),
    ],
)
def test_an_excerpt_shows_the_lines_around(place: Lines, numbers: list[int]) -> None:
    head, found, marked = shown(place)

    assert head == f"sub/Dockerfile:{place.first}"
    assert found == numbers
    assert marked == list(range(place.first, min(place.last, 9) + 1))


def test_an_excerpt_looks_as_from_buildkit() -> None:
    assert excerpt(b"FROM a\n\tRUN b\n", [Lines(2, 2)]) == (
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM a\n"
        "   2 | >>> \tRUN b\n"
        "   3 |     \n"
        "--------------------\n"
    )


@pytest.mark.parametrize("place", [Lines(0, 0), Lines(10, 12)])
def test_a_place_that_is_not_there_shows_nothing(place: Lines) -> None:
    assert excerpt(DATA, [place]) == ""
    assert excerpt(DATA, []) == ""


def test_an_error_keeps_its_first_place() -> None:
    error = DockerfileError("wrong").at(Lines(1, 2)).at(Lines(3, 4))

    assert error.places == (Lines(1, 2),)
    assert error.message == "wrong"
    assert error.excerpts(DATA).startswith("Dockerfile:1\n")
