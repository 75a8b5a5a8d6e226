import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.dockerfile import globs, ignore
from pinnace.dockerfile.ignore import Matcher

# As moby/patternmatcher's own tests have it.
MATCHES = [
    ("**", "file", True),
    ("**", "dir/file", True),
    ("**/", "file", True),
    ("**/", "dir/file/", True),
    ("**/**", "dir/file", True),
    ("dir/**", "dir/file", True),
    ("dir/**", "dir/dir2/file", True),
    ("dir/**", "dir", False),
    ("**/dir", "dir", True),
    ("**/dir", "dir/file", True),
    ("**/dir2/*", "dir/dir2/file", True),
    ("**/dir2/*", "dir/dir2/file/", True),
    ("**/dir2/**", "dir/dir2/dir3/file", True),
    ("**file", "file", True),
    ("**file", "dir/file", True),
    ("**file", "dir/other-file", True),
    ("**/file", "dir/dir/file", True),
    ("**/file", "dir/other-file", False),
    ("**/file*", "dir/dir/file.txt", True),
    ("**/file*txt", "dir/dir/file.txt", True),
    ("**/file*.txt*", "dir/dir/file.txt", True),
    ("**/**/*.txt", "dir/dir/file.txt", True),
    ("**/**/*.txt2", "dir/dir/file.txt", False),
    ("**/*.txt", "file.txt", True),
    ("a**/*.txt", "a/file.txt", True),
    ("a**/*.txt", "a/dir/dir/file.txt", True),
    ("a/*.txt", "a/dir/file.txt", False),
    ("a/*.txt", "a/file.txt", True),
    ("a/*.txt**", "a/file.txt", True),
    ("a[b-d]e", "ae", False),
    ("a[b-d]e", "ace", True),
    ("a[^b-d]e", "aze", True),
    ("a[^b-d]e", "ace", False),
    (".*", ".foo", True),
    (".*", "foo", False),
    ("abc.def", "abc.def", True),
    ("abc.def", "abcZdef", False),
    ("abc?def", "abcZdef", True),
    ("abc?def", "abc/def", False),
    ("abc?def", "abcdef", False),
    ("a\\\\", "a\\", True),
    ("a\\*b", "a*b", True),
    ("a\\*b", "axb", False),
    ("**/foo/bar", "foo/bar", True),
    ("**/foo/bar", "dir/dir2/foo/bar", True),
    ("abc/**", "abc/def/ghi", True),
    ("**/.foo", ".foo", True),
    ("**/.foo", "bar.foo", False),
    ("a(b)c/def", "a(b)c/def", True),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
    ("a.|)$(}+{b*", "a.|)$(}+{bc", True),
    ("dist/*.whl", "dist/a-2.4.0rc3.dev36+g08acad9.whl", True),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False),
    ("a*b?c*x", "abxbbxdbxebxczzx", True),
    ("a*b?c*x", "abxbbxdbxebxczzy", False),
    ("a?b", "a☺b", True),
    ("[a-ζ]*", "α", True),
    ("*[a-ζ]", "A", False),
    ("[\\]a]", "]", True),
    ("[x\\-]", "-", True),
    ("[[]x", "[x", True),
    ("[*]", "*", True),
    ("*x", "xxx", True),
    ("a^b", "a^b", True),
    ("a^b*", "a^b", False),
    ("^a*", "ab", True),
    ("[\\d]", "5", True),
    ("\\t", "\t", True),
    ("\\d", "5", True),
    ("a", "a/b/c", True),
    ("a/b", "a", False),
    ("foo\\bar", "foobar", False),
]


@pytest.mark.parametrize(("pattern", "path", "matches"), MATCHES)
def test_a_pattern_fits_a_path_or_one_of_its_folders(
    pattern: str, path: str, matches: bool
) -> None:
    assert Matcher([pattern]).matches(path) is matches


