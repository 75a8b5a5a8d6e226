import msgspec
import pytest

from pinnace import errors
from pinnace.oci.image import Config
from pinnace.store import changes

GIVEN = Config(env=["PATH=/bin", "a=1"], cmd=["old"], labels={"l": "1"}, working_dir="/w")


def changed(*instructions: str) -> dict[str, object]:
    """Only what is different from GIVEN."""
    before = msgspec.to_builtins(GIVEN)
    after = msgspec.to_builtins(changes.apply(GIVEN, instructions))
    return {key: after.get(key) for key in {*before, *after} if after.get(key) != before.get(key)}


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ('CMD ["a", "b"]', {"Cmd": ["a", "b"]}),
        ("cmd echo $HOME", {"Cmd": ["/bin/sh", "-c", "echo $HOME"]}),
        ('CMD ["a"', {"Cmd": ["/bin/sh", "-c", '["a"']}),
        ('ENTRYPOINT ["/e"]', {"Entrypoint": ["/e"], "Cmd": None}),
        ("ENV b=2 a=3", {"Env": ["PATH=/bin", "a=3", "b=2"]}),
        ("ENV b two words", {"Env": ["PATH=/bin", "a=1", "b=two words"]}),
        ('ENV b="x y" c=\'$a\' d=$a-${a} e=\\$a', {
            "Env": ["PATH=/bin", "a=1", "b=x y", "c=$a", "d=1-1", "e=$a"]}),
        ("ENV b=${none:-x} c=${a:+y} d=${none}", {
            "Env": ["PATH=/bin", "a=1", "b=x", "c=y", "d="]}),
        ("ENV PATH=/x:$PATH", {"Env": ["PATH=/x:/bin", "a=1"]}),
        ("EXPOSE 80 53/udp 90-92/TCP", {"ExposedPorts": {
            "53/udp": {}, "80/tcp": {}, "90/tcp": {}, "91/tcp": {}, "92/tcp": {}}}),
        ("LABEL l=2 \"m n\"='o p'", {"Labels": {"l": "2", "m n": "o p"}}),
        ("LABEL single value", {"Labels": {"l": "1", "single": "value"}}),
        ("ONBUILD RUN make", {"OnBuild": ["RUN make"]}),
        ("STOPSIGNAL 9", {"StopSignal": "9"}),
        ("STOPSIGNAL SIGTERM", {"StopSignal": "SIGTERM"}),
        ("STOPSIGNAL RTMIN+3", {"StopSignal": "RTMIN+3"}),
        ("USER me:us", {"User": "me:us"}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ('VOLUME ["/a b"]', {"Volumes": {"/a b": {}}}),
        ("WORKDIR /x", {"WorkingDir": "/x"}),
        ("WORKDIR y", {"WorkingDir": "/w/y"}),
        ("WORKDIR ../../z", {"WorkingDir": "/z"}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        ("HEALTHCHECK --interval=5s --timeout=1m30s --retries=3 CMD curl x", {"Healthcheck": {
            "Test": ["CMD-SHELL", "curl x"], "Interval": 5 * 10**9, "Timeout": 90 * 10**9,
            "Retries": 3}}),
        ('HEALTHCHECK CMD ["a"]', {"Healthcheck": {"Test": ["CMD", "a"]}}),
        ("# a comment", {}),
        ("", {}),
        ("LABEL a=b \\\n  c=d", {"Labels": {"l": "1", "a": "b", "c": "d"}}),
    ],
)  # fmt: skip
def test_instructions_change_the_config(instruction: str, expected: dict[str, object]) -> None:
    assert changed(instruction) == expected


def test_an_entrypoint_keeps_a_command_of_the_same_change() -> None:
    assert changed('CMD ["c"]', 'ENTRYPOINT ["e"]') == {"Cmd": ["c"], "Entrypoint": ["e"]}


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("FOO x", "FOO is not a valid change command"),
        ("RUN x", "RUN is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV a", "ENV must have two arguments"),
        ("ENV a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value'),
        ("ENV =b", "ENV names can not be blank"),
        ("LABEL a", "LABEL must have two arguments"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("EXPOSE abc", "Invalid containerPort: abc"),
        ("EXPOSE 99999", "Invalid containerPort: 99999"),
        ("EXPOSE 80/foo", "Invalid proto: foo"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("USER", "USER requires exactly one argument"),
        ("STOPSIGNAL FOO", "invalid signal: FOO"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ("HEALTHCHECK x", 'Unknown type "X" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK --interval=x CMD y", 'time: invalid duration "x"'),
        ("HEALTHCHECK --foo=x CMD y", "unknown flag: --foo"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    ],
)
def test_mistakes_are_told_in_dockers_words(instruction: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        changed(instruction)

    assert caught.value.message == message
