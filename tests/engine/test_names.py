"""Names of containers."""

import random

import pytest

from pinnace import errors
from pinnace.engine import names


@pytest.mark.parametrize(("name", "plain"), [("/web", "web"), ("a-b_c.9", "a-b_c.9")])
def test_names(name: str, plain: str) -> None:
    assert names.check(name) == plain


@pytest.mark.parametrize("name", ["", "/", "a", "-ab", "a b", "ab\n", "../ab", "a/b", "éa"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        names.check(name)
    assert refused.value.message == (
        f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )


def test_a_generated_name_is_two_words_and_later_a_digit() -> None:
    source = random.Random(1)
    first = names.generate(0, source=source)
    second = names.generate(1, source=source)
    assert names.check(first) == first
    assert first.count("_") >= 1
    assert second[-1].isdigit()


def test_a_taken_name_says_whose_it_is() -> None:
    assert names.taken("web", "c1").message == (
        'Conflict. The container name "/web" is already in use by container "c1". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
