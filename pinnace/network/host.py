"""The host's network namespace: the sockets that change it, and what every bridge needs of it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pinnace.linux import links, netlink, netns, nftables
from pinnace.linux.links import Link
from pinnace.linux.netlink import Message
from pinnace.linux.nftables import Watch

R = TypeVar("R")


class Host:
    """Where the bridges are: the daemon's own namespace, or the one of an fd."""

    def __init__(self, engine: str, netns_fd: int = -1) -> None:
        self.engine = engine
        self._netns_fd = netns_fd
        self.netlink = self.inside(netlink.Socket)
        self.firewall = self.inside(nftables.open_socket)
        self.watch = self.inside(Watch)

    def close(self) -> None:
        for each in (self.netlink, self.firewall, self.watch):
            each.close()

    def inside(self, action: Callable[[], R]) -> R:
        return action() if self._netns_fd < 0 else netns.inside(self._netns_fd, action)

    def change(self, messages: Sequence[Message]) -> None:
        """One transaction of the firewall."""
        nftables.apply(self.firewall, messages)

    def link(self, name: str) -> Link | None:
        return links.get(self.netlink, name)

    def alias(self, network: str) -> str:
        """What links of ours bear, so that no other's is ever changed."""
        return f"pinnace:{self.engine}:{network}"

    def owned(self, link: Link) -> bool:
        return link.alias.startswith(f"pinnace:{self.engine}:")

    def set(self, settings: dict[str, str]) -> None:
        """Values below /proc/sys/net; those that are right are left alone."""

        def write() -> None:
            for name, value in settings.items():
                if netns.sysctl(name) != value:
                    netns.set_sysctl(name, value)

        self.inside(write)

    def enable_forwarding(self, version: int) -> bool:
        """Whether this host was no router before."""
        names = (
            ["ipv4/ip_forward"]
            if version == 4
            else ["ipv6/conf/default/forwarding", "ipv6/conf/all/forwarding"]
        )
        was_off = self.inside(lambda: netns.sysctl(names[-1])) == "0"
        if was_off:
            self.set(dict.fromkeys(names, "1"))
        return was_off
