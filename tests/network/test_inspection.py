"""Networks as Docker 28.5.2 showed the same ones."""

from pinnace.network import inspection
from pinnace.network.definitions import BlockRecord, Definition, Endpoint, Port

# Recorded: docker network create --internal --ipv6 --label a=b -o ...bridge.name=tn3br tn3
RECORDED = {
    "Name": "tn3",
    "Id": "20a6cbc1b1a9",
    "Created": "2026-11-23T18:34:54.471340794Z",
    "Scope": "local",
    "Driver": "bridge",
    "EnableIPv4": True,
    "EnableIPv6": True,
    "IPAM": {
        "Driver": "default",
        "Options": None,
        "Config": [
            {"Subnet": "172.19.0.0/16", "Gateway": "172.19.0.1"},
            {"Subnet": "fdc9:c7c:8d61::/64", "Gateway": "fdc9:c7c:8d61::1"},
        ],
    },
    "Internal": True,
    "Attachable": False,
    "Ingress": False,
    "ConfigFrom": {"Network": ""},
    "ConfigOnly": False,
    "Containers": {},
    "Options": {"com.docker.network.bridge.name": "tn3br"},
    "Labels": {"a": "b"},
}


def tn3(**settings):
    return Definition(
        id="20a6cbc1b1a9",
        name="tn3",
        driver="bridge",
        created=1795458894471340794,
        ipv6=True,
        internal=True,
        options={"com.docker.network.bridge.name": "tn3br"},
        labels={"a": "b"},
        **settings,
    )


def test_a_network_is_shown_as_docker_shows_it():
    blocks = [
        BlockRecord("172.19.0.0/16", "172.19.0.1"),
        BlockRecord("fdc9:c7c:8d61::/64", "fdc9:c7c:8d61::1"),
    ]
    shown = inspection.document(tn3(blocks=blocks), [])
    assert shown == RECORDED
    assert list(shown) == list(RECORDED)


def test_blocks_are_shown_as_they_were_asked_for():
    asked = BlockRecord("10.0.0.0/16", "10.0.5.0", "10.0.5.0/24", {"a": "10.0.5.9"}, "")
    shown = inspection.document(tn3(blocks=[asked]), [])
    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.0.0.0/16",
            "IPRange": "10.0.5.0/24",
            "AuxiliaryAddresses": {"a": "10.0.5.9"},
        }
    ]


def test_members_and_their_ports():
    endpoint = Endpoint(
        id="e1",
        network="n",
        container="c1",
        name="nd4",
        mac="5a:4f:ed:e9:47:96",
        ipv4="10.231.0.6",
        ipv4_prefix=29,
        ports=[Port("tcp", 80, "0.0.0.0", 18080), Port("tcp", 80, "::", 18080)],
    )
    assert inspection.document(tn3(), [endpoint])["Containers"] == {
        "c1": {
            "Name": "nd4",
            "EndpointID": "e1",
            "MacAddress": "5a:4f:ed:e9:47:96",
            "IPv4Address": "10.231.0.6/29",
            "IPv6Address": "",
        }
    }
    assert inspection.document(tn3(), [endpoint], containers=False)["Containers"] == {}
    assert inspection.published([endpoint]) == {
        "80/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "18080"},
            {"HostIp": "::", "HostPort": "18080"},
        ]
    }
