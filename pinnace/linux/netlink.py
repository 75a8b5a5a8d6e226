"""rtnetlink messages, as far as a container without a network needs them."""

import os
import socket
import struct

_RTM_NEWLINK = 16
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_NLMSG_ERROR = 2
_IFF_UP = 1
LOOPBACK = 1


def set_link_up(index: int) -> None:
    """Set IFF_UP on the link with this index in the caller's network namespace (rtnetlink(7))."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        body = struct.pack("=BBHiII", socket.AF_UNSPEC, 0, 0, index, _IFF_UP, _IFF_UP)
        header = struct.pack(
            "=LHHLL", 16 + len(body), _RTM_NEWLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0
        )
        netlink.send(header + body)
        _check(netlink.recv(4096))


def _check(reply: bytes) -> None:
    """nlmsgerr carries a negative errno, 0 for success."""
    (kind,) = struct.unpack_from("=H", reply, 4)
    if kind == _NLMSG_ERROR and (code := -struct.unpack_from("=i", reply, 16)[0]):
        raise OSError(code, os.strerror(code))
