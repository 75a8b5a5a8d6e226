import pytest

from pinnace.runtime import arguments, command

PARSER = arguments.parser(command.ACTIONS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("create --bundle /b --pid-file p name", {"bundle": "/b", "pid_file": "p", "id": "name"}),
        ("create name", {"bundle": ".", "console_socket": ""}),
        ("run -d -b /b name", {"detach": True, "keep": False, "bundle": "/b"}),
        ("kill name", {"signal": "SIGTERM", "all": False}),
        ("kill --all name 9", {"signal": "9", "all": True}),
        ("delete -f name", {"force": True}),
        ("exec -t -e A=1 -e B=2 name sh -c id",
         {"tty": True, "env": ["A=1", "B=2"], "id": "name", "command": ["sh", "-c", "id"]}),
        ("exec --process p.json --detach name", {"process": "p.json", "command": []}),
        ("update --resources - name", {"resources": "-"}),
        ("--root /r --log l --log-format json list -q", {"root": "/r", "log": "l", "quiet": True}),
        ("--systemd-cgroup --rootless false --debug state name", {"id": "name"}),
        ("ps -f json name", {"format": "json"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_line_as_those_who_call_runc_write_it(line: str, expected: dict[str, object]) -> None:
    args = PARSER.parse_args(line.split())

    assert {name: getattr(args, name) for name in expected} == expected


@pytest.mark.parametrize("line", ["", "create", "start", "frobnicate name", "state a b"])
def test_what_is_not_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        PARSER.parse_args(line.split())

    assert raised.value.code == 2
    assert "usage: pinnace runtime" in capsys.readouterr().err


def test_the_version_names_the_specification(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        PARSER.parse_args(["--version"])

    assert raised.value.code == 0
    assert capsys.readouterr().out.splitlines()[1] == "spec: 1.2.0"
