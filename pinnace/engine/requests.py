"""What a caller may ask of a container's streams, as values."""

import msgspec


class AttachOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`multiplexed`: frames per stream (never with a terminal); else the bytes as they are.

    `head` is sent to the client as soon as it is attached, before anything else.
    """

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = False
    logs: bool = False
    detach_keys: str = ""
    multiplexed: bool = True
    head: bytes = b""


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Times are nanoseconds since the epoch, 0 is none; `tail` is as the client wrote it."""

    stdout: bool = False
    stderr: bool = False
    since: int = 0
    until: int = 0
    timestamps: bool = False
    tail: str = ""
    follow: bool = False
    details: bool = False