@pytest.mark.parametrize(
    ("patterns", "path", "matches"),
    [
        (["!fileutils.go", "*.go"], "fileutils.go", True),
        (["*.go", "!fileutils.go"], "fileutils.go", False),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs/", "!docs/README.md"], "docs/README.md", False),
        (["docs/*", "!docs/README.md"], "docs/README.md", False),
        (["docs", "!docs/README.md"], "docs/other", True),
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["**", "!dist/*.whl"], "dist/a+b.whl", False),
        (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
        ([], "any/path", False),
        (["docs", "", "  "], "docs", True),
        (["t/*", "!t"], "t/a", True),
        (["t", "!t"], "t/a", False),
        (["*", "!t/dir/*", "t/dir"], "t/dir/a", False),
    ],
)
def test_the_last_pattern_that_fits_decides(patterns: list[str], path: str, matches: bool) -> None:
    assert Matcher(patterns).matches(path) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        *("[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[", "[^", "[^bc", "a[", "a\\"),
        *("[z-a]", "\\g", "\\é", "[\\q]", "[\\"),
    ],
)
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(errors.Invalid, match="syntax error in pattern"):
        Matcher([pattern])


def test_an_exception_of_nothing_is_refused() -> None:
    with pytest.raises(errors.Invalid, match='illegal exclusion pattern: "!"'):
        Matcher(["!"])


def test_a_file_of_patterns_is_cleaned_line_by_line() -> None:
    data = (
        b"\xef\xbb\xbf# comment\n\n  test1 \r\n/test2\n/a/file/here\n #x\n"
        b"! /inverted/abs\n!\n!  \n./a/../b/\n"
    )

    assert ignore.read(data) == [
        *("test1", "test2", "a/file/here", "#x", "!inverted/abs", "!", "!", "b"),
    ]


def test_a_dockerfile_may_have_patterns_of_its_own() -> None:
    assert ignore.candidates("sub/app.Dockerfile") == (
        "sub/app.Dockerfile.dockerignore",
        ".dockerignore",
    )


@pytest.mark.parametrize(
    ("exception", "folder", "may"),
    [
        ("!docs/README.md", "docs", True),
        ("!docs/README.md", "doc", False),
        ("!docs/a/*.md", "docs", True),
        ("!docs/a*", "docs/abc", True),
        ("!docs/a*", "docs/bcd", False),
        ("!**/x", "anything", True),
    ],
)
def test_a_folder_is_entered_for_what_may_be_taken_back(
    exception: str, folder: str, may: bool
) -> None:
    assert Matcher(["*", exception]).may_hold_exceptions(folder) is may


PIECES = st.sampled_from(["a", "b", ".", "/", "*", "**", "**/", "?", "[ab]", "[^a]", "\\*", "x/"])
PATHS = st.text(alphabet="ab./*x", min_size=1, max_size=12)


@given(st.lists(PIECES, min_size=1, max_size=8), PATHS)
def test_the_automaton_agrees_with_the_regular_expression(pieces: list[str], path: str) -> None:
    _, tokens = globs.parse("".join(pieces))
    source = "".join(globs._source(token) for token in tokens)

    expected = re.fullmatch(source, path, re.ASCII) is not None
    assert globs.Automaton(tokens).fits(path) is expected


@given(st.lists(st.text(max_size=12), max_size=6), st.text(min_size=1, max_size=20))
def test_any_text_is_a_pattern_or_is_refused(patterns: list[str], path: str) -> None:
    try:
        matcher = Matcher(patterns)
    except errors.Invalid:
        return
    matcher.matches(path)


def test_many_stars_are_read_in_one_pass() -> None:
    matcher = Matcher(["*a" * 20 + "b", "**/a" * 10 + "/**/b"])

    assert not matcher.matches("a" * 4000)
    assert not matcher.matches("a/" * 1000 + "c")


@settings(max_examples=20)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_of_patterns(data: bytes) -> None:
    ignore.read(data)
