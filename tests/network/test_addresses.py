"""What is refused in Docker's words, and which subnets and addresses are chosen."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace import errors
from pinnace.network import addresses
from pinnace.network.addresses import Block, BlockConfig, NoAddress, Occupancy, Pool

net = ipaddress.ip_network
ip = ipaddress.ip_address


# Recorded from Docker 28.5.2.
@pytest.mark.parametrize(
    ("config", "said"),
    [
        (BlockConfig("10.232.0.5/24"), "invalid subnet 10.232.0.5/24: it should be 10.232.0.0/24"),
        (BlockConfig("10.232.0/24"), "invalid subnet 10.232.0/24: invalid CIDR block notation"),
        (BlockConfig("10.2.0.0"), "invalid subnet 10.2.0.0: invalid CIDR block notation"),
        (
            BlockConfig("10.232.0.0/24", gateway="10.233.0.1"),
            "invalid gateway 10.233.0.1: parent subnet 10.232.0.0/24 doesn't contain this address",
        ),
        (BlockConfig("10.232.0.0/24", gateway="bad"), "invalid gateway bad: invalid address"),
        (
            BlockConfig("10.232.0.0/24", "10.233.0.0/25"),
            "invalid ip-range 10.233.0.0/25: parent subnet 10.232.0.0/24 doesn't contain ip-range",
        ),
        (
            BlockConfig("10.232.0.0/24", auxiliary={"a": "10.233.0.2"}),
            "invalid auxiliary address a: parent subnet 10.232.0.0/24 doesn't contain this address",
        ),
        (
            BlockConfig("10.232.0.0/24", "fd00::/64"),
            "invalid ip-range fd00::/64: parent subnet is an IPv4 block",
        ),
        (
            BlockConfig("10.232.0.0/24", "10.232.0.1/25"),
            "invalid ip-range 10.232.0.1/25: it should be 10.232.0.0/25",
        ),
    ],
)
def test_what_is_wrong_is_said_as_docker_does(config, said):
    with pytest.raises(errors.Invalid) as raised:
        addresses.blocks([config], ipv4=True, ipv6=False, taken=[])
    assert raised.value.message == "invalid network config:\n" + said


def test_several_problems_are_listed():
    configs = [BlockConfig("x"), BlockConfig("10.0.0.1/8")]
    with pytest.raises(errors.Invalid) as raised:
        addresses.blocks(configs, ipv4=True, ipv6=False, taken=[])
    assert raised.value.message.count("\n* ") == 2


def test_a_subnet_that_overlaps_is_refused():
    for configs, taken in (
        ([BlockConfig("10.1.0.0/16")], [net("10.1.2.0/24")]),
        ([BlockConfig("10.1.0.0/16"), BlockConfig("10.1.3.0/24")], []),
    ):
        with pytest.raises(errors.Forbidden, match="Pool overlaps with other one"):
            addresses.blocks(configs, ipv4=True, ipv6=False, taken=taken)


def test_blocks_are_read_and_families_that_are_off_left_out():
    configs = [
        BlockConfig("10.1.0.0/16", "10.1.5.0/24", "10.1.0.9", {"router": "10.1.5.4"}),
        BlockConfig("fd01::/64"),
    ]
    (four,) = addresses.blocks(configs, ipv4=True, ipv6=False, taken=[net("10.2.0.0/16")])
    assert four == Block(net("10.1.0.0/16"), ip("10.1.0.9"), net("10.1.5.0/24"), (ip("10.1.5.4"),))
    both = addresses.blocks(configs, ipv4=True, ipv6=True, taken=[])
    assert [block.version for block in both] == [4, 6]


def test_a_thousand_networks_fit():
    taken = [net("0.0.0.0/0"), net("192.168.1.0/24")]
    for _ in range(1001):
        taken.append(addresses.choose_subnet(addresses.DEFAULT_POOLS, 4, taken))
    assert taken[2] == net("172.17.0.0/16")
    assert taken[3] == net("172.18.0.0/22")


def test_no_more_subnets():
    with pytest.raises(errors.Invalid, match="have been fully subnetted"):
        addresses.choose_subnet([Pool(net("10.0.0.0/24"), 24)], 4, [net("10.0.0.128/25")])
    with pytest.raises(errors.Invalid):
        addresses.choose_subnet(addresses.DEFAULT_POOLS, 6, [])


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(20, 32)).map(
            lambda p: net((0x0A000000 + (p[0] << 4), p[1]), strict=False)
        )
    )
)
def test_a_chosen_subnet_is_free_and_the_first(taken):
    pool = Pool(net("10.0.0.0/20"), 26)
    free = [s for s in pool.base.subnets(new_prefix=26) if not addresses.overlaps(s, taken)]
    try:
        assert addresses.choose_subnet([pool], 4, taken) == free[0]
    except errors.Invalid:
        assert not free


def test_local_addresses_of_an_engine_stay_the_same():
    pool = addresses.local_pool("abc")
    assert pool == addresses.local_pool("abc") != addresses.local_pool("abd")
    assert pool.base.subnet_of(net("fd00::/8"))
    first = addresses.choose_subnet([pool], 6, [])
    second = addresses.choose_subnet([pool], 6, [first])
    assert (first.prefixlen, first.overlaps(second)) == (64, False)


def test_the_lowest_free_address_is_given():
    room = Occupancy(addresses.with_gateway(Block(net("10.0.0.0/29"), None)), [ip("10.0.0.3")])
    given = [str(room.take()) for _ in range(4)]
    assert given == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(NoAddress):
        room.take()
    room.release(ip("10.0.0.5"))
    room.release(ip("10.0.0.4"))
    assert str(room.take()) == "10.0.0.4"


def test_an_address_in_use_is_refused():
    room = Occupancy(Block(net("10.0.0.0/29"), ip("10.0.0.1"), auxiliary=(ip("10.0.0.2"),)))
    for text in ("10.0.0.1", "10.0.0.2", "10.0.0.0", "10.0.0.7"):
        with pytest.raises(errors.Forbidden, match="Address already in use"):
            room.take(ip(text))
    assert room.take(ip("10.0.0.4")) == ip("10.0.0.4")
    with pytest.raises(errors.Forbidden):
        room.take(ip("10.0.0.4"))


def test_with_a_range_addresses_and_gateway_come_from_it():
    block = addresses.with_gateway(Block(net("10.232.0.0/16"), None, net("10.232.5.0/24")))
    assert str(block.gateway) == "10.232.5.0"  # as Docker 28.5.2
    assert str(Occupancy(block).take()) == "10.232.5.1"


def test_the_smallest_subnets():
    room = Occupancy(Block(net("10.0.0.0/31"), None))
    assert [str(room.take()), str(room.take())] == ["10.0.0.0", "10.0.0.1"]
    six = Occupancy(addresses.with_gateway(Block(net("fd00::/64"), None)))
    assert str(six.take()) == "fd00::2"


def test_link_addresses_follow_from_addresses():
    assert addresses.mac_of(ip("172.17.0.2")) == "02:42:ac:11:00:02"
    assert addresses.mac_of(ip("fd00::2")) == addresses.mac_of(ip("fd00::2")) != ""
