import pytest

from pinnace.runtime import sysctls

_OWN = ("ipc", "network", "uts", "user")


@pytest.mark.parametrize(
    ("key", "dotted", "path"),
    [
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        (
            "net/ipv4/conf/eno2.100/rp_filter",
            "net.ipv4.conf.eno2/100.rp_filter",
            "net/ipv4/conf/eno2.100/rp_filter",
        ),
        (
            "net.ipv4.conf.eno2/100.rp_filter",
            "net.ipv4.conf.eno2/100.rp_filter",
            "net/ipv4/conf/eno2.100/rp_filter",
        ),
        ("kernel", "kernel", "kernel"),
    ],
)
def test_both_separators(key: str, dotted: str, path: str) -> None:
    assert sysctls.dotted(key) == dotted
    assert sysctls.path(key) == path


@pytest.mark.parametrize(
    "key",
    ["kernel.msgmax", "kernel/shm_rmid_forced", "fs.mqueue.msg_max", "net.core.somaxconn",
     "net/ipv4/ip_forward", "kernel.domainname", "user.max_net_namespaces"],
)  # fmt: skip
def test_keys_of_namespaces_of_its_own(key: str) -> None:
    sysctls.check([key], _OWN)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("kernel.msgmax", 'sysctl "kernel.msgmax" is not allowed in the hosts ipc namespace'),
        ("fs/mqueue/x", 'sysctl "fs.mqueue.x" is not allowed in the hosts ipc namespace'),
        ("net.ipv4.tcp_rmem", 'sysctl "net.ipv4.tcp_rmem" not allowed in host network namespace'),
        (
            "kernel.domainname",
            'sysctl "kernel.domainname" is not in a separate kernel namespace',
        ),
        ("kernel.hostname", 'sysctl "kernel.hostname" is not in a separate kernel namespace'),
        ("user.max_x", 'sysctl "user.max_x" is not in a separate kernel namespace'),
    ],
)
def test_keys_of_namespaces_of_the_host(key: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        sysctls.check([key], ())

    assert str(caught.value) == message


def test_the_host_name_has_a_field_of_its_own() -> None:
    with pytest.raises(ValueError, match='conflicts with the OCI "hostname" field'):
        sysctls.check(["kernel.hostname"], _OWN)


@pytest.mark.parametrize(
    "key",
    [
        "kernel.core_pattern",
        "kernel.foo",
        "vm.swappiness",
        "fs.file-max",
        "fs.mqueue",
        "net",
        "kernel.msgmax.x",
        "kernel.msgmax+kernel.core_pattern",
        "net.ipv4.../../../kernel.core_pattern",
        "net/ipv4/../../kernel/core_pattern",
        "net/../kernel/core_pattern",
        "net..ipv4",
        "net.ipv4.",
        "net.ipv4.x\n",
        "net.ipv4.\x00",
        "",
        "/",
        ".",
        "/proc/sys/kernel/core_pattern",
    ],
)
def test_all_else_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"is not in a separate kernel namespace$"):
        sysctls.check([key], _OWN)
