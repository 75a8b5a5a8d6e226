import pytest

from pinnace.dockerfile import scope, stages
from pinnace.dockerfile.instructions import Copy, Expose, Run, Step, User
from pinnace.dockerfile.scope import Globals, Scope
from pinnace.dockerfile.source import DockerfileError, Lines
from pinnace.oci.image import Platform


def steps(text: str) -> tuple[Step, ...]:
    return stages.read(f"FROM a\n{text}".encode()).stages[0].steps


def walk(text: str, build_args: dict[str, str] | None = None, **environment: str) -> Scope:
    known = Globals({"GLOBAL": "g", "TARGETARCH": "amd64"}, frozenset({"GLOBAL"}))
    walked = Scope(known, build_args or {}, environment)
    for step in steps(text):
        walked.enter(step)
    return walked


def test_env_and_arg_set_variables_for_what_follows() -> None:
    walked = walk("ENV a=1\nARG b=$a$a c=$b\nENV d=$c e=$d\n")

    assert walked.environment == {"a": "1", "b": "11", "c": "11", "d": "11", "e": ""}
    assert walked.persistent == {"a": "1", "d": "11", "e": ""}
    assert walked.arguments() == {"b": "11", "c": "11"}
    assert walked.unmatched == ["d"]


def test_a_global_variable_is_seen_after_its_arg() -> None:
    walked = walk("ENV a=$GLOBAL\nARG GLOBAL TARGETARCH=x\nENV b=$GLOBAL$TARGETARCH\n")

    assert walked.persistent == {"a": "", "b": "gx"}


def test_what_the_user_gives_wins_over_a_default() -> None:
    walked = walk("ARG a=1\nARG b=${x\n", {"a": "2", "b": "3", "c": "4"})

    assert walked.environment == {"a": "2", "b": "3"}


def test_an_arg_without_a_value_is_known_but_not_set() -> None:
    walked = walk("ARG a\nENV b=$a c=$d\n")

    assert "a" not in walked.environment
    assert walked.unmatched == ["d"]


def test_env_wins_over_arg_in_a_stage_that_derives() -> None:
    walked = walk("ENV a=env\nARG a=arg b=arg\n")
    derived = walked.derived()

    assert walked.environment["a"] == "arg"
    assert derived.environment == {"a": "env", "b": "arg"}
    assert [declaration.name for declaration in derived.declared] == ["a", "b"]
    assert derived.persistent == {"a": "env"}


def test_args_that_choose_what_is_scanned_are_no_variables() -> None:
    walked = walk("ARG BUILDKIT_SBOM_SCAN_STAGE=true\nENV a=$BUILDKIT_SBOM_SCAN_STAGE\n")

    assert walked.environment == {"a": ""}
    assert walked.unmatched == []


def entered(text: str, **environment: str) -> Step:
    walked = Scope(Globals({}, frozenset()), {}, environment)
    (step,) = steps(text)
    return walked.enter(step)


def test_ports_are_split_where_a_variable_has_spaces() -> None:
    step = entered("EXPOSE $p 80\n", p="1 2-3/udp")

    assert isinstance(step, Expose)
    assert step.ports == ("1", "2-3/udp", "80")


def test_a_heredoc_keeps_its_quotes() -> None:
    step = entered("COPY <<E <<'F' /\n'$a' \"\\$b\" \\\\\nE\n$a\nF\n", a="1")

    assert isinstance(step, Copy)
    assert [file.content for file in step.files.inline] == ["'1' \"$b\" \\\n", "$a\n"]


def test_the_fields_of_a_mount_are_expanded() -> None:
    step = entered("RUN --mount=type=$t,target=$HOME/x,from=y z $t\n", t="bind", HOME="/h")

    assert isinstance(step, Run)
    assert (step.mounts[0].target, step.mounts[0].from_) == ("/h/x", "y")
    assert step.command.arguments == ("z $t",)


def test_quotes_go_and_escapes_hold() -> None:
    step = entered("USER '$a'\"$a\"\\$a$a\n", a="1")

    assert isinstance(step, User)
    assert step.user == "$a1$a1"


def test_a_wrong_word_is_refused_with_its_lines() -> None:
    walked = Scope(Globals({}, frozenset()), {}, {})
    (step,) = steps("USER \\\n $a${b\n")

    with pytest.raises(DockerfileError) as caught:
        walked.enter(step)

    assert caught.value.places == (Lines(2, 3),)
    assert walked.unmatched == ["a"]


DOUBLING = "".join(f"ENV v{n}=$v{n - 1}$v{n - 1}\n" for n in range(1, 40))
ENDLESS = "ENV v=0123456789\n" + "ENV v=$v$v$v$v\n" * 7 + "LABEL x=$v\n" * 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"ENV v0=0123456789\n{DOUBLING}", "the variables make it too long"),
        (ENDLESS, "the variables make the Dockerfile too long"),
        (
            "ENV v=" + "x" * 9000 + "\nENV w=${v//x/$v}\n",
            "replacement is too long",
        ),
    ],
)
def test_variables_of_variables_do_not_fill_the_memory(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        walk(text)


def test_global_variables_of_variables_do_not_either() -> None:
    text = "ARG v=0123456789\n" + "ARG v=$v$v$v$v\n" * 8 + "ARG w=$v\n" * 1000

    with pytest.raises(DockerfileError, match="too long"):
        scope.global_scope(stages.read(f"{text}FROM a\n".encode()).args, {}, {})


def test_global_args_see_those_above() -> None:
    args = stages.read(b"ARG a=1 b=$a$HERE\nARG a=2\nARG c=$a d\nFROM x\n").args

    known = scope.global_scope(args, {"HERE": "h"}, {"c": "given"})

    assert known.values == {"HERE": "h", "a": "2", "b": "1h", "c": "given"}
    assert known.declared == {"a", "b", "c", "d"}


def test_a_wrong_global_arg_is_refused_with_its_line() -> None:
    args = stages.read(b"ARG a\nARG b=${c\nFROM x\n").args

    with pytest.raises(DockerfileError) as caught:
        scope.global_scope(args, {}, {})

    assert caught.value.places == (Lines(2, 2),)


def test_platforms_are_told_in_parts() -> None:
    values = scope.predefined(
        Platform(os="linux", architecture="arm64", variant="v8"),
        Platform(os="windows", architecture="amd64", os_version="10.0.1"),
        stage="web",
        build_args={"TARGETOS": "given"},
    )

    assert values == {
        "BUILDPLATFORM": "linux/arm64",
        "BUILDOS": "linux",
        "BUILDOSVERSION": "",
        "BUILDARCH": "arm64",
        "BUILDVARIANT": "",
        "TARGETPLATFORM": "windows(10.0.1)/amd64",
        "TARGETOS": "given",
        "TARGETOSVERSION": "10.0.1",
        "TARGETARCH": "amd64",
        "TARGETVARIANT": "",
        "TARGETSTAGE": "web",
    }


def test_proxies_are_given_in_both_cases() -> None:
    assert scope.proxies({"http_proxy": "a", "HTTP_PROXY": "b", "No_Proxy": "c", "x": "d"}) == {
        "HTTP_PROXY": "a",
        "http_proxy": "a",
        "NO_PROXY": "c",
        "no_proxy": "c",
    }


def test_path_is_always_set_but_on_windows() -> None:
    assert scope.base_environment(["a=b=c"]) == {"a": "b=c", "PATH": scope.PATH}
    assert scope.base_environment(["PATH=/x"]) == {"PATH": "/x"}
    assert scope.base_environment(None, "windows") == {}
