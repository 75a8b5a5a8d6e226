import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.dockerfile import expand, wildcards
from pinnace.dockerfile.expand import ExpansionError, Lexer

XX = {"FOO": "xxyy"}


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("${FOO-aaa} ${BAR-bbb} ${BAZ-ccc}", {"FOO": "xxx", "BAR": ""}, "xxx  ccc"),
        ("${FOO:-aaa} ${BAR:-bbb} ${BAZ:-ccc}", {"FOO": "xxx", "BAR": ""}, "xxx bbb ccc"),
        ("${FOO+aaa} ${BAR+bbb} ${BAZ+ccc}", {"FOO": "xxx", "BAR": ""}, "aaa bbb "),
        ("${FOO:+aaa} ${BAR:+bbb} ${BAZ:+ccc}", {"FOO": "xxx", "BAR": ""}, "aaa  "),
        ("${FOO?aaa}${BAR?bbb}", {"FOO": "xxx", "BAR": ""}, "xxx"),
        ("${FOO#()[]{\\}^$.\\*\\?|\\\\}", {"FOO": "()[]{}^$.*?|\\x"}, "x"),
        ("${FOO%%\\**}", {"FOO": "xx**"}, "xx"),
        ("${FOO#*x*y}", XX, "y"),
        ("${FOO#*}", XX, "xxyy"),
        ("${FOO##*}", XX, ""),
        ("${FOO#$BAR}", {"FOO": "xxyy", "BAR": "x"}, "xyy"),
        ("${FOO#}", XX, "xxyy"),
        ("${FOO##*x}", XX, "yy"),
        ("${FOO#?\\?}", {"FOO": "???y"}, "?y"),
        ("${ABC:-.}${FOO%x}${ABC:-.}", XX, ".xxyy."),
        ("${FOO%%\\**\\*}", {"FOO": "a***yy*"}, "a"),
        ("${FOO%y*}", XX, "xxy"),
        ("${FOO%%y*}", XX, "xx"),
        (
            "${FOO/$NEEDLE/.} - ${FOO//$NEEDLE/.}",
            {"FOO": "/foo*/*/*.txt", "NEEDLE": "\\*/"},
            "/foo.*/*.txt - /foo..*.txt",
        ),
        (
            "${FOO/$NEEDLE/} - ${FOO//$NEEDLE/}",
            {"FOO": "/tmp/tmp/bar.txt", "NEEDLE": "/tmp"},
            "/tmp/bar.txt - /bar.txt",
        ),
        ("${FOO//\\//\\/}", {"FOO": "/tmp/foo.txt"}, "\\/tmp\\/foo.txt"),
        ("${FOO/$BAR/ww}", {"FOO": "xxyy", "BAR": ""}, "wwxxyy"),
        ("${FOO//$BAR/w}", {"FOO": "xy", "BAR": ""}, "wxwyw"),
        ("${FOO///}", XX, "xxyy"),
        ("${FOO/x*/-}", {"FOO": "axx\nx"}, "a-\nx"),
    ],
)
def test_the_modifiers_of_a_variable(text: str, environment: dict[str, str], expected: str) -> None:
    assert Lexer().word(text, environment) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${FOO=aaa}", "unsupported modifier (=) in substitution"),
        ("${FOO:#}", "unsupported modifier (:#) in substitution"),
        ("${FOO:%%}", "unsupported modifier (:%) in substitution"),
        ("${FOO:x}", "unsupported modifier (:x) in substitution"),
        ("${FOO//ww}", "syntax error: missing '/' in ${}"),
        ("${FOO/a/b", "syntax error: missing '}'"),
        ("${FOO:-", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${BAZ?}", "BAZ: is not allowed to be unset"),
        ("${NIL:?}", "NIL: is not allowed to be empty"),
        ("${BAZ:?say $FOO}", "BAZ: say xxyy"),
        ("${FOO#\\q}", "invalid pattern (\\q) in substitution: invalid escape '\\q'"),
        ("${FOO/\\q/x}", "invalid pattern (\\q) in substitution: invalid escape '\\q'"),
        (
            '"a',
            "unexpected end of statement while looking for matching double-quote",
        ),
        ("'a", "unexpected end of statement while looking for matching single-quote"),
    ],
)
def test_a_wrong_word_is_refused_in_the_words_of_buildkit(text: str, message: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        Lexer().word(text, XX | {"NIL": ""})

    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert caught.value.message == f'failed to process "{quoted}": {message}'


def test_the_names_that_were_found_and_not_found_are_told() -> None:
    expansion = Lexer().expand("$FOO ${BAR:-$BAZ}", XX)

    assert expansion.matched == {"FOO"}
    assert expansion.unmatched == {"BAR", "BAZ"}


def test_a_wrong_word_tells_the_names_it_missed() -> None:
    with pytest.raises(ExpansionError) as caught:
        Lexer().word("$BAR ${FOO", XX)

    assert caught.value.unmatched == {"BAR"}


def test_an_unset_variable_can_be_kept_as_it_is_written() -> None:
    lexer = Lexer(keep_unset=True)
    text = "$a ${b} ${c:-d} ${e/f/g} $FOO"

    assert lexer.word(text, XX) == "$a ${b} ${c:-d} ${e/f/g} xxyy"


def test_quotes_and_escapes_can_be_kept() -> None:
    lexer = Lexer(keep_quotes=True, keep_escapes=True)

    assert lexer.words('\'a b\' "c\\"d" e\\ f <<  EOF x', {}) == (
        *("'a b'", '"c\\"d"', "e\\ f", "<<  EOF", "x"),
    )


def test_another_escape_leaves_the_backslash_alone() -> None:
    assert Lexer("`").word('\\a `$b "`""', {}) == '\\a $b "'


def test_words_are_not_lost_before_a_default() -> None:
    assert Lexer().words("80${X:-8 0}/tcp", {}) == ("808", "0/tcp")


def test_nesting_is_bounded() -> None:
    with pytest.raises(errors.Invalid, match="nested too deep"):
        Lexer().word("${a:-" * 5000 + "}" * 5000, {})


def test_a_pattern_of_many_stars_is_bounded() -> None:
    pattern = wildcards.parse("*a" * 30 + "b")

    assert wildcards.trim_prefix(pattern, "a" * 2000, greedy=True) == "a" * 2000


def test_a_pattern_too_complex_for_its_value_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="too complex"):
        Lexer().word("${v#" + "*a" * 3000 + "b}", {"v": "a" * 9000})


