"""Networks are made and removed: what may be, which subnets they get, and their links.

Rule: what was made for a network that can't be is removed again.
"""

import hashlib
import ipaddress
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

import msgspec

from pinnace import errors
from pinnace.linux import routes
from pinnace.network import addresses, bridge, definitions
from pinnace.network.addresses import BlockConfig, Pool
from pinnace.network.definitions import BlockRecord, Definition
from pinnace.network.driver import Driver
from pinnace.network.filtering import Filter
from pinnace.network.host import Host
from pinnace.network.register import Register


class Request(NamedTuple):
    """A network to be made, as the client wants it."""

    name: str
    driver: str = "bridge"
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    blocks: Sequence[BlockConfig] = ()
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}


class Creation:
    def __init__(
        self,
        register: Register,
        host: Host,
        packets: Filter,
        drivers: Mapping[str, Driver],
        pools: Sequence[Pool],
    ) -> None:
        self._register = register
        self._host = host
        self._filter = packets
        self._drivers = drivers
        self._pools = [*pools, addresses.local_pool(host.engine)]

    def create(self, request: Request) -> Definition:
        """A network that can be joined at once. Raises what Docker answers."""
        self._check_name(request.name)
        if request.driver not in self._drivers:
            raise errors.NotFound(f'plugin "{request.driver}" not found')
        if request.ipam_driver not in ("", "default", "null"):
            raise errors.NotFound(f'plugin "{request.ipam_driver}" not found')
        with self._register.lock, ExitStack() as undo:
            definition = self._define(request)
            chosen = self._drivers[definition.driver]
            definition = chosen.validate(definition, self._register.networks())
            self._register.add(definition)
            undo.callback(self._register.delete, definition.id)
            undo.callback(chosen.teardown, definition)
            chosen.setup(definition)
            self._filter.enable_routing(definition)
            self._filter.add_network(definition)
            undo.pop_all()
        return definition

    def _check_name(self, name: str) -> None:
        if not name.strip():
            raise errors.Invalid("invalid name: name is empty")
        if name in definitions.PREDEFINED or name == "default":
            raise errors.Forbidden(f"operation is not permitted on predefined {name} network ")
        if any(each.name == name for each in self._register.networks()):
            raise errors.Conflict(f"network with name {name} already exists")

    def _define(self, request: Request) -> Definition:
        records = self._blocks(request)
        return Definition(
            id=secrets.token_hex(32),
            name=request.name,
            driver=request.driver,
            created=time.time_ns(),
            ipv4=request.ipv4,
            ipv6=request.ipv6,
            internal=request.internal,
            attachable=request.attachable,
            ipam_driver=request.ipam_driver or "default",
            ipam_options=dict(request.ipam_options) if request.ipam_options is not None else None,
            chosen_subnets=not request.blocks,
            blocks=records,
            options=dict(request.options),
            labels=dict(request.labels),
        )

    def _blocks(self, request: Request) -> list[BlockRecord]:
        ours = self._register.subnets()
        asked = addresses.blocks(request.blocks, ipv4=request.ipv4, ipv6=request.ipv6, taken=ours)
        given = {ipaddress.ip_network(config.subnet): config for config in request.blocks}
        if request.driver not in ("host", "null"):
            for version, wanted in ((4, request.ipv4), (6, request.ipv6)):
                if wanted and not any(block.version == version for block in asked):
                    taken = [*ours, *self._routed(version), *(each.subnet for each in asked)]
                    subnet = addresses.choose_subnet(self._pools, version, taken)
                    asked.append(addresses.Block(subnet, None))
        return [_record(addresses.with_gateway(each), given.get(each.subnet)) for each in asked]

    def _routed(self, version: int) -> Iterator[addresses.Network]:
        """What the host reaches already: no subnet of ours is to hide it."""
        family = 2 if version == 4 else 10
        for route in routes.routes(self._host.netlink, family):
            if route.prefix:
                yield ipaddress.ip_network((route.packed, route.prefix))

    def remove(self, ident: str) -> Definition:
        with self._register.lock:
            definition = self._register.find(ident)
            if definition.predefined:
                raise errors.Forbidden(
                    f"{definition.name} is a pre-defined network and cannot be removed"
                )
            if active := self._register.of_network(definition.id):
                listed = ", ".join(f'name:"{each.name}" id:"{each.id[:12]}"' for each in active)
                raise errors.Forbidden(
                    f"error while removing network: network {definition.name} has active "
                    f"endpoints ({listed})"
                )
            self._filter.remove_network(definition)
            self._drivers[definition.driver].teardown(definition)
            self._register.delete(definition.id)
        return definition

    def predefine(self, wanted: Request) -> None:
        """Make sure of host, none and bridge; a bridge that the settings change is made anew."""
        present = {each.name: each for each in self._register.networks()}
        for name, kind in (("host", "host"), ("none", "null")):
            if name not in present:
                self._register.add(_predefined(self._host.engine, name, kind))
        known = present.get("bridge")
        if known is None:
            self._register.add(self._default_bridge(wanted))
        elif not self._register.of_network(known.id) and (
            not _as_wanted(known, wanted) or self._taken(known.link)
        ):
            self._drivers["bridge"].teardown(known)
            self._register.delete(known.id)
            self._register.add(self._default_bridge(wanted))

    def _taken(self, name: str) -> bool:
        """Whether someone else has a link of this name now."""
        link = self._host.link(name)
        return link is not None and not self._host.owned(link)

    def _default_bridge(self, wanted: Request) -> Definition:
        options = bridge.default_options(self._host) | _DEFAULTS | dict(wanted.options)
        return msgspec.structs.replace(
            _predefined(self._host.engine, "bridge", "bridge"),
            ipv6=wanted.ipv6,
            blocks=self._blocks(wanted),
            chosen_subnets=True,
            options=options,
            link=options[definitions.NAME],
        )


_DEFAULTS: Final = {
    definitions.DEFAULT_BRIDGE: "true",
    definitions.ICC: "true",
    definitions.MASQUERADE: "true",
    definitions.HOST_BINDING: "0.0.0.0",
    definitions.MTU: "1500",
}


def _predefined(engine: str, name: str, kind: str) -> Definition:
    ident = hashlib.sha256(f"{engine} {name}".encode()).hexdigest()
    return Definition(id=ident, name=name, driver=kind, created=time.time_ns())


def _record(block: addresses.Block, asked: BlockConfig | None) -> BlockRecord:
    return BlockRecord(
        subnet=str(block.subnet),
        gateway=str(block.gateway or ""),
        ip_range=str(block.ip_range or ""),
        auxiliary=dict(asked.auxiliary) if asked else {},
        asked_gateway=asked.gateway if asked else None,
    )


def _as_wanted(known: Definition, wanted: Request) -> bool:
    """Whether the default bridge is still as the settings say."""
    options = {**_DEFAULTS, **wanted.options}
    asked = [config.subnet for config in wanted.blocks]
    subnets = [record.subnet for record in known.blocks if record.asked_gateway is not None]
    gateways = {config.gateway for config in wanted.blocks if config.gateway}
    return (
        known.ipv6 == wanted.ipv6
        and {**known.options, **options} == known.options
        and asked == subnets
        and gateways <= {record.gateway for record in known.blocks}
    )
