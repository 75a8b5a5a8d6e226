from typing import Any

import pytest

from pinnace.cli import template
from pinnace.cli.format import View
from pinnace.cli.template import TemplateError

VALUE: dict[str, Any] = {
    "Id": "abc",
    "Name": "/web",
    "Running": True,
    "Pid": 42,
    "Share": 1.5,
    "Cmd": ["sh", "-c", "x"],
    "Labels": {"b": "2", "a": "1"},
    "Binds": None,
    "Options": None,
    "Ports": {"80/tcp": [{"HostPort": "8080"}], "90/udp": None},
    "State": {"Health": None, "Inner": {"Deep": "down"}},
}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "/web"),
        ("{{.ID}}", "abc"),
        ("{{ .State.Inner.Deep }}", "down"),
        ("{{.Running}} {{.Pid}} {{.Share}}", "true 42 1.5"),
        ("{{.Cmd}}", "[sh -c x]"),
        ("{{.Labels}}", "map[a:1 b:2]"),
        ("{{.Binds}} {{.Options}}", "[] map[]"),
        ("{{json .Binds}} {{json .Options}} {{json .Labels}}", 'null null {"b":"2","a":"1"}'),
        ("{{len .Cmd}} {{len .Binds}} {{len .Name}}", "3 0 4"),
        ("{{if .Running}}yes{{else}}no{{end}}", "yes"),
        ("{{if .Binds}}yes{{else if .Cmd}}cmd{{else}}no{{end}}", "cmd"),
        ("{{if not .Running}}yes{{else}}no{{end}}", "no"),
        ("{{with .State.Inner}}{{.Deep}}{{end}}", "down"),
        ("{{with .Binds}}x{{else}}none{{end}}", "none"),
        ("{{range .Cmd}}<{{.}}>{{end}}", "<sh><-c><x>"),
        ("{{range $i, $e := .Cmd}}{{if $i}},{{end}}{{$e}}{{end}}", "sh,-c,x"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
        ("{{range .Binds}}x{{else}}none{{end}}", "none"),
        ('{{range .Cmd}}{{if eq . "-c"}}{{continue}}{{end}}{{.}}{{end}}', "shx"),
        ("{{range .Cmd}}{{break}}{{end}}done", "done"),
        ("{{range .Cmd}}{{$.Name}}{{end}}", "/web/web/web"),
        ("{{$x := .Name}}{{$x}}{{$x = .Id}}{{$x}}", "/webabc"),
        ('{{index .Labels "a"}}|{{index .Labels "z"}}', "1|"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{index .Cmd 0}}", "sh"),
        ("{{slice .Name 1 3}}", "we"),
        (
            '{{join .Cmd ","}} {{upper .Name}} {{lower "ABC"}} {{title "a b"}}',
            "sh,-c,x /WEB abc A B",
        ),
        ('{{split .Name "e"}}', "[/w b]"),
        ("{{pad .Name 1 2}}| {{truncate .Name 2}}", " /web  | /w"),
        (
            '{{printf "%-6s|%3d|%v|%q|%5.2f|%%|%x" .Name .Pid .Running .Id .Share 255}}',
            '/web  | 42|true|"abc"| 1.50|%|ff',
        ),
        ('{{printf "%d" .Name}} {{printf "%s"}}', "%!d(string=/web) %!s(MISSING)"),
        ('{{print 1 2 "a" "b" 3}}{{println .Id}}', "1 2ab3abc\n"),
        ('{{.Name | printf "%s-%s" "a" | upper}}', "A-/WEB"),
        (
            '{{eq .Id "abc"}} {{eq .Pid 1 42}} {{ne 1 2}} {{lt 1 2}} {{ge 1 2}}',
            "true true true true false",
        ),
        ("{{and .Running .Pid}} {{or .Binds .Name}} {{and .Binds .Nope}}", "42 /web []"),
        ("a {{- .Id -}} b", "aabcb"),
        ("{{/* nothing */}}x", "x"),
        ("{{- /* nothing */ -}} x", "x"),
        ('{{"a}}b"}}', "a}}b"),
        ('{{`raw\\n`}}{{"\\t"}}', "raw\\n\t"),
        ('{{html "<a>"}}', "&lt;a&gt;"),
        ("{{.State.Health}}", "<nil>"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{.StopTimeout}} {{.ExposedPorts}}", "<nil> map[]"),
    ],
)
def test_templates(source: str, text: str) -> None:
    assert template.render(source, VALUE) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{.ID", "template: :1: unclosed action"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ("{{if}}", "template: :1: missing value for if"),
        ("{{if .ID}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{else}}", "template: :1: unexpected {{else}}"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{$x}}", 'template: :1: undefined variable "$x"'),
        ('{{"abc}}', "template: :1: unterminated quoted string"),
        ("\n{{(.ID}}", "template: :2: unclosed left paren"),
        ("{{.Foo}}", 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        (
            "{{.State.Health.Status}}",
            'template: :1:8: executing "" at <.State.Health.Status>: '
            'map has no entry for key "Health"',
        ),
        (
            "{{index .Cmd 7}}",
            'template: :1:2: executing "" at <index .Cmd 7>: error calling index: '
            "index out of range: 7",
        ),
    ],
)
def test_what_is_wrong_with_a_template(source: str, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        template.render(source, VALUE)

    assert str(raised.value) == message


VIEW = View(
    "*rows",
    {
        "ID": lambda row: row["id"],
        "Name": lambda row: row["name"],
        "Label": lambda row, name: row.get(name, ""),
    },
    {"ID": "ROW ID", "Name": "NAME"},
    ("ID", "Name"),
)
ROWS = [{"id": "1", "name": "<one>", "x": "y"}, {"id": "2", "name": "two"}]


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("{{.ID}}:{{.Name}}", "1:<one>\n2:two\n"),
        ("table {{.ID}}\\t{{upper .Name}}", "ROW ID    NAME\n1         <ONE>\n2         TWO\n"),
        ('table {{.Label "com.x"}}', "x\n\n\n"),
        ("json", '{"ID":"1","Name":"\\u003cone\\u003e"}\n{"ID":"2","Name":"two"}\n'),
        ('{{.Label "x"}}', "y\n\n"),
    ],
)
def test_rows(layout: str, text: str) -> None:
    assert template.render_rows(layout, ROWS, VIEW) == text
