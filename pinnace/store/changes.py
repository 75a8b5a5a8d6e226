"""Dockerfile instructions → a changed config: what `import --change` and `commit --change` take.

Only those that change nothing but the config are allowed. Words and rules are Docker's
(moby, builder/dockerfile, as of 28.5).
"""

import json
import os.path
import re
import signal
from collections.abc import Callable, Iterator, Sequence

import msgspec

from pinnace import errors
from pinnace.oci.image import Config, Healthcheck

_SHELL = ["/bin/sh", "-c"]


def apply(config: Config, instructions: Sequence[str]) -> Config:
    """Raises Invalid."""
    state = _State(config)
    for name, rest in _lines("\n".join(instructions)):
        instruction = _INSTRUCTIONS.get(name.lower())
        if instruction is None:
            raise errors.Invalid(f"{name} is not a valid change command")
        instruction(state, rest)
    return state.config


class _State:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.cmd_set = False

    def set(self, **values: object) -> None:
        self.config = msgspec.structs.replace(self.config, **values)

    @property
    def env(self) -> dict[str, str]:
        pairs = (entry.partition("=") for entry in self.config.env or ())
        return {key: value for key, _, value in pairs}


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Instructions and what follows them; a backslash at its end continues a line."""
    whole = ""
    for line in [*text.split("\n"), ""]:
        stripped = line.strip()
        if stripped.startswith("#"):
            continue
        if stripped.endswith("\\"):
            whole += line.rstrip()[:-1]
            continue
        name, _, rest = (whole + line).strip().partition(" ")
        whole = ""
        if name:
            yield name, rest.strip()


# Instructions, in the order of the alphabet.


def _cmd(state: _State, rest: str) -> None:
    state.set(cmd=_command(state, rest))
    state.cmd_set = True


def _entrypoint(state: _State, rest: str) -> None:
    state.set(entrypoint=_command(state, rest) or None)
    if not state.cmd_set:
        # The image's own CMD was meant for its own entrypoint.
        state.set(cmd=None)


def _env(state: _State, rest: str) -> None:
    entries = list(state.config.env or ())
    for key, value in _pairs("ENV", rest, state):
        if not key:
            raise errors.Invalid("ENV names can not be blank")
        keys = [entry.partition("=")[0] for entry in entries]
        if key in keys:
            entries[keys.index(key)] = f"{key}={value}"
        else:
            entries.append(f"{key}={value}")
    state.set(env=entries)


def _expose(state: _State, rest: str) -> None:
    ports = dict(state.config.exposed_ports or {})
    for word in _some_words("EXPOSE", rest, state):
        ports.update({port: {} for port in _ports(word)})
    state.set(exposed_ports=dict(sorted(ports.items())))


def _healthcheck(state: _State, rest: str) -> None:
    flags, rest = _flags(rest)
    kind, _, command = rest.partition(" ")
    match kind.upper():
        case "":
            raise errors.Invalid("HEALTHCHECK requires at least one argument")
        case "NONE":
            if command.strip():
                raise errors.Invalid("HEALTHCHECK NONE takes no arguments")
            check = Healthcheck(test=["NONE"])
        case "CMD":
            arguments = _json_words(command)
            if not command.strip() or arguments == []:
                raise errors.Invalid("Missing command after HEALTHCHECK CMD")
            test = ["CMD", *arguments] if arguments else ["CMD-SHELL", command.strip()]
            check = _health_options(Healthcheck(test=test), flags)
        case unknown:
            raise errors.Invalid(f'Unknown type "{unknown}" in HEALTHCHECK (try CMD)')
    state.set(healthcheck=check)


def _label(state: _State, rest: str) -> None:
    pairs = _pairs("LABEL", rest, state)
    if any(not key for key, _ in pairs):
        raise errors.Invalid("LABEL names can not be blank")
    state.set(labels={**(state.config.labels or {}), **dict(pairs)})


def _onbuild(state: _State, rest: str) -> None:
    trigger = rest.partition(" ")[0].upper()
    if not trigger:
        raise errors.Invalid("ONBUILD requires at least one argument")
    if trigger == "ONBUILD":
        raise errors.Invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise errors.Invalid(f"{trigger} isn't allowed as an ONBUILD trigger")
    state.set(on_build=[*(state.config.on_build or ()), rest])


def _stopsignal(state: _State, rest: str) -> None:
    (text,) = _one_word("STOPSIGNAL", rest, state)
    name = text.upper().removeprefix("SIG")
    number = name.isdecimal() and 0 < int(name) < 65
    if not number and not _is_signal(name):
        raise errors.Invalid(f"invalid signal: {text}")
    state.set(stop_signal=text)


def _user(state: _State, rest: str) -> None:
    (user,) = _one_word("USER", rest, state)
    state.set(user=user)


def _volume(state: _State, rest: str) -> None:
    words = _json_words(rest)
    if words is None:
        words = _words(rest, state)
    if not words:
        raise errors.Invalid("VOLUME requires at least one argument")
    if not all(word.strip() for word in words):
        raise errors.Invalid("VOLUME specified can not be an empty string")
    state.set(volumes={**(state.config.volumes or {}), **{word: {} for word in words}})


def _workdir(state: _State, rest: str) -> None:
    (path,) = _one_word("WORKDIR", rest, state)
    state.set(working_dir=os.path.normpath(os.path.join("/", state.config.working_dir or "", path)))


_INSTRUCTIONS: dict[str, Callable[[_State, str], None]] = {
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


# Their parts.


def _command(state: _State, rest: str) -> list[str]:
    """["a", "b"] as it is, anything else by the shell."""
    words = _json_words(rest)
    if words is not None:
        return words
    return [*(state.config.shell or _SHELL), rest] if rest else []


def _json_words(text: str) -> list[str] | None:
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return words
    return None


def _one_word(name: str, rest: str, state: _State) -> tuple[str]:
    if not rest:
        raise errors.Invalid(f"{name} requires exactly one argument")
    return (_expand(rest, state.env),)


def _some_words(name: str, rest: str, state: _State) -> list[str]:
    words = _words(rest, state)
    if not words:
        raise errors.Invalid(f"{name} requires at least one argument")
    return words


_word = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""", re.DOTALL)


