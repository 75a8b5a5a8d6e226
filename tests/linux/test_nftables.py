"""Our transactions as nft(8) reads them back, and what they do not touch."""

import errno
import shutil
import socket
import subprocess

import pytest

from pinnace.linux import nftables
from pinnace.linux import nftables_rules as r
from pinnace.linux.nftables import Chain, Content, Element, Set, Table
from pinnace.linux.nftables_rules import Hook, Type, rule
from tests.linux.namespaces import namespaces  # noqa: F401 (a fixture)

OURS = Table("inet", "ours-1")

LISTED = """\
table inet ours-1 {
    set links {
        type ifname
        elements = { "br0" }
    }

    set ends {
        type ifname . ifname
        elements = { "br0" . "br0" }
    }

    set nothing {
        type ipv4_addr . inet_proto . inet_service
    }

    map ports {
        type inet_proto . inet_service : ipv4_addr . inet_service
        elements = { tcp . 8080 : 10.0.0.2 . 80 }
    }

    map what {
        type ifname : verdict
        elements = { "br0" : jump inner,
                 "br1" : drop }
    }

    chain administrator {
    }

    chain inner {
        ct state established,related accept
        ct status dnat counter packets 0 bytes 0 return
        ip daddr . meta l4proto . th dport @nothing accept
    }

    chain forward {
        type filter hook forward priority filter; policy drop;
        jump administrator
        iifname vmap @what
        iifname . oifname @ends accept
        iifname "br0" oifname != @links drop comment "why so"
    }

    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports
    }

    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 127.0.0.0/8 masquerade
    }
}
"""


def content():
    ends = [Element(r.key(r.link_name("br0"), r.link_name("br0")))]
    ports = [Element(r.key(r.TCP, r.port(8080)), r.key(bytes((10, 0, 0, 2)), r.port(80)))]
    what = [
        Element(r.link_name("br0"), r.jump_to("inner")),
        Element(r.link_name("br1"), r.DROP),
    ]
    return Content(
        OURS,
        chains=[
            Chain("administrator", kept=True),
            Chain(
                "inner",
                [
                    rule(r.any_bit(r.CT_STATE, r.ESTABLISHED | r.RELATED), r.verdict(r.ACCEPT)),
                    rule(
                        r.any_bit(r.CT_STATUS, r.DESTINATION_CHANGED),
                        r.count(),
                        r.verdict(r.RETURN),
                    ),
                    rule(
                        r.equal(r.FAMILY, r.IPV4),
                        r.within("nothing", r.DESTINATION, r.PROTOCOL, r.PORT),
                        r.verdict(r.ACCEPT),
                    ),
                ],
            ),
            Chain(
                "forward",
                [
                    rule(r.jump("administrator")),
                    rule(r.decide("what", r.IN_LINK)),
                    rule(r.within("ends", r.IN_LINK, r.OUT_LINK), r.verdict(r.ACCEPT)),
                    rule(
                        r.equal(r.IN_LINK, r.link_name("br0")),
                        r.within("links", r.OUT_LINK, inverted=True),
                        r.verdict(r.DROP),
                        comment="why so",
                    ),
                ],
                hook=Hook("filter", r.FORWARD, 0),
                drops=True,
            ),
            Chain(
                "prerouting",
                [
                    rule(
                        r.equal(r.DESTINATION_TYPE, r.LOCAL),
                        r.equal(r.FAMILY, r.IPV4),
                        r.mapped("ports", r.PROTOCOL, r.PORT),
                        r.redirect_to_mapped(r.IPV4),
                    )
                ],
                hook=Hook("nat", r.PREROUTING, -100),
            ),
            Chain(
                "postrouting",
                [
                    rule(
                        r.equal(r.FAMILY, r.IPV4),
                        r.in_prefix(r.SOURCE, bytes((127, 0, 0, 0)), 8),
                        r.masquerade(),
                    )
                ],
                hook=Hook("nat", r.POSTROUTING, 100),
            ),
        ],
        sets=[
            Set("links", [Type.LINK_NAME], elements=[Element(r.link_name("br0"))]),
            Set("ends", [Type.LINK_NAME, Type.LINK_NAME], elements=ends),
            Set("nothing", [Type.ADDRESS, Type.PROTOCOL, Type.PORT]),
            Set(
                "ports",
                [Type.PROTOCOL, Type.PORT],
                [Type.ADDRESS, Type.PORT],
                elements=ports,
            ),
            Set("what", [Type.LINK_NAME], [Type.VERDICT], elements=what),
        ],
    )


@pytest.fixture
def ns(namespaces):  # noqa: F811
    made = namespaces()
    made.nft = made.inside(nftables.open_socket)
    yield made
    made.nft.close()


