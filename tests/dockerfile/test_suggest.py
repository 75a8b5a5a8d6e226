import pytest

from pinnace.dockerfile import suggest


@pytest.mark.parametrize(
    ("word", "options", "fold", "best"),
    [
        ("RNU", ["ENV", "RUN"], True, "ENV"),
        ("cpoy", ["COPY"], True, "copy"),
        ("COPPY", ["copy"], True, "COPY"),
        ("form", ["from", "chown"], False, "from"),
        ("xyz", ["from"], False, ""),
        ("from", ["from", "form"], False, ""),
        ("longer-by-far", ["x"], False, ""),
        ("x" * 60000, ["x" * 59999 + "y"], False, ""),
    ],
)
def test_the_nearest_word_is_suggested(
    word: str, options: list[str], fold: bool, best: str
) -> None:
    assert suggest.suggestion(word, options, fold_case=fold) == best
