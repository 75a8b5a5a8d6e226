"""Subnets and addresses: what is asked for, checked; what is free, chosen (pure).

Networks are those of `ipaddress`; what a client writes is text until `blocks` has read it.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple

from pinnace import errors

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Pool(NamedTuple):
    """Subnets of `size` bits of prefix are cut from it."""

    base: Network
    size: int


def _pools(*texts: str) -> tuple[Pool, ...]:
    cut = (text.rsplit(":", 1) for text in texts)
    return tuple(Pool(ipaddress.ip_network(base), int(size)) for base, size in cut)


# Docker's ranges, but cut into 1022 addresses each (a bridge has no more ports than that), so
# that a thousand networks fit where Docker has room for thirty. The first is the default bridge's.
DEFAULT_POOLS: Final = _pools(
    "172.17.0.0/16:16",
    "172.18.0.0/15:22",
    "172.20.0.0/14:22",
    "172.24.0.0/13:22",
    "10.200.0.0/14:22",
    "192.168.0.0/16:22",
)

OVERLAP: Final = "invalid pool request: Pool overlaps with other one on this address space"
EXHAUSTED: Final = "all predefined address pools have been fully subnetted"
IN_USE: Final = "Address already in use"


class NoAddress(Exception):
    """Every address of a block is taken."""


class BlockConfig(NamedTuple):
    """One entry of a network's IPAM configuration, as the client wrote it."""

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    auxiliary: Mapping[str, str] = {}


class Block(NamedTuple):
    """A subnet of a network, with what is set apart in it. Internal ones may lack a gateway."""

    subnet: Network
    gateway: Address | None
    ip_range: Network | None = None
    auxiliary: tuple[Address, ...] = ()

    @property
    def version(self) -> int:
        return self.subnet.version


# What the client asks for


def problems(configs: Sequence[BlockConfig], *, ipv6: bool) -> Iterator[str]:
    """What Docker 28 finds wrong with an IPAM configuration, in its words."""
    for config in configs:
        subnet = _network(config.subnet)
        if subnet is None:
            yield f"invalid subnet {config.subnet}: invalid CIDR block notation"
            continue
        network = ipaddress.ip_network(subnet.network)
        if network.version == 6 and not ipv6:
            continue
        if str(network) != str(subnet):
            yield f"invalid subnet {config.subnet}: it should be {network}"
        if config.ip_range:
            yield from _range_problems(config.ip_range, network)
        if config.gateway:
            problem = _address_problem(config.gateway, network)
            yield from (f"invalid gateway {config.gateway}: {problem}" for _ in problem and [1])
        for name, address in config.auxiliary.items():
            problem = _address_problem(address, network)
            yield from (f"invalid auxiliary address {name}: {problem}" for _ in problem and [1])


Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _network(text: str) -> Interface | None:
    """A prefix as Go reads it: an address, and a length in digits."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit():
        return None
    try:
        return ipaddress.ip_interface(f"{address}/{length}")
    except ValueError:
        return None


def _range_problems(text: str, subnet: Network) -> Iterator[str]:
    given = _network(text)
    if given is None:
        yield f"invalid ip-range {text}: invalid CIDR block notation"
        return
    ip_range = ipaddress.ip_network(given.network)
    if ip_range.version != subnet.version:
        yield f"invalid ip-range {text}: parent subnet is an IPv{subnet.version} block"
        return
    if ip_range.prefixlen < subnet.prefixlen:
        yield f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"
    if str(ip_range) != str(given):
        yield f"invalid ip-range {text}: it should be {ip_range}"
    if not ip_range.overlaps(subnet):
        yield f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"


def _address_problem(text: str, subnet: Network) -> str:
    address = parse(text)
    if address is None:
        return "invalid address"
    if address.version != subnet.version:
        return f"parent subnet is an IPv{subnet.version} block"
    if address not in subnet:
        return f"parent subnet {subnet} doesn't contain this address"
    return ""


def parse(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def blocks(
    configs: Sequence[BlockConfig], *, ipv4: bool, ipv6: bool, taken: Sequence[Network]
) -> list[Block]:
    """The subnets asked for. Raises Invalid, or Forbidden where they overlap what is taken."""
    found = list(problems(configs, ipv6=ipv6))
    if found:
        listed = found if len(found) == 1 else [f"* {problem}" for problem in found]
        raise errors.Invalid("invalid network config:\n" + "\n".join(listed))
    made: list[Block] = []
    for config in configs:
        subnet = ipaddress.ip_network(config.subnet)
        if not (ipv6 if subnet.version == 6 else ipv4):
            continue
        if overlaps(subnet, [*taken, *(block.subnet for block in made)]):
            raise errors.Forbidden(OVERLAP)
        made.append(
            Block(
                subnet,
                parse(config.gateway) if config.gateway else None,
                ipaddress.ip_network(config.ip_range) if config.ip_range else None,
                tuple(ipaddress.ip_address(text) for text in config.auxiliary.values()),
            )
        )
    return made


def overlaps(subnet: Network, others: Iterable[Network]) -> bool:
    return any(other.version == subnet.version and subnet.overlaps(other) for other in others)


# What is free


def choose_subnet(pools: Sequence[Pool], version: int, taken: Sequence[Network]) -> Network:
    """The first subnet of the pools that overlaps nothing taken."""
    others = sorted(
        (int(net.network_address), int(net.broadcast_address))
        for net in taken
        if net.version == version and net.prefixlen
    )
    for pool in pools:
        if pool.base.version == version:
            start = _free(pool, others)
            if start is not None:
                cls = IPv4Network if version == 4 else IPv6Network
                return cls((start, pool.size))
    raise errors.Invalid(EXHAUSTED)


def _free(pool: Pool, taken: Sequence[tuple[int, int]]) -> int | None:
    """Where in the pool a subnet fits, `taken` being sorted: one pass over it."""
    step = 1 << (pool.base.max_prefixlen - pool.size)
    start, last = int(pool.base.network_address), int(pool.base.broadcast_address)
    for low, high in taken:
        if high < start:
            continue
        if low >= start + step:
            break
        start = (high // step + 1) * step
    return start if start + step - 1 <= last else None


def local_pool(identity: str) -> Pool:
    """The engine's own unique local addresses (RFC 4193): a /48, cut into /64."""
    digest = hashlib.sha256(identity.encode()).digest()
    return Pool(IPv6Network((b"\xfd" + digest[:5] + bytes(10), 48)), 64)