def nft(ns, *words, told=""):
    """What the program says in the namespace; it is not run but in tests."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    done = ns.inside(
        lambda: subprocess.run(
            ["nft", *words], input=told, capture_output=True, text=True, check=True
        )
    )
    return done.stdout


def normal(text):
    """Without what the program may lay out as it likes."""
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.root
def test_nft_reads_what_we_wrote(ns):
    nftables.apply(ns.nft, nftables.replace(content()))
    listed = nft(ns, "list", "table", "inet", "ours-1")
    assert normal(listed) == normal(LISTED)


@pytest.mark.root
def test_a_second_time_changes_nothing_and_keeps_the_administrators_rules(ns):
    nftables.apply(ns.nft, nftables.replace(content()))
    nft(ns, "-f", "-", told="add rule inet ours-1 administrator tcp dport 22 accept\n")
    nft(ns, "-f", "-", told="add table ip theirs; add chain inet ours-1 stale")
    before = nft(ns, "list", "ruleset")

    nftables.apply(ns.nft, nftables.replace(content(), nftables.names(ns.nft, OURS)))

    expected = before.replace("chain stale {\n\t}\n", "")
    assert normal(nft(ns, "list", "ruleset")) == normal(expected)
    assert nftables.rules(ns.nft, OURS, "administrator") == 1


@pytest.mark.root
def test_a_refused_change_leaves_all_as_it_was(ns):
    nftables.apply(ns.nft, nftables.replace(content()))
    before = nft(ns, "list", "ruleset")
    missing = Element(r.link_name("none"))
    messages = nftables.add_elements(OURS, "links", [Element(r.link_name("br9"))])
    messages += nftables.delete_elements(OURS, "links", [missing])
    with pytest.raises(OSError, match="No such file") as raised:
        nftables.apply(ns.nft, messages)
    assert raised.value.errno == errno.ENOENT
    assert nft(ns, "list", "ruleset") == before


@pytest.mark.root
def test_elements_come_and_go(ns):
    nftables.apply(ns.nft, nftables.replace(content()))
    names = [Element(r.link_name(f"br{i}")) for i in range(3000)]
    nftables.apply(ns.nft, nftables.add_elements(OURS, "links", names))
    assert len(nftables.elements(ns.nft, OURS, "links")) == 3000
    nftables.apply(ns.nft, nftables.delete_elements(OURS, "links", names[1:]))
    assert nftables.elements(ns.nft, OURS, "links") == {r.link_name("br0")}


@pytest.mark.root
def test_only_the_named_table_is_deleted(ns):
    nft(ns, "-f", "-", told="add table ip theirs")
    nftables.apply(ns.nft, nftables.replace(content()))
    assert nftables.tables(ns.nft, "inet") == [OURS]
    nftables.apply(ns.nft, [nftables.delete_table(OURS)])
    assert normal(nft(ns, "list", "ruleset")) == ["table ip theirs {", "}"]
    assert nftables.names(ns.nft, OURS) == nftables.NOTHING


@pytest.mark.root
def test_a_reload_of_the_firewall_is_noticed(ns):
    nftables.apply(ns.nft, nftables.replace(content()))
    watch = ns.inside(nftables.Watch)
    nftables.apply(ns.nft, nftables.add_elements(OURS, "links", [Element(r.link_name("x"))]))
    assert not watch.lost([OURS])
    nft(ns, "flush", "ruleset")
    assert watch.lost([OURS])
    assert not watch.lost([OURS])
    watch.close()


@pytest.mark.root
def test_ports_are_rewritten_without_tracking(ns):
    """A client asks port 53, the server listens elsewhere; both see what they expect."""
    server = ns.socket(kind=socket.SOCK_DGRAM)
    server.bind(("127.0.0.11", 0))
    number = server.getsockname()[1]
    listener = ns.socket()
    listener.bind(("127.0.0.11", number))
    listener.listen()
    address = socket.inet_aton("127.0.0.11")
    rules = [
        rule(
            r.equal(field, address),
            r.equal(r.PROTOCOL, protocol),
            r.equal(port, r.port(was)),
            r.set_port(port, becomes, checksum_offset=offset),
        )
        for field, port, was, becomes in (
            (r.DESTINATION, r.PORT, 53, number),
            (r.SOURCE, r.SOURCE_PORT, number, 53),
        )
        for protocol, offset in ((r.UDP, 6), (r.TCP, 16))
    ]
    chain = Chain("output", rules, hook=Hook("filter", r.OUTPUT, -300))
    nftables.apply(ns.nft, nftables.replace(Content(Table("ip", "dns"), [chain])))

    client = ns.socket(kind=socket.SOCK_DGRAM)
    client.connect(("127.0.0.11", 53))
    client.send(b"question")
    data, peer = server.recvfrom(100)
    server.sendto(data + b"!", peer)
    assert client.recv(100) == b"question!"

    stream = ns.socket()
    stream.connect(("127.0.0.11", 53))
    accepted, _ = listener.accept()
    accepted.sendall(b"hello")
    assert stream.recv(100) == b"hello"
    for each in (server, listener, client, stream, accepted):
        each.close()
