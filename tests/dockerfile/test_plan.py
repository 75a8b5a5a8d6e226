import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.dockerfile import plan, stages
from pinnace.dockerfile.instructions import Env, Run, Workdir
from pinnace.dockerfile.plan import Plan, Request, Source
from pinnace.dockerfile.source import DockerfileError, Lines
from pinnace.oci.image import Platform

AMD64 = Platform(os="linux", architecture="amd64")


def request(**changes: object) -> Request:
    plain = {"build_platform": AMD64, "target_platform": AMD64}
    return Request(**(plain | changes))  # type: ignore[arg-type]


def make(text: str, **changes: object) -> Plan:
    return plan.make(stages.read(text.encode()), request(**changes))


def refusal(text: str, **changes: object) -> DockerfileError:
    with pytest.raises(DockerfileError) as caught:
        make(text, **changes)
    return caught.value


MULTI = """\
FROM alpine AS base
RUN a
FROM base AS tool
COPY x /
FROM scratch AS docs
COPY y /
FROM base
COPY --from=tool /x /
RUN --mount=type=bind,from=debian:12,target=/d --mount=type=cache,target=/c b
"""


def test_stages_are_linked_to_what_they_are_made_from() -> None:
    made = make(MULTI)

    assert [stage.label for stage in made.stages] == ["base", "tool", "docs", "stage-3"]
    assert [stage.parent for stage in made.stages] == [None, 0, None, 0]
    assert [stage.scratch for stage in made.stages] == [False, False, True, False]
    last = made.stages[3]
    assert last.needs == (0, 1)
    assert [step.sources for step in last.steps] == [
        (Source(1, "tool"),),
        (Source(None, "debian:12"), None),
    ]


def test_only_what_the_target_needs_is_reachable() -> None:
    assert make(MULTI).reachable == {0, 1, 3}
    assert make(MULTI, target="Docs").reachable == {2}
    assert make(MULTI, target="tool").target == 1


def test_an_unknown_target_is_not_found() -> None:
    with pytest.raises(errors.NotFound) as caught:
        make(MULTI, target="toll")

    assert caught.value.message == ('target stage "toll" could not be found (did you mean tool?)')


def test_a_copy_may_name_a_stage_by_its_number() -> None:
    made = make("FROM a\nFROM b\nCOPY --from=0 x y\n")

    assert made.stages[1].steps[0].sources == (Source(0, "0"),)


def test_a_single_stage_has_no_label_unless_it_reads_elsewhere() -> None:
    assert make("FROM a\nRUN x\n").stages[0].label == ""
    assert make("FROM a\nCOPY --from=b x y\n").stages[0].label == "stage-0"


def test_the_later_of_two_stages_with_one_name_is_meant() -> None:
    made = make("FROM a AS x\nFROM b AS x\nFROM x\n")

    assert made.stages[2].parent == 1


def test_global_variables_reach_the_bases() -> None:
    made = make(
        "ARG TAG=1\nARG NAME=alpine:$TAG\nFROM --platform=$BUILDPLATFORM $NAME\n",
        build_args={"TAG": "2"},
        target_platform=Platform(os="linux", architecture="arm64", variant="v8"),
    )

    stage = made.stages[0]
    assert stage.base == "alpine:2"
    assert str(stage.platform) == "linux/amd64"
    assert made.globals.values["TARGETPLATFORM"] == "linux/arm64"
    assert made.globals.values["TARGETARCH"] == "arm64"
    assert made.globals.values["TARGETSTAGE"] == "default"
    assert made.globals.declared == {"TAG", "NAME"}


def test_a_named_context_stands_for_a_stage() -> None:
    made = make(MULTI, contexts=frozenset({"base"}))

    assert made.stages[0].replaced
    assert made.stages[0].steps == ()
    assert made.stages[1].parent == 0


