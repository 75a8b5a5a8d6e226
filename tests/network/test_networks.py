"""Networks and endpoints: what is refused, what moves while a container runs, what is left."""

import os
import socket
import threading

import pytest

from pinnace import errors
from pinnace.linux import links, netns, nftables, routes
from pinnace.network import dns, firewall
from pinnace.network.addresses import BlockConfig
from pinnace.network.creation import Request
from pinnace.network.definitions import IF_NAME, MTU, NAME, SYSCTLS, Port
from pinnace.network.legs import Sandbox, Wanted
from pinnace.network.listening import ADDRESS
from pinnace.network.networks import Namespace
from pinnace.network.ports import PortRequest
from tests.network.world import (
    HOST,
    HOST6,
    OUTSIDE,
    OUTSIDE6,
    ask,
    published,
    refused,
    serving,
    world,  # noqa: F401 (a fixture)
)

pytestmark = pytest.mark.root


def default_route(box):
    found = [each for each in routes.routes(box.ns.netlink, socket.AF_INET) if not each.prefix]
    return [socket.inet_ntoa(each.gateway) for each in found]


def links_of(world):  # noqa: F811
    return {link.name for link in links.dump(world.host.netlink)}


def elements(world):  # noqa: F811
    """How many elements our tables have, by set."""
    found = {}
    for table in firewall.tables(world.kernel.engine):
        for name in nftables.names(world.kernel.firewall, table).sets:
            if not name.startswith("former"):  # links of the host, not of ours
                count = len(nftables.elements(world.kernel.firewall, table, name))
                found[table.family, name] = count
    return found


# Refusals: classes and words of Docker 28.5.2


@pytest.mark.parametrize(
    ("request_", "kind", "said"),
    [
        (Request(""), errors.Invalid, "invalid name: name is empty"),
        (Request("host"), errors.Forbidden, "not permitted on predefined host network"),
        (Request("x", "nope"), errors.NotFound, 'plugin "nope" not found'),
        (Request("x", ipam_driver="nope"), errors.NotFound, 'plugin "nope" not found'),
        (Request("x", "host"), errors.Forbidden, 'only one instance of "host" network is'),
        (Request("x", blocks=[BlockConfig("10.1/9")]), errors.Invalid, "invalid CIDR block"),
        (
            Request("x", options={"com.docker.network.bridge.gateway_mode_ipv4": "zz"}),
            errors.Invalid,
            "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: zz",
        ),
        (
            Request("x", options={"com.docker.network.bridge.enable_icc": "zz"}),
            errors.Invalid,
            r'value: zz \(strconv.ParseBool: parsing "zz": invalid syntax\)',
        ),
        (
            Request("x", options={"com.docker.network.driver.mtu": "zz"}),
            errors.Invalid,
            r'value: zz \(strconv.Atoi: parsing "zz": invalid syntax\)',
        ),
        (
            Request("x", options={NAME: "averyveryverylongname"}),
            errors.Failed,
            "numerical result out of range",
        ),
        (
            Request("x", "macvlan", options={"parent": "nodev0.x"}),
            errors.Failed,
            "unable to parse a valid vlan id from: x",
        ),
        (
            Request("x", "ipvlan", options={"ipvlan_mode": "l9"}),
            errors.Failed,
            "requested ipvlan mode 'l9' is not valid, 'l2' mode is the ipvlan driver default",
        ),
    ],
)
def test_networks_that_cannot_be(world, request_, kind, said):  # noqa: F811
    before = links_of(world), elements(world)
    with pytest.raises(kind, match=said):
        world.networks.create(request_)
    assert (links_of(world), elements(world)) == before
    assert len(world.networks.all()) == 3


def test_names_and_subnets_are_taken_once(world):  # noqa: F811
    world.network("one", blocks=[BlockConfig("10.5.0.0/16")])
    with pytest.raises(errors.Conflict, match="network with name one already exists"):
        world.network("one")
    with pytest.raises(errors.Forbidden, match="Pool overlaps with other one"):
        world.network("two", blocks=[BlockConfig("10.5.1.0/24")])


def test_a_bridge_that_is_not_ours_is_left_alone(world):  # noqa: F811
    world.host.netlink.send(links.bridge("theirs"))
    with pytest.raises(errors.Forbidden, match="not this engine's"):
        world.network("mine", options={NAME: "theirs"})
    assert "theirs" in links_of(world)


