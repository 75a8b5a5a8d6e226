"""Capabilities: names ↔ masks, Docker's default set, and the calling thread's own sets.

Rule: a thread must drop in this order: bounding set, then (with `keep` around it) the change of
user, then the other sets, then the ambient one (capabilities(7)).
"""

from collections.abc import Iterable
from errno import EINVAL
from functools import cache

from pinnace.linux import syscall

# linux/capability.h, in the order of their numbers.
NUMBERS = {
    f"CAP_{name}": number
    for number, name in enumerate(
        (
            "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID",
            "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
            "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
            "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
            "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
            "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
            "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
        )
    )
}  # fmt: skip

# In Docker's order, which `inspect` of a bundle shows.
DOCKER_DEFAULT = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
)  # fmt: skip

ALL = "ALL"

# linux/prctl.h
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4


def parse(name: str) -> str:
    """`net_admin`, `CAP_NET_ADMIN` → `CAP_NET_ADMIN`; `all` → `ALL`; else ValueError."""
    upper = name.upper()
    if upper == ALL:
        return ALL
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in NUMBERS:
        raise ValueError(f'unknown capability: "{full}"')
    return full


def mask(names: Iterable[str]) -> int:
    """The set as the kernel has it; names that this version does not know are left out."""
    bits = 0
    for name in names:
        if name in NUMBERS:
            bits |= 1 << NUMBERS[name]
    return bits


def names(mask: int) -> list[str]:
    """The reverse of `mask`, in the order of the numbers."""
    return [name for name, number in NUMBERS.items() if mask >> number & 1]


def available() -> list[str]:
    """What this process could give away: its own effective set."""
    effective, _, _ = syscall.capget()
    return names(effective)


@cache
def last_cap() -> int:
    """The highest capability that the kernel knows; asked of it once, without /proc."""
    number = len(NUMBERS) - 1
    while _in_bounding_set(number + 1) is not None:
        number += 1
    while _in_bounding_set(number) is None:
        number -= 1
    return number


def _in_bounding_set(number: int) -> bool | None:
    """None for a capability that the kernel does not know."""
    try:
        return bool(syscall.prctl(_PR_CAPBSET_READ, number))
    except OSError as error:
        if error.errno == EINVAL:
            return None
        raise


def set_bounding(mask: int) -> None:
    """Drop from the bounding set all that is not in mask, of the unknown newer ones too."""
    for number in range(last_cap() + 1):
        if not mask >> number & 1:
            syscall.prctl(_PR_CAPBSET_DROP, number)


def keep_caps(keep: bool) -> None:
    """Whether the permitted set outlives a change from uid 0 to another one."""
    syscall.prctl(_PR_SET_KEEPCAPS, int(keep))


def set_ambient(mask: int) -> None:
    """Exactly these; each has to be permitted and inheritable already."""
    syscall.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(last_cap() + 1):
        if mask >> number & 1:
            syscall.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)
