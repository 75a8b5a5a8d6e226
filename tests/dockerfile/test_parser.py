import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.dockerfile import directives, heredocs, operands, parser
from pinnace.dockerfile.heredocs import Heredoc
from pinnace.dockerfile.parser import Node
from pinnace.dockerfile.source import DockerfileError, Lines


def only(text: str) -> Node:
    (node,) = parser.parse(text.encode()).nodes
    return node


def test_a_node_knows_its_first_and_its_last_line() -> None:
    text = "# comment\n\nFROM a\n\nRUN b \\\n  # c\n  d\nRUN <<EOF\nx\n\nEOF\n\nCMD e"

    nodes = parser.parse(text.encode()).nodes

    assert [(n.keyword, n.lines.first, n.lines.last) for n in nodes] == [
        *(("FROM", 3, 3), ("RUN", 5, 7), ("RUN", 8, 11), ("CMD", 13, 13)),
    ]


def test_empty_lines_within_an_instruction_are_told_at_its_end() -> None:
    text = "FROM a\nRUN b \\\n\n  c \\\n\n  d\nRUN e \\\n# f\n  g\n"

    assert parser.parse(text.encode()).empty_continuations == (Lines(6, 6),)


def test_windows_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    nodes = parser.parse(b"\xef\xbb\xbfFROM a \\\r\n AS b\r\nRUN <<E\r\nx\r\nE\r\n").nodes

    assert nodes[0].operands == ("a", "AS", "b")
    assert nodes[1].heredocs[0].content == "x\r\n"


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert parser.parse(b"RUN \xff\n").nodes[0].operands == ("�",)


def test_comments_stay_with_the_instruction_below() -> None:
    text = "# escape=\\\n# one\n\n  # two\nFROM a\n# three\n#\n# four\nRUN b"

    nodes = parser.parse(text.encode()).nodes

    assert [node.comments for node in nodes] == [("one", "# two"), ("four",)]


def test_a_line_may_be_long_but_not_too_long() -> None:
    assert len(only("RUN " + "x" * 65531).operands[0]) == 65531
    with pytest.raises(DockerfileError) as caught:
        parser.parse(b"FROM a\nRUN " + b"x" * 65532)
    assert caught.value.message == "dockerfile line greater than max allowed size of 65535"


def test_a_file_may_not_be_too_large() -> None:
    with pytest.raises(errors.Invalid, match="greater than max allowed size"):
        parser.parse(b"#" * ((16 << 20) + 1))


def test_an_escaped_escape_at_the_end_continues_nothing() -> None:
    nodes = parser.parse(b"RUN a\\\\\nRUN b\n").nodes

    assert [node.operands for node in nodes] == [("a\\\\",), ("b",)]


def test_the_escape_can_be_another() -> None:
    tree = parser.parse(b"# escape=`\nFROM a\nRUN b`\n c\nCOPY c:\\ d:\\\n")

    assert tree.escape == "`"
    assert [n.operands for n in tree.nodes[1:]] == [("b c",), ("c:\\", "d:\\")]


@pytest.mark.parametrize(
    ("line", "flags", "values"),
    [
        ("COPY --a=b --c d e", ("--a=b", "--c"), ("d", "e")),
        ("COPY --a='b c' --d=\"e f\"  g h", ("--a=b c", "--d=e f"), ("g", "h")),
        ("COPY --a=b\\ c d", ("--a=b c",), ("d",)),
        ("COPY --a=ü d", ("--a=ü",), ("d",)),
        ("COPY -- --a b", (), ("--a", "b")),
        ("COPY --a=b", ("--a=b",), ()),
        ("COPY --", (), ()),
        ('COPY --a="', ("--a=",), ()),
        ("COPY --a=\\", ("--a=",), ()),
    ],
)
def test_flags_come_before_the_operands(
    line: str, flags: tuple[str, ...], values: tuple[str, ...]
) -> None:
    statement = operands.statement(line, "\\")
    parsed = operands.parse("copy", statement.rest, "\\")

    assert (statement.flags, parsed.values) == (flags, values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo bar", ["foo", "bar"]),
        ("foo\\ bar", ["foo\\ bar"]),
        ("foo=bar 'abc xyz'", ["foo=bar", "'abc xyz'"]),
        ('a="b c"d e', ['a="b c"d', "e"]),
        ('"a\\" b" c', ['"a\\" b"', "c"]),
        ("'a\\' b", ["'a\\'", "b"]),
        ("föo “bar”", ["föo", "“bar”"]),
        ("a\\", ["a"]),
        ('"a\\', ['"a']),
        ('"open end', ['"open end']),
        ("", []),
    ],
)
def test_words_keep_their_quotes(text: str, words: list[str]) -> None:
    assert operands.words(text, "\\") == words


