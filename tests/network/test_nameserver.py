"""The process that answers names: asked from containers, with the daemon and without it."""

import ipaddress
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pinnace.network import dns
from pinnace.network.definitions import Definition, Endpoint
from pinnace.network.dns import AAAA, A, Code
from pinnace.network.listening import ADDRESS
from pinnace.network.names import Names, Resolution
from tests.harness.deadline import until
from tests.linux.namespaces import namespaces  # noqa: F401 (a fixture)

pytestmark = pytest.mark.root

NET = Definition(id="a" * 64, name="back", driver="bridge", created=1)


def member(number, *names, network=NET.id):
    return Endpoint(
        id=f"{number}", network=network, container=f"c{number}", name=names[0],
        ipv4=f"10.0.0.{number}", ipv4_prefix=24, dns_names=list(names),
    )  # fmt: skip


class Container:
    """A namespace and a first process."""

    def __init__(self, ns, ident):
        self.ns, self.id = ns, ident
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.pidfd = os.pidfd_open(self.process.pid)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


@pytest.fixture
def names(tmp_path):
    made = Names(str(tmp_path))
    made.know(NET, [member(2, "web", "www"), member(3, "db")])
    yield made
    made.close()


@pytest.fixture
def container(namespaces):  # noqa: F811
    made = Container(namespaces(), "c9")
    yield made
    made.end()
    os.close(made.pidfd)


