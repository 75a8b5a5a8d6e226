"""What a container may: `--security-opt` words and capabilities, in Docker's grammar (pure)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from pinnace import errors
from pinnace.engine.documents import HostConfig
from pinnace.linux import capabilities

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class SecurityOptions(msgspec.Struct, frozen=True, kw_only=True):
    """seccomp is "" (the default profile), unconfined, builtin, or a profile's JSON.

    writable_cgroups is None when nothing was said: privileged containers write theirs.
    """

    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    labels: list[str] = []
    writable_cgroups: bool | None = None
    unconfined_paths: bool = False


def parse(words: Sequence[str]) -> SecurityOptions:
    """Raises errors.Invalid on a word that Docker doesn't know."""
    values: dict[str, str] = {}
    labels: list[str] = []
    for word in words:
        key, value = _split(word)
        if key == "label":
            labels.append(value)
        else:
            values[key] = value
    return SecurityOptions(
        no_new_privileges=values.get("no-new-privileges", "false") in _TRUE,
        seccomp=values.get("seccomp", ""),
        apparmor=values.get("apparmor", ""),
        labels=labels,
        writable_cgroups=(
            values["writable-cgroups"] in _TRUE if "writable-cgroups" in values else None
        ),
        unconfined_paths="systempaths" in values,
    )


def _split(word: str) -> tuple[str, str]:
    if word in ("no-new-privileges", "writable-cgroups"):
        return word, "true"
    if word == "disable":
        return "label", word
    key, separator, value = word.partition("=" if "=" in word else ":")
    if not separator:
        raise errors.Invalid(f'invalid --security-opt 1: "{word}"')
    booleans = key in ("no-new-privileges", "writable-cgroups")
    known = key in ("label", "apparmor", "seccomp") or (booleans and value in _TRUE | _FALSE)
    # Docker's client turns this one into empty path lists; others send it as it is.
    if not known and (key, value) != ("systempaths", "unconfined"):
        raise errors.Invalid(f'invalid --security-opt 2: "{word}"')
    return key, value


def capabilities_of(host: HostConfig, available: Sequence[str]) -> list[str]:
    """What the container may at most, in Docker's order: the defaults, then what is added.

    available is what the engine has to give; errors.Invalid for a name that is not in it.
    """
    if host.privileged:
        return list(available)
    added = normalized(host.cap_add, available, "CapAdd")
    dropped = normalized(host.cap_drop, available, "CapDrop")
    if capabilities.ALL in added:
        return [name for name in available if name not in dropped]
    if capabilities.ALL in dropped:
        return added
    kept = [name for name in capabilities.DOCKER_DEFAULT if name not in dropped]
    return list(dict.fromkeys(kept + added))


def normalized(names: Sequence[str], available: Sequence[str], field: str) -> list[str]:
    """`net_admin` is `CAP_NET_ADMIN`; each once, in the order given."""
    full = []
    for name in names:
        try:
            full.append(capabilities.parse(name))
        except ValueError as error:
            raise errors.Invalid(f"invalid {field}: {error}") from None
        if full[-1] not in available and full[-1] != capabilities.ALL:
            raise errors.Invalid(
                f"invalid {field}: capability not supported by your kernel or not available in "
                f'the current environment: "{full[-1]}"'
            )
    return list(dict.fromkeys(full))