@settings(max_examples=300)
@given(st.text(alphabet="${}:-+?#%/\\'\"<ab \n*", max_size=40))
def test_any_text_expands_or_is_refused(text: str) -> None:
    for lexer in (Lexer(), Lexer("`", keep_unset=True, keep_quotes=True, keep_escapes=True)):
        try:
            lexer.expand(text, {"a": "x*y", "b": ""})
        except errors.Invalid:
            continue


@given(st.text(alphabet="ab*?", max_size=6), st.text(alphabet="ab", max_size=8), st.booleans())
def test_prefixes_are_trimmed_as_by_all_ways_to_match(text: str, value: str, greedy: bool) -> None:
    pattern = wildcards.parse(text)
    ends = [n for n in range(len(value) + 1) if _fits(pattern, value[:n])]

    wanted = (max(ends) if greedy else min(ends)) if ends else 0
    assert wildcards.trim_prefix(pattern, value, greedy=greedy) == value[wanted:]


def _fits(pattern: wildcards.Pattern, text: str) -> bool:
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    if first is wildcards.Wild.STAR:
        return any(_fits(rest, text[n:]) for n in range(len(text) + 1))
    return bool(text) and first in (wildcards.Wild.ANY, text[0]) and _fits(rest, text[1:])


def test_the_environment_of_windows_knows_no_case() -> None:
    assert expand.environment(["Path=C:\\"], os="windows").get("PATH") == "C:\\"
