"""Named places where a process of ours can be made to die, fail or stop: for the fault tests.

`PINNACE_FAILPOINT=name:action[,name:action]` arms them when the process is exec'ed. Forked
children inherit what is armed; without the variable a `hit` is one comparison with None.
"""

import errno
import os
import signal

Armed = dict[str, str]

ACTIONS = ("kill", "error", "pause")


def parse(text: str) -> Armed | None:
    """The armed points of the variable's value; None when there are none."""
    armed: Armed = {}
    for item in filter(None, text.split(",")):
        name, _, action = item.partition(":")
        if action not in ACTIONS:
            raise ValueError(f"failpoint {name!r}: action {action!r} is none of {ACTIONS}")
        armed[name] = action
    return armed or None


VARIABLE = "PINNACE_FAILPOINT"

_armed = parse(os.environ.get(VARIABLE, ""))


def hit(name: str) -> None:
    """Nothing, unless `name` is armed: then die by SIGKILL, raise EIO, or stop until SIGCONT."""
    if _armed is not None:
        _perform(_armed.get(name))


def _perform(action: str | None) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "pause":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "error":
            raise OSError(errno.EIO, "failpoint")
        case _:
            return
