"""Docker's seccomp profiles → the OCI filter for one container, and its program.

A profile is Docker's own format: rules that apply depending on the container's capabilities, the
architecture and the kernel. The default one, `seccomp-default.json`, is Docker's; the ways in
which its program is stricter are told in `linux.seccomp`.
"""

import platform
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

import msgspec

from pinnace import errors
from pinnace.engine import codec
from pinnace.linux import capabilities, seccomp
from pinnace.oci import spec

# What `--security-opt seccomp=` takes beside a document.
BUILTIN = "builtin"
UNCONFINED = "unconfined"

# platform.machine() → (Go's name, which profiles use in `arches`; libseccomp's, in `archMap`)
_ARCHITECTURES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
}


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Terms(_Struct, frozen=True, kw_only=True):
    """When a rule applies (`includes`), or does not (`excludes`)."""

    caps: list[str] = []
    arches: list[str] = []
    min_kernel: str = ""


class Rule(_Struct, frozen=True, kw_only=True):
    name: str = ""  # of profiles older than Docker 1.12
    names: list[str] = []
    action: str = ""
    errno_ret: int | None = None
    args: list[spec.SeccompArg] = []
    includes: Terms = Terms()
    excludes: Terms = Terms()


class Architecture(_Struct, frozen=True, kw_only=True):
    architecture: str = ""
    sub_architectures: list[str] = []


class Profile(_Struct, frozen=True, kw_only=True):
    default_action: str = ""
    default_errno_ret: int | None = None
    architectures: list[str] = []
    arch_map: list[Architecture] = []
    flags: list[str] = []
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[Rule] = []


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile's terms are about: the bounding set, the kernel's release, the machine."""

    caps: frozenset[str] = frozenset(capabilities.DOCKER_DEFAULT)
    kernel: str = ""
    machine: str = "x86_64"


def load(document: str) -> Profile:
    """Parse a profile; errors.Invalid as Docker says it."""
    try:
        profile = codec.decode(document.encode(errors="surrogateescape"), Profile)
    except errors.Invalid as error:
        reason = error.message.removeprefix("invalid JSON: ")
        if reason == "unexpected EOF":  # here Docker has the document as a whole, not a stream
            reason = "unexpected end of JSON input"
        raise errors.Invalid(f"Decoding seccomp profile failed: {reason}") from None
    if profile.architectures and profile.arch_map:
        raise errors.Invalid(_either("architectures", "archMap"))
    if any(rule.name and rule.names for rule in profile.syscalls):
        raise errors.Invalid(_either("name", "names"))
    return profile


def _either(one: str, other: str) -> str:
    return (
        f"both '{one}' and '{other}' are specified in the seccomp profile, "
        f"use either '{one}' or '{other}'"
    )


def resolve(profile: Profile, situation: Situation) -> spec.Seccomp | None:
    """The filter that the profile means in this situation; None if it means none at all."""
    if not profile.default_action and not profile.syscalls:
        return None
    _, native = _ARCHITECTURES.get(situation.machine, ("", ""))
    mapped = [entry for entry in profile.arch_map if entry.architecture == native]
    extra = [mapped[0].architecture, *mapped[0].sub_architectures] if mapped else []
    return spec.Seccomp(
        default_action=profile.default_action,
        default_errno_ret=profile.default_errno_ret,
        architectures=[*profile.architectures, *extra],
        flags=profile.flags,
        listener_path=profile.listener_path,
        listener_metadata=profile.listener_metadata,
        syscalls=[
            spec.SeccompRule(
                names=[rule.name] if rule.name else rule.names,
                action=rule.action,
                errno_ret=rule.errno_ret,
                args=rule.args,
            )
            for rule in profile.syscalls
            if _applies(rule, situation)
        ],
    )


def _applies(rule: Rule, situation: Situation) -> bool:
    arch, _ = _ARCHITECTURES.get(situation.machine, ("", ""))
    if arch in rule.excludes.arches or situation.caps.intersection(rule.excludes.caps):
        return False
    if rule.excludes.min_kernel and _at_least(situation.kernel, rule.excludes.min_kernel):
        return False
    if rule.includes.arches and arch not in rule.includes.arches:
        return False
    if not situation.caps.issuperset(rule.includes.caps):
        return False
    minimum = rule.includes.min_kernel
    return not minimum or _at_least(situation.kernel, minimum)


def _at_least(release: str, minimum: str) -> bool:
    """Two numbers count: 4.8 and 4.8.1-generic are the same here."""
    return _version(release) >= _version(minimum)


def _version(release: str) -> tuple[int, int]:
    major, _, rest = release.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if not (major.isdecimal() and digits):
        raise errors.Invalid(f'failed to parse kernel version "{release}"')
    return int(major), int(digits)


# Compiling takes some milliseconds, which no start of a container is to wait for: filters are
# few, one for each set of capabilities and profile, and so are their programs.


def for_container(
    caps: Collection[str], kernel: str, arch: str = "x86_64", *, profile: str = ""
) -> spec.Seccomp | None:
    """The filter for a container with these capabilities; None for one that has none.

    profile is what the client gave for `seccomp=`: nothing or `builtin` is the default one.
    """
    if profile == UNCONFINED:
        return None
    situation = Situation(caps=frozenset(caps), kernel=kernel, machine=arch)
    return _resolved("" if profile == BUILTIN else profile, situation)


def program(caps: Collection[str], profile: str = "") -> bytes | None:
    """The program of `for_container` on this machine."""
    filter = for_container(caps, platform.release(), platform.machine(), profile=profile)
    return None if filter is None else compiled(filter, platform.machine())


def compiled(filter: spec.Seccomp, machine: str) -> bytes:
    """linux.seccomp's program; errors.Invalid for a filter that makes no sense."""
    return _compiled(msgspec.json.encode(filter), machine)


@lru_cache(maxsize=64)
def _compiled(encoded: bytes, machine: str) -> bytes:
    filter = msgspec.json.decode(encoded, type=spec.Seccomp)
    try:
        seccomp.flags(filter)
        return seccomp.compile(filter, machine)
    except ValueError as error:
        raise errors.Invalid(str(error)) from None


@lru_cache(maxsize=64)
def _resolved(text: str, situation: Situation) -> spec.Seccomp | None:
    return resolve(load(text) if text else default(), situation)


@lru_cache(maxsize=1)
def default() -> Profile:
    return load(Path(__file__).with_name("seccomp-default.json").read_text())
