"""hosts, hostname and resolv.conf: what Docker writes, and nothing that a client smuggles in."""

from pathlib import Path
from typing import Any

import pytest

from pinnace.engine import hostfiles
from pinnace.engine.documents import Container, ContainerConfig, HostConfig

LOOPBACK = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


def container(hostname: str = "web", domain: str = "", **host: Any) -> Container:
    return Container(
        id="c1",
        config=ContainerConfig(hostname=hostname, domainname=domain),
        host_config=HostConfig(**host),
    )


def test_hosts_are_dockers() -> None:
    made = hostfiles.hosts(
        container(domain="d.o", extra_hosts=["x:1.2.3.4", "g:host-gateway", "six:::1"]),
        ["172.17.0.2"],
        gateway="172.17.0.1",
    )
    assert made == LOOPBACK + "1.2.3.4\tx\n172.17.0.1\tg\n::1\tsix\n172.17.0.2\tweb.d.o web\n"


def test_nothing_breaks_out_of_its_line() -> None:
    bad = container(
        "a\nb",
        extra_hosts=["x\n6.6.6.6 bank:1.1.1.1", "y:2.2.2.2\n6.6.6.6 bank", "z:1.1.1.1"],
        dns=["8.8.8.8\noptions evil"],
        dns_search=["a\nnameserver 6.6.6.6", "ok"],
        dns_options=["x y", "ndots:1"],
    )
    assert hostfiles.hosts(bad, ["172.17.0.2"]) == LOOPBACK + "1.1.1.1\tz\n"
    assert hostfiles.hostname(bad) == "\n"
    assert hostfiles.resolv_conf(bad, "") == "search ok\noptions ndots:1\n"


def test_a_gateway_that_is_not_known_gives_no_line() -> None:
    assert hostfiles.hosts(container(extra_hosts=["g:host-gateway"])) == LOOPBACK


@pytest.mark.parametrize(
    ("host", "wanted", "made"),
    [
        ("nameserver 10.0.0.1\nsearch a b\n", {}, "nameserver 10.0.0.1\nsearch a b\n"),
        ("nameserver 127.0.0.53\n", {}, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"),
        ("nameserver ::1\nnameserver 1.1.1.1\n", {}, "nameserver 1.1.1.1\n"),
        (
            "nameserver 10.0.0.1\nsearch a\noptions rotate\n",
            {"dns": ["1.1.1.1"], "dns_search": ["b"], "dns_options": ["ndots:3"]},
            "nameserver 1.1.1.1\nsearch b\noptions ndots:3\n",
        ),
        ("nameserver 10.0.0.1\nsearch a\n", {"dns_search": ["."]}, "nameserver 10.0.0.1\n"),
        ("nameserver 10.0.0.1\n", {"dns": ["127.0.0.1"]}, "nameserver 127.0.0.1\n"),
    ],
)
def test_resolv_conf(host: str, wanted: dict[str, Any], made: str) -> None:
    assert hostfiles.resolv_conf(container(**wanted), host) == made


def test_in_the_hosts_network_its_own_servers_are_reachable() -> None:
    made = hostfiles.resolv_conf(container(), "nameserver 127.0.0.53\n", loopback=True)
    assert made == "nameserver 127.0.0.53\n"


def test_parsing_a_resolv_conf() -> None:
    text = """# comment
nameserver 1.1.1.1 # first
nameserver 2.2.2.2
domain old
search a b ; rest
options ndots:2
options rotate
sortlist 1.2.3.4

nameserver
"""
    assert hostfiles.parse(text) == (["1.1.1.1", "2.2.2.2"], ["a", "b"], ["ndots:2", "rotate"])


def written(tmp_path: Path, **host: Any) -> Container:
    made = container(**host)
    made.hosts_path = str(tmp_path / "hosts")
    made.hostname_path = str(tmp_path / "hostname")
    made.resolv_conf_path = str(tmp_path / "resolv.conf")
    return made


def test_files_are_written_in_place(tmp_path: Path) -> None:
    made = written(tmp_path)
    (tmp_path / "hosts").write_text("a much longer text than will be written now" * 20)
    inode = (tmp_path / "hosts").stat().st_ino

    hostfiles.write(made, ["172.17.0.2"])

    assert (tmp_path / "hosts").read_text() == LOOPBACK + "172.17.0.2\tweb\n"
    assert (tmp_path / "hosts").stat().st_ino == inode
    assert (tmp_path / "hostname").read_text() == "web\n"
    assert "nameserver" in (tmp_path / "resolv.conf").read_text()
    assert (tmp_path / "hosts").stat().st_mode & 0o777 == 0o644


def test_files_of_another_container_are_left_alone(tmp_path: Path) -> None:
    hostfiles.write(written(tmp_path, network_mode="container:x"))
    assert list(tmp_path.iterdir()) == []


def test_in_the_hosts_network_the_hosts_names_are_known(tmp_path: Path) -> None:
    made = written(tmp_path, network_mode="host", extra_hosts=["x:1.2.3.4"])
    hostfiles.write(made)
    assert (tmp_path / "hosts").read_text().endswith("1.2.3.4\tx\n")
    assert hostfiles.hosts_of_host(made, "127.0.0.1 own\n") == "127.0.0.1 own\n1.2.3.4\tx\n"


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "hosts").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        hostfiles.write(written(tmp_path))
    assert (tmp_path / "victim").read_text() == "precious"
