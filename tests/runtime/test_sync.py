import os
import socket
import struct

import pytest

from pinnace.oci import spec
from pinnace.runtime.sync import (
    Channel,
    Closed,
    Failure,
    Mounted,
    Prepared,
    Proceed,
    Ready,
    Setup,
    Start,
    Want,
    encode,
)


@pytest.mark.parametrize(
    "message",
    [
        Prepared(),
        Ready(["a warning"]),
        Want(3),
        Mounted(),
        Proceed(),
        Start([spec.Rlimit(type="RLIMIT_CPU", soft=1, hard=2)]),
        Failure("mount", 22, "mount x to /y: invalid argument"),
        Setup(spec=spec.Spec(hostname="h"), mount_fds=[1], seccomp=b"\0\xff", seccomp_flags=8),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_arrives_as_it_was_sent(message: object) -> None:
    ours, theirs = Channel.pair()

    ours.send(message)

    assert theirs.receive() == (message, [])


def test_descriptors_travel_along_and_close_on_exec() -> None:
    ours, theirs = Channel.pair()
    reader, writer = os.pipe()

    ours.send(Proceed(), [writer])
    _, (received,) = theirs.receive()
    os.close(writer)

    assert not os.get_inheritable(received)
    os.write(received, b"x")
    assert os.read(reader, 1) == b"x"


def test_messages_keep_apart() -> None:
    ours, theirs = Channel.pair()
    for number in range(3):
        ours.send(Want(number))

    assert [theirs.receive()[0] for _ in range(3)] == [Want(0), Want(1), Want(2)]


def test_a_message_in_pieces_is_put_together() -> None:
    left, right = socket.socketpair()
    frame = encode(Want(7))
    data = struct.pack("=I", len(frame)) + frame
    pieces = [data[:2], data[2:6], data[6:]]

    theirs = Channel(right)
    for piece in pieces:
        left.sendall(piece)

    assert theirs.receive() == (Want(7), [])


def test_large_messages_pass() -> None:
    ours, theirs = Channel.pair()
    names = ["x" * 1000] * 2000
    pid = os.fork()
    if pid == 0:
        ours.send(Ready(names))
        os._exit(0)

    assert theirs.receive()[0] == Ready(names)
    os.waitpid(pid, 0)


def test_an_end_is_told() -> None:
    ours, theirs = Channel.pair()
    ours.close()

    with pytest.raises(Closed):
        theirs.receive()
    with pytest.raises(Closed):
        theirs.send(Start())


def test_a_frame_beyond_reason_is_the_end() -> None:
    left, right = socket.socketpair()
    left.sendall(struct.pack("=I", 0xFFFFFFF0))

    with pytest.raises(Closed):
        Channel(right).receive()


def test_hanging_up_waits_for_the_other_side() -> None:
    ours, theirs = Channel.pair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        try:
            theirs.receive()
        except Closed:
            os._exit(0)
        os._exit(1)
    theirs.close()

    ours.hang_up()

    assert os.waitpid(pid, 0)[1] == 0
