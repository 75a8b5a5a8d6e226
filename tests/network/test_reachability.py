"""Who reaches whom: containers, the host, and another host, through the kernel's own rules."""

import ipaddress
import socket
import threading

import pytest

from pinnace.linux import links, netns, nftables, routes
from pinnace.linux import nftables_rules as r
from pinnace.network import firewall
from pinnace.network.addresses import BlockConfig
from pinnace.network.definitions import HOST4, ICC, MODE4
from tests.harness.deadline import until
from tests.network.world import (
    HOST,
    HOST6,
    OUTSIDE,
    OUTSIDE6,
    ask,
    published,
    refused,
    serving,
    with_bridge_filtering,
    world,  # noqa: F401 (a fixture)
)

pytestmark = pytest.mark.root


@pytest.fixture(params=["0", "1"], ids=["plain", "br_netfilter"])
def both(request, world):  # noqa: F811
    with_bridge_filtering(world, request.param)
    return world


def test_containers_of_one_network_reach_each_other(both):
    one, two = both.box(), both.box()
    with serving(two.ns, 80):
        assert ask(one.ns, two.ipv4, 80) == one.ipv4


def test_containers_of_different_networks_do_not(both):
    both.network("other")
    one, two = both.box(), both.box("other")
    with serving(two.ns, 80):
        assert refused(one.ns, two.ipv4, 80)
        assert ask(both.host, two.ipv4, 80) == two.legs[0].gateway4


def test_the_outside_sees_the_host(both):
    one = both.box()
    with serving(both.outside, 80):
        assert ask(one.ns, OUTSIDE, 80) == HOST


def test_a_published_port_is_reached_from_everywhere(both):
    both.network("other")
    server = both.box(ports=[published(80, 8080)])
    neighbour, stranger = both.box(), both.box("other")
    with serving(server.ns, 80):
        assert ask(both.outside, HOST, 8080) == OUTSIDE
        assert ask(both.host, HOST, 8080) in (HOST, server.legs[0].gateway4)
        assert ask(both.host, "127.0.0.1", 8080) == server.legs[0].gateway4
        assert ask(neighbour.ns, HOST, 8080) in (server.legs[0].gateway4, neighbour.ipv4)
        assert ask(server.ns, HOST, 8080) == server.legs[0].gateway4
        assert ask(stranger.ns, HOST, 8080) == stranger.ipv4


def test_what_is_not_published_is_not_reached_from_outside(world):  # noqa: F811
    server = world.box(ports=[published(80, 8080)])
    gateway = world.host
    world.outside.netlink.send(_route_to(world, server))
    with serving(server.ns, 81), serving(server.ns, 80):
        assert refused(world.outside, server.ipv4, 81)
        assert refused(world.outside, server.ipv4, 80)  # past the published port
        assert ask(gateway, server.ipv4, 81)


def _route_to(world, server):  # noqa: F811
    index = links.get(world.outside.netlink, "eth0").ifindex
    net = ipaddress.ip_interface(f"{server.ipv4}/16").network
    gateway = ipaddress.ip_address(HOST).packed
    return routes.add_route(index, net.network_address.packed, 16, gateway=gateway)


def test_published_on_the_loopback_only(both):
    server = both.box(ports=[published(80, 8080, "127.0.0.1")])
    neighbour = both.box()
    with serving(server.ns, 80):
        assert ask(both.host, "127.0.0.1", 8080) == server.legs[0].gateway4
        assert refused(both.outside, HOST, 8080)
        assert refused(neighbour.ns, HOST, 8080)
        assert refused(neighbour.ns, "127.0.0.1", 8080)


def test_containers_do_not_reach_the_loopback_of_the_host(world):  # noqa: F811
    one = world.box()
    with serving(world.host, 9000):
        index = links.get(one.ns.netlink, "eth0").ifindex
        one.ns.inside(lambda: netns.set_sysctl("ipv4/conf/all/route_localnet", "1"))
        one.ns.netlink.outcomes([links.change(1, up=False)])
        gateway = bytes(int(part) for part in one.legs[0].gateway4.split("."))
        one.ns.netlink.send(routes.add_route(index, bytes((127, 0, 0, 1)), 32, gateway=gateway))
        assert refused(one.ns, "127.0.0.1", 9000)


def test_a_stopped_container_is_not_published(both):
    server = both.box(ports=[published(80, 8080)])
    both.networks.release(server.id)
    with serving(server.ns, 80):
        assert refused(both.outside, HOST, 8080)


