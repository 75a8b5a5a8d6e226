"""Call a function in a process of its own: what it does to itself goes with it."""

import os
import pickle
from collections.abc import Callable
from typing import Any


def call(function: Callable[[], Any], *, flags: int = 0) -> Any:
    """What function returns or raises there; flags are CLONE_NEW* for unshare(2)."""
    from pinnace.linux import syscall

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if flags:
                syscall.unshare(flags)
            result = (True, function())
        except BaseException as error:  # noqa: BLE001 (it is passed on)
            result = (False, error)
        os.write(writer, pickle.dumps(result))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    fine, value = pickle.loads(data)
    if not fine:
        raise value
    return value
