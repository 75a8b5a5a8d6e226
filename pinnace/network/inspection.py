"""Networks as Docker's API shows them: `GET /networks/{id}` (pure)."""

from collections.abc import Iterable
from typing import TypeAlias

from pinnace.network.definitions import BlockRecord, Definition, Endpoint
from pinnace.oci import timestamp

Shown: TypeAlias = dict[str, object]


def document(
    definition: Definition, endpoints: Iterable[Endpoint], *, containers: bool = True
) -> Shown:
    """In Docker's order of fields; a list of networks has no containers."""
    shown: Shown = {
        "Name": definition.name,
        "Id": definition.id,
        "Created": timestamp.text(definition.created),
        "Scope": "local",
        "Driver": definition.driver,
        "EnableIPv4": definition.ipv4,
        "EnableIPv6": definition.ipv6,
        "IPAM": {
            "Driver": definition.ipam_driver,
            "Options": definition.ipam_options,
            "Config": [_block(record) for record in definition.blocks],
        },
        "Internal": definition.internal,
        "Attachable": definition.attachable,
        "Ingress": definition.ingress,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {each.container: _member(each) for each in endpoints} if containers else {},
        "Options": definition.options,
        "Labels": definition.labels,
    }
    return shown


def _block(record: BlockRecord) -> Shown:
    """Docker 28.5.2 shows a gateway that it has chosen only where it chose the subnet, too."""
    asked = record.asked_gateway
    shown: Shown = {"Subnet": record.subnet}
    if record.ip_range:
        shown["IPRange"] = record.ip_range
    gateway = record.gateway if asked is None else asked
    if gateway:
        shown["Gateway"] = gateway
    if record.auxiliary:
        shown["AuxiliaryAddresses"] = record.auxiliary
    return shown


def _member(endpoint: Endpoint) -> Shown:
    return {
        "Name": endpoint.name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.ipv4}/{endpoint.ipv4_prefix}" if endpoint.ipv4 else "",
        "IPv6Address": f"{endpoint.ipv6}/{endpoint.ipv6_prefix}" if endpoint.ipv6 else "",
    }


def published(endpoints: Iterable[Endpoint]) -> dict[str, list[dict[str, str]]]:
    """`NetworkSettings.Ports`: by the container's port, the host's addresses and ports."""
    shown: dict[str, list[dict[str, str]]] = {}
    for endpoint in endpoints:
        for port in endpoint.ports:
            entry = {"HostIp": port.host, "HostPort": str(port.host_port)}
            shown.setdefault(f"{port.port}/{port.protocol}", []).append(entry)
    return shown
