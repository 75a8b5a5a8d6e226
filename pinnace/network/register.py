"""What networks and endpoints there are: in the database, and in memory as read from it.

Rule: an address is taken in the same transaction that makes its endpoint; the table's key makes
it impossible that two have it.
"""

import threading
from collections.abc import Iterable, Sequence

import msgspec

from pinnace import errors
from pinnace.network import addresses
from pinnace.network.addresses import Address, NoAddress, Occupancy
from pinnace.network.definitions import Definition, Endpoint
from pinnace.store.database import Database, Taken

_definition = msgspec.json.Decoder(Definition)
_endpoint = msgspec.json.Decoder(Endpoint)


class Register:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.lock = threading.RLock()
        self._networks: dict[str, Definition] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._rooms: dict[str, list[Occupancy]] = {}
        for (document,) in database.rows("SELECT document FROM networks"):
            assert isinstance(document, bytes)
            self._keep(_definition.decode(document))
        for (document,) in database.rows("SELECT document FROM endpoints"):
            assert isinstance(document, bytes)
            self._know(_endpoint.decode(document))

    # Networks

    def _keep(self, definition: Definition) -> None:
        self._networks[definition.id] = definition
        self._rooms[definition.id] = [Occupancy(each.block()) for each in definition.blocks]

    def add(self, definition: Definition) -> None:
        """Raises Conflict when the name is taken."""
        row = (definition.id, definition.name, msgspec.json.encode(definition))
        with self.lock:
            try:
                self._database.execute("INSERT INTO networks VALUES (?, ?, ?)", row)
            except Taken:
                raise errors.Conflict(
                    f"network with name {definition.name} already exists"
                ) from None
            self._keep(definition)

    def delete(self, ident: str) -> None:
        with self.lock:
            self._database.execute("DELETE FROM networks WHERE id = ?", (ident,))
            self._networks.pop(ident, None)
            self._rooms.pop(ident, None)

    def networks(self) -> list[Definition]:
        with self.lock:
            return list(self._networks.values())

    def find(self, ident: str) -> Definition:
        """By id, name, or the unique beginning of an id, in this order."""
        with self.lock:
            if ident in self._networks:
                return self._networks[ident]
            named = [each for each in self._networks.values() if each.name == ident]
            begun = [each for each in self._networks.values() if each.id.startswith(ident)]
        if named:
            return named[0]
        if len(begun) > 1 and ident:
            raise errors.Invalid(
                f"{len(begun)} matches found based on ID prefix: network {ident} is ambiguous"
            )
        if not begun or not ident:
            raise errors.NotFound(f"network {ident} not found")
        return begun[0]

    def subnets(self) -> list[addresses.Network]:
        with self.lock:
            return [room.block.subnet for rooms in self._rooms.values() for room in rooms]

    # Endpoints

    def _know(self, endpoint: Endpoint) -> None:
        self._endpoints[endpoint.id] = endpoint
        for address in endpoint.addresses:
            for room in self._rooms.get(endpoint.network, []):
                if address in room.block.subnet:
                    try:
                        room.take(address)
                    except errors.Forbidden:
                        pass  # it is this endpoint's already

    def endpoints(self) -> list[Endpoint]:
        with self.lock:
            return list(self._endpoints.values())

    def of_container(self, container: str) -> list[Endpoint]:
        with self.lock:
            return [each for each in self._endpoints.values() if each.container == container]

    def of_network(self, network: str) -> list[Endpoint]:
        with self.lock:
            return [each for each in self._endpoints.values() if each.network == network]

    def take(self, definition: Definition, wanted: Sequence[Address]) -> list[tuple[Address, int]]:
        """An address of each version that the network has, with its prefix length.

        Raises Forbidden for one in use, Failed when there is none left.
        """
        taken: list[tuple[Address, int]] = []
        with self.lock:
            try:
                for version in sorted({each.block.version for each in self._rooms[definition.id]}):
                    asked = next((each for each in wanted if each.version == version), None)
                    taken.append(self._take(definition, version, asked))
            except BaseException:
                self.give_back(definition.id, [address for address, _ in taken])
                raise
        return taken

    def _take(
        self, definition: Definition, version: int, wanted: Address | None
    ) -> tuple[Address, int]:
        rooms = [each for each in self._rooms[definition.id] if each.block.version == version]
        if wanted is not None:
            rooms = [each for each in rooms if wanted in each.block.subnet]
            if not rooms:
                raise errors.Invalid(
                    f"no configured subnet or ip-range contain the IP address {wanted}"
                )
        for room in rooms:
            try:
                return room.take(wanted), room.block.subnet.prefixlen
            except NoAddress:
                continue
        raise errors.Failed(
            f"no available IPv{version} addresses on this network's address pools: "
            f"{definition.name} ({definition.id})"
        )

    def gateway(self, definition: Definition, address: Address) -> str:
        """Of the subnet that the address is in."""
        with self.lock:
            for room in self._rooms[definition.id]:
                if address in room.block.subnet and room.block.gateway is not None:
                    return str(room.block.gateway)
        return ""

    def give_back(self, network: str, owned: Iterable[Address]) -> None:
        with self.lock:
            for address in owned:
                for room in self._rooms.get(network, []):
                    if address in room.block.subnet:
                        room.release(address)

    def record(self, endpoints: Sequence[Endpoint]) -> None:
        """New ones, or those that changed: all or none."""
        with self.lock, self._database.transaction() as tx:
            for each in endpoints:
                document = msgspec.json.encode(each)
                tx.execute(
                    "INSERT INTO endpoints VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                    (each.id, each.network, each.container, document),
                )
                if each.id not in self._endpoints:
                    for address in each.addresses:
                        row = (each.network, str(address), each.id)
                        tx.execute("INSERT INTO addresses VALUES (?, ?, ?)", row)
            for each in endpoints:
                self._endpoints[each.id] = each

    def forget(self, endpoints: Sequence[Endpoint]) -> None:
        with self.lock:
            with self._database.transaction() as tx:
                for each in endpoints:
                    tx.execute("DELETE FROM endpoints WHERE id = ?", (each.id,))
            for each in endpoints:
                if self._endpoints.pop(each.id, None) is not None:
                    self.give_back(each.network, each.addresses)
