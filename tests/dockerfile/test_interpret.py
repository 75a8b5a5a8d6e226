import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace import errors
from pinnace.dockerfile import instructions, interpret, parser
from pinnace.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Declaration,
    Entrypoint,
    Env,
    Expose,
    Files,
    From,
    Healthcheck,
    InlineFile,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Pair,
    Run,
    Script,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from pinnace.dockerfile.mounts import Device, Mount
from pinnace.dockerfile.source import DockerfileError, Lines


def read(text: str) -> Instruction:
    (node,) = parser.parse(text.encode()).nodes
    return interpret.instruction(node)


def fields(instruction: Instruction) -> dict[str, object]:
    """All but where it comes from."""
    names = instruction.__slots__
    return {name: getattr(instruction, name) for name in names if name != "origin"}


def same(one: Instruction, other: type[Instruction], **expected: object) -> bool:
    found = fields(one)
    return type(one) is other and {name: found[name] for name in expected} == expected


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (
            "ADD --chown=a:b --chmod=755 --link --keep-git-dir=false --unpack --checksum=sha256:x "
            "--exclude=*.md --exclude=b src dst",
            Add,
            {
                "files": Files(("src",), (), "dst"),
                "chown": "a:b",
                "chmod": "755",
                "link": True,
                "exclude": ("*.md", "b"),
                "keep_git_dir": False,
                "checksum": "sha256:x",
                "unpack": True,
            },
        ),
        ("ADD a b c/", Add, {"files": Files(("a", "b"), (), "c/"), "unpack": None}),
        (
            "COPY --from=x --parents --link=true --exclude=y a /b",
            Copy,
            {"from_": "x", "parents": True, "link": True, "exclude": ("y",)},
        ),
        ('COPY ["a b", "c d"]', Copy, {"files": Files(("a b",), (), "c d")}),
        (
            "COPY a <<-EOF <<'F' /\n\tx\nEOF\n$y\nF",
            Copy,
            {
                "files": Files(
                    ("a",), (InlineFile("EOF", "x\n", True), InlineFile("F", "$y\n", False)), "/"
                )
            },
        ),
        (
            "# a the first\nARG a=1 b c= d",
            Arg,
            {
                "declarations": (
                    Declaration("a", "1", "the first"),
                    Declaration("b"),
                    Declaration("c", ""),
                    Declaration("d"),
                )
            },
        ),
        ("CMD a b", Cmd, {"command": Command(("a b",), shell=True)}),
        ('CMD ["a","b"]', Cmd, {"command": Command(("a", "b"), shell=False)}),
        ("CMD", Cmd, {"command": Command((), shell=True)}),
        ("ENTRYPOINT []", Entrypoint, {"command": Command((), shell=False)}),
        ("ENV a=b c=d", Env, {"pairs": (Pair("a", "b"), Pair("c", "d"))}),
        ("ENV a b c", Env, {"pairs": (Pair("a", "b c", legacy=True),)}),
        ("LABEL a.b=c", Label, {"pairs": (Pair("a.b", "c"),)}),
        ("EXPOSE 80 22/tcp", Expose, {"ports": ("22/tcp", "80")}),
        (
            "# Web the server\n# web a server\nFROM --platform=$X a:b As Web",
            From,
            {"base": "a:b", "name": "web", "platform": "$X", "description": "a server"},
        ),
        (
            'HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD ["a"]',
            Healthcheck,
            {
                "test": ("CMD", "a"),
                "interval": 90 * SECOND,
                "timeout": 3 * SECOND // 2,
                "retries": 3,
                "start_period": 0,
            },
        ),
        (
            "HEALTHCHECK --start-period=1s --start-interval=5ms cmd a b",
            Healthcheck,
            {
                "test": ("CMD-SHELL", "a b"),
                "start_period": SECOND,
                "start_interval": 5_000_000,
            },
        ),
        ("HEALTHCHECK none", Healthcheck, {"test": ("NONE",)}),
        ("MAINTAINER a b", Maintainer, {"author": "a b"}),
        ("ONBUILD  RUN a  b", Onbuild, {"trigger": "RUN a  b"}),
        ("onbuild COPY <<E /\nx\nE", Onbuild, {"trigger": "COPY <<E /\nx\nE"}),
        ("RUN a  b", Run, {"command": Command(("a  b",), shell=True), "network": "default"}),
        (
            "RUN --network=none --security=insecure --device=a/b=c,required "
            "--mount=type=cache,from=x,target=/y z",
            Run,
            {
                "network": "none",
                "security": "insecure",
                "devices": (Device("a/b=c", required=True),),
                "mounts": (Mount(text="type=cache,from=x,target=/y", from_="x", target="/y"),),
            },
        ),
        (
            "RUN <<-E cat\n\tx\nE",
            Run,
            {"command": Command(("<<-E cat",), True, (Script("E", "\tx\n", chomp=True),))},
        ),
        ('SHELL ["a", "-c"]', Shell, {"arguments": ("a", "-c")}),
        ("STOPSIGNAL SIGINT", Stopsignal, {"signal": "SIGINT"}),
        ("USER a:b", User, {"user": "a:b"}),
        ("VOLUME /a /b", Volume, {"paths": ("/a", "/b")}),
        ('VOLUME [" /a "]', Volume, {"paths": ("/a",)}),
        ("WORKDIR /a b", Workdir, {"path": "/a b"}),
    ],
)
def test_each_instruction_has_its_value(
    text: str, kind: type[Instruction], expected: dict[str, object]
) -> None:
    assert same(read(text), kind, **expected)