@pytest.mark.parametrize(
    ("line", "values", "json"),
    [
        ('CMD ["a", "b"]', ("a", "b"), True),
        ("CMD []", (), True),
        ("CMD ['a']", ("['a']",), False),
        ('CMD ["a"', ('["a"',), False),
        ('CMD ["a"] b', ('["a"] b',), False),
        ('CMD ["' + "\\u00fc" + '"]', ("ü",), True),
        ("CMD " + "[" * 5000, ("[" * 5000,), False),
        ('COPY ["a b", "c"]', ("a b", "c"), True),
        ('HEALTHCHECK CMD ["a"]', ("CMD", "a"), True),
        ("HEALTHCHECK cmd  a b ", ("cmd", "a b"), False),
        ("ENV a=b c=d=e", ("a", "b", "=", "c", "d=e", "="), False),
        ("ENV a b c=d", ("a", "b c=d", ""), False),
        ("FOO a b", (), False),
    ],
)
def test_operands_are_split_by_the_grammar_of_the_instruction(
    line: str, values: tuple[str, ...], json: bool
) -> None:
    node = only(line)

    assert (node.operands, node.json) == (values, json)


HEREDOCS = [
    ("RUN <<EMPTY\nEMPTY", [Heredoc("EMPTY")]),
    ("RUN 3<<EOF\nEOF", [Heredoc("EOF")]),
    ('RUN "<<NO"', []),
    ("USER <<NO", []),
    ('RUN ["<<NO"]', []),
    ("RUN <<EOF\n\tfoo\n\tEOF\nEOF", [Heredoc("EOF", content="\tfoo\n\tEOF\n")]),
    ("RUN <<-EOF\n\tfoo\n\tEOF", [Heredoc("EOF", chomp=True, content="\tfoo\n")]),
    ("RUN <<-'EOF'\n$a\nEOF", [Heredoc("EOF", expand=False, chomp=True, content="$a\n")]),
    ("RUN <<E\n# no comment \\\nE", [Heredoc("E", content="# no comment \\\n")]),
    ("RUN --mount=type=cache,target=/x <<E\nE", [Heredoc("E")]),
    ("COPY <<X <<Y /\nY\nX\nX\nY", [Heredoc("X", content="Y\n"), Heredoc("Y", content="X\n")]),
    ("RUN <<E python3 > out\nx\nE", [Heredoc("E", content="x\n")]),
    ("COPY <<file.txt /\nx\nfile.txt", [Heredoc("file.txt", content="x\n")]),
    ("RUN <<eo'f'\nx\neof", [Heredoc("eof", expand=False, content="x\n")]),
    ("RUN <<eo\\'f\nx\neo'f", [Heredoc("eo'f", content="x\n")]),
    ("RUN <<'e'o\\'f\nx\neo'f", [Heredoc("eo'f", expand=False, content="x\n")]),
    ("RUN <<'one two'\nx\none two", [Heredoc("one two", expand=False, content="x\n")]),
    ("RUN <<$EOF\n$EOF", [Heredoc("$EOF")]),
    ("RUN <<  EOF  > foo\nEOF", [Heredoc("EOF")]),
    ("RUN cat <<<EOF", []),
    ("RUN echo $((1<<2))", []),
    ("RUN echo 'open <<EOF", []),
    ("ONBUILD COPY <<E /\nx\nE", [Heredoc("E", content="x\n")]),
    ('ONBUILD COPY ["<<E", "/"]', []),
]