def test_ports_are_published_and_not_while_it_runs(both):
    server = both.box()
    with serving(server.ns, 80):
        assert refused(both.outside, HOST, 8080)
        ports = both.networks.publish(
            server.id, [published(80, 8080), published(80, 8081)], server.joined
        )
        assert ask(both.outside, HOST, 8080) == OUTSIDE
        both.networks.unpublish(server.id, ports[:1])
        assert refused(both.outside, HOST, 8080)
        assert ask(both.outside, HOST, 8081) == OUTSIDE


def test_an_internal_network_leads_nowhere(both):
    both.network("inner", internal=True)
    one, two = both.box("inner"), both.box("inner", ports=[published(80, 8080)])
    assert one.legs[0].gateway4 == ""
    with serving(two.ns, 80), serving(both.outside, 80):
        assert ask(one.ns, two.ipv4, 80) == one.ipv4
        assert refused(one.ns, OUTSIDE, 80)
        assert refused(both.outside, HOST, 8080)


def test_without_icc_only_published_ports_are_reached(both):
    both.network("apart", options={ICC: "false"})
    one, two = both.box("apart"), both.box("apart", ports=[published(80, 8080)])
    with serving(two.ns, 80), serving(two.ns, 81):
        assert refused(one.ns, two.ipv4, 81)
        assert ask(one.ns, HOST, 8080)
        assert ask(both.outside, HOST, 8080) == OUTSIDE


def test_ipv6_when_asked_for(both):
    both.network("six", ipv6=True)
    server, client = both.box("six", ports=[published(80, 8080)]), both.box("six")
    with serving(server.ns, 80, ipv6=True), serving(both.outside, 80, ipv6=True):
        assert ask(client.ns, server.ipv6, 80) == client.ipv6
        assert ask(both.outside, HOST6, 8080) == OUTSIDE6
        assert ask(client.ns, OUTSIDE6, 80) == HOST6
        assert ask(both.host, HOST6, 8080)
        assert ask(client.ns, HOST6, 8080)


def relayed(ns, address, port):
    """The process that relays may have to be started first: until then nobody accepts."""
    found = []

    def asked():
        try:
            found.append(ask(ns, address, port))
        except OSError:
            return False
        return True

    until(asked, "a relay")
    return found[-1]


def test_ipv6_through_the_loopback(world):  # noqa: F811
    world.network("six", ipv6=True)
    server = world.box("six", ports=[published(80, 8080)])
    with serving(server.ns, 80, ipv6=True):
        assert relayed(world.host, "::1", 8080) == server.legs[0].gateway6


def test_ipv6_of_the_host_for_a_container_without(world):  # noqa: F811
    server = world.box(ports=[published(80, 8080)])
    with serving(server.ns, 80):
        assert relayed(world.host, "::1", 8080) == server.legs[0].gateway4
        assert relayed(world.outside, HOST6, 8080) == server.legs[0].gateway4
        world.networks.unpublish(server.id, server.legs[0].ports)
        assert refused(world.outside, HOST6, 8080)


def test_much_goes_through_a_relay(world):  # noqa: F811
    server = world.box(ports=[published(80, 8080)])
    listener = server.ns.socket()
    listener.bind(("0.0.0.0", 80))
    listener.listen()
    size = 20_000_000

    def echo():
        connection, _ = listener.accept()
        with connection:
            data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            connection.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    caller = world.host.socket(socket.AF_INET6)
    until(lambda: caller.connect_ex(("::1", 8080)) == 0, "a relay")
    with caller:
        sent = bytes(range(256)) * (size // 256)
        caller.sendall(sent)
        caller.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: caller.recv(1 << 16), b"")) == sent
    listener.close()


def test_a_routed_network_is_reached_by_its_own_addresses(world):  # noqa: F811
    world.network("routed", options={MODE4: "routed"}, blocks=[BlockConfig("10.77.0.0/16")])
    server = world.box("routed", ports=[published(80, 0)])
    world.outside.netlink.send(_route_to(world, server))
    with serving(server.ns, 80), serving(server.ns, 81), serving(world.outside, 80):
        assert ask(world.outside, server.ipv4, 80) == OUTSIDE
        assert refused(world.outside, server.ipv4, 81)
        assert ask(server.ns, OUTSIDE, 80) == server.ipv4


