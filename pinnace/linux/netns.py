"""Network namespaces: make them, act inside them, and the settings of their interfaces.

Rule: only a thread that ends with the visit is moved (setns(2) concerns the calling thread), so
none can come back to the wrong namespace.
"""

import _thread
import os
from collections.abc import Callable
from typing import TypeVar

from pinnace.linux import syscall

R = TypeVar("R")

_OWN = "/proc/thread-self/ns/net"


def current() -> int:
    """An fd of the calling thread's namespace."""
    return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def create() -> int:
    """A new namespace, owned by the caller's user namespace; it lives as long as this fd."""
    return _in_thread(_unshared)


def _unshared() -> int:
    syscall.unshare(syscall.CLONE_NEWNET)
    return current()


def inside(netns_fd: int, action: Callable[[], R]) -> R:
    """Run action in a thread that has joined the namespace. Sockets made there belong there."""

    def joined() -> R:
        syscall.setns(netns_fd, syscall.CLONE_NEWNET)
        return action()

    return _in_thread(joined)


def _in_thread(action: Callable[[], R]) -> R:
    results: list[R] = []
    failures: list[BaseException] = []
    done = _thread.allocate_lock()  # `threading` costs the zygote too much, and each visit 60 µs
    done.acquire()

    def run() -> None:
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            failures.append(error)
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    done.acquire()
    if failures:
        raise failures[0]
    return results[0]


def set_sysctl(name: str, value: str) -> None:
    """/proc/sys/net/<name> of the calling thread's namespace; name as a path: ipv4/ip_forward."""
    path = f"/proc/sys/net/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def sysctl(name: str) -> str:
    with open(f"/proc/sys/net/{name}", encoding="ascii") as file:
        return file.read().strip()