@pytest.mark.parametrize(("text", "expected"), HEREDOCS)
def test_heredocs_are_read(text: str, expected: list[Heredoc]) -> None:
    assert list(only(text).heredocs) == expected


def test_leading_tabs_are_dropped_from_each_line() -> None:
    assert Heredoc("E", chomp=True, content="\thello\n\t\tworld\n x\n").text == "hello\nworld\n x\n"
    assert Heredoc("E", content="\tx").text == "\tx"


def test_an_unterminated_heredoc_is_refused_with_its_lines() -> None:
    with pytest.raises(DockerfileError) as caught:
        parser.parse(b"FROM a\nRUN \\\n <<EOF\nx\n")

    assert caught.value.message == "unterminated heredoc"
    assert caught.value.places == (Lines(2, 4),)


@pytest.mark.parametrize("word", ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<EOF sh"])
def test_what_is_no_heredoc(word: str) -> None:
    assert heredocs.parse(word) is None


@pytest.mark.parametrize("word", ["<<'EOF", '<<"EOF', "<<EOF'"])
def test_a_heredoc_with_an_open_quote_is_refused(word: str) -> None:
    with pytest.raises(errors.Invalid):
        heredocs.parse(word)
    assert heredocs.lenient(word) is None


@pytest.mark.parametrize(
    ("text", "value", "line"),
    [
        ("# syntax = a/b:1 // x\nFROM c", "a/b:1", 1),
        ("#!/bin/sh\n# syntax=a\nFROM c", "a", 2),
        ("\ufeff# syntax=a\r\nFROM c", "a", 1),
        ("# escape=`\n# SYNTAX=a\n", "a", 2),
        ("//syntax=a\n//key=value", "a", 1),
        ("#!/bin/sh\n//syntax=a", "a", 2),
        ('{"syntax": "a", "b": []}', "a", 1),
        ("\n# syntax=a", None, 0),
        ("# key=value\n# syntax=a", None, 0),
        ("FROM a\n", None, 0),
        ('{"syntax": 1}', None, 0),
        ('{"syntax": "a"', None, 0),
        ("# escape=`\n# escape=`\n# syntax=a", None, 0),
    ],
)
def test_the_syntax_is_found_in_three_spellings(text: str, value: str | None, line: int) -> None:
    directive = directives.syntax(text.encode())

    assert (directive.word if directive else None) == value
    assert (directive.lines.first if directive else 0) == line


def test_other_directives_are_found_in_one_spelling() -> None:
    found = directives.find("check", b"# syntax=a\n# check=skip=all // b\n")

    assert found is not None
    assert found.value == "skip=all // b"
    assert found.word == "skip=all"
    assert directives.find("check", b"//check=skip=all\n") is None


def test_a_directive_of_spaces_has_one() -> None:
    with pytest.raises(errors.Invalid, match="invalid escape token ' '"):
        parser.parse(b"# escape =   \nFROM a\n")


def test_many_comments_and_spaces_take_linear_time() -> None:
    parser.parse(b"# escape=" + b" " * 60000 + b"\\\n" + b"#a\n" * 200_000 + b"FROM a\n")


def test_directives_are_kept_in_the_tree() -> None:
    tree = parser.parse(b"# syntax=a\n# escape=`\n# other=b\n# check=c\nFROM a\n")

    assert [(d.name, d.value) for d in tree.directives] == [("syntax", "a"), ("escape", "`")]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for known in (b"", b"RUN ", b"# escape=`\nONBUILD COPY <<E "):
        try:
            parser.parse(known + data)
        except errors.Invalid:
            continue


LINES = st.text(alphabet="RUN COPY<<E-'\"\\`[]{}$=#,\n\t x", max_size=60)


@settings(max_examples=300, deadline=None)
@given(LINES)
def test_what_is_nearly_a_dockerfile_is_parsed_or_refused(text: str) -> None:
    try:
        parser.parse(b"RUN " + text.encode())
    except errors.Invalid:
        return
