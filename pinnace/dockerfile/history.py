"""The words of an image's history (created_by) for each expanded instruction, as BuildKit's are."""

from collections.abc import Iterable, Mapping, Sequence

from pinnace.dockerfile import golang, ports
from pinnace.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Step,
    Stopsignal,
    User,
    Volume,
    Workdir,
)

COMMENT = "buildkit.dockerfile.v0"


def created_by(
    step: Step,
    *,
    started: Sequence[str] = (),
    arguments: Mapping[str, str] | None = None,
    directory: str = "/",
) -> str | None:
    """None for ONBUILD, which leaves no trace.

    `started` is what RUN, CMD and ENTRYPOINT start with their shell; `arguments` are the ARGs that
    RUN sees; `directory` is the working directory after a WORKDIR.
    """
    match step:
        case Run():
            return f"RUN {_run(started, arguments or {})} # buildkit"
        case Add() | Copy():
            return f"{_files(step)} # buildkit"
        case Cmd() | Entrypoint():
            return f"{type(step).__name__.upper()} {_quoted(started)}"
        case Workdir():
            return f"WORKDIR {directory}"
        case Onbuild():
            return None
        case _:
            return _simple(step)


def _run(started: Sequence[str], arguments: Mapping[str, str]) -> str:
    pairs = [f"{name}={value}" for name, value in arguments.items()]
    count = [f"|{len(pairs)}"] if pairs else []
    return " ".join((*count, *pairs, *started))


def _files(step: Add | Copy) -> str:
    words = [type(step).__name__.upper()]
    if isinstance(step, Copy) and step.parents:
        words.append("--parents")
    words += [f"--chown={step.chown}"] if step.chown else []
    words += [f"--chmod={step.chmod}"] if step.chmod else []
    files = step.files
    words += (*files.sources, *(f"<<{file.name}" for file in files.inline), files.destination)
    return " ".join(words)


def _simple(
    step: Arg
    | Env
    | Expose
    | Healthcheck
    | Label
    | Maintainer
    | Shell
    | Stopsignal
    | User
    | Volume,
) -> str:
    keyword = type(step).__name__.upper()
    match step:
        case Arg(declarations=declarations):
            words = [d.name if d.value is None else f"{d.name}={d.value}" for d in declarations]
            return f"{keyword} {' '.join(words)}"
        case Env(pairs=pairs) | Label(pairs=pairs):
            return f"{keyword} {' '.join(map(str, pairs))}"
        case Expose(ports=exposed):
            return f"{keyword} {_listed(port for text in exposed for port in ports.parse(text))}"
        case Healthcheck():
            return f"{keyword} {_health(step)}"
        case Maintainer(author=word) | Stopsignal(signal=word) | User(user=word):
            return f"{keyword} {word}"
        case Shell(arguments=words) | Volume(paths=words):
            return f"{keyword} {_listed(words)}"


def _health(step: Healthcheck) -> str:
    times = (
        ("Interval", step.interval),
        ("Timeout", step.timeout),
        ("StartPeriod", step.start_period),
        ("StartInterval", step.start_interval),
    )
    told = " ".join(f"{name}:{golang.duration_text(time)}" for name, time in times)
    return f"{{Test:{_listed(step.test)} {told} Retries:{step.retries}}}"


def _listed(words: Iterable[str]) -> str:
    return f"[{' '.join(words)}]"


def _quoted(words: Iterable[str]) -> str:
    return _listed(map(golang.quote, words))
