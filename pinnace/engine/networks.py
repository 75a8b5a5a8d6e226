"""The networks that are always there: none, host, and a bridge.

The bridge is a name only for now: its containers have a namespace with a loopback in it, and
what is said of its addresses is what Docker's has by default. Networks of one's own come later.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from typing import Any, Final, NoReturn, TypeAlias

import msgspec

from pinnace import errors
from pinnace.engine import filters as words
from pinnace.engine.documents import Container, EndpointSettings, Status
from pinnace.engine.filters import Filters
from pinnace.engine.registry import Registry
from pinnace.oci import timestamp
from pinnace.store.database import Database

Shown: TypeAlias = dict[str, Any]

DRIVERS: Final = {"bridge": "bridge", "host": "host", "none": "null"}
_KEY: Final = "networks"
_OPTIONS: Final = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
    "com.docker.network.bridge.name": "docker0",
    "com.docker.network.driver.mtu": "1500",
}
_ADDRESSES: Final = [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]
_ATTACHED: Final = frozenset({Status.RUNNING, Status.PAUSED})


class Identity(msgspec.Struct, frozen=True):
    """What stays of a network from one start of the engine to the next; created is in ns."""

    id: str
    created: int


class Networks:
    def __init__(self, database: Database, registry: Registry) -> None:
        self._registry = registry
        self._known = _identities(database)

    def id(self, name: str) -> str:
        """The id of a network by its name; nothing for one that is not there."""
        return self._known[name].id if name in self._known else ""

    def list(self, filters: Filters) -> list[Shown]:
        words.check(filters, words.NETWORKS)
        shown = [self._shown(name) for name in self._known]
        kept = [network for network in shown if _matches(filters, network)]
        return _of_type(filters, _in_use(filters, kept))

    def inspect(self, ident: str) -> Shown:
        """By id, name, or the beginning of an id that fits one network only."""
        return self._shown(self._resolve(ident))

    def _resolve(self, ident: str) -> str:
        for name, known in self._known.items():
            if ident in (known.id, name):
                return name
        found = [name for name, known in self._known.items() if ident and _starts(known, ident)]
        if len(found) > 1:
            raise errors.Invalid(
                f"{len(found)} matches found based on ID prefix: network {ident} is ambiguous"
            )
        if not found:
            raise errors.NotFound(f"network {ident} not found")
        return found[0]

    def _shown(self, name: str) -> Shown:
        known = self._known[name]
        bridge = name == "bridge"
        return {
            "Name": name,
            "Id": known.id,
            "Created": timestamp.text(known.created),
            "Scope": "local",
            "Driver": DRIVERS[name],
            "EnableIPv4": True,
            "EnableIPv6": False,
            "IPAM": {
                "Driver": "default",
                "Options": None,
                "Config": [dict(config) for config in _ADDRESSES] if bridge else None,
            },
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": dict(self._attached(name, known)),
            "Options": dict(_OPTIONS) if bridge else {},
            "Labels": {},
        }

    def _attached(self, name: str, known: Identity) -> Iterator[tuple[str, Shown]]:
        for container in self._registry.all():
            leg = container.networking.get(name) or container.networking.get(known.id)
            if leg is not None and container.state.status in _ATTACHED:
                yield container.id, _endpoint(container, leg, known)

    def check(self, container: Container) -> None:
        """Raises NotFound if one of its networks is not there: it can't start without."""
        for name in container.networking:
            try:
                self._resolve(name)
            except errors.NotFound as error:
                message = f"failed to set up container networking: {error.message}"
                raise errors.NotFound(message) from None

    # Not yet

    def create(self, name: str) -> NoReturn:
        if name in DRIVERS:
            raise errors.Forbidden(
                f"operation is not permitted on predefined {name} network "
            )  # Docker's message ends with a blank
        _refuse()

    def remove(self, ident: str) -> NoReturn:
        name = self._resolve(ident)
        raise errors.Forbidden(f"{name} is a pre-defined network and cannot be removed")

    def connect(self, ident: str, container: str) -> NoReturn:
        self._registry.get(container)  # Docker looks for the container first
        self._resolve(ident)
        _refuse()

    def disconnect(self, ident: str, container: str) -> NoReturn:
        self.connect(ident, container)


def _refuse() -> NoReturn:
    raise errors.Unsupported("networks of one's own are not supported yet")


def _identities(database: Database) -> dict[str, Identity]:
    """As they were when the engine first started."""
    stored = database.meta(_KEY)
    if stored is not None:
        return msgspec.json.decode(stored, type=dict[str, Identity])
    now = time.time_ns()
    made = {name: Identity(secrets.token_hex(32), now) for name in DRIVERS}
    database.put_meta(_KEY, msgspec.json.encode(made))
    return made


def _starts(known: Identity, ident: str) -> bool:
    return known.id.startswith(ident)


def _endpoint(container: Container, leg: EndpointSettings, known: Identity) -> Shown:
    # One id for the same leg each time it is asked for.
    made = hashlib.sha256(f"{known.id} {container.id}".encode()).hexdigest()
    return {
        "Name": container.name,
        "EndpointID": leg.endpoint_id or made,
        "MacAddress": leg.mac_address if leg.ip_address else "",
        "IPv4Address": f"{leg.ip_address}/{leg.ip_prefix_len}" if leg.ip_address else "",
        "IPv6Address": f"{leg.global_ipv6_address}/{leg.global_ipv6_prefix_len}"
        if leg.global_ipv6_address
        else "",
    }


# Filters


def _matches(filters: Filters, network: Shown) -> bool:
    return (
        words.exact(filters, "driver", network["Driver"])
        and words.matches(filters, "name", network["Name"])
        and words.matches(filters, "id", network["Id"])
        and words.labels(filters, network["Labels"])
        and words.exact(filters, "scope", network["Scope"])
    )


def _in_use(filters: Filters, networks: list[Shown]) -> list[Shown]:
    """`dangling`: those that nobody uses; the pre-defined ones always count as used."""
    values = filters.get("dangling", ())
    if not values:
        return networks
    if len(values) > 1:
        raise errors.Invalid('got more than one value for filter key "dangling"')
    if values[0] not in ("1", "true", "0", "false"):
        raise errors.Invalid(
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
        )
    return [] if values[0] in ("1", "true") else networks


def _of_type(filters: Filters, networks: list[Shown]) -> list[Shown]:
    """All there are is built in."""
    kinds = filters.get("type", ())
    for kind in kinds:
        if kind not in ("builtin", "custom"):
            raise errors.Failed(f"invalid filter: 'type'='{kind}'")
    return networks if not kinds or "builtin" in kinds else []