def test_what_the_host_reaches_already_is_not_chosen(world):  # noqa: F811
    index = links.get(world.host.netlink, "eth0").ifindex
    world.host.netlink.send(routes.add_route(index, bytes((172, 18, 0, 0)), 21))
    assert world.network("one").blocks[0].subnet == "172.18.8.0/22"


def test_predefined_and_used_networks_stay(world):  # noqa: F811
    with pytest.raises(errors.Forbidden, match="bridge is a pre-defined network and cannot be"):
        world.networks.remove("bridge")
    one = world.network("one")
    box = world.box("one")
    said = rf'network one has active endpoints \(name:"box1" id:"{box.legs[0].id[:12]}"\)'
    with pytest.raises(errors.Forbidden, match=said):
        world.networks.remove(one.id)
    world.networks.release(box.id)
    world.networks.remove(one.id)
    assert one.link not in links_of(world)


def test_networks_are_found_by_name_id_and_its_beginning(world):  # noqa: F811
    one = world.network("one")
    for ident in ("one", one.id, one.id[:12]):
        assert world.networks.find(ident) == one
    for ident in ("nonet", "", "zz"):
        with pytest.raises(errors.NotFound, match=f"network {ident} not found"):
            world.networks.find(ident)


def test_an_address_in_use_or_outside(world):  # noqa: F811
    world.network("one", blocks=[BlockConfig("10.5.0.0/29")])
    world.box("one", ipv4="10.5.0.3")
    before = elements(world)
    for text, kind, said in (
        ("10.5.0.3", errors.Forbidden, "set up container networking: Address already in use"),
        ("10.5.0.1", errors.Forbidden, "Address already in use"),
        ("10.9.0.1", errors.Invalid, "no configured subnet or ip-range contain the IP address"),
    ):
        with pytest.raises(kind, match=said):
            world.box("one", ipv4=text)
    for _ in range(4):
        world.box("one")
    said = r"no available IPv4 addresses on this network's address pools: one \("
    with pytest.raises(errors.Failed, match=said):
        world.box("one")
    assert before != elements(world)
    assert len(world.networks.members(world.networks.find("one").id)) == 5


def test_no_address_can_be_asked_of_a_chosen_subnet(world):  # noqa: F811
    world.network("one")
    with pytest.raises(errors.Invalid, match="only when connecting to networks with user config"):
        world.box("one", ipv4="172.18.0.9")


def test_a_port_is_had_once(world):  # noqa: F811
    server = world.box(ports=[published(80, 8080)])
    before = elements(world)
    said = (
        r"failed to set up container networking: driver failed programming external connectivity "
        r"on endpoint box2 \([0-9a-f]{64}\): Bind for 0.0.0.0:8080 failed: port is already"
    )
    for host in ("", "127.0.0.1"):
        with pytest.raises(errors.Failed, match=said.replace("box2", r"box\d")):
            world.box(ports=[published(80, 9090), published(80, 8080, host)])
    assert elements(world) == before
    world.box(ports=[published(80, 9090), published(53, 8080, protocol="udp")])
    with pytest.raises(OSError, match="in use"):
        world.host.socket().bind(("0.0.0.0", 8080))
    world.networks.release(server.id)
    world.host.socket().bind(("0.0.0.0", 8080))


def test_a_port_of_someone_else(world):  # noqa: F811
    with world.host.socket() as other:
        other.bind(("0.0.0.0", 8080))
        said = (
            r"failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use"
        )
        with pytest.raises(errors.Failed, match=said):
            world.box(ports=[published(80, 8080)])
    with pytest.raises(errors.Failed, match="cannot assign requested address"):
        world.box(ports=[published(80, 8080, "203.0.113.1")])
    assert world.networks._register.endpoints() == []


def test_ranges_and_ports_of_no_one(world):  # noqa: F811
    world.box(ports=[published(80, 8080)])
    ranged = PortRequest("tcp", 80, "", 8080, 8082)
    box = world.box(ports=[ranged, PortRequest("tcp", 81), PortRequest("udp", 82)])
    ports = box.legs[0].ports
    assert [port.host_port for port in ports[:2]] == [8081, 8081]
    assert all(port.host_port >= 1024 for port in ports)
    assert [port.port for port in ports] == [80, 80, 81, 81, 82]
    assert ports[2].host_port == ports[3].host_port


# While containers run


