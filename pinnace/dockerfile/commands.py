"""What RUN, CMD and ENTRYPOINT start: the shell put before a text, heredocs put into it."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from pinnace.dockerfile import golang, heredocs
from pinnace.dockerfile.instructions import Command
from pinnace.dockerfile.source import DockerfileError

SHELL = ("/bin/sh", "-c")

# Where a script with a shebang is shown to the step, read-only.
SCRIPTS = "/dev/pipes"


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """To be made, executable, before the step, and not kept in the image."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Started:
    arguments: tuple[str, ...]
    script: ScriptFile | None = None


def started(command: Command, shell: Sequence[str] = SHELL) -> Started:
    """Raises DockerfileError."""
    if not command.scripts:
        return Started(_with_shell(command, command.arguments, shell))
    if len(command.arguments) != 1 or not command.shell:
        words = " ".join(command.arguments)
        raise DockerfileError(f"parsing produced an invalid run command: [{words}]")
    text = command.arguments[0]
    if heredocs.lenient(text) is None:
        # The shell reads heredocs itself: it gets them back as they were.
        documents = (f"\n{script.content}{script.name}" for script in command.scripts)
        return Started(_with_shell(command, (text + "".join(documents),), shell))
    script = command.scripts[0]
    content = heredocs.chomped(script.content) if script.chomp else script.content
    if not content.startswith("#!"):
        # Also for shells that know no heredocs: the text is the command.
        return Started(_with_shell(command, (content,), shell))
    file = ScriptFile(posixpath.join(SCRIPTS, script.name), content)
    return Started(_with_shell(command, (file.path,), shell), file)


def _with_shell(
    command: Command, arguments: tuple[str, ...], shell: Sequence[str]
) -> tuple[str, ...]:
    return (*shell, " ".join(arguments)) if command.shell else arguments


def summary(command: Command) -> str:
    """The first line of a text that is a heredoc, for the progress display; "" for others."""
    if not command.scripts or heredocs.lenient(command.arguments[0]) is None:
        return ""
    lines = golang.trim(command.scripts[0].content).replace("\r\n", "\n").split("\n")
    return lines[0] + ("..." if len(lines) > 1 else "")
