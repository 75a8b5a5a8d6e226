"""The engine as the API calls it: the exact signatures, checked by mypy on both sides.

All of these block and run in worker threads, except where it says "loop". Errors are `errors.*`
with Docker's message.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, TypeAlias

from pinnace.engine.documents import (
    Container,
    ContainerConfig,
    ExecConfig,
    ExecRecord,
    HostConfig,
    NetworkingConfig,
    UpdateConfig,
)
from pinnace.engine.requests import AttachOptions, LogOptions

Filters: TypeAlias = dict[str, list[str]]
Shown: TypeAlias = dict[str, Any]
Exit: TypeAlias = tuple[int, str | None]


class LogReader(Protocol):
    """A container's log from where it was asked for.

    `read` gives what is there, b"" when there is nothing now; `finished` is true when there
    never will be more. `fileno` is readable when either may have changed (only when following).
    """

    def read(self) -> bytes: ...
    def fileno(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    def close(self) -> None: ...


class Subscription(Protocol):
    def close(self) -> None: ...


class Containers(Protocol):
    def create(
        self,
        name: str | None,
        config: ContainerConfig,
        host_config: HostConfig,
        networking: NetworkingConfig,
        platform: str | None,
    ) -> tuple[str, list[str]]: ...
    def get(self, ident: str) -> Container: ...
    def list(
        self, *, all: bool, limit: int, size: bool, filters: Filters
    ) -> Sequence[Container]: ...
    def start(self, ident: str) -> None: ...
    def stop(self, ident: str, timeout: int | None, signal: str | None) -> None: ...
    def restart(self, ident: str, timeout: int | None, signal: str | None) -> None: ...
    def kill(self, ident: str, signal: str | None) -> None: ...
    def pause(self, ident: str) -> None: ...
    def unpause(self, ident: str) -> None: ...
    def rename(self, ident: str, new_name: str) -> None: ...
    def remove(self, ident: str, *, force: bool, volumes: bool, link: bool) -> None: ...
    def resize(self, ident: str, height: int, width: int) -> None: ...
    def update(self, ident: str, update: UpdateConfig) -> Sequence[str]: ...
    def top(self, ident: str, ps_args: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]: ...
    def changes(self, ident: str) -> Sequence[tuple[int, str]]: ...
    def prune(self, filters: Filters) -> tuple[Sequence[str], int]: ...
    def sizes(self, ident: str) -> tuple[int, int]: ...
    def wait(self, ident: str, condition: str) -> "Future[Exit]":
        """Cancelled when the client goes away."""

    def check_attach(self, ident: str, options: AttachOptions) -> Container:
        """Raises what `attach` would, as far as it can be known before."""

    def attach(self, ident: str, options: AttachOptions, client_fd: int, initial: bytes) -> None:
        """The client's socket is the engine's from the call on, and closed also if that fails."""

    def logs(self, ident: str, options: LogOptions) -> LogReader: ...
    def export(self, ident: str) -> Iterator[bytes]: ...
    def commit(
        self,
        ident: str,
        *,
        repo: str,
        tag: str,
        comment: str,
        author: str,
        pause: bool,
        changes: Sequence[str],
        config: ContainerConfig | None,
    ) -> str: ...


class Execs(Protocol):
    def create(self, ident: str, config: ExecConfig) -> str: ...
    def start(
        self,
        exec_id: str,
        *,
        detach: bool,
        tty: bool,
        console_size: tuple[int, int] | None,
        client_fd: int | None,
        initial: bytes,
    ) -> None:
        """The client's socket is the engine's from the call on, and closed also if that fails."""

    def resize(self, exec_id: str, height: int, width: int) -> None: ...
    def inspect(self, exec_id: str) -> ExecRecord: ...
    def check(self, exec_id: str) -> ExecRecord:
        """Raises what `start` would, as far as it can be known before."""


class Readable(Protocol):
    """A request's body as a file that blocks; b"" is its end."""

    def read(self, size: int = -1, /) -> bytes: ...


class Images(Protocol):
    """Documents are Docker's, of the newest API version, as dicts."""

    def resolve(self, reference: str) -> Any: ...
    def list(self, *, all: bool, filters: Filters, shared_size: bool) -> Sequence[Shown]: ...
    def inspect(self, reference: str) -> Shown: ...
    def history(self, reference: str) -> Sequence[Shown]: ...
    def tag(self, reference: str, repo: str, tag: str) -> None: ...
    def remove(self, reference: str, *, force: bool, prune: bool) -> Sequence[Shown]: ...
    def prune(self, filters: Filters) -> tuple[Sequence[Shown], int]: ...
    def load(self, archive: Readable) -> Iterator[str]: ...
    def save(self, references: Sequence[str]) -> Iterator[bytes]: ...
    def import_(
        self,
        archive: Readable,
        *,
        repo: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str | None,
    ) -> str: ...


class Volumes(Protocol):
    def create(
        self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]
    ) -> Shown: ...
    def inspect(self, name: str) -> Shown: ...
    def list(self, filters: Filters) -> tuple[Sequence[Shown], Sequence[str]]: ...
    def remove(self, name: str, *, force: bool) -> None: ...
    def prune(self, filters: Filters) -> tuple[Sequence[str], int]: ...


class Networks(Protocol):
    def list(self, filters: Filters) -> Sequence[Shown]: ...
    def inspect(self, ident: str) -> Shown: ...


class Events(Protocol):
    def subscribe(
        self, filters: Filters, since: int, until: int, callback: Callable[[Shown], None]
    ) -> Subscription:
        """Calls back, from any thread, first for what is remembered since then, in order."""


class System(Protocol):
    def info(self) -> Shown: ...
    def version(self) -> Shown: ...
    def df(self) -> Shown: ...


class Engine(Protocol):
    @property
    def containers(self) -> Containers: ...
    @property
    def execs(self) -> Execs: ...
    @property
    def images(self) -> Images: ...
    @property
    def volumes(self) -> Volumes: ...
    @property
    def networks(self) -> Networks: ...
    @property
    def events(self) -> Events: ...
    @property
    def system(self) -> System: ...
