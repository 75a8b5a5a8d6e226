"""Kernel parameters that a container may set: those of namespaces that are its own.

A key is written with dots or with slashes, as sysctl(8) has it: the first of the two that occurs
separates, the other one stands for it inside a part (`net.ipv4.conf.eth0/100.forwarding`).
"""

from collections.abc import Collection, Iterable

# ipc_namespaces(7)
_IPC = frozenset(
    "kernel." + name
    for name in (
        "msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced",
    )
)  # fmt: skip


def check(keys: Iterable[str], private: Collection[str]) -> None:
    """ValueError in runc's words for a key that would reach beyond the container.

    private are the namespaces (as the runtime specification names them) that the container
    does not share with the host.
    """
    for key in keys:
        _check(dotted(key), private)


def _check(key: str, private: Collection[str]) -> None:
    if not _well_formed(key):
        raise ValueError(f'sysctl "{key}" is not in a separate kernel namespace')
    if key in _IPC or key.startswith("fs.mqueue."):
        if "ipc" not in private:
            raise ValueError(f'sysctl "{key}" is not allowed in the hosts ipc namespace')
    elif key.startswith("net."):
        if "network" not in private:
            raise ValueError(f'sysctl "{key}" not allowed in host network namespace')
    elif key == "kernel.hostname" and "uts" in private:
        raise ValueError(
            f'sysctl "{key}" is not allowed as it conflicts with the OCI "hostname" field'
        )
    elif not (
        (key == "kernel.domainname" and "uts" in private)
        or (key.startswith("user.") and "user" in private)
    ):
        raise ValueError(f'sysctl "{key}" is not in a separate kernel namespace')


def _well_formed(key: str) -> bool:
    """No part of it could be a way up, or nothing."""
    parts = path(key).split("/")
    return key.isprintable() and not any(part in ("", ".", "..") for part in parts)


def dotted(key: str) -> str:
    """The key with dots as separators, as all checks and messages have it."""
    first = min((at for at in (key.find("."), key.find("/")) if at >= 0), default=-1)
    return key if first < 0 or key[first] == "." else _swapped(key)


def path(key: str) -> str:
    """The file of a key, below /proc/sys."""
    return _swapped(dotted(key))


def _swapped(key: str) -> str:
    return key.translate({ord("."): "/", ord("/"): "."})
