"""`save`, `load`, `export` and `import`: archives in and out."""

from __future__ import annotations

import os

from pinnace.cli import reference, terminal
from pinnace.cli.arguments import MANY, Command, Failure, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pinnace.cli.connection import Query
    from pinnace.cli.invocation import Invocation

_PIECE = 1 << 18


def save(invocation: Invocation) -> None:
    query = {"names": invocation.operands, "platform": _platform(invocation)}
    _write_out(invocation, "save image", lambda: _get(invocation, "/images/get", query))


def export(invocation: Invocation) -> None:
    path = f"/containers/{invocation.operands[0]}/export"
    _write_out(invocation, "export container", lambda: _get(invocation, path, {}))


def _get(invocation: Invocation, path: str, query: Query) -> Iterable[bytes]:
    return invocation.client.request("GET", path, query)


def _write_out(invocation: Invocation, purpose: str, chunks: Callable[[], Iterable[bytes]]) -> None:
    """To standard output, or to a file that is there only if it is whole."""
    path = invocation["output"]
    if not path:
        if terminal.is_terminal(terminal.STDOUT):
            raise Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for chunk in chunks():
            terminal.write(chunk)
        return
    temporary = _check_output(path, purpose)
    data = chunks()
    try:
        with open(temporary, "xb", buffering=0) as file:
            os.chmod(temporary, 0o600)
            for chunk in data:
                file.write(chunk)
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _check_output(path: str, purpose: str) -> str:
    """Where it is written until it is whole."""
    folder, name = os.path.split(os.path.abspath(path))
    if os.path.isdir(path):
        raise Failure(f"failed to {purpose}: cannot write to a directory")
    if not os.path.isdir(folder):
        raise Failure(
            f"failed to {purpose}: invalid output path: stat {folder}: no such file or directory"
        )
    if os.path.exists(path) and not os.path.isfile(path):
        raise Failure(f"failed to {purpose}: invalid output path: cannot write to a device: {path}")
    return f"{folder}/.{name}.{os.getpid()}"


def load(invocation: Invocation) -> None:
    from pinnace.cli import progress

    drawn = terminal.is_terminal(terminal.STDOUT) and not invocation["quiet"]
    query = {"quiet": not drawn, "platform": _platform(invocation)}
    if not invocation["input"] and terminal.is_terminal(terminal.STDIN):
        raise Failure("requested load from stdin, but stdin is empty")
    chunks = _read(invocation["input"])
    response = invocation.client.stream("POST", "/images/load", query, chunks=chunks)
    if "json" in response.headers.get("content-type", ""):
        progress.display(response.messages())
        return
    for chunk in response:
        terminal.write(chunk)


def import_(invocation: Invocation) -> None:
    from pinnace.cli import progress

    source, *names = invocation.operands
    if names and names[0]:
        try:
            reference.named(names[0])
        except ValueError as error:
            raise Failure(str(error)) from None
    remote = source.startswith(("http://", "https://"))
    query = {
        "fromSrc": source if remote else "-",
        "repo": names[0] if names else None,
        "message": invocation["message"] or None,
        "changes": invocation["change"],
        "platform": invocation["platform"] or None,
    }
    chunks = iter(()) if remote else _read("" if source == "-" else source)
    response = invocation.client.stream("POST", "/images/create", query, chunks=chunks)
    progress.display(response.messages())


def _read(path: str) -> Iterator[bytes]:
    """A file's content, or standard input's; opened at once, so that a wrong path is told first."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else terminal.STDIN
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or '').lower()}") from None
    return _pieces(fd)


def _pieces(fd: int) -> Iterator[bytes]:
    while data := os.read(fd, _PIECE):
        yield data


def _platform(invocation: Invocation) -> str | None:
    if not invocation["platform"]:
        return None
    from pinnace.cli import image

    return image.platform_json(invocation["platform"])


_OUTPUT = Option("output", "string", "Write to a file, instead of STDOUT", short="o")


def _platform_option(verb: str) -> Option:
    return Option(
        "platform",
        "string",
        f'{verb} only the given platform variant. Formatted as "os[/arch[/variant]]" '
        '(e.g., "linux/amd64")',
    )


SAVE = Command(
    "save",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    save,
    (_OUTPUT, _platform_option("Save")),
    at_least=1,
    at_most=MANY,
    aliases=("image save", "save"),
)
LOAD = Command(
    "load",
    "[OPTIONS]",
    "Load an image from a tar archive or STDIN",
    load,
    (
        Option("input", "string", "Read from tar archive file, instead of STDIN", short="i"),
        _platform_option("Load"),
        Option("quiet", "bool", "Suppress the load output", short="q"),
    ),
    aliases=("image load", "load"),
)
EXPORT = Command(
    "export",
    "[OPTIONS] CONTAINER",
    "Export a container's filesystem as a tar archive",
    export,
    (_OUTPUT,),
    at_least=1,
    at_most=1,
    aliases=("container export", "export"),
)
IMPORT = Command(
    "import",
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
    import_,
    (
        Option("change", "list", "Apply Dockerfile instruction to the created image", short="c"),
        Option("message", "string", "Set commit message for imported image", short="m"),
        Option("platform", "string", "Set platform if server is multi-platform capable"),
    ),
    at_least=1,
    at_most=MANY,
    aliases=("image import", "import"),
)
