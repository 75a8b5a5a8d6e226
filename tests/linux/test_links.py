"""Links as the kernel has them after our requests."""

import errno

import pytest

from pinnace.linux import links, netns
from pinnace.linux.links import Place, Traits
from tests.linux.namespaces import namespaces  # noqa: F401 (a fixture)

pytestmark = pytest.mark.root


@pytest.fixture
def here(namespaces):  # noqa: F811
    return namespaces()


def find(ns, name):
    link = links.get(ns.netlink, name)
    assert link is not None
    return link


def test_a_bridge_is_as_asked_and_can_be_deleted(here):
    mac = "02:42:00:00:00:07"
    here.netlink.send(links.bridge("br-x", Traits(mac=mac, mtu=1400, up=True)))
    bridge = find(here, "br-x")
    assert (bridge.kind, bridge.mac, bridge.mtu, bridge.up) == ("bridge", mac, 1400, True)
    assert open_setting(here, "br-x", "bridge/forward_delay") is None
    here.netlink.send(links.set_alias(bridge.ifindex, "whose it is"))
    assert find(here, "br-x").alias == "whose it is"
    here.netlink.send(links.delete(bridge.ifindex))
    assert links.get(here.netlink, "br-x") is None


def open_setting(ns, link, name):
    """Bridges have no settings below /proc/sys: nothing to see."""
    try:
        return ns.inside(lambda: netns.sysctl(f"ipv4/conf/{link}/{name}"))
    except FileNotFoundError:
        return None


def test_a_pair_is_made_into_the_other_namespace(here, namespaces):  # noqa: F811
    there = namespaces()
    here.netlink.send(links.bridge("br0"))
    master = find(here, "br0").ifindex
    pair = links.veth(
        "veth1",
        "eth0",
        traits=Traits(master=master, up=True, mtu=1400),
        peer=Traits(mac="02:42:0a:00:00:02", mtu=1400),
        peer_place=Place(netns_fd=there.fd),
    )
    here.netlink.send(pair, links.set_port("veth1", hairpin=True))

    ours, theirs = find(here, "veth1"), find(there, "eth0")
    assert (ours.master, ours.up, ours.mtu, ours.kind) == (master, True, 1400, "veth")
    assert (theirs.mac, theirs.up, theirs.mtu) == ("02:42:0a:00:00:02", False, 1400)
    assert [port.name for port in links.dump(here.netlink, master=master)] == ["veth1"]


def test_links_of_a_namespace_that_is_gone_are_gone(here, namespaces):  # noqa: F811
    there = namespaces()
    here.netlink.send(links.veth("veth1", "eth0", peer_place=Place(netns_fd=there.fd)))
    there.netlink.send(links.delete_named("eth0"))
    assert links.get(here.netlink, "veth1") is None


def test_a_link_is_renamed_and_set_up(here):
    here.netlink.send(links.bridge("old"))
    index = find(here, "old").ifindex
    here.netlink.send(links.change(index, name="new", traits=Traits(mtu=1300)))
    here.netlink.send(links.change(index, up=True))
    assert find(here, "new")[:4] == (index, "new", find(here, "new").flags, 1300)
    assert find(here, "new").up


def test_settings_of_ipv4_are_made_by_message(here):
    here.netlink.send(links.bridge("br0"))
    here.netlink.send(links.set_ipv4(find(here, "br0").ifindex, {links.ROUTE_LOCALNET: 1}))
    assert here.inside(lambda: netns.sysctl("ipv4/conf/br0/route_localnet")) == "1"


def test_macvlan_on_a_parent(here, namespaces):  # noqa: F811
    there = namespaces()
    here.netlink.send(links.bridge("parent", Traits(up=True)))
    parent = find(here, "parent").ifindex
    mode = links.MACVLAN_MODES["bridge"]
    here.netlink.send(links.macvlan("eth0", parent, mode, place=Place(netns_fd=there.fd)))
    assert find(there, "eth0").kind == "macvlan"


@pytest.mark.parametrize("kind", ["vlan", "ipvlan", "dummy"])
def test_kinds_that_not_every_kernel_has(here, kind):
    here.netlink.send(links.bridge("parent", Traits(up=True)))
    parent = find(here, "parent").ifindex
    requests = {
        "vlan": links.vlan("x0", parent, 7),
        "ipvlan": links.ipvlan("x0", parent, links.IPVLAN_MODES["l3"], 0),
        "dummy": links.dummy("x0"),
    }
    try:
        here.netlink.send(requests[kind])
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip("not in this kernel")
    assert find(here, "x0").kind == kind


def test_names_that_cannot_be_are_refused(here):
    with pytest.raises(OSError) as raised:
        here.netlink.send(links.bridge("averyveryverylongname"))
    assert raised.value.errno == errno.ERANGE