@pytest.mark.parametrize(
    ("text", "message", "lines"),
    [
        (
            "FROM a AS a\nCOPY --from=b x y\nFROM b AS b\nCOPY --from=a x y\n",
            "circular dependency detected on stage: a",
            [2, 4],
        ),
        (
            "FROM a AS a\nCOPY --from=a x y\n",
            "circular dependency detected on stage: a",
            [2],
        ),
        (
            "FROM x AS a\nCOPY --from=b x y\nFROM y AS b\nFROM a\n",
            'cannot copy from stage "b", it needs to be defined before current stage "a"',
            [2],
        ),
        (
            "FROM x AS a\nRUN --mount=from=b,target=/t y\nFROM y AS b\nFROM a\n",
            'cannot mount from stage "b" to "/t", stage needs to be defined before current command',
            [2],
        ),
        ("FROM a\nFROM $x\n", "base name ($x) should not be blank", [2]),
        ("FROM a\nCOPY --from=9 x y\n", "invalid stage index 9", [2]),
        ("FROM a\nCOPY --from=-1 x y\n", "invalid stage index -1", [2]),
        (
            "FROM Foo\n",
            'failed to parse stage name "Foo": invalid reference format: '
            "repository name (library/Foo) must be lowercase",
            [1],
        ),
        (
            "FROM --platform=linux/$X a\n",
            'failed to parse platform linux/$X: "" is an invalid component of "linux/": '
            'platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument',
            [1],
        ),
        ("ENV a=b\nFROM a\n", "no build stage in current context", [1]),
        ("ARG a\n", "dockerfile contains no stages to build", []),
        ("", "the Dockerfile cannot be empty", []),
    ],
)
def test_what_can_not_be_built_is_refused(text: str, message: str, lines: list[int]) -> None:
    error = refusal(text)

    assert error.message == message
    assert [place.first for place in error.places] == lines


def test_a_stage_that_is_not_needed_may_read_below() -> None:
    text = "FROM x AS a\nCOPY --from=b x y\nFROM y AS b\n"

    assert make(text, target="b").reachable == {1}


def test_triggers_of_a_base_image_come_first() -> None:
    text = "FROM tool\nFROM image\nWORKDIR /x\n"
    triggers = {1: ["RUN --mount=from=0,target=/x a", "COPY --from=0 a b", "ENV a=b"]}

    made = make(text, triggers=triggers)

    steps = made.stages[1].steps
    assert [type(planned.step).__name__ for planned in steps] == ["Run", "Copy", "Env", "Workdir"]
    assert [planned.onbuild for planned in steps] == [True, True, True, False]
    assert steps[1].sources == (Source(0, "0"),)
    assert steps[0].step.origin.lines == Lines(2, 2)
    assert made.reachable == {0, 1}


def test_triggers_of_a_stage_come_first_in_those_that_derive_from_it() -> None:
    text = "FROM a AS base\nONBUILD ENV x=y\nONBUILD RUN <<E\nz\nE\nFROM base AS b\nFROM b\n"

    made = make(text)

    kinds = [[type(planned.step) for planned in stage.steps] for stage in made.stages]
    assert kinds[1:] == [[Env, Run], []]


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        ("FOO x", "unknown instruction: FOO"),
        ("RUN a\nRUN b", "onbuild trigger should be a single expression"),
        ("FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("", "file with no instructions"),
    ],
)
def test_a_wrong_trigger_is_refused_at_its_from(trigger: str, message: str) -> None:
    error = refusal("\nFROM a\n", triggers={0: [trigger]})

    assert error.message.startswith(message)
    assert error.places == (Lines(2, 2),)


def test_many_stages_do_not_exhaust_the_stack() -> None:
    count = 3000
    text = "".join(f"FROM scratch AS s{n}\nCOPY --from=s{n + 1} a b\n" for n in range(count))

    made = plan.link(stages.read(f"{text}FROM scratch AS s{count}\n".encode()), request())

    assert made.reachable == {count}
    assert isinstance(stages.read(b"FROM a\nWORKDIR /b\n").stages[0].steps[0], Workdir)


NAMES = st.sampled_from(["a", "b", "c", "0", "1", "$x", "scratch"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=5), NAMES)
def test_any_set_of_stages_is_planned_or_refused(
    given_stages: list[tuple[str, str, str]], target: str
) -> None:
    text = "".join(
        f"FROM {base} AS {name}\nCOPY --from={source} x y\n" for base, name, source in given_stages
    )
    try:
        make(text, target=target)
    except (errors.Invalid, errors.NotFound):
        return
