"""`cp`: files between a container and here, through the archive API.

What lands where follows Docker, which follows cp(1): into a folder that is there, else under the
new name; `folder/.` means what is in it.
"""

from __future__ import annotations

import os
import stat
import time

from pinnace.cli import document, format, terminal
from pinnace.cli.arguments import Command, Failure, Option
from pinnace.cli.client import DaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Stat = dict[str, Any]

# Bits of Go's os.FileMode, which the API speaks.
_GO_DIR, _GO_LINK = 1 << 31, 1 << 27
_GO_DEVICES = (1 << 26) | (1 << 21) | (1 << 25) | (1 << 24)
_REDRAW = 0.075


def copy(invocation: Invocation) -> None:
    source, target = invocation.operands
    if not source:
        raise Failure("source can not be empty")
    if not target:
        raise Failure("destination can not be empty")
    from_container, source = _split(source)
    to_container, target = _split(target)
    if from_container and to_container:
        raise Failure("copying between containers is not supported")
    if from_container:
        _copy_out(invocation, from_container, source, target)
    elif to_container:
        _copy_in(invocation, to_container, source, target)
    else:
        raise Failure("must specify at least one container source")


def _split(text: str) -> tuple[str, str]:
    container, colon, path = text.partition(":")
    if text.startswith("/") or not colon or container.startswith("."):
        return "", text
    return container, path


def _absolute(path: str) -> str:
    """Absolute, and with the `/` or `/.` at its end that says what is meant."""
    return _keep_end(os.path.abspath(path), path)


def _keep_end(clean: str, path: str) -> str:
    if path.endswith("/.") or path == ".":
        return f"{clean.rstrip('/')}/."
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def _entry(path: str) -> tuple[str, str]:
    """(folder, name); the name of `folder/.` is `.`."""
    clean = os.path.normpath(path)
    if path.endswith("/.") or path == ".":
        return clean, "."
    return os.path.dirname(clean) or ".", os.path.basename(clean)


# From a container.


def _copy_out(invocation: Invocation, container: str, source: str, target: str) -> None:
    streamed = target == "-"
    if not streamed:
        target = _absolute(target)
        _check_output(target)
    rebase = ""
    if invocation["follow-link"]:
        source, rebase = _followed(invocation, container, source)
    response = invocation.client.request(
        "GET", f"/containers/{container}/archive", {"path": source}
    )
    if streamed:
        for chunk in response:
            terminal.write(chunk)
        return
    status = _decode_stat(response.headers.get("x-docker-container-path-stat", ""))
    from pinnace.cli import unpack

    meter = Meter(invocation, "Copying from container - ")
    reader = unpack.Reader(meter.watch(iter(response)))
    folder, rename = _landing(source, rebase, target, is_dir=bool(status["mode"] & _GO_DIR))
    try:
        unpack.unpack(reader, folder, rename)
    except unpack.Refused as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{error.filename or folder}: {(error.strerror or '').lower()}") from None
    meter.finish(target)


def _check_output(target: str) -> None:
    parent = os.path.dirname(os.path.normpath(target))
    if not os.path.isdir(parent):
        raise Failure(f'invalid output path: directory "{parent}" does not exist')
    if os.path.exists(target):
        mode = os.stat(target).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise Failure(
                f'invalid output path: "{target}" must be a directory or a regular file: '
                "got a device"
            )


def _landing(
    source: str, rebase: str, target: str, *, is_dir: bool
) -> tuple[str, Callable[[str], str]]:
    """(folder to unpack in, what each name of the archive becomes)."""
    name = _entry(source)[1]
    if rebase:
        # The archive is of the link's target, and is wanted under the link's name.
        before, name = name, rebase
    else:
        before = name
    folder, new = _entry(target)
    if os.path.isdir(target):
        return os.path.realpath(target), _renamer(before, name)
    if os.path.lexists(target) and os.path.exists(target):
        if is_dir:
            raise Failure("cannot copy directory")
        resolved = os.path.realpath(target)
        return os.path.dirname(resolved), _renamer(before, os.path.basename(resolved))
    if not is_dir and target.endswith(("/", "/.")):
        raise Failure("no such directory")
    if new == ".":
        folder, new = os.path.dirname(folder), os.path.basename(folder)
    return folder, _renamer(before, new)


def _renamer(before: str, after: str) -> Callable[[str], str]:
    """The first part of a name, replaced; of `/` there is none, all goes below the new name."""
    if before == after:
        return lambda name: name

    def rename(name: str) -> str:
        if before in ("", "/"):
            return f"{after}/{name.lstrip('/')}"
        first, slash, rest = name.partition("/")
        return after + slash + rest if first == before else name

    return rename


def _followed(invocation: Invocation, container: str, source: str) -> tuple[str, str]:
    try:
        status = _stat(invocation, container, source)
    except DaemonError:
        return source, ""  # what is wrong will be said when it is asked for
    if not status["mode"] & _GO_LINK:
        return source, ""
    link = os.path.join(_entry(source)[0], status["linkTarget"])
    resolved = _keep_end(os.path.normpath(link), source)
    before, after = _entry(source)[1], _entry(resolved)[1]
    return resolved, before if before != after else ""


# To a container.


