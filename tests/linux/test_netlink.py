"""Attributes and messages as bytes; acknowledgements and refusals of the kernel."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.linux import links, netlink
from tests.linux.namespaces import namespaces  # noqa: F401 (a fixture)

PAIRS = st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=40)), max_size=6)


@given(PAIRS)
def test_attributes_are_read_as_they_were_written(pairs):
    data = b"".join(netlink.attribute(kind, value) for kind, value in pairs)
    assert list(netlink.parts(data)) == pairs
    assert len(data) % 4 == 0


@given(st.binary(max_size=100))
def test_any_bytes_can_be_looked_at(data):
    list(netlink.parts(data))
    list(netlink.decode(data))


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_messages_are_read_as_they_were_written(bodies):
    data = b"".join(
        netlink.encode(netlink.Message(18, 5, body), i) for i, body in enumerate(bodies)
    )
    assert [m.body for m in netlink.decode(data)] == bodies
    assert [m.sequence for m in netlink.decode(data)] == list(range(len(bodies)))


def test_a_refusal_says_what_the_kernel_says():
    words = netlink.text(1, "interface name too long")
    reply = netlink.Received(2, 0x300, 1, b"\xde\xff\xff\xff" + bytes(16) + words)
    error = netlink.failure(reply)
    assert error is not None
    assert error.errno == errno.ERANGE
    assert "interface name too long" in str(error)


@pytest.mark.root
def test_several_requests_have_an_outcome_each(namespaces):  # noqa: F811
    ns = namespaces()
    outcomes = ns.netlink.outcomes(
        [links.bridge("one"), links.bridge("one"), links.delete_named("two"), links.bridge("two")]
    )
    assert [error and error.errno for error in outcomes] == [
        None, errno.EEXIST, errno.ENODEV, None,
    ]  # fmt: skip


@pytest.mark.root
def test_the_first_refusal_is_raised(namespaces):  # noqa: F811
    ns = namespaces()
    with pytest.raises(OSError, match="File exists"):
        ns.netlink.send(links.bridge("one"), links.bridge("one"), links.delete_named("two"))


@pytest.mark.root
def test_no_request_needs_no_answer(namespaces):  # noqa: F811
    namespaces().netlink.send()
