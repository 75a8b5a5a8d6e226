"""One cgroup folder as files: control files written and read, members listed, folders removed."""

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

# What "max" and v1's largest numbers stand for, as Docker's API has them.
UNLIMITED = (1 << 64) - 1

# What the kernel says instead of ENOENT when the file is there and what it stands for is not: a
# disk whose scheduler has no weights, a limit that is only a memory of older kernels (ENOTSUPP).
_NOT_OFFERED = (errno.EOPNOTSUPP, 524)
_WITHHELD = (errno.EPERM, errno.EACCES, errno.EROFS)


class Write(NamedTuple):
    """A value for a control file of the hierarchy that has `controller`.

    `absent` says what it means when the kernel does not have the file, or the host does not let
    us write it: None, an error; empty, nothing; otherwise a warning of these words.
    `again`: EINVAL may only mean that a later write has to come first; it is tried again last.
    `otherwise` is the write to try where the file does not exist.
    """

    controller: str
    file: str
    value: str
    absent: str | None = None
    again: bool = False
    otherwise: "Write | None" = None


class Discarded(NamedTuple):
    """A limit that this version of cgroups can't hold, and the warning that says so."""

    warning: str


class DeviceFilter(NamedTuple):
    """A BPF_PROG_TYPE_CGROUP_DEVICE program that takes the place of the last one (v2 only)."""

    program: bytes


Step = Write | Discarded | DeviceFilter


class _Pen:
    """Writes values, keeping the last file open: device rules go one by one to the same file."""

    def __init__(self) -> None:
        self._path = ""
        self._fd = -1

    def write(self, path: str, value: str) -> None:
        if path != self._path:
            self.close()
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            self._path = path
        try:
            os.write(self._fd, value.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._path = -1, ""


def perform(
    steps: Iterable[Write | Discarded], folder_of: Callable[[str], str | None]
) -> list[str]:
    """Carry out the steps in their order; returns the warnings.

    `folder_of` names the folder for a controller, None when it is not mounted.
    """
    warnings: list[str] = []
    postponed: list[Write] = []
    pen = _Pen()
    try:
        for step in steps:
            if isinstance(step, Discarded):
                warnings.append(step.warning)
                continue
            try:
                warnings += _attempt(pen, step, folder_of(step.controller))
            except OSError as error:
                if error.errno != errno.EINVAL or not step.again:
                    raise
                postponed.append(step)
        for step in postponed:
            warnings += _attempt(pen, step, folder_of(step.controller))
    finally:
        pen.close()
    return list(dict.fromkeys(warnings))  # one limit may be several files


def _attempt(pen: _Pen, step: Write, folder: str | None) -> list[str]:
    if folder is None:
        if step.absent is None:
            raise OSError(errno.ENOENT, "no such cgroup controller", step.controller)
        return [step.absent] if step.absent else []
    path = f"{folder}/{step.file}"
    try:
        pen.write(path, step.value)
    except OSError as error:
        return _forgive(pen, step, folder, error)
    return []


def _forgive(pen: _Pen, step: Write, folder: str, error: OSError) -> list[str]:
    """The warnings for a write that failed, or the error raised again."""
    missing = error.errno == errno.ENOENT or error.errno in _NOT_OFFERED
    if missing and step.otherwise is not None:
        return _attempt(pen, step.otherwise, folder)
    if step.absent is None or (error.errno == errno.ENOENT and not os.path.isdir(folder)):
        raise error
    if missing:
        return [step.absent] if step.absent else []
    if error.errno in _WITHHELD:
        return [f"{error.strerror}: {error.filename}. {step.value!r} discarded."]
    raise error


def write(path: str, value: str) -> None:
    pen = _Pen()
    try:
        pen.write(path, value)
    finally:
        pen.close()


def read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, 65536)
        # Lists (cgroup.procs) come in pieces of a page.
        while more := os.read(fd, 65536):
            data += more
        return data
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def read_if_there(path: str) -> bytes | None:
    """None for a file the kernel does not offer; a folder that is gone is still an error."""
    try:
        return read(path)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):
            raise
        return None


def make(folder: str) -> None:
    """A new, empty cgroup; the parents are made when missing.

    What an earlier life left behind (limits, a frozen state) would be taken over silently, so
    an existing one is replaced; EBUSY when there are processes in it.
    """
    try:
        os.mkdir(folder, 0o755)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(folder), 0o755, exist_ok=True)
        os.mkdir(folder, 0o755)
    except FileExistsError:
        remove(folder)
        os.mkdir(folder, 0o755)


def children(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield entry.path


def processes(folder: str) -> list[int]:
    """The processes in folder and below it; none when it is gone."""
    try:
        found = members(folder)
        for child in children(folder):
            found += processes(child)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
        return []
    return found


def members(folder: str) -> list[int]:
    """The processes in folder itself."""
    try:
        data = read(f"{folder}/cgroup.procs")
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        # A threaded cgroup has threads only (cgroup-v2.rst, "Threads").
        data = read(f"{folder}/cgroup.threads")
    # 0 is a process of a pid namespace that we don't see.
    return [int(word) for word in data.split() if word != b"0"]


def remove(folder: str) -> None:
    """Remove folder and those below; it may be gone already. EBUSY when a process is in one."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        try:
            for child in list(children(folder)):
                remove(child)
            os.rmdir(folder)
        except FileNotFoundError:
            return


def remove_all(folders: Iterable[str], *, timeout: float) -> None:
    """Remove every folder that can be; then the first error, if there was any.

    A process leaves its cgroups a moment after it can be reaped, so EBUSY is tried again.
    """
    left, pause, end = list(folders), 0.001, time.monotonic() + timeout
    failed: list[OSError] = []
    while left:
        busy: list[OSError] = []
        again: list[str] = []
        for folder in left:
            try:
                remove(folder)
            except OSError as error:
                if error.errno == errno.EBUSY:
                    busy.append(error)
                    again.append(folder)
                else:
                    failed.append(error)
        left = again
        if left and time.monotonic() >= end:
            failed += busy
            break
        if left:
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
    if failed:
        raise failed[0]
