"""What networks and endpoints are: as the database keeps them, and the options they carry."""

import ipaddress
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

import msgspec

from pinnace import errors
from pinnace.linux import links
from pinnace.network import addresses
from pinnace.network.addresses import Address, Block
from pinnace.network.firewall import Mode

BRIDGE: Final = "bridge"
PREDEFINED: Final = ("bridge", "host", "none")

_PREFIX = "com.docker.network."
_BRIDGE = _PREFIX + "bridge."
NAME: Final = _BRIDGE + "name"
ICC: Final = _BRIDGE + "enable_icc"
MASQUERADE: Final = _BRIDGE + "enable_ip_masquerade"
HOST_BINDING: Final = _BRIDGE + "host_binding_ipv4"
DEFAULT_BRIDGE: Final = _BRIDGE + "default_bridge"
MODE4: Final = _BRIDGE + "gateway_mode_ipv4"
MODE6: Final = _BRIDGE + "gateway_mode_ipv6"
MTU: Final = _PREFIX + "driver.mtu"
HOST4: Final = _PREFIX + "host_ipv4"
HOST6: Final = _PREFIX + "host_ipv6"
IF_PREFIX: Final = _PREFIX + "container_iface_prefix"
SYSCTLS: Final = _PREFIX + "endpoint.sysctls"
IF_NAME: Final = _PREFIX + "endpoint.ifname"


class BlockRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A subnet: as the client wrote it, and with what was chosen for it."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    auxiliary: dict[str, str] = {}
    asked_gateway: str | None = None

    def block(self) -> Block:
        return Block(
            ipaddress.ip_network(self.subnet),
            addresses.parse(self.gateway),
            ipaddress.ip_network(self.ip_range) if self.ip_range else None,
            tuple(ipaddress.ip_address(text) for text in self.auxiliary.values()),
        )


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network as it was made; it never changes."""

    id: str
    name: str
    driver: str
    created: int
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    chosen_subnets: bool = False  # none was asked for: no address can be, either
    blocks: list[BlockRecord] = []
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    link: str = ""  # the bridge, or the parent of macvlan and ipvlan
    link_made: bool = False  # the parent was made for this network

    @property
    def predefined(self) -> bool:
        return self.name in PREDEFINED


class Port(msgspec.Struct, frozen=True, omit_defaults=True):
    """A published port as it came to be."""

    protocol: str
    port: int
    host: str
    host_port: int


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container's leg in a network, while it runs."""

    id: str
    network: str
    container: str
    name: str  # the container's, for messages
    interface: str = ""  # inside the container
    link: str = ""  # the host's half of the pair
    mac: str = ""
    ipv4: str = ""
    ipv4_prefix: int = 0
    ipv6: str = ""
    ipv6_prefix: int = 0
    gateway4: str = ""
    gateway6: str = ""
    link_local: list[str] = []
    dns_names: list[str] = []
    options: dict[str, str] = {}
    gateway_priority: int = 0
    trusted: bool = False
    prepared: bool = False  # of a shell that waits for its container: nobody is shown it
    ports: list[Port] = []
    links: list[Port] = []  # `--link` without icc: host is the other's address

    @property
    def addresses(self) -> list[Address]:
        return [ipaddress.ip_address(text) for text in (self.ipv4, self.ipv6) if text]

    @property
    def prefixes(self) -> list[int]:
        pairs = ((self.ipv4, self.ipv4_prefix), (self.ipv6, self.ipv6_prefix))
        return [prefix for text, prefix in pairs if text]

    @property
    def gateways(self) -> list[Address]:
        return [ipaddress.ip_address(text) for text in (self.gateway4, self.gateway6) if text]


# Options of the bridge driver


class BridgeOptions(NamedTuple):
    name: str = ""
    icc: bool = True
    masquerade: bool = True
    host_binding: str = ""
    mode4: Mode = Mode.NAT
    mode6: Mode = Mode.NAT
    mtu: int = 0
    host4: IPv4Address | None = None
    host6: IPv6Address | None = None
    prefix: str = "eth"


def bridge_options(options: Mapping[str, str]) -> BridgeOptions:
    """Raises Invalid in Docker's words."""
    host4, host6 = _address(options, HOST4, 4), _address(options, HOST6, 6)
    assert not isinstance(host4, IPv6Address)
    assert not isinstance(host6, IPv4Address)
    name = options.get(NAME, "")
    if len(name) > links.NAME_MAX:
        raise errors.Failed("numerical result out of range")
    return BridgeOptions(
        name=name,
        icc=_boolean(options, ICC),
        masquerade=_boolean(options, MASQUERADE),
        host_binding=str(_address(options, HOST_BINDING, 4) or ""),
        mode4=_mode(options, MODE4),
        mode6=_mode(options, MODE6),
        mtu=_number(options, MTU),
        host4=host4,
        host6=host6,
        prefix=options.get(IF_PREFIX, "eth"),
    )


def _refuse(key: str, value: str, why: str) -> errors.Invalid:
    return errors.Invalid(f"failed to parse {key} value: {value} ({why})")


_BOOLEANS: Final = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)


def _boolean(options: Mapping[str, str], key: str) -> bool:
    value = options.get(key, "true")
    if value not in _BOOLEANS:
        why = f'strconv.ParseBool: parsing "{value}": invalid syntax'
        raise _refuse(key, value, why)
    return _BOOLEANS[value]


def _number(options: Mapping[str, str], key: str) -> int:
    value = options.get(key, "0")
    digits = value.removeprefix("-").removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise _refuse(key, value, f'strconv.Atoi: parsing "{value}": invalid syntax')
    if int(value) < 0:
        raise errors.Invalid(f"invalid MTU: {value}")
    return int(value)


def mtu(options: Mapping[str, str]) -> int:
    return _number(options, MTU)


def _mode(options: Mapping[str, str], key: str) -> Mode:
    value = options.get(key) or Mode.NAT.value
    try:
        return Mode(value)
    except ValueError:
        raise _refuse(key, value, f"unknown gateway mode {value}") from None


def _address(options: Mapping[str, str], key: str, version: int) -> Address | None:
    value = options.get(key, "")
    if not value:
        return None
    address = addresses.parse(value)
    if address is None or address.version != version:
        raise _refuse(key, value, f"invalid IPv{version} address")
    return address
