"""Questions and answers of DNS, and who is told what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.network import dns
from pinnace.network.dns import AAAA, PTR, A, Code, Malformed, View, Zone

MX = 15


@pytest.fixture
def zone():
    made = Zone("Back")
    made.put("1", ["web", "0123456789ab", "WWW"], ["10.0.0.2", "fd00::2"])
    made.put("2", ["db", "store"], ["10.0.0.3"])
    made.put("3", ["other", "store"], ["10.0.0.4"])
    return made


def ask(view, name, kind=A, **more):
    found = dns.answer(dns.parse(dns.question(name, kind, **more)), view)
    return None if found is None else dns.answers(found)


def test_names_aliases_and_ids_of_both_versions(zone):
    view = View([zone])
    for name in ("web", "WEB", "www", "0123456789ab", "web.back", "Web.Back"):
        assert ask(view, name) == (Code.NO_ERROR, False, ["10.0.0.2"])
        assert ask(view, name, AAAA) == (Code.NO_ERROR, False, ["fd00::2"])


def test_a_name_without_an_address_of_that_version_is_not_asked_elsewhere(zone):
    assert ask(View([zone]), "db", AAAA) == (Code.NO_ERROR, False, [])
    assert ask(View([zone]), "db", MX) == (Code.NO_ERROR, False, [])


def test_what_is_unknown_is_for_others(zone):
    for name in ("nosuch", "web.front", "example.org", ""):
        assert ask(View([zone]), name) is None
    assert ask(View([zone]), "9.0.0.10.in-addr.arpa", PTR) is None


def test_addresses_have_names(zone):
    assert ask(View([zone]), "2.0.0.10.in-addr.arpa", PTR)[2] == ["web.back"]
    assert ask(View([zone]), f"2.{'0.' * 27}0.0.d.f.ip6.arpa", PTR)[2] == ["web.back"]


def test_an_alias_of_several_is_taken_in_turn(zone):
    first, second = (ask(View([zone]), "store")[2] for _ in range(2))
    assert sorted(first) == ["10.0.0.3", "10.0.0.4"]
    assert second == first[::-1]


def test_what_is_dropped_is_unknown_and_the_rest_known(zone):
    zone.drop("2")
    zone.drop("2")
    assert ask(View([zone]), "db") is None
    assert ask(View([zone]), "store")[2] == ["10.0.0.4"]
    assert ask(View([zone]), "3.0.0.10.in-addr.arpa", PTR) is None


def test_an_endpoint_can_change_its_names(zone):
    zone.put("2", ["database"], ["10.0.0.9"])
    assert ask(View([zone]), "db") is None
    assert ask(View([zone]), "database")[2] == ["10.0.0.9"]
    assert ask(View([zone]), "9.0.0.10.in-addr.arpa", PTR)[2] == ["database.back"]


def test_links_are_the_containers_own(zone):
    assert ask(View([zone], {"mysql": "db"}), "mysql")[2] == ["10.0.0.3"]
    assert ask(View([zone]), "mysql") is None


def test_the_first_network_that_knows_answers(zone):
    other = Zone("front")
    other.put("9", ["web"], ["10.9.0.9"])
    assert ask(View([other, zone]), "web")[2] == ["10.9.0.9"]
    assert ask(View([other, zone]), "web.back")[2] == ["10.0.0.2"]


def test_long_answers_are_cut_for_udp():
    zone = Zone("n")
    for number in range(100):
        zone.put(str(number), ["many"], [f"10.0.0.{number}"])
    for size, cut in ((0, True), (4096, False)):
        asked = dns.parse(dns.question("many", A, size=size))
        found = dns.answer(asked, View([zone]))
        assert dns.answers(found)[1] is False
        code, truncated, records = dns.answers(dns.fitting(found, asked))
        assert (code, truncated, len(records)) == (Code.NO_ERROR, cut, 0 if cut else 100)


def test_what_is_no_question_is_refused():
    good = dns.question("web", A)
    for data, code in (
        (good[:2] + b"\x28\x00" + good[4:], Code.NOT_IMPLEMENTED),
        (good[:4] + b"\0\2" + good[6:], Code.FORMAT),
        (good[:-3], Code.FORMAT),
    ):
        with pytest.raises(Malformed) as raised:
            dns.parse(data)
        assert raised.value.reply[3] & 0xF == code
    for data in (b"", good[:11], good[:2] + b"\x80\x00" + good[4:]):
        with pytest.raises(Malformed) as raised:
            dns.parse(data)
        assert raised.value.reply == b""


@given(st.binary(max_size=80))
def test_any_bytes_are_a_question_or_refused(data):
    try:
        dns.parse(data)
    except Malformed:
        pass


LABEL = st.text("abcdefghij-0123456789", min_size=1, max_size=20)


@given(st.lists(LABEL, min_size=1, max_size=5), st.integers(0, 65535))
def test_questions_are_read_as_they_were_written(labels, ident):
    name = ".".join(labels)
    asked = dns.parse(dns.question(name, A, ident=ident))
    assert (asked.name, asked.kind, asked.ident) == (name, A, ident)
