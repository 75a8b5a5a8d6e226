import pytest

from pinnace.dockerfile import ports
from pinnace.dockerfile.source import DockerfileError


@pytest.mark.parametrize(
    ("text", "exposed", "mapped"),
    [
        ("80", ["80/tcp"], False),
        ("80/UDP", ["80/udp"], False),
        ("1-3/sctp", ["1/sctp", "2/sctp", "3/sctp"], False),
        ("8080:80", ["80/tcp"], True),
        ("127.0.0.1::80", ["80/tcp"], True),
        ("[::1]:1-2:80", ["80/tcp"], True),
        ("::1:1:80", ["80/tcp"], True),
    ],
)
def test_ports_are_exposed_one_by_one(text: str, exposed: list[str], mapped: bool) -> None:
    port = ports.parse(text)

    assert list(port) == exposed
    assert port.mapped is mapped


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'invalid port: "": no port specified'),
        ("80/x", 'invalid port: "80/x": invalid proto: x'),
        ("x:80:80", "invalid IP address: x"),
        ("3-1", "invalid containerPort: 3-1"),
        ("65536", "invalid containerPort: 65536"),
        ("x:80", "invalid hostPort: x"),
        ("1-2:1-3", "invalid ranges specified for container and host Ports: 1-3 and 1-2"),
    ],
)
def test_wrong_ports_are_refused(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        ports.parse(text)

    assert caught.value.message == message
