"""`features`: what this runtime can do, for those who ask before they write a specification.

Source: runtime-spec, features.md and features-linux.md.
"""

import msgspec

from pinnace.linux import capabilities, cgroup, process, seccomp_policy, syscall
from pinnace.oci import spec
from pinnace.runtime import bundles, rootfs

_OPERATORS = ("EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE")
_FLAGS = ("LOG", "SPEC_ALLOW", "TSYNC", "WAIT_KILLABLE_RECV")
_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}


def document() -> bytes:
    return msgspec.json.encode(
        {
            "ociVersionMin": "1.0.0",
            "ociVersionMax": bundles.OCI_VERSION,
            "hooks": [_camel(name) for name in spec.Hooks.__struct_fields__],
            "mountOptions": rootfs.words(),
            "linux": _linux(),
        }
    )


def _linux() -> dict[str, object]:
    version = cgroup.detect().version
    return {
        "namespaces": sorted(process.NAMESPACES),
        "capabilities": list(capabilities.NUMBERS),
        "cgroup": {
            "v1": version == 1,
            "v2": version == 2,
            "systemd": False,
            "systemdUser": False,
            "rdma": True,
        },
        "seccomp": {
            "enabled": True,
            "actions": sorted(seccomp_policy.VERDICTS),
            "operators": [f"SCMP_CMP_{name}" for name in _OPERATORS],
            "archs": _ARCHITECTURES[syscall.MACHINE],
            "knownFlags": [f"SECCOMP_FILTER_FLAG_{name}" for name in _FLAGS],
            "supportedFlags": [f"SECCOMP_FILTER_FLAG_{name}" for name in _FLAGS],
        },
        "apparmor": {"enabled": False},
        "selinux": {"enabled": False},
        "intelRdt": {"enabled": False},
        "mountExtensions": {"idmap": {"enabled": False}},
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