class Occupancy:
    """Which addresses of a block are taken. The lowest free one is given, as Docker does."""

    def __init__(self, block: Block, taken: Iterable[Address] = ()) -> None:
        self.block = block
        pool = block.ip_range or block.subnet
        self._first, self._last = int(pool.network_address), int(pool.broadcast_address)
        subnet = block.subnet
        self._taken = {int(address) for address in taken}
        self._taken |= {int(address) for address in block.auxiliary}
        if subnet.num_addresses > 2:
            self._taken.add(int(subnet.network_address))
            if subnet.version == 4:
                self._taken.add(int(subnet.broadcast_address))
        if block.gateway is not None:
            self._taken.add(int(block.gateway))
        self._next = self._first

    def take(self, wanted: Address | None = None) -> Address:
        """Raises Forbidden when the wanted one is taken, NoAddress when all are."""
        if wanted is not None:
            if int(wanted) in self._taken:
                raise errors.Forbidden(IN_USE)
            self._taken.add(int(wanted))
            return wanted
        number = self._next
        while number in self._taken:
            number += 1
        if number > self._last:
            raise NoAddress
        self._next = number + 1
        self._taken.add(number)
        return self._address(number)

    def release(self, address: Address) -> None:
        number = int(address)
        self._taken.discard(number)
        if self._first <= number < self._next:
            self._next = number

    def _address(self, number: int) -> Address:
        return IPv4Address(number) if self.block.version == 4 else IPv6Address(number)


def with_gateway(block: Block) -> Block:
    """With the gateway chosen if it was not given: the first address, as a container would get."""
    if block.gateway is not None:
        return block
    return block._replace(gateway=Occupancy(block).take())


def mac_of(address: Address, salt: str = "") -> str:
    """A locally administered one, of IPv4 made of the address: who gets an address again is
    found by neighbours that remember the old owner."""
    packed = (
        address.packed
        if address.version == 4
        else hashlib.sha256(salt.encode() + address.packed).digest()[:4]
    )
    return (b"\x02\x42" + packed).hex(":")
