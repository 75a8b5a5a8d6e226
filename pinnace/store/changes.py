"""Dockerfile instructions → a changed config: what `import --change` and `commit --change` take.

Only those that change nothing but the config are allowed; the language is that of builds. The
words of ports and signals are Docker's own (moby, builder/dockerfile, as of 28.5).

Imported when there are changes: the language is large.
"""

import os.path
import signal
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pinnace import errors
from pinnace.dockerfile import commands, expand, interpret, parser
from pinnace.dockerfile.instructions import (
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Onbuild,
    Stopsignal,
    User,
    Volume,
    Workdir,
    expanded,
)
from pinnace.oci import image
from pinnace.oci.image import Config


def apply(config: Config, instructions: Sequence[str]) -> Config:
    """Raises Invalid."""
    text = "\n".join(instructions)
    if not any(map(_says_something, text.split("\n"))):
        return config
    tree = parser.parse(text.encode())
    for node in tree.nodes:
        if node.name not in _INSTRUCTIONS:
            raise errors.Invalid(f"{node.keyword} is not a valid change command")
    state = _State(config, expand.Lexer(tree.escape))
    for node in tree.nodes:
        step: Any = interpret.instruction(node)
        _INSTRUCTIONS[node.name](state, expanded(step, state.word, state.word))
    return state.config


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


class _State:
    def __init__(self, config: Config, lexer: expand.Lexer) -> None:
        self.config = config
        self.lexer = lexer
        self.cmd_set = False

    def set(self, **values: object) -> None:
        self.config = msgspec.structs.replace(self.config, **values)

    def word(self, text: str) -> str:
        return self.lexer.word(text, expand.environment(self.config.env or ()))

    def words(self, text: str) -> tuple[str, ...]:
        return self.lexer.words(text, expand.environment(self.config.env or ()))


# Instructions, in the order of the alphabet.


def _cmd(state: _State, step: Cmd) -> None:
    state.set(cmd=_command(state, step.command))
    state.cmd_set = True


def _entrypoint(state: _State, step: Entrypoint) -> None:
    state.set(entrypoint=_command(state, step.command) or None)
    if not state.cmd_set:
        # The image's own CMD was meant for its own entrypoint.
        state.set(cmd=None)


def _command(state: _State, command: Command) -> list[str]:
    """["a", "b"] as it is, anything else by the shell."""
    if not any(command.arguments):
        return list(command.arguments) if not command.shell else []
    return list(commands.started(command, state.config.shell or commands.SHELL).arguments)


def _env(state: _State, step: Env) -> None:
    entries = {entry.partition("=")[0]: entry for entry in state.config.env or ()}
    entries.update((pair.name, str(pair)) for pair in step.pairs)
    state.set(env=list(entries.values()))


def _expose(state: _State, step: Expose) -> None:
    ports = dict(state.config.exposed_ports or {})
    for given in step.ports:
        for word in state.words(given):
            ports.update({port: {} for port in _ports(word)})
    state.set(exposed_ports=dict(sorted(ports.items())))


def _healthcheck(state: _State, step: Healthcheck) -> None:
    check = image.Healthcheck(
        test=list(step.test),
        interval=step.interval or None,
        timeout=step.timeout or None,
        start_period=step.start_period or None,
        start_interval=step.start_interval or None,
        retries=step.retries or None,
    )
    state.set(healthcheck=check)


def _label(state: _State, step: Label) -> None:
    labels = {pair.name: pair.value for pair in step.pairs}
    state.set(labels={**(state.config.labels or {}), **labels})


def _onbuild(state: _State, step: Onbuild) -> None:
    state.set(on_build=[*(state.config.on_build or ()), step.trigger])


def _stopsignal(state: _State, step: Stopsignal) -> None:
    name = step.signal.upper().removeprefix("SIG")
    number = name.isdecimal() and 0 < int(name) < 65
    if not number and not _is_signal(name):
        raise errors.Invalid(f"invalid signal: {step.signal}")
    state.set(stop_signal=step.signal)


def _user(state: _State, step: User) -> None:
    state.set(user=step.user)


def _volume(state: _State, step: Volume) -> None:
    state.set(volumes={**(state.config.volumes or {}), **{path: {} for path in step.paths}})


def _workdir(state: _State, step: Workdir) -> None:
    path = os.path.join("/", state.config.working_dir or "", step.path)
    state.set(working_dir=os.path.normpath(path))


_INSTRUCTIONS: dict[str, Callable[[_State, Any], None]] = {
    "cmd": _cmd,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "healthcheck": _healthcheck,
    "label": _label,
    "onbuild": _onbuild,
    "stopsignal": _stopsignal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}


def _ports(word: str) -> list[str]:
    numbers, _, protocol = word.partition("/")
    protocol = protocol.lower() or "tcp"
    numbers = numbers.rpartition(":")[2]
    first, dash, last = numbers.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise errors.Invalid(f"Invalid containerPort: {numbers}")
    start, end = int(first), int(last or first)
    if start > end or end > 65535:
        raise errors.Invalid(f"Invalid containerPort: {numbers}")
    if protocol not in ("tcp", "udp", "sctp"):
        raise errors.Invalid(f"Invalid proto: {protocol}")
    return [f"{port}/{protocol}" for port in range(start, end + 1)]


def _is_signal(name: str) -> bool:
    base, real_time, _ = name.partition("+" if "+" in name else "-")
    return f"SIG{base}" in signal.Signals.__members__ and (
        not real_time or base in ("RTMIN", "RTMAX")
    )
