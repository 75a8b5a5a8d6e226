"""--network and the options that go with it → the API's EndpointsConfig."""

from __future__ import annotations

from pinnace.cli import specifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pinnace.cli.arguments import Values

    Document = dict[str, Any]

_BUILTIN = ("", "default", "bridge", "host", "none")


class Network:
    """What one --network says: a network and how to be connected to it."""

    __slots__ = (
        "aliases",
        "driver_options",
        "ip",
        "ip6",
        "link_local",
        "links",
        "mac",
        "priority",
        "target",
    )

    def __init__(self, target: str) -> None:
        self.target = target
        self.aliases: list[str] = []
        self.driver_options: dict[str, str] = {}
        self.links: list[str] = []
        self.ip = ""
        self.ip6 = ""
        self.link_local: list[str] = []
        self.mac = ""
        self.priority = 0


def network(text: str) -> Network:
    if not _has_keys(text):
        return Network(text)
    found = Network("")
    for field in specifications.csv(text):
        # Docker reads keys and values alike in small letters.
        key, separator, value = field.lower().partition("=")
        if not separator or not key:
            raise ValueError(f"invalid field {field}")
        _network_field(found, key.strip(), value.strip())
    if not found.target:
        raise ValueError("network name/id is not specified")
    return found


def _has_keys(text: str) -> bool:
    return any(
        _is_word(text[i - 1 : i]) and _is_word(text[i + 1 : i + 2])
        for i, char in enumerate(text)
        if char == "="
    )


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


_TEXTS = {"name": "target", "ip": "ip", "ip6": "ip6", "mac-address": "mac"}
_LISTS = {"alias": "aliases", "link-local-ip": "link_local"}


def _network_field(found: Network, key: str, value: str) -> None:
    if key in _TEXTS:
        setattr(found, _TEXTS[key], value)
    elif key in _LISTS:
        getattr(found, _LISTS[key]).append(value)
    elif key == "driver-opt":
        name, separator, rest = value.partition("=")
        if not separator or not name:
            raise ValueError("invalid key value pair format in driver options")
        found.driver_options[name.strip()] = rest.strip()
    elif key == "gw-priority":
        try:
            found.priority = int(value)
        except ValueError:
            raise ValueError(f"invalid gw-priority ({value}): invalid syntax") from None
    else:
        raise ValueError(f"invalid field key {key}")


def mode(arguments: Values) -> str:
    """HostConfig.NetworkMode: the first network, or the daemon's default."""
    networks = arguments["network"]
    return networks[0].target if networks else "default"


def config(arguments: Values) -> dict[str, Document]:
    """An endpoint for each network; ValueError for options that contradict each other."""
    networks: list[Network] = arguments["network"]
    if not networks:
        return {"default": _endpoint(_with_options(Network("default"), arguments))}
    endpoints: dict[str, Document] = {}
    for index, network in enumerate(networks):
        if index == 0:
            # The first network is the one that options without a network's name are about.
            network = _with_options(network, arguments)
        endpoint = _endpoint(network)
        if network.target in endpoints:
            raise ValueError(f'network "{network.target}" is specified multiple times')
        if len(networks) == 1 and not any(endpoint.values()):
            continue  # nothing special: the daemon makes it itself
        endpoints[network.target] = endpoint
    if len({user_defined(network.target) for network in networks}) == 2:
        raise ValueError(
            "conflicting options: cannot attach both user-defined and non-user-defined "
            "network-modes"
        )
    return endpoints


def user_defined(name: str) -> bool:
    return name not in _BUILTIN and not name.startswith("container:")


def _with_options(network: Network, arguments: Values) -> Network:
    aliases = arguments.texts("network-alias")
    links = arguments.texts("link")
    ip, ip6 = arguments.text("ip"), arguments.text("ip6")
    mac = arguments.text("mac-address")
    link_local = arguments.texts("link-local-ip")
    for here, there, words in (
        (network.aliases, aliases, "--network-alias and per-network alias"),
        (network.links, links, "--link and per-network links"),
        (network.ip, ip, "--ip and per-network IPv4 address"),
        (network.ip6, ip6, "--ip6 and per-network IPv6 address"),
        (network.mac, mac, "--mac-address and per-network MAC address"),
        (
            network.link_local,
            link_local,
            "--link-local-ip and per-network link-local IP addresses",
        ),
    ):
        if here and there:
            raise ValueError(f"conflicting options: cannot specify both {words}")
    network.aliases = aliases or network.aliases
    if links and user_defined(network.target):
        # Elsewhere --link is the old kind, which HostConfig.Links asks for.
        network.links = links
    network.ip = ip or network.ip
    network.ip6 = ip6 or network.ip6
    network.mac = mac or network.mac
    network.link_local = link_local or network.link_local
    return network


def _endpoint(network: Network) -> Document:
    if not network.target.strip():
        raise ValueError("no name set for network")
    if not user_defined(network.target):
        if network.aliases:
            raise ValueError("network-scoped aliases are only supported for user-defined networks")
        if network.links:
            raise ValueError("links are only supported for user-defined networks")
    if network.mac:
        specifications.mac_address(network.mac)
    return endpoint(network)


def endpoint(network: Network) -> Document:
    """The API's EndpointSettings."""
    ipam: Document | None = None
    if network.ip or network.ip6 or network.link_local:
        ipam = {
            "IPv4Address": network.ip,
            "IPv6Address": network.ip6,
            "LinkLocalIPs": network.link_local,
        }
        ipam = {key: value for key, value in ipam.items() if value}
    return {
        "IPAMConfig": ipam,
        "Links": network.links or None,
        "Aliases": network.aliases or None,
        "MacAddress": network.mac,
        "DriverOpts": network.driver_options or None,
        "GwPriority": network.priority,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