def _words(text: str, state: _State) -> list[str]:
    return [_expand(word, state.env) for word in _word.findall(text)]


def _pairs(name: str, rest: str, state: _State) -> list[tuple[str, str]]:
    """a=b c="d e", or the old form: a b"""
    if not rest:
        raise errors.Invalid(f"{name} requires at least one argument")
    words: list[str] = _word.findall(rest)
    if words and "=" not in words[0]:
        key, _, value = rest.partition(" ")
        if not value.strip():
            raise errors.Invalid(f"{name} must have two arguments")
        return [(key, _expand(value.strip(), state.env))]
    pairs: list[tuple[str, str]] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise errors.Invalid(
                f"Syntax error - can't find = in {json.dumps(word)}."
                " Must be of the form: name=value"
            )
        pairs.append((_expand(key, state.env), _expand(value, state.env)))
    return pairs


_part = re.compile(
    r"""'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|\\(?P<escaped>.)"""
    r"""|\$(?:(?P<name>\w+)|\{(?P<braced>\w+)(?::(?P<sign>[-+])(?P<word>[^}]*))?\})""",
    re.DOTALL | re.ASCII,
)


def _expand(text: str, env: dict[str, str]) -> str:
    """Quotes are removed and variables replaced, as a shell would."""

    def replace(match: re.Match[str]) -> str:
        if match["single"] is not None:
            return match["single"]
        if match["double"] is not None:
            return _part.sub(replace, match["double"].replace("'", "\\'"))
        if match["escaped"] is not None:
            return match["escaped"]
        value = env.get(match["name"] or match["braced"], "")
        if match["sign"] == "-":
            return value or match["word"]
        if match["sign"] == "+":
            return match["word"] if value else ""
        return value

    return _part.sub(replace, text)


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


def _flags(rest: str) -> tuple[dict[str, str], str]:
    flags: dict[str, str] = {}
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        key, _, value = flag[2:].partition("=")
        flags[key] = value
        rest = rest.lstrip()
    return flags, rest


_DURATIONS = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "start-interval": "start_interval",
}
_UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}


def _health_options(check: Healthcheck, flags: dict[str, str]) -> Healthcheck:
    for key, value in flags.items():
        if key == "retries":
            if not value.isdecimal():
                raise errors.Invalid(f"invalid HEALTHCHECK retries {value!r}")
            check = msgspec.structs.replace(check, retries=int(value))
        elif key in _DURATIONS:
            change = {_DURATIONS[key]: _duration(key, value)}
            check = msgspec.structs.replace(check, **change)
        else:
            raise errors.Invalid(f"unknown flag: --{key}")
    return check


def _duration(key: str, text: str) -> int:
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|ns|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise errors.Invalid(f'time: invalid duration "{text}"')
    total = int(sum(float(number) * _UNITS[unit] for number, unit in parts))
    if 0 < total < 10**6:
        raise errors.Invalid(f'Interval "{key}" cannot be less than 1ms')
    return total


def _is_signal(name: str) -> bool:
    base, real_time, _ = name.partition("+" if "+" in name else "-")
    return f"SIG{base}" in signal.Signals.__members__ and (
        not real_time or base in ("RTMIN", "RTMAX")
    )