def test_connected_and_disconnected_while_running(world):  # noqa: F811
    world.network("back")
    box, other = world.box(), world.box("back")
    endpoint = world.networks.connect(box.sandbox, Wanted("back"), box.joined)
    assert endpoint.interface == "eth1"
    with serving(other.ns, 80):
        assert ask(box.ns, other.ipv4, 80) == endpoint.ipv4
        with pytest.raises(errors.Forbidden, match="endpoint with name box1 already exists in"):
            world.networks.connect(box.sandbox, Wanted("back"), box.joined)
        world.networks.disconnect(box.id, "back", box.joined)
        assert refused(box.ns, other.ipv4, 80)
    assert links.get(box.ns.netlink, "eth1") is None
    with pytest.raises(errors.Failed, match="is not connected to network back"):
        world.networks.disconnect(box.id, "back", box.joined)


def test_the_default_route_and_the_ports_follow_the_priority(world):  # noqa: F811
    back = world.network("back")
    box = world.box(ports=[published(80, 8080)])
    assert default_route(box) == ["172.17.0.1"]
    wanted = Wanted("back", gateway_priority=5)
    world.networks.connect(box.sandbox, wanted, box.joined)
    assert default_route(box) == [back.blocks[0].gateway]
    world.networks.disconnect(box.id, "back", box.joined)
    assert default_route(box) == ["172.17.0.1"]
    world.networks.connect(box.sandbox, Wanted("back"), box.joined)
    world.networks.disconnect(box.id, "bridge", box.joined)
    assert default_route(box) == [back.blocks[0].gateway]
    with serving(box.ns, 80):
        assert ask(world.outside, HOST, 8080) == OUTSIDE
    assert world.networks.legs(box.id)[0].ports == [
        Port("tcp", 80, "0.0.0.0", 8080),
        Port("tcp", 80, "::", 8080),
    ]


def test_predefined_networks_are_not_connected(world):  # noqa: F811
    box = world.box()
    for name, said in (("host", "cannot connect container to host"), ("none", "private")):
        with pytest.raises(errors.Invalid, match=said):
            world.networks.connect(box.sandbox, Wanted(name), box.joined)
    with pytest.raises(errors.NotFound, match="network nonet not found"):
        world.networks.connect(box.sandbox, Wanted("nonet"), box.joined)


def test_what_a_leg_may_be_given(world):  # noqa: F811
    world.network("six", ipv6=True, blocks=[BlockConfig("10.5.0.0/24"), BlockConfig("fd05::/64")])
    box = world.box(
        "six",
        ipv4="10.5.0.77",
        ipv6="fd05::77",
        mac="02:42:00:00:12:34",
        link_local=["169.254.7.7"],
        options={IF_NAME: "lan0", SYSCTLS: "net.ipv4.conf.IFNAME.log_martians=1"},
    )
    link = links.get(box.ns.netlink, "lan0")
    assert link.mac == "02:42:00:00:12:34"
    found = {(a.packed, a.prefix) for a in routes.addresses(box.ns.netlink)}
    assert (bytes((10, 5, 0, 77)), 24) in found
    assert (bytes((169, 254, 7, 7)), 16) in found
    assert (socket.inet_pton(socket.AF_INET6, "fd05::77"), 64) in found
    assert box.ns.inside(lambda: netns.sysctl("ipv4/conf/lan0/log_martians")) == "1"
    assert box.ns.inside(lambda: netns.sysctl("ipv6/conf/lan0/accept_ra")) == "0"


def test_ipv6_is_off_unless_asked_for(world):  # noqa: F811
    box = world.box()
    assert box.ns.inside(lambda: netns.sysctl("ipv6/conf/eth0/disable_ipv6")) == "1"
    ports = [link.name for link in links.dump(world.host.netlink) if link.name.startswith("veth")]
    own = {link.ifindex for link in links.dump(world.host.netlink) if link.name in ports}
    addressed = {a.ifindex for a in routes.addresses(world.host.netlink) if len(a.packed) == 16}
    assert not own & addressed


