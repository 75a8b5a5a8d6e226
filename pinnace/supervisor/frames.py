"""Docker's framing of stdout and stderr on one connection: bytes in, bytes out.

A frame is an 8-byte header and a payload. The header is the stream's number, three zero bytes
and the payload's length, big-endian (Docker Engine API, ContainerAttach, "Stream format").
"""

import struct

from pinnace import errors

# "systemerr" carries an error of the engine itself; a client prints it and stops.
NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2, "systemerr": 3}
NAMES = {number: name for name, number in NUMBERS.items()}

HEADER = struct.Struct(">BxxxL")


def header(stream: str, length: int) -> bytes:
    return HEADER.pack(NUMBERS[stream], length)


def mux(stream: str, data: bytes) -> bytes:
    """One frame; nothing for no data, since an empty frame says nothing to a client."""
    return HEADER.pack(NUMBERS[stream], len(data)) + data if data else b""


class Demux:
    """The inverse, however the bytes are cut on the way; a payload is handed on as it comes."""

    def __init__(self) -> None:
        self._head = b""
        self._stream = ""
        self._missing = 0  # bytes of the payload under way

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """The pieces of payload in data, each with its stream's name."""
        pieces = []
        position = 0
        while position < len(data):
            if not self._missing:
                position = self._read_header(data, position)
                continue
            piece = data[position : position + self._missing]
            position += len(piece)
            self._missing -= len(piece)
            pieces.append((self._stream, piece))
        return pieces

    @property
    def between_frames(self) -> bool:
        """Whether the stream may end here."""
        return not self._missing and not self._head

    def _read_header(self, data: bytes, position: int) -> int:
        end = position + HEADER.size - len(self._head)
        self._head += data[position:end]
        if len(self._head) == HEADER.size:
            number, self._missing = HEADER.unpack(self._head)
            if number not in NAMES:
                # The words of Docker's own client library.
                raise errors.Invalid(f"Unrecognized input header: {number}")
            self._stream, self._head = NAMES[number], b""
        return min(end, len(data))
