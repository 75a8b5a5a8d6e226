"""Flows in a namespace of the test's own: found by their port, and forgotten."""

import socket

import pytest

from pinnace.linux import conntrack, netlink, nftables
from pinnace.linux import nftables_rules as r
from pinnace.linux.nftables import Chain, Content, Table
from tests.linux.namespaces import namespaces  # noqa: F401 (a fixture)

pytestmark = pytest.mark.root


@pytest.fixture
def ns(namespaces):  # noqa: F811
    """Where flows are tracked."""
    made = namespaces()
    rule = r.rule(r.any_bit(r.CT_STATE, r.ESTABLISHED), r.verdict(r.ACCEPT))
    chain = Chain("output", [rule], r.Hook("filter", r.OUTPUT, 0))
    firewall = made.inside(nftables.open_socket)
    nftables.apply(firewall, nftables.replace(Content(Table("inet", "t"), [chain])))
    firewall.close()
    made.tracking = made.inside(lambda: netlink.Socket(netlink.NETLINK_NETFILTER))
    yield made
    made.tracking.close()


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1", 2), ("::1", 10)])
def test_flows_to_a_port_are_forgotten_and_no_others(ns, address, family):
    senders = []
    for port in (5000, 5000, 5001):
        senders.append(ns.socket(socket.AddressFamily(family), socket.SOCK_DGRAM))
        senders[-1].sendto(b"x", (address, port))
    assert len(conntrack.flows(ns.tracking, family, conntrack.UDP, 5000)) == 2

    conntrack.forget_udp(ns.tracking, 5000)

    assert conntrack.flows(ns.tracking, family, conntrack.UDP, 5000) == []
    assert len(conntrack.flows(ns.tracking, family, conntrack.UDP, 5001)) == 1
    for each in senders:
        each.close()
