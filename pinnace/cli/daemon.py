"""`daemon`: the engine, opened and served until it is told to stop."""

from __future__ import annotations

import os

from pinnace.cli import daemon_settings, terminal
from pinnace.cli.arguments import Command, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from pinnace.cli.daemon_settings import Settings
    from pinnace.cli.invocation import Invocation

# As many signals as it takes to leave at once, whatever is under way; dockerd has three too.
_IMPATIENT = 3


def daemon(invocation: Invocation) -> int:
    arguments = invocation.arguments
    if arguments.operands:
        raise Failure(f"unknown command: {invocation.path} {arguments.operands[0]}")
    settings = daemon_settings.read(
        arguments, invocation.globals.hosts, debug=invocation.globals.debug
    )
    if arguments.flag("validate"):
        terminal.warn("configuration OK")
        return 0
    return serve(settings)


def serve(settings: Settings) -> int:
    """Opens the engine and serves its API until SIGTERM or SIGINT; containers run on."""
    import logging
    import signal

    # A client's signals are not a daemon's: see `main`.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    logging.basicConfig(
        level=logging.DEBUG if settings.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    with PidFile(settings.pidfile):
        return _serve(settings)


def _serve(settings: Settings) -> int:
    from pinnace import errors
    from pinnace.api import server
    from pinnace.engine import engine

    tls = settings.tls_context()
    try:
        opened = engine.Engine.open(
            engine.Settings(  # type: ignore[attr-defined]
                data_root=settings.data_root,
                runtime_root=settings.runtime_root,
                debug=settings.debug,
                **settings.engine_options(),
            )
        )
    except (errors.PinnaceError, OSError) as error:
        raise Failure(f"failed to start daemon: {error}") from None
    with opened:
        try:
            listeners = [
                server.listen(host, tls if host.startswith("tcp:") else None, settings.group)
                for host in settings.listen_addresses()
            ]
        except (errors.PinnaceError, OSError) as error:
            raise Failure(f"failed to load listeners: {error}") from None
        served = server.Server(opened, listeners)
        _stop_on_signals(served)
        served.run(notify_ready)
    return 0


def _stop_on_signals(served: object) -> None:
    import signal

    count = 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count >= _IMPATIENT:
            os._exit(1)
        served.stop()  # type: ignore[attr-defined]

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def notify_ready() -> None:
    """Tells a service manager that waits for it; sd_notify(3)."""
    path = os.environ.pop("NOTIFY_SOCKET", "")
    if not path:
        return
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(b"READY=1", "\0" + path[1:] if path[0] == "@" else path)
        except OSError as error:
            terminal.warn(f"can't tell {path} that the daemon is ready: {error.strerror}")


class PidFile:
    """Ours while the block lasts; Failure if another daemon that lives has it. No path, no file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> PidFile:
        if not self._path:
            return self
        try:
            with open(self._path, encoding="ascii") as file:
                pid = int(file.read().strip() or "0")
        except (FileNotFoundError, ValueError):
            pid = 0
        if pid and pid != os.getpid() and os.path.exists(f"/proc/{pid}"):
            raise Failure(
                f"failed to start daemon, ensure pinnace is not running or delete {self._path}: "
                f"process with PID {pid} is still running"
            )
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        temporary = f"{self._path}.{os.getpid()}"
        with open(temporary, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}")
        os.rename(temporary, self._path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._path:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass


DAEMON = Command(
    "daemon",
    "[OPTIONS]",
    "Run the engine",
    daemon,
    daemon_settings.OPTIONS,
    at_most=1 << 30,
)
