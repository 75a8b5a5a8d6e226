"""--security-opt, --cap-add and --cap-drop."""

import pytest

from pinnace import errors
from pinnace.engine import security
from pinnace.engine.documents import HostConfig
from pinnace.engine.security import SecurityOptions
from pinnace.linux import capabilities

EVERY = list(capabilities.NUMBERS)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], SecurityOptions()),
        (["no-new-privileges"], SecurityOptions(no_new_privileges=True)),
        (["no-new-privileges=false"], SecurityOptions()),
        (["no-new-privileges:true"], SecurityOptions(no_new_privileges=True)),
        (["seccomp=unconfined"], SecurityOptions(seccomp="unconfined")),
        (['seccomp={"a":"b=c"}'], SecurityOptions(seccomp='{"a":"b=c"}')),
        (["apparmor=foo"], SecurityOptions(apparmor="foo")),
        (["label=disable", "label:type:x"], SecurityOptions(labels=["disable", "type:x"])),
        (["disable"], SecurityOptions(labels=["disable"])),
        (["writable-cgroups"], SecurityOptions(writable_cgroups=True)),
        (["writable-cgroups=0"], SecurityOptions(writable_cgroups=False)),
        (["systempaths=unconfined"], SecurityOptions(unconfined_paths=True)),
    ],
)
def test_words(words: list[str], options: SecurityOptions) -> None:
    assert security.parse(words) == options


@pytest.mark.parametrize(
    ("word", "number"),
    [("foo", 1), ("foo=bar", 2), ("no-new-privileges=maybe", 2), ("systempaths=x", 2)],
)
def test_unknown_words(word: str, number: int) -> None:
    with pytest.raises(errors.Invalid) as refused:
        security.parse([word])
    assert refused.value.message == f'invalid --security-opt {number}: "{word}"'


@pytest.mark.parametrize(
    ("host", "granted"),
    [
        (HostConfig(), list(capabilities.DOCKER_DEFAULT)),
        (HostConfig(privileged=True, cap_drop=["ALL"]), EVERY),
        (HostConfig(cap_drop=["ALL"]), []),
        (
            HostConfig(cap_drop=["all"], cap_add=["net_admin", "CAP_NET_ADMIN", "KILL"]),
            ["CAP_NET_ADMIN", "CAP_KILL"],
        ),
        (
            HostConfig(cap_add=["ALL"], cap_drop=["SYS_ADMIN"]),
            [name for name in EVERY if name != "CAP_SYS_ADMIN"],
        ),
        (
            HostConfig(cap_add=["CHOWN", "SYS_TIME"], cap_drop=["KILL"]),
            [name for name in capabilities.DOCKER_DEFAULT if name != "CAP_KILL"] + ["CAP_SYS_TIME"],
        ),
    ],
)
def test_capabilities(host: HostConfig, granted: list[str]) -> None:
    assert security.capabilities_of(host, EVERY) == granted


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (HostConfig(cap_add=["foo"]), 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        (HostConfig(cap_drop=["foo"]), 'invalid CapDrop: unknown capability: "CAP_FOO"'),
        (
            HostConfig(cap_add=["SYS_RESOURCE"]),
            "invalid CapAdd: capability not supported by your kernel or not available in the "
            'current environment: "CAP_SYS_RESOURCE"',
        ),
    ],
)
def test_capabilities_that_are_not_to_be_had(host: HostConfig, message: str) -> None:
    available = [name for name in EVERY if name != "CAP_SYS_RESOURCE"]
    with pytest.raises(errors.Invalid) as refused:
        security.capabilities_of(host, available)
    assert refused.value.message == message