def _copy_in(invocation: Invocation, container: str, source: str, target: str) -> None:
    there, path = _destination(invocation, container, target)
    if there is not None and there["mode"] & _GO_DEVICES:
        raise Failure(
            f'destination "{container}:{target}" must be a directory or a regular file: '
            "got a device"
        )
    is_dir = there is not None and bool(there["mode"] & _GO_DIR)
    meter = Meter(invocation, "Copying to container - ")
    chunks: Iterator[bytes]
    if source == "-":
        if not is_dir:
            raise Failure(f'destination "{container}:{target}" must be a directory')
        folder, chunks = path, _standard_input()
    else:
        folder, chunks = _packed(invocation, source, path, there, is_dir=is_dir)
        chunks = meter.watch(chunks)
    query = {
        "path": folder,
        "noOverwriteDirNonDir": "true",
        "copyUIDGID": "true" if invocation["archive"] else None,
    }
    response = invocation.client.stream(
        "PUT", f"/containers/{container}/archive", query, chunks=chunks
    )
    response.read()
    if source != "-":
        meter.finish(f"{container}:{path}")


def _destination(invocation: Invocation, container: str, target: str) -> tuple[Stat | None, str]:
    """(what is there, its path with a link followed once)."""
    try:
        found = _stat(invocation, container, target)
        if found["mode"] & _GO_LINK:
            target = os.path.join(_entry(target)[0], found["linkTarget"])
            found = _stat(invocation, container, target)
    except DaemonError as error:
        # Nothing there, or no such container: the daemon tells it better when the archive comes.
        if error.status != 404:
            raise
        return None, target
    return found, target


def _packed(
    invocation: Invocation, source: str, target: str, there: Stat | None, *, is_dir: bool
) -> tuple[str, Iterator[bytes]]:
    """(folder in the container, archive) so that it lands as cp(1) would have it."""
    from pinnace.cli import pack

    source = _absolute(source)
    if invocation["follow-link"]:
        source = _keep_end(os.path.realpath(source), source)
    folder, name = _entry(source)
    try:
        real = os.stat(source) if source.endswith(("/", "/.")) else os.lstat(source)
    except OSError as error:
        raise Failure(
            f"lstat {os.path.normpath(source)}: {(error.strerror or '').lower()}"
        ) from None
    source_is_dir = stat.S_ISDIR(real.st_mode)
    if source.endswith("/") and not source_is_dir:
        raise Failure("not a directory")
    target_folder, target_name = _entry(target)
    if is_dir:
        landing, new = target, name
    elif there is not None:
        if source_is_dir:
            raise Failure("cannot copy directory")
        landing, new = target_folder, target_name
    elif source_is_dir or not target.endswith(("/", "/.")):
        if target_name == ".":
            target_folder, target_name = os.path.split(target_folder)
        landing, new = target_folder, target_name
    else:
        raise Failure("no such directory")
    return landing, pack.pack(folder, name, new)


def _standard_input() -> Iterator[bytes]:
    while data := os.read(terminal.STDIN, 1 << 18):
        yield data


def _stat(invocation: Invocation, container: str, path: str) -> Stat:
    response = invocation.client.request("HEAD", f"/containers/{container}/archive", {"path": path})
    return _decode_stat(response.headers.get("x-docker-container-path-stat", ""))


def _decode_stat(text: str) -> Stat:
    import base64

    if not text:
        return {"mode": 0, "linkTarget": ""}
    found: Stat = document.decode(base64.b64decode(text))
    return found


class Meter:
    """How much was copied, said on a terminal while it goes on and at the end."""

    def __init__(self, invocation: Invocation, title: str) -> None:
        shown = "quiet" not in invocation.arguments.changed and terminal.is_terminal(
            terminal.STDOUT
        )
        self._shown = shown or ("quiet" in invocation.arguments.changed and not invocation["quiet"])
        self._title = title
        self._count = 0
        self._drawn = 0.0

    def watch(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._count += len(chunk)
            if self._shown and time.monotonic() - self._drawn > _REDRAW:
                self._drawn = time.monotonic()
                self._write(f"\r\x1b[2K{self._title}{format.size(self._count, 3)}")
            yield chunk

    def finish(self, where: str) -> None:
        if self._shown:
            size = format.size(self._count, 3)
            self._write(f"\r\x1b[2KSuccessfully copied {size} to {where}\n")

    def _write(self, text: str) -> None:
        plain = terminal.is_terminal(terminal.STDERR)
        terminal.write(text if plain else text.removeprefix("\r\x1b[2K"), terminal.STDERR)


CP = Command(
    "cp",
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n"
    "\t{program} cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files/folders between a container and the local filesystem",
    copy,
    (
        Option("archive", "bool", "Archive mode (copy all uid/gid information)", short="a"),
        Option("follow-link", "bool", "Always follow symbol link in SRC_PATH", short="L"),
        Option(
            "quiet",
            "bool",
            "Suppress progress output during copy. Progress output is automatically suppressed if"
            " no terminal is attached",
            short="q",
        ),
    ),
    at_least=2,
    at_most=2,
    aliases=("container cp", "cp"),
    long="Copy files/folders between a container and the local filesystem\n\n"
    "Use '-' as the source to read a tar archive from stdin\n"
    "and extract it to a directory destination in a container.\n"
    "Use '-' as the destination to stream a tar archive of a\n"
    "container source to stdout.",
)
