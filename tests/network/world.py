"""A host, containers and another host, each a network namespace of the test's own."""

import ipaddress
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pinnace.linux import links, netns, routes
from pinnace.linux.links import Place
from pinnace.network.creation import Request
from pinnace.network.host import Host
from pinnace.network.legs import Sandbox, Wanted
from pinnace.network.names import Names
from pinnace.network.networks import Namespace as Joined
from pinnace.network.networks import Networks
from pinnace.network.ports import PortRequest
from pinnace.network.register import Register
from pinnace.store.database import Database
from tests.linux.namespaces import Namespace

HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"
HOST6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"
ENGINE = "e" * 32


class Box:
    """A container, as far as the network is concerned."""

    def __init__(self, ident: str, ns: Namespace) -> None:
        self.id = ident
        self.ns = ns
        self.legs: list = []
        self.process = process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self.pidfd = os.pidfd_open(process.pid)
        self.joined = Joined(ns.fd, self.pidfd)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def close(self) -> None:
        self.end()
        os.close(self.pidfd)

    @property
    def ipv4(self) -> str:
        return self.legs[0].ipv4

    @property
    def ipv6(self) -> str:
        return self.legs[0].ipv6


class World:
    def __init__(self, folder: Path, undo: ExitStack) -> None:
        self.undo = undo
        self.folder = folder
        self.host = self.namespace()
        self.outside = self.namespace()
        self._cable()
        self.numbers = itertools.count(1)
        self.open()

    def namespace(self) -> Namespace:
        made = Namespace()
        self.undo.callback(made.close)
        return made

    def _cable(self) -> None:
        """eth0 of the host leads to the outside."""
        pair = links.veth("eth0", "eth0", peer_place=Place(netns_fd=self.outside.fd))
        self.host.netlink.send(pair)
        for ns, four, six in ((self.host, HOST, HOST6), (self.outside, OUTSIDE, OUTSIDE6)):
            index = links.get(ns.netlink, "eth0").ifindex
            ns.netlink.send(
                routes.add_address(index, ipaddress.ip_address(four).packed, 24),
                routes.add_address(index, ipaddress.ip_address(six).packed, 64),
                links.change(index, up=True),
            )

    def open(self, **settings) -> None:
        """The daemon starts."""
        self.database = Database(self.folder / "db")
        self.kernel = Host(ENGINE, self.host.fd)
        names = Names(str(self.folder), self.kernel)
        self.networks = Networks(Register(self.database), self.kernel, names, **settings)

    def close(self) -> None:
        self.networks.close()
        self.database.close()

    def restart(self, *running: Box, **settings) -> None:
        self.close()
        self.open(**settings)
        self.networks.recover({box.id: box.joined for box in running})

    def network(self, name: str, **settings):
        return self.networks.create(Request(name, **settings))

    def box(self, *names, ports=(), trusted=False, **settings) -> Box:
        number = next(self.numbers)
        box = Box(f"{number:064x}", self.namespace())
        self.undo.callback(box.close)
        sandbox = box.sandbox = Sandbox(box.id, f"box{number}", trusted)
        settings.setdefault("dns_names", [sandbox.name])
        wanted = [Wanted(name, **settings) for name in names or ("bridge",)]
        box.legs = self.networks.plan(sandbox, wanted, ports)
        self.networks.join(box.id, box.joined)
        return box


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as undo:
        made = World(tmp_path, undo)
        undo.callback(lambda: made.close())  # noqa: PLW0108 (a restart replaces it)
        made.networks.recover({})
        yield made


def published(port: int, host_port: int, host: str = "", protocol: str = "tcp") -> PortRequest:
    return PortRequest(protocol, port, host, host_port, host_port)


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextmanager
def serving(ns: Namespace, port: int, *, ipv6: bool = False) -> Iterator[list]:
    """Answers each connection with the caller's address, and keeps those in a list."""
    listener = ns.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::" if ipv6 else "0.0.0.0", port))
    listener.listen()
    listener.settimeout(None)
    seen: list = []

    def serve() -> None:
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            with connection:
                seen.append(peer[0])
                connection.sendall(peer[0].encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def ask(ns: Namespace, address: str, port: int, *, source: str = "", patience: float = 5) -> str:
    """Connect, and return what is said; raises OSError."""
    caller = ns.socket(family(address))
    caller.settimeout(patience)
    with caller:
        if source:
            caller.bind((source, 0))
        caller.connect((address, port))
        return caller.recv(100).decode()


def refused(ns: Namespace, address: str, port: int) -> bool:
    """Nobody answers."""
    try:
        ask(ns, address, port, patience=0.3)
    except OSError:
        return True
    return False


def with_bridge_filtering(world: World, value: str) -> None:
    """Whether frames between ports of a bridge pass the IP rules too (br_netfilter)."""
    for name in ("iptables", "ip6tables"):
        try:
            world.host.inside(lambda: netns.set_sysctl(f"bridge/bridge-nf-call-{name}", value))  # noqa: B023
        except FileNotFoundError:
            pytest.skip("no br_netfilter")
