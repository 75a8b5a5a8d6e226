"""What containers have printed: `docker logs`, and the past for `attach --logs`."""

import os
import select
import threading
import time

from pinnace import errors
from pinnace.engine.documents import Container
from pinnace.engine.requests import AttachOptions, LogOptions
from pinnace.supervisor.logs import Reader

_PATIENCE_MS = 10_000  # that a client may take for each piece of the past


class Tail(Reader):
    """A reader that knows its container, so that following ends with it."""

    container_id: str = ""


class Tails:
    """Open readers that follow, to be told of the end of what they follow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._following: dict[str, list[Tail]] = {}

    def open(self, container: Container, options: LogOptions) -> Tail:
        if not options.stdout and not options.stderr:
            raise errors.Invalid("Bad parameters: you must choose at least one stream")
        running = container.state.running
        tail = _reader(container, options, follow=options.follow and running)
        tail.container_id = container.id
        if options.follow and running:
            with self._lock:
                following = self._following.setdefault(container.id, [])
                following[:] = [other for other in following if not other.done]
                following.append(tail)
            if not container.state.running:
                tail.finish()
        return tail

    def ended(self, ident: str) -> None:
        """The container's log is complete."""
        with self._lock:
            following = self._following.pop(ident, [])
        for tail in following:
            tail.finish()

    def replay(self, container: Container, options: AttachOptions, fd: int) -> int:
        """Write what was printed so far to a client; until when, in ns since the epoch."""
        wanted = LogOptions(stdout=options.stdout, stderr=options.stderr)
        now = time.time_ns()
        try:
            tail = _reader(container, wanted, multiplexed=options.multiplexed, until=now)
        except errors.Unsupported:
            return 0
        with tail:
            while data := tail.read():
                _send(fd, data)
        return now


def _reader(
    container: Container,
    options: LogOptions,
    *,
    follow: bool = False,
    multiplexed: bool | None = None,
    until: int = 0,
) -> Tail:
    log = container.host_config.log_config
    return Tail(
        log.type,
        container.log_path,
        log.config,
        stdout=options.stdout,
        stderr=options.stderr,
        since_ns=options.since,
        until_ns=until or options.until,
        tail=_count(options.tail),
        timestamps=options.timestamps,
        details=options.details,
        multiplexed=not container.config.tty if multiplexed is None else multiplexed,
        follow=follow,
    )


def _count(text: str) -> int:
    """How many lines; all of them for anything but a number, as Docker has it."""
    return int(text) if text.isascii() and text.isdigit() else -1


def _send(fd: int, data: bytes) -> None:
    """All of it; a client that takes nothing for long is given up."""
    view = memoryview(data)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            if not poll.poll(_PATIENCE_MS):
                raise errors.Failed("the client does not read") from None
        except OSError as error:
            raise errors.Failed("the client is gone") from error
