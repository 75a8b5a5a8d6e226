import pytest

from pinnace.cli import reference

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "full", "shown"),
    [
        ("busybox", "docker.io/library/busybox", "busybox:latest"),
        ("a/b:1", "docker.io/a/b", "a/b:1"),
        ("docker.io/library/x:y", "docker.io/library/x", "x:y"),
        ("index.docker.io/x", "docker.io/library/x", "x:latest"),
        ("localhost/x", "localhost/x", "localhost/x:latest"),
        ("reg.example:5000/a/b_c", "reg.example:5000/a/b_c", "reg.example:5000/a/b_c:latest"),
        ("UPPER/x", "UPPER/x", "UPPER/x:latest"),
        (f"x@{DIGEST}", "docker.io/library/x", f"x@{DIGEST}"),
        (f"x:1@{DIGEST}", "docker.io/library/x", f"x:1@{DIGEST}"),
    ],
)
def test_names(text: str, full: str, shown: str) -> None:
    found = reference.parse(text)

    assert found is not None
    assert found.full == full
    assert str(found) == shown


@pytest.mark.parametrize("text", ["ab" * 32, DIGEST])
def test_an_id_is_no_name(text: str) -> None:
    assert reference.parse(text) is None


@pytest.mark.parametrize(
    "text", ["", "a//b", "/a", "a_-b", "-a", "a-", "a:", "a:.x", "a:b:c", "x@sha256:abc", "x@", "ä"]
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="invalid reference format"):
        reference.named(text)


def test_capitals_are_told_apart() -> None:
    with pytest.raises(ValueError, match=r"repository name \(library/Foo\) must be lowercase"):
        reference.named("Foo")


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("", ""),
        ("linux/amd64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("armhf", "linux/arm/v7"),
    ],
)
def test_platforms(text: str, platform: str) -> None:
    assert reference.platform(text) == platform
