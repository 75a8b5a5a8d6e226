"""Addresses, routes and neighbours as the kernel has them after our requests."""

import ipaddress
import socket
from pathlib import Path

import pytest

from pinnace.linux import links, netns, routes
from tests.linux.namespaces import namespaces  # noqa: F401 (a fixture)

pytestmark = pytest.mark.root


def packed(text):
    return ipaddress.ip_address(text).packed


@pytest.fixture
def ns(namespaces):  # noqa: F811
    made = namespaces()
    made.netlink.send(links.bridge("eth0", links.Traits(up=True)))
    return made


@pytest.fixture
def index(ns):
    return links.get(ns.netlink, "eth0").ifindex


def test_addresses_are_added_listed_and_deleted(ns, index):
    four, six = packed("10.1.2.3"), packed("fd00::3")
    ns.netlink.send(routes.add_address(index, four, 24), routes.add_address(index, six, 64))
    found = [a for a in routes.addresses(ns.netlink) if a.ifindex == index]
    assert (index, four, 24) in found
    assert (index, six, 64) in found
    ns.netlink.send(routes.delete_address(index, four, 24))
    assert (index, four, 24) not in routes.addresses(ns.netlink)


def test_default_and_on_link_routes(ns, index):
    ns.netlink.send(
        routes.add_address(index, packed("10.1.2.3"), 24),
        routes.add_route(index, gateway=packed("10.1.2.1")),
        routes.add_route(index, packed("10.9.0.0"), 16),
        routes.add_route(index, packed("10.8.0.0"), 16, gateway=packed("10.1.2.7"), metric=5),
    )
    found = [(r.packed, r.prefix, r.gateway) for r in routes.routes(ns.netlink, socket.AF_INET)]
    assert sorted(found) == [
        (b"", 0, packed("10.1.2.1")),
        (packed("10.1.2.0"), 24, b""),
        (packed("10.8.0.0"), 16, packed("10.1.2.7")),
        (packed("10.9.0.0"), 16, b""),
    ]
    ns.netlink.send(routes.delete_route(index, gateway=packed("10.1.2.1")))
    assert len(routes.routes(ns.netlink, socket.AF_INET)) == 3


def test_routes_of_ipv6(ns, index):
    ns.netlink.send(
        routes.add_address(index, packed("fd00::3"), 64),
        routes.add_route(index, gateway=packed("fd00::1")),
    )
    found = {(r.packed, r.prefix, r.gateway) for r in routes.routes(ns.netlink, socket.AF_INET6)}
    assert (b"", 0, packed("fd00::1")) in found
    assert (packed("fd00::"), 64, b"") in found


def test_neighbours_are_known_without_asking(ns, index):
    ns.netlink.send(routes.add_neighbour(index, packed("10.1.2.9"), b"\x02\x42\x00\x00\x00\x09"))
    table = ns.inside(lambda: Path("/proc/thread-self/net/arp").read_text())
    assert "02:42:00:00:00:09" in table
    ns.netlink.send(routes.delete_neighbour(index, packed("10.1.2.9")))


def test_settings_are_those_of_the_namespace(ns):
    before = netns.sysctl("ipv4/ip_forward")
    other = "0" if before == "1" else "1"
    ns.inside(lambda: netns.set_sysctl("ipv4/ip_forward", other))
    assert ns.inside(lambda: netns.sysctl("ipv4/ip_forward")) == other
    assert netns.sysctl("ipv4/ip_forward") == before
