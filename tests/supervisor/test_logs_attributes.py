"""Labels, variables and tags; the answers are those of Docker 28.5.2."""

import pytest

from pinnace import errors
from pinnace.supervisor import logs_attributes
from pinnace.supervisor.logs_attributes import Facts, render

FACTS = Facts(
    id="fd85567a5e45ffffffff",
    name="/lx",
    image_id="sha256:a380bdb12cc5",
    image_name="busybox",
    path="echo",
    args=["hi", "you"],
    env=["X=1", "COLOUR=red=blue", "PATH"],
    labels={"a": "b", "c": "d"},
)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, {}),
        ({"labels": "a,absent"}, {"a": "b"}),
        ({"env": "X,COLOUR"}, {"X": "1", "COLOUR": "red=blue"}),
        ({"labels-regex": "^[ac]", "env-regex": "^C"}, {"a": "b", "c": "d", "COLOUR": "red=blue"}),
        ({"tag": ""}, {}),
        ({"tag": "{{.Name}}"}, {"tag": "lx"}),
        ({"tag": "{{/* nothing */}}"}, {}),
    ],
)
def test_what_was_asked_for_is_chosen(options: dict[str, str], chosen: dict[str, str]) -> None:
    assert logs_attributes.of(options, FACTS) == chosen


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("plain", "plain"),
        ("{{.ID}}", "fd85567a5e45"),
        ("{{.FullID}}", "fd85567a5e45ffffffff"),
        ("{{.Command}}", "echo hi you"),
        ("{{.ImageID}}", "sha256:a380b"),
        ("{{.ImageName}}/{{.Name}}/{{lower .DaemonName}}", "busybox/lx/docker"),
        ("{{.ContainerName}}", "/lx"),
        ("{{ .Name | upper }}", "LX"),
        ("{{truncate .Name 1}}", "l"),
        ("{{json .ContainerLabels}}", '{"a":"b","c":"d"}'),
        ('{{index .ContainerLabels "a"}}', "b"),
        ('{{index .ContainerLabels "z"}}', ""),
        ("{{index .ContainerArgs 1}}", "you"),
        ("{{.ContainerLabels.a}}", "b"),
        ("{{.ContainerLabels.z}}", "<no value>"),
        ("x{{/* c */}}y", "xy"),
        ("{{.ContainerEnv}}", "[X=1 COLOUR=red=blue PATH]"),
        ("{{.ContainerLabels}}", "map[a:b c:d]"),
        ('{{ join .ContainerArgs "+" }}', "hi+you"),
        ("{{pad .Name 1 2}}|", " lx  |"),
        ('{{title "ab cd"}}', "Ab Cd"),
        ('{{split .Name "x"}}', "[l ]"),
        ('{{printf "%s-%v" .Name .ID}}', "lx-fd85567a5e45"),
        ("{{`raw\\n`}}", "raw\\n"),
        ("{{-  .Name -}} b", "lxb"),
        ("a {{- .Name}}", "alx"),
    ],
)
def test_tags_are_rendered_as_go_does(template: str, shown: str) -> None:
    assert render(template, {}, FACTS) == shown


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Name", "template: log-tag:1: unclosed action"),
        ("{{.ID | nope}}", 'template: log-tag:1: function "nope" not defined'),
        (
            "{{.Nope}}",
            'template: log-tag:1:2: executing "log-tag" at <.Nope>: '
            "can't evaluate field Nope in type *logger.Info",
        ),
        ("{{if .Name}}q{{end}}", 'template: log-tag:1: function "if" not defined'),
        ("{{}}", "template: log-tag:1: missing value for command"),
        ("{{.Name .ID}}", "template: log-tag:1: can't give argument to non-function"),
        ("{{lower}}", None),
        ("{{index .ContainerArgs 7}}", None),
        ("{{lower .ContainerArgs}}", None),
        ("{{&}}", None),
    ],
)
def test_a_tag_that_is_not_understood_is_refused(template: str, message: str | None) -> None:
    with pytest.raises(errors.Invalid) as caught:
        render(template, {}, FACTS)

    assert message is None or caught.value.message == message


def test_an_expression_that_is_not_understood_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="error parsing regexp: "):
        logs_attributes.of({"labels-regex": "("}, FACTS)