def test_an_instruction_knows_where_it_comes_from() -> None:
    origin = read("# one\n\n  workdir \\\n  /a").origin

    assert origin.keyword == "workdir"
    assert origin.source == "workdir   /a"
    assert origin.lines == Lines(3, 4)
    assert origin.comments == ("one",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN --mount=type=cache,target=/x --moutn=a b", "unknown flag: --moutn"),
        ("COPY --form=a b c", "unknown flag: --form (did you mean from?)"),
        ("COPY --link --link a b", "duplicate flag specified: --link"),
        ("ENV --a b=c", "unknown flag: --a"),
        ("RUN --device=name=a,name=b x", "device name already set to a"),
        ("RUN --device=a,b x", "invalid field 'b' must be a key=value pair"),
        ("RUN --device=a,nmae=b x", "unexpected key 'nmae' in 'nmae=b' (did you mean name?)"),
        ("RUN --device=a,required=x y", "invalid value for required: x"),
    ],
)
def test_a_wrong_instruction_is_refused(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        read(text)

    assert caught.value.message.startswith(message)
    assert caught.value.places == (Lines(1, 1),)


def upper(text: str) -> str:
    return text.upper()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ADD --chown=a --chmod=b --checksum=c --exclude=d e <<F <<'G' h\nx\nF\ny\nG",
            {
                "chown": "A",
                "chmod": "B",
                "checksum": "C",
                "exclude": ("d",),
                "files": Files(
                    ("E",), (InlineFile("F", "[x\n]", True), InlineFile("G", "y\n", False)), "H"
                ),
            },
        ),
        ("COPY --from=a b c", {"from_": "a", "files": Files(("B",), (), "C")}),
        ("ENV a=b", {"pairs": (Pair("A", "B"),)}),
        ("LABEL a b", {"pairs": (Pair("A", "B", legacy=True),)}),
        ("CMD a", {"command": Command(("a",), shell=True)}),
        ("ONBUILD RUN a", {"trigger": "RUN a"}),
        ("STOPSIGNAL a", {"signal": "A"}),
        ("USER a", {"user": "A"}),
        ("VOLUME a b", {"paths": ("A", "B")}),
        ("WORKDIR a", {"path": "A"}),
    ],
)
def test_expansion_reaches_the_operands_that_buildkit_expands(
    text: str, expected: dict[str, object]
) -> None:
    step = read(text)
    assert not isinstance(step, From)

    done = instructions.expanded(step, upper, lambda content: f"[{content}]")

    assert same(done, type(step), **expected)


SOME = st.sampled_from(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK"),
        *("LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME"),
        *("WORKDIR", "FOO"),
    )
)
REST = st.text(alphabet="-=abc1,:/ \"'[]$<\\\n{}", max_size=40) | st.text(max_size=20)


@settings(max_examples=400, deadline=None)
@given(SOME, st.sampled_from(["", "--mount=", "--retries=", "--interval=", "CMD ", "--"]), REST)
def test_any_instruction_is_read_or_refused(keyword: str, start: str, rest: str) -> None:
    try:
        for node in parser.parse(f"{keyword} {start}{rest}".encode(errors="replace")).nodes:
            interpret.instruction(node)
    except errors.Invalid:
        return
