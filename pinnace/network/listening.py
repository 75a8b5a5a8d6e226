"""Sockets at 127.0.0.11 of a container, for its questions at port 53."""

import errno
import socket
from typing import Final

from pinnace.linux import netlink, nftables
from pinnace.linux import nftables_rules as r
from pinnace.linux.nftables import Chain, Content, Table
from pinnace.linux.nftables_rules import Hook, rule

ADDRESS: Final = "127.0.0.11"
_PORT: Final = 53
_RULES: Final = Table("ip", "pinnace")


def listen() -> tuple[socket.socket, socket.socket]:
    """(UDP, TCP) at 127.0.0.11 of the calling thread's namespace, reached by port 53.

    They listen elsewhere, so that a container can have a server of its own at port 53 of all
    addresses. Packets are rewritten without connection tracking, which would slow all others.
    """
    while True:
        udp, tcp = _bound_pair()
        if udp is not None:
            break
    tcp.listen(16)
    messages = nftables.replace(_redirection(udp.getsockname()[1]))
    here = nftables.open_socket()
    try:
        nftables.apply(here, [*_without_old(here), *messages])
    finally:
        here.close()
    return udp, tcp


def _bound_pair() -> tuple[socket.socket | None, socket.socket]:
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        tcp.bind((ADDRESS, 0))
        udp.bind((ADDRESS, tcp.getsockname()[1]))
    except OSError as error:
        udp.close()
        tcp.close()
        if error.errno == errno.EADDRINUSE:
            return None, tcp
        raise
    return udp, tcp


def _without_old(here: netlink.Socket) -> list[netlink.Message]:
    """Of sockets that were lost with their process."""
    if _RULES in nftables.tables(here, _RULES.family):
        return [nftables.delete_table(_RULES)]
    return []


def _redirection(number: int) -> Content:
    address = socket.inet_aton(ADDRESS)
    rules = [
        rule(
            r.equal(field, address),
            r.equal(r.PROTOCOL, protocol),
            r.equal(port, r.port(was)),
            r.set_port(port, becomes, checksum_offset=checksum),
        )
        for field, port, was, becomes in (
            (r.DESTINATION, r.PORT, _PORT, number),
            (r.SOURCE, r.SOURCE_PORT, number, _PORT),
        )
        for protocol, checksum in ((r.UDP, 6), (r.TCP, 16))
    ]
    chain = Chain("output", rules, Hook("filter", r.OUTPUT, -300))
    return Content(_RULES, [chain])
