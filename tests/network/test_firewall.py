"""The whole ruleset of two networks, as nft(8) reads it; and what changes with an endpoint."""

import ipaddress
import shutil
import subprocess
from pathlib import Path

import pytest

from pinnace.linux import nftables
from pinnace.network import firewall
from pinnace.network.firewall import Binding, Leg, Link, Mode, Place, Segment
from tests.linux.namespaces import namespaces  # noqa: F401 (a fixture)

GOLDEN = Path(__file__).parent / "golden" / "ruleset.nft"
ip = ipaddress.ip_address

FRONT = Segment("br-front", host4=ip("192.0.2.9"))
BACK = Segment("br-back", icc=False, mode6=Mode.ROUTED)
INNER = Segment("br-inner", internal=True)
WEB = Leg(
    FRONT,
    "vethweb",
    "02:42:0a:00:00:02",
    ip("10.0.0.2"),
    bindings=(
        Binding("tcp", ip("0.0.0.0"), 8080, 80),
        Binding("tcp", ip("127.0.0.1"), 8081, 80),
        Binding("udp", ip("::"), 53, 53),
    ),
)
DB = Leg(
    BACK,
    "vethdb",
    "02:42:0a:01:00:02",
    ip("10.1.0.2"),
    ip("fd00::2"),
    bindings=(Binding("tcp", ip("::"), 5432, 5432), Binding("tcp", ip("0.0.0.0"), 5432, 5432)),
    links=(Link(ip("10.1.0.9"), "tcp", 25),),
)
VPN = Leg(INNER, "vethvpn", "02:42:0a:02:00:02", ip("10.2.0.2"), trusted=True)


def names(elements):
    return {f"{place.family} {place.name}": len(found) for place, found in elements.items()}


@pytest.mark.root
def test_the_ruleset_reads_as_it_should(namespaces):  # noqa: F811
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    ns = namespaces()
    contents = firewall.ruleset("abc", [FRONT, BACK, INNER], [WEB, DB, VPN], former={4: ["eth0"]})
    socket = ns.inside(nftables.open_socket)
    nftables.apply(socket, firewall.replace(contents, {}))
    socket.close()
    listed = ns.inside(
        lambda: subprocess.run(
            ["nft", "list", "ruleset"], capture_output=True, text=True, check=True
        )
    ).stdout
    lines = [" ".join(line.split()) for line in listed.splitlines() if line.strip()]
    expected = [" ".join(line.split()) for line in GOLDEN.read_text().splitlines() if line.strip()]
    assert lines == expected


def test_an_endpoint_is_a_few_elements():
    assert names(firewall.of_leg(WEB)) == {
        "bridge addresses4": 1,
        "bridge guarded": 1,
        "bridge macs": 1,
        "inet published4": 1,
        "inet itself4": 1,
        "inet any4": 1,
        "inet bound4": 1,
    }


def test_a_trusted_endpoint_is_not_looked_at():
    assert firewall.of_leg(VPN) == {}


def test_nothing_of_an_internal_network_is_published():
    leg = WEB._replace(segment=INNER)
    assert firewall.of_bindings(leg, leg.bindings) == {}


def test_a_routed_network_is_not_translated():
    found = names(firewall.of_bindings(DB, DB.bindings[:1]))
    assert found == {"inet routed6": 1}
    modes = {Mode.NAT: "masqueraded4", Mode.UNPROTECTED: "open4", Mode.ROUTED: "answering4"}
    for mode, place in modes.items():
        assert Place("inet", place) in firewall.of_segment(FRONT._replace(mode4=mode, host4=None))
    isolated = FRONT._replace(mode4=Mode.ISOLATED, mode6=Mode.ISOLATED, host4=None)
    assert names(firewall.of_segment(isolated)) == {
        "inet bridges": 1,
        "inet hairpin": 1,
        "inet within": 1,
    }
    assert firewall.of_bindings(WEB._replace(segment=isolated), WEB.bindings) == {}


def test_engines_have_tables_of_their_own():
    assert firewall.tables("a" * 32) != firewall.tables("b" * 32)
