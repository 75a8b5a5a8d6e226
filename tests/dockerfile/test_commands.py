import pytest

from pinnace.dockerfile import commands
from pinnace.dockerfile.commands import ScriptFile, Started
from pinnace.dockerfile.instructions import Cmd, Command, Run, Script
from pinnace.dockerfile.source import DockerfileError
from pinnace.dockerfile.stages import read


def command(text: str) -> Command:
    step = read(f"FROM a\n{text}\n".encode()).stages[0].steps[0]
    assert isinstance(step, Run | Cmd)
    return step.command


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("RUN a  b", ("/bin/sh", "-c", "a  b")),
        ('RUN ["a", "b"]', ("a", "b")),
        ("CMD", ("/bin/sh", "-c", "")),
        ("CMD []", ()),
        ("RUN <<E\na\nb\nE", ("/bin/sh", "-c", "a\nb\n")),
        ("RUN <<-E\n\ta\n\tE", ("/bin/sh", "-c", "a\n")),
        ("RUN cat <<-E > f\n\ta\n\tE", ("/bin/sh", "-c", "cat <<-E > f\n\ta\nE")),
        ("RUN a <<X b <<Y\n1\nX\n2\nY", ("/bin/sh", "-c", "a <<X b <<Y\n1\nX\n2\nY")),
    ],
)
def test_a_command_starts_with_its_shell(text: str, arguments: tuple[str, ...]) -> None:
    assert commands.started(command(text)) == Started(arguments)


def test_another_shell_is_used() -> None:
    started = commands.started(command("CMD a b"), ("/bin/bash", "-ec"))

    assert started.arguments == ("/bin/bash", "-ec", "a b")


def test_a_script_with_a_shebang_becomes_a_file() -> None:
    started = commands.started(command("RUN <<-'S.py'\n\t#!/usr/bin/python\n\tprint()\nS.py"))

    assert started == Started(
        ("/bin/sh", "-c", "/dev/pipes/S.py"),
        ScriptFile("/dev/pipes/S.py", "#!/usr/bin/python\nprint()\n"),
    )


def test_a_heredoc_without_a_text_is_refused() -> None:
    with pytest.raises(DockerfileError, match="invalid run command"):
        commands.started(Command(("a", "b"), shell=True, scripts=(Script("E", "", chomp=False),)))


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("RUN a", ""),
        ("RUN cat <<E\na\nE", ""),
        ("RUN <<E\n\n  a b\nE", "a b"),
        ("RUN <<E\r\na\r\nb\r\nE", "a..."),
        ("RUN <<E\nE", ""),
    ],
)
def test_a_heredoc_is_summed_up_by_its_first_line(text: str, summary: str) -> None:
    assert commands.summary(command(text)) == summary
