"""The firewall's tables in the kernel: changed with networks and endpoints, repaired when lost."""

import logging
from collections.abc import Callable, Iterable

from pinnace.linux import conntrack, links, nftables
from pinnace.linux.netlink import Message
from pinnace.network import bridge, firewall
from pinnace.network.definitions import Definition, Endpoint, Port
from pinnace.network.host import Host
from pinnace.network.register import Register

_log = logging.getLogger(__name__)


class Filter:
    def __init__(self, host: Host, register: Register) -> None:
        self._host = host
        self._register = register
        self._former: dict[int, set[str]] = {4: set(), 6: set()}
        # The endpoints that have their links, and the ports that are published for them.
        self.joined: dict[str, list[Port]] = {}

    def enable_routing(self, definition: Definition) -> None:
        """A host that was no router is one for our networks only."""
        if definition.driver != "bridge":
            return
        for version, wanted in ((4, definition.ipv4), (6, definition.ipv6)):
            if wanted and self._host.enable_forwarding(version):
                self._former[version] |= self._others()
                self._change(firewall.add, firewall.of_former(self._former))

    def _others(self) -> set[str]:
        """The links that are not bridges of ours."""
        own = {each.link for each in self._register.networks()}
        return {each.name for each in links.dump(self._host.netlink)} - own

    def add_network(self, definition: Definition) -> None:
        self._change(firewall.add, _segment(definition))

    def remove_network(self, definition: Definition) -> None:
        self._change(firewall.remove, _segment(definition))

    def add(self, *endpoints: Endpoint) -> None:
        """Those that are there already, with the same ports, are left alone."""
        with self._register.lock:
            new = [each for each in endpoints if self.joined.get(each.id) != each.ports]
            self._change(firewall.add, *(self._leg(each) for each in new))
            ports = [port for each in new for port in each.ports]
            known = [port for each in new for port in self.joined.get(each.id, [])]
            self.joined |= {each.id: each.ports for each in new}
        self._decide_anew([port for port in ports if port not in known])

    def remove(self, *endpoints: Endpoint) -> None:
        """Those that are not there are left out."""
        with self._register.lock:
            gone = [each for each in endpoints if each.id in self.joined]
            self._change(firewall.remove, *(self._leg(each) for each in gone))
            for each in gone:
                del self.joined[each.id]
        self._decide_anew([port for each in gone for port in each.ports])

    def adopt(self, endpoints: Iterable[Endpoint]) -> None:
        """What an earlier daemon has added; `repair` makes it so."""
        self.joined = {each.id: each.ports for each in endpoints}
        table = firewall.tables(self._host.engine)[0]
        sets = nftables.names(self._host.firewall, table).sets
        for version, name in firewall.FORMER.items():
            if name in sets:
                found = nftables.elements(self._host.firewall, table, name)
                self._former[version] = {key.rstrip(b"\0").decode() for key in found}

    def _decide_anew(self, ports: Iterable[Port]) -> None:
        """Flows of UDP are led where they were led first, until the kernel forgets them."""
        for port in ports:
            if port.protocol == "udp":
                conntrack.forget_udp(self._host.firewall, port.host_port)

    def _leg(self, endpoint: Endpoint) -> firewall.Elements:
        definition = self._register.find(endpoint.network)
        if definition.driver != "bridge":
            return {}
        return firewall.of_leg(bridge.leg(definition, endpoint))

    def _change(
        self,
        how: Callable[[str, firewall.Elements], list[Message]],
        *elements: firewall.Elements,
    ) -> None:
        """A few elements, in one transaction; everything anew where the kernel has lost ours."""
        messages = [message for each in elements for message in how(self._host.engine, each)]
        try:
            self._host.change(messages)
        except FileNotFoundError:
            _log.warning("the firewall's tables were changed by someone else: written again")
            self.repair()
            if how is firewall.add:
                self._host.change(messages)

    def repair(self) -> None:
        """Write our tables as they should be, as one transaction; an administrator's rules stay."""
        with self._register.lock:
            own = {each.id: each for each in self._register.networks() if each.driver == "bridge"}
            legs = [
                bridge.leg(own[each.network], each)
                for each in self._register.endpoints()
                if each.network in own and each.id in self.joined
            ]
            contents = firewall.ruleset(
                self._host.engine,
                [bridge.segment(each) for each in own.values()],
                legs,
                former=self._former,
            )
            present = {
                each.table: nftables.names(self._host.firewall, each.table) for each in contents
            }
            self._host.change(firewall.replace(contents, present))

    def repair_if_lost(self) -> bool:
        """To be called when the host's `watch` is readable."""
        tables = firewall.tables(self._host.engine)
        if not self._host.watch.lost(tables):
            return False
        # What we delete ourselves is told as well.
        if all(self._whole(content) for content in tables):
            return False
        _log.warning("the firewall's tables were removed by someone else: written again")
        self.repair()
        return True

    def _whole(self, table: nftables.Table) -> bool:
        chains = nftables.names(self._host.firewall, table).chains
        return "forward" in chains and bool(nftables.rules(self._host.firewall, table, "forward"))

    def erase(self) -> None:
        for table in firewall.tables(self._host.engine):
            if table in nftables.tables(self._host.firewall, table.family):
                self._host.change([nftables.delete_table(table)])


def _segment(definition: Definition) -> firewall.Elements:
    if definition.driver != "bridge":
        return {}
    return firewall.of_segment(bridge.segment(definition))