def ask(ns, name, kind=A, *, stream=False, server=(ADDRESS, 53)):
    data = dns.question(name, kind, ident=77)
    with ns.socket(kind=socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as asker:
        asker.connect(server)
        if stream:
            asker.sendall(struct.pack(">H", len(data)) + data)
            (length,) = struct.unpack(">H", asker.recv(2))
            found = asker.recv(length)
        else:
            asker.send(data)
            found = asker.recv(4096)
    assert found[:2] == data[:2]
    return dns.answers(found)


def gone(tmp_path: Path):
    return not (tmp_path / "names.sock").exists()


def test_names_are_answered_by_udp_and_tcp(names, container):
    names.attach(container.id, container.ns.fd, container.pidfd, Resolution([NET.id]))
    for stream in (False, True):
        assert ask(container.ns, "web", stream=stream) == (Code.NO_ERROR, False, ["10.0.0.2"])
        assert ask(container.ns, "db.back", AAAA, stream=stream) == (Code.NO_ERROR, False, [])
        assert ask(container.ns, "nosuch", stream=stream)[0] == Code.FAILURE
    reverse = ask(container.ns, "2.0.0.10.in-addr.arpa", dns.PTR)
    assert reverse == (Code.NO_ERROR, False, ["web.back"])


def test_a_container_may_have_a_server_of_its_own(names, container):
    names.attach(container.id, container.ns.fd, container.pidfd, Resolution([NET.id]))
    with container.ns.socket(kind=socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", 53))
        assert ask(container.ns, "web")[2] == ["10.0.0.2"]
        with container.ns.socket(kind=socket.SOCK_DGRAM) as asker:
            asker.sendto(b"to the own server", ("127.0.0.1", 53))
            assert own.recv(100) == b"to the own server"


def test_what_changes_is_known_at_once(names, container):
    names.attach(container.id, container.ns.fd, container.pidfd, Resolution([NET.id], {"l": "db"}))
    assert ask(container.ns, "l")[2] == ["10.0.0.3"]
    names.put(member(4, "late"))
    names.drop(member(3, "db"))
    names.settle()
    assert ask(container.ns, "late")[2] == ["10.0.0.4"]
    assert ask(container.ns, "db")[0] == Code.FAILURE
    names.see(container.id, Resolution([]))
    names.settle()
    assert ask(container.ns, "web")[0] == Code.FAILURE


def test_it_goes_on_without_the_daemon_and_is_found_again(names, container, tmp_path):
    names.attach(container.id, container.ns.fd, container.pidfd, Resolution([NET.id]))
    names.close()
    assert ask(container.ns, "web")[2] == ["10.0.0.2"]

    again = Names(str(tmp_path))
    again.know(NET, [member(2, "renamed")])
    assert again.reconnect().sandboxes == [container.id]
    assert again.pid == 0
    until(lambda: ask(container.ns, "renamed")[2] == ["10.0.0.2"], "the new name")
    assert ask(container.ns, "web")[0] == Code.FAILURE
    again.close()


def test_it_ends_when_nobody_needs_it(names, container, tmp_path):
    names.attach(container.id, container.ns.fd, container.pidfd, Resolution([NET.id]))
    names.close()
    container.end()
    until(lambda: gone(tmp_path), "the end of the process")


def test_one_that_was_killed_is_started_again(names, container):
    names.attach(container.id, container.ns.fd, container.pidfd, Resolution([NET.id]))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        names.hold(container.pidfd, {"tcp/127.0.0.1": held.fileno()}, {})
    killed = names.pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: names.pid != killed and names.running, "another process")
    names.settle()
    assert ask(container.ns, "web")[2] == ["10.0.0.2"]
    assert names.reconnect().held == ["tcp/127.0.0.1"]
    names.put(member(5, "five"))
    names.settle()
    assert ask(container.ns, "five")[2] == ["10.0.0.5"]


def test_ports_are_held_while_the_container_lives(names, container, tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = held.getsockname()
        names.hold(container.pidfd, {"tcp/127.0.0.1": held.fileno()}, {})
    until(lambda: names.reconnect().held == ["tcp/127.0.0.1"], "the port to be held")
    names.close()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(address)
    container.end()
    until(lambda: gone(tmp_path), "the end of the process")
    with socket.socket() as other:
        other.bind(address)


class Upstream:
    """A server elsewhere: answers every name with one address, or with nothing."""

    def __init__(self, address="127.0.0.1", make=socket.socket, silent=False):
        self.udp = make(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = make(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.bind((address, self.port))
        self.tcp.listen()
        self.silent = silent
        self.name = f"{address}#{self.port}"
        for each in (self._udp, self._tcp):
            threading.Thread(target=each, daemon=True).start()

    def _answer(self, data):
        asked = dns.parse(data)
        record = dns.address_record(ipaddress.ip_address("203.0.113.7"))
        return dns.reply(asked, Code.NO_ERROR, [record])

    def _udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if not self.silent:
                self.udp.sendto(b"\0" * 20, peer)  # not the answer
                self.udp.sendto(self._answer(data), peer)

    def _tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                (length,) = struct.unpack(">H", connection.recv(2))
                found = self._answer(connection.recv(length))
                connection.sendall(struct.pack(">H", len(found)) + found)


def test_other_names_are_asked_of_the_hosts_servers(names, container):
    upstream = Upstream()
    resolution = Resolution([NET.id], host_servers=[upstream.name])
    names.attach(container.id, container.ns.fd, container.pidfd, resolution)
    for stream in (False, True):
        assert ask(container.ns, "example.org", stream=stream)[2] == ["203.0.113.7"]
        assert ask(container.ns, "web", stream=stream)[2] == ["10.0.0.2"]


def test_the_next_server_is_asked_when_one_is_silent(names, container):
    silent, upstream = Upstream(silent=True), Upstream()
    closed = "127.0.0.1#1"
    servers = [closed, silent.name, upstream.name]
    resolution = Resolution([NET.id], host_servers=servers)
    names.attach(container.id, container.ns.fd, container.pidfd, resolution)
    assert ask(container.ns, "example.org")[2] == ["203.0.113.7"]


def test_the_containers_own_servers_are_asked_from_its_namespace(names, container):
    upstream = Upstream(make=container.ns.socket)
    resolution = Resolution([NET.id], own_servers=[upstream.name])
    names.attach(container.id, container.ns.fd, container.pidfd, resolution)
    assert ask(container.ns, "example.org")[2] == ["203.0.113.7"]


def test_many_questions_a_second(names, container):
    names.attach(container.id, container.ns.fd, container.pidfd, Resolution([NET.id]))
    data = dns.question("web", A)
    with container.ns.socket(kind=socket.SOCK_DGRAM) as asker:
        asker.connect((ADDRESS, 53))
        begin = time.perf_counter()
        for _ in range(50):
            for _ in range(20):
                asker.send(data)
            for _ in range(20):
                asker.recv(512)
        seconds = time.perf_counter() - begin
    print(f"{1000 / seconds:.0f} answers a second")


def test_one_container_has_only_so_many_questions_unanswered(names, container):
    silent = Upstream(silent=True)
    resolution = Resolution([NET.id], host_servers=[silent.name])
    names.attach(container.id, container.ns.fd, container.pidfd, resolution)
    heard = []
    with container.ns.socket(kind=socket.SOCK_DGRAM) as asker:
        asker.connect((ADDRESS, 53))
        asker.settimeout(2)  # less than the patience with a silent server
        while len(heard) < 300:
            for _ in range(20):
                asker.send(dns.question("example.org", A))
            heard += [None] * 20
            asker.send(dns.question("web", A))  # its answer comes after those of the others
            while (code := dns.answers(asker.recv(512))[0]) is not Code.NO_ERROR:
                heard[heard.index(None)] = code
    assert heard.count(None) == 256
    assert set(heard) == {None, Code.FAILURE}