def test_a_fixed_source_address(world):  # noqa: F811
    index = links.get(world.host.netlink, "eth0").ifindex
    world.host.netlink.send(routes.add_address(index, bytes((192, 0, 2, 9)), 24))
    world.network("named", options={HOST4: "192.0.2.9"})
    one = world.box("named")
    with serving(world.outside, 80):
        assert ask(one.ns, OUTSIDE, 80) == "192.0.2.9"


def test_nobody_sends_from_the_address_of_another(world):  # noqa: F811
    liar, trusted, server = world.box(), world.box(trusted=True), world.box()
    with serving(server.ns, 80):
        for box, allowed in ((liar, False), (trusted, True)):
            index = links.get(box.ns.netlink, "eth0").ifindex
            foreign = bytes((172, 17, 9, 9))
            box.ns.netlink.send(routes.add_address(index, foreign, 16))
            assert refused_from(box, server) is not allowed
            box.ns.netlink.send(routes.delete_address(index, foreign, 16))


def refused_from(box, server):
    try:
        ask(box.ns, server.ipv4, 80, source="172.17.9.9", patience=0.3)
    except OSError:
        return True
    return False


def test_an_administrators_rules_come_first(world):  # noqa: F811
    server = world.box(ports=[published(80, 8080)])
    table = firewall.tables(world.kernel.engine)[0]
    drop = nftables._rule(table, firewall.ADMINISTRATOR, r.rule(r.verdict(r.DROP)))
    with serving(server.ns, 80):
        assert ask(world.outside, HOST, 8080) == OUTSIDE
        world.kernel.change([drop])
        assert refused(world.outside, HOST, 8080)
        world.networks.repair()
        assert refused(world.outside, HOST, 8080)


def test_traffic_goes_on_without_the_daemon_and_after_its_restart(both):
    both.network("six", ipv6=True)
    server = both.box("six", ports=[published(80, 8080)])
    with serving(server.ns, 80):
        both.close()
        assert ask(both.outside, HOST, 8080) == OUTSIDE
        both.open()
        both.networks.recover({server.id: server.joined})
        assert ask(both.outside, HOST, 8080) == OUTSIDE
        assert both.networks.legs(server.id) == server.legs


def test_the_firewall_is_repaired_after_a_flush(world):  # noqa: F811
    server = world.box(ports=[published(80, 8080)])
    with serving(server.ns, 80):
        for table in firewall.tables(world.kernel.engine):
            world.kernel.change([nftables.delete_table(table)])
        assert refused(world.outside, HOST, 8080)
        assert world.networks.repair_if_lost()
        assert ask(world.outside, HOST, 8080) == OUTSIDE
        assert not world.networks.repair_if_lost()


def test_the_host_is_a_router_for_its_containers_only(world):  # noqa: F811
    """It was none before: what was there is not connected by it, what comes later may be."""
    world.host.inside(lambda: netns.set_sysctl("ipv4/ip_forward", "0"))
    former, later = world.namespace(), world.namespace()
    cable(world, former, "old0", 11)
    world.network("any")
    cable(world, later, "new0", 12)
    box = world.box()
    with serving(world.outside, 80):
        assert ask(box.ns, OUTSIDE, 80) == HOST
        assert refused(former, OUTSIDE, 80)
        assert ask(later, OUTSIDE, 80) == "198.51.12.2"
        world.restart(box)
        assert refused(former, OUTSIDE, 80)
        assert ask(later, OUTSIDE, 80) == "198.51.12.2"


def cable(world, ns, name, number):  # noqa: F811
    """A further host, on a link of its own; the outside knows the way back."""
    world.host.netlink.send(links.veth(name, "eth0", peer_place=links.Place(netns_fd=ns.fd)))
    for where, link, last in ((world.host, name, 1), (ns, "eth0", 2)):
        index = links.get(where.netlink, link).ifindex
        address = bytes((198, 51, number, last))
        where.netlink.send(routes.add_address(index, address, 24), links.change(index, up=True))
    gateway = bytes((198, 51, number, 1))
    ns.netlink.send(routes.add_route(links.get(ns.netlink, "eth0").ifindex, gateway=gateway))
    index = links.get(world.outside.netlink, "eth0").ifindex
    back = routes.add_route(
        index, bytes((198, 51, number, 0)), 24, gateway=ipaddress.ip_address(HOST).packed
    )
    world.outside.netlink.send(back)
