import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.oci import reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "complete", "familiar"),
    [
        ("web", "docker.io/library/web", "web"),
        ("web:1.0", "docker.io/library/web:1.0", "web:1.0"),
        ("me/web", "docker.io/me/web", "me/web"),
        ("library/web", "docker.io/library/web", "web"),
        ("docker.io/web", "docker.io/library/web", "web"),
        ("index.docker.io/web", "docker.io/library/web", "web"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/web", "localhost/web", "localhost/web"),
        ("localhost:5000/web:x", "localhost:5000/web:x", "localhost:5000/web:x"),
        ("example.com/web", "example.com/web", "example.com/web"),
        ("[::1]:5000/web", "[::1]:5000/web", "[::1]:5000/web"),
        ("HOST/web", "HOST/web", "HOST/web"),
        (f"web@{DIGEST}", f"docker.io/library/web@{DIGEST}", f"web@{DIGEST}"),
        (f"web:1@{DIGEST}", f"docker.io/library/web:1@{DIGEST}", f"web:1@{DIGEST}"),
        ("a__b/c-d_e.f", "docker.io/a__b/c-d_e.f", "a__b/c-d_e.f"),
    ],
)
def test_names_have_a_complete_and_a_familiar_form(text: str, complete: str, familiar: str) -> None:
    name = reference.parse(text)

    assert str(name) == complete
    assert name.familiar == familiar


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        (" ", "invalid reference format"),
        ("-x:1", "invalid reference format"),
        ("x:y:z", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("../../x:y", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("web\n", "invalid reference format"),
        ("web:" + "t" * 129, "invalid reference format"),
        ("Web", "invalid reference format: repository name (library/Web) must be lowercase"),
        ("me/Web", "invalid reference format: repository name (me/Web) must be lowercase"),
        ("a" * 256, "repository name must not be more than 255 characters"),
        (
            "f" * 64,
            f"invalid repository name ({'f' * 64}), cannot specify 64-byte hexadecimal strings",
        ),
        ("web@sha256:" + "a" * 40, "invalid checksum digest length"),
    ],
)
def test_what_is_no_name_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        reference.parse(text)

    assert caught.value.message == message


def test_a_name_without_a_tag_is_latest() -> None:
    assert reference.parse("web").tagged().familiar == "web:latest"
    assert reference.parse("web:1").tagged().familiar == "web:1"
    assert reference.parse(f"web@{DIGEST}").tagged().familiar == f"web@{DIGEST}"


def test_a_digest_makes_a_tag_meaningless() -> None:
    assert reference.parse(f"web:1@{DIGEST}").pinned().familiar == f"web@{DIGEST}"
    assert reference.parse("web:1").pinned().familiar == "web:1"


def test_identifiers_are_complete_ids_only() -> None:
    assert reference.identifier("a" * 64) == DIGEST
    assert reference.identifier(DIGEST) == DIGEST
    assert reference.identifier("a" * 12) is None
    assert reference.identifier("web") is None


@pytest.mark.parametrize(
    ("repo", "tag", "expected"),
    [("", "x", None), ("web", "", "web:latest"), ("web:1", "", "web:1"), ("web", "2", "web:2")],
)
def test_repository_and_tag_in_two_fields(repo: str, tag: str, expected: str | None) -> None:
    name = reference.repository_tag(repo, tag)

    assert (name and name.familiar) == expected


@pytest.mark.parametrize(
    ("repo", "tag", "message"),
    [("web", "-x", "invalid tag format"), (f"web@{DIGEST}", "", "cannot import digest reference")],
)
def test_bad_fields_are_refused(repo: str, tag: str, message: str) -> None:
    with pytest.raises(errors.Invalid, match=f"^{message}$"):
        reference.repository_tag(repo, tag)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("web", True),
        ("web:1", True),
        ("w*", True),
        ("w*:?", True),
        ("web:2", False),
        ("*/web", False),
        ("library/web", False),
    ],
)
def test_patterns_match_the_familiar_form(pattern: str, matches: bool) -> None:
    assert reference.matches(pattern, reference.parse("web:1")) is matches


def test_patterns_do_not_cross_slashes() -> None:
    assert not reference.matches("*", reference.parse("me/web"))
    assert reference.matches("*/*", reference.parse("me/web"))


@given(st.text(max_size=40))
def test_whatever_is_accepted_can_be_written_and_read_again(text: str) -> None:
    try:
        name = reference.parse(text)
    except errors.Invalid:
        return

    assert reference.parse(str(name)) == name
    assert reference.parse(name.familiar) == name
    assert ".." not in str(name)