def test_sysctls_of_other_things_are_refused(world):  # noqa: F811
    for text in ("kernel.shmmax=1", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.forwarding=1"):
        with pytest.raises(errors.Invalid, match="unrecognised network interface sysctl"):
            world.box(options={SYSCTLS: text})


def test_names_are_answered_in_networks_of_ones_own(world):  # noqa: F811
    world.network("back")
    one, two, plain = world.box("back"), world.box("back"), world.box()
    data = dns.question("box2", dns.A)

    def answered(box):
        with box.ns.socket(kind=socket.SOCK_DGRAM) as asker:
            asker.settimeout(2)
            asker.connect((ADDRESS, 53))
            asker.send(data)
            return dns.answers(asker.recv(512))[2]

    assert answered(one) == [two.ipv4]
    assert world.networks.resolved(one.id)
    assert not world.networks.resolved(plain.id)
    world.networks.connect(plain.sandbox, Wanted("back"), plain.joined)
    assert answered(plain) == [two.ipv4]
    world.restart(one, two, plain)
    assert answered(one) == [two.ipv4]
    world.networks.disconnect(two.id, "back", two.joined)
    world.networks._names.settle()
    assert answered(one) == []


# Shells that wait, ends, and restarts


def test_a_prepared_shell_is_kept_when_it_fits(world):  # noqa: F811
    ns = world.namespace()
    world.networks.prepare("f" * 64, ns.fd)
    assert world.networks.legs("f" * 64) == []
    assert world.networks.members(world.networks.find("bridge").id) == []
    (ahead,) = world.networks._register.of_container("f" * 64)
    box = world.box()
    sandbox = box.sandbox._replace(container="f" * 64, name="web")

    assert world.networks.fits(sandbox, [Wanted("bridge", dns_names=["web"])])
    planned = world.networks.plan(sandbox, [Wanted("bridge")], [published(80, 8080)])
    world.networks.join("f" * 64, Namespace(ns.fd))
    assert (planned[0].id, planned[0].ipv4, planned[0].name) == (ahead.id, ahead.ipv4, "web")
    with serving(ns, 80):
        assert ask(world.outside, HOST, 8080) == OUTSIDE

    assert not world.networks.fits(sandbox, [Wanted("bridge", mac="02:42:00:00:00:01")])
    assert not world.networks.fits(sandbox, [])


def test_nothing_is_left_of_what_was(world):  # noqa: F811
    before = links_of(world), elements(world)
    world.network("back", ipv6=True)
    boxes = [world.box("back", ports=[PortRequest("tcp", 80)]) for _ in range(5)]
    for box in boxes:
        world.networks.release(box.id)
        world.networks.release(box.id)
        box.end()
        leg = box.legs[0]
        world.host.netlink.outcomes([links.delete_named(leg.link)])
    world.networks.remove("back")
    assert (links_of(world), elements(world)) == before
    assert world.database.rows("SELECT * FROM addresses") == []


def test_what_ended_while_nobody_looked_is_swept(world):  # noqa: F811
    stays, goes = world.box(), world.box(ports=[published(80, 8080)])
    world.restart(stays)
    assert [each.container for each in world.networks._register.endpoints()] == [stays.id]
    assert goes.legs[0].link not in links_of(world)
    assert stays.legs[0].link in links_of(world)
    again = world.box(ports=[published(80, 8080)])
    assert again.ipv4 == goes.ipv4


def test_ports_are_held_while_the_daemon_is_away(world):  # noqa: F811
    box = world.box(ports=[published(80, 8080)])
    world.networks._names.settle()
    while not world.networks._names.reconnect().held:
        pass
    world.close()
    with pytest.raises(OSError, match="in use"):
        world.host.socket().bind(("0.0.0.0", 8080))
    world.open()
    world.networks.recover({box.id: box.joined})
    with pytest.raises(errors.Failed, match="port is already allocated"):
        world.box(ports=[published(80, 8080)])
    world.networks.release(box.id)
    world.networks._names.settle()
    world.host.socket().bind(("0.0.0.0", 8080))


def test_flows_of_udp_follow_what_is_published(world):  # noqa: F811
    """The caller's socket stays the same; nothing it sends ends the flow."""

    def listening(box):
        made = box.ns.socket(kind=socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", 53))
        made.settimeout(1)
        return made

    with world.outside.socket(kind=socket.SOCK_DGRAM) as caller:
        caller.sendto(b"before", (HOST, 8053))
        for text in (b"first", b"second"):
            box = world.box(ports=[published(53, 8053, protocol="udp")])
            with listening(box) as server:
                caller.sendto(text, (HOST, 8053))
                assert server.recv(100) == text
            keeps = world.box()  # gets in the way of the same address
            world.networks.release(box.id)
            assert keeps.ipv4 != box.ipv4


def test_a_hundred_networks(world):  # noqa: F811
    for number in range(100):
        world.network(f"n{number}")
    box = world.box("n7", "n42")
    assert [leg.interface for leg in box.legs] == ["eth0", "eth1"]
    for number in range(100):
        if number not in (7, 42):
            world.networks.remove(f"n{number}")
    assert len([name for name in links_of(world) if name.startswith("br-")]) == 2


def test_an_erased_engine_leaves_nothing_in_the_kernel(world):  # noqa: F811
    world.network("back")
    world.networks.erase()
    assert links_of(world) == {"lo", "eth0"}
    assert nftables.tables(world.kernel.firewall, "inet") == []
    world.networks.recover({})


def test_macvlan_gives_a_link_of_its_own_on_the_hosts(world):  # noqa: F811
    blocks = [BlockConfig("192.0.2.0/24", gateway="192.0.2.254")]
    world.network("lan", driver="macvlan", options={"parent": "eth0"}, blocks=blocks)
    box = world.box("lan", ipv4="192.0.2.77")
    with serving(world.outside, 80):
        assert ask(box.ns, OUTSIDE, 80) == "192.0.2.77"
    world.networks.disconnect(box.id, "lan", box.joined)
    assert links.get(box.ns.netlink, "eth0") is None
    with pytest.raises(errors.Failed, match="parent=eth7 is not found"):
        world.network("x", driver="macvlan", options={"parent": "eth7"})


def test_many_at_once(world):  # noqa: F811
    """Starts and ends in eight threads: no address twice, nothing left."""
    world.network("back")
    before = elements(world)
    failures = []
    pidfd = os.pidfd_open(os.getpid())

    def live(number):
        try:
            for turn in range(6):
                ns = world.namespace()
                ident = f"{number:02d}{turn:02d}".ljust(64, "0")
                sandbox = Sandbox(ident, f"t{number}-{turn}")
                requests = [PortRequest("tcp", 80)]
                legs = world.networks.plan(sandbox, [Wanted("bridge"), Wanted("back")], requests)
                world.networks.join(ident, Namespace(ns.fd, pidfd))
                assert [len(leg.ports) for leg in legs] == [0, 2]
                if turn % 2:
                    world.networks.release(ident)
        except Exception as error:  # noqa: BLE001 (told by the test's thread)
            failures.append(error)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    left = world.networks.members(world.networks.find("bridge").id)
    assert len({leg.ipv4 for leg in left}) == len(left) == 24
    others = world.networks.members(world.networks.find("back").id)
    assert len({leg.ports[0].host_port for leg in others}) == 24
    for leg in left:
        world.networks.release(leg.container)
    assert elements(world) == before
    os.close(pidfd)


def test_the_default_bridge_follows_the_settings(world):  # noqa: F811
    first = world.networks.find("bridge")
    wanted = Request(
        "bridge",
        blocks=[BlockConfig("10.99.0.0/24", gateway="10.99.0.7")],
        options={MTU: "1400"},
    )
    for _ in range(2):
        world.restart(default_bridge=wanted)
        box = world.box()
        assert (box.ipv4, box.legs[0].gateway4) == ("10.99.0.1", "10.99.0.7")
        assert links.get(box.ns.netlink, "eth0").mtu == 1400
        assert world.networks.find("bridge").id == first.id
        world.networks.release(box.id)
    world.restart()
    assert world.networks.find("bridge").blocks == first.blocks


def test_a_network_without_ipv4(world):  # noqa: F811
    world.network("six", ipv4=False, ipv6=True)
    server, client = world.box("six", ports=[published(80, 8080)]), world.box("six")
    assert server.ipv4 == ""
    with serving(server.ns, 80, ipv6=True):
        assert ask(client.ns, server.ipv6, 80) == client.ipv6
        assert ask(world.outside, HOST6, 8080) == OUTSIDE6


def test_links_that_others_took_meanwhile_are_theirs(world):  # noqa: F811
    world.network("back", options={NAME: "mine"})
    world.close()
    for name in ("pinnace0", "mine"):
        world.host.netlink.send(links.delete_named(name), links.bridge(name))
    world.open()
    world.networks.recover({})
    assert world.networks.find("bridge").link == f"br-{world.kernel.engine[:12]}"
    box = world.box()
    with serving(world.outside, 80):
        assert ask(box.ns, OUTSIDE, 80) == HOST
    with pytest.raises(errors.Failed, match="the bridge of network back is missing"):
        world.box("back")
    world.networks.release(f"{2:064x}")
    world.networks.remove("back")
    assert {"pinnace0", "mine"} <= links_of(world)
