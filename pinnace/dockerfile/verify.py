"""What is wrong with an instruction although its grammar is right: seen when it is expanded."""

import posixpath
import re
from collections.abc import Sequence

from pinnace.dockerfile import golang, ports, remotes
from pinnace.dockerfile.instructions import Add, Copy, Expose, Run, Step, Stopsignal, Volume
from pinnace.dockerfile.mounts import Mount, MountType
from pinnace.dockerfile.remotes import Git, Http
from pinnace.dockerfile.source import DockerfileError

_CLAUSE = r"[augo]*(?:[+=-][rstwXxugo]*)+"
_symbolic = re.compile(f"{_CLAUSE}(?:,{_CLAUSE})*").fullmatch
_SIGNALS = frozenset(
    (
        *("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT"),
        *("KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM"),
        *("TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU"),
        *("XFSZ", "RTMIN", "RTMAX"),
        *(f"RTMIN+{number}" for number in range(1, 16)),
        *(f"RTMAX-{number}" for number in range(1, 15)),
    )
)


def check(step: Step, directory: str = "/") -> None:
    """Of an expanded instruction in a working directory. Raises DockerfileError with its lines."""
    try:
        _check(step, directory)
    except DockerfileError as error:
        raise error.at(step.origin.lines) from None


def _check(step: Step, directory: str) -> None:
    match step:
        case Add():
            _check_mode(step.chmod)
            _check_sources(step)
        case Copy():
            _check_mode(step.chmod)
            _check_local(step.files.sources)
        case Expose():
            for port in step.ports:
                ports.parse(port)
        case Run():
            for mount in step.mounts:
                _check_target(mount, directory)
        case Stopsignal():
            _check_signal(step.signal)
        case Volume() if not all(step.paths):
            raise DockerfileError("VOLUME specified can not be an empty string")


def _check_mode(text: str) -> None:
    if not text:
        return
    try:
        in_bounds = golang.integer(text, low=0, high=(1 << 32) - 1, base=8) <= 0o7777
    except ValueError:
        in_bounds = False
        if not text[0].isdigit():
            if not _symbolic(text):
                raise DockerfileError("invalid syntax") from None
            return
    if not in_bounds:
        raise DockerfileError(
            f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        )


def _check_sources(add: Add) -> None:
    remote = [remotes.parse(source) for source in add.files.sources]
    if not add.checksum:
        return
    if len(remote) != 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    if remote[0] is None:
        raise DockerfileError("checksum requires HTTP(S) or Git sources")


def _check_local(sources: Sequence[str]) -> None:
    for source in sources:
        match remotes.parse(source):
            case Git():
                raise DockerfileError("source can't be a git ref for COPY")
            case Http():
                raise DockerfileError("source can't be a URL for COPY")


def _check_target(mount: Mount, directory: str) -> None:
    if mount.type in (MountType.SECRET, MountType.SSH):
        return
    if posixpath.normpath(posixpath.join("/", directory, mount.target)).strip("/") == "":
        raise DockerfileError('invalid mount target "/"')


def _check_signal(text: str) -> None:
    try:
        known = golang.integer(text, low=-(1 << 63), high=(1 << 63) - 1) != 0
    except ValueError:
        known = text.upper().removeprefix("SIG") in _SIGNALS
    if not known:
        raise DockerfileError(f"invalid signal: {text}")
