import pytest

from pinnace.dockerfile import remotes
from pinnace.dockerfile.remotes import Git, Http
from pinnace.dockerfile.source import DockerfileError


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("src/file", None),
        ("./git@host:x.git", None),
        ("foo://host/x.git", None),
        ("github.com/org/repo", None),
        ("https://[::1/x.git", Http("https://[::1/x.git")),
        ("git@host:a\nb", None),
        ("git@host:a?ref=b/c#b/c", Git("git@host:a", "b/c")),
        ("http://host/x", Http("http://host/x")),
        ("https://host/x.git/y", Http("https://host/x.git/y")),
        ("https://host/x.git", Git("https://host/x.git")),
        ("https://u@host/x.git#main:a/../b", Git("https://u@host/x.git", "main", "b")),
        ("git://host/x#:sub", Git("git://host/x", "", "sub")),
        ("ssh://git@host:22/x.git#v1", Git("ssh://git@host:22/x.git", "v1")),
        ("git@host:org/x.git#v1:d", Git("git@host:org/x.git", "v1", "d")),
        (
            "https://host/x.git?tag=v1&subdir=d&commit=abc&keep-git-dir&submodules=false",
            Git("https://host/x.git", "refs/tags/v1", "d", "abc", True, False),
        ),
        ("git@host:x?branch=b", Git("git@host:x", "refs/heads/b")),
        (
            "https://host/x.git?mtime=commit&fetch-by-commit=1",
            Git("https://host/x.git", fetch_by_commit=True, mtime="commit"),
        ),
    ],
)
def test_a_source_is_a_url_a_repository_or_a_file(source: str, expected: object) -> None:
    assert remotes.parse(source) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("foo=bar", 'unexpected query "foo"'),
        ("foo=", 'query "foo" has no value'),
        ("ref=", 'query "ref" has no value'),
        ("ref=a&ref=b", 'query "ref" has multiple values'),
        ("ref=a&tag=b", 'ref conflicts: "a" vs "refs/tags/b"'),
        ("tag=a&branch=b", "branch conflicts with tag"),
        ("submodules=x", 'invalid submodules value: "x"'),
        ("mtime=x", 'invalid mtime value: "x" (must be "checkout" or "commit")'),
    ],
)
def test_a_wrong_query_is_refused(query: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        remotes.parse(f"https://host/x.git?{query}")

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host/a/b.tgz?x#y", "b.tgz"),
        ("http://host/a/", "a"),
        ("http://host", "__unnamed__"),
        ("http://host/", "__unnamed__"),
    ],
)
def test_a_download_is_named_after_its_url(url: str, name: str) -> None:
    assert Http(url).filename == name
