"""A stream of chunks → the members of the tar archive in it, and their data.

Everything is read once, in order, from large chunks; what is skipped is not copied. After the
archive's end the stream is read to its own end, so that whoever hashes it sees all of it.
"""

from collections.abc import Iterable, Iterator

from pinnace.store import tar
from pinnace.store.tar import BLOCK, Malformed, Member

_ZERO = bytes(BLOCK)


class Reader:
    """Iterate over it for the members; `data` is that of the last one."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = memoryview(b"")
        self._offset = 0
        self._left = 0  # stored bytes of the current member that were not taken yet
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            yield member

    def data(self, size: int | None = None) -> Iterator[memoryview]:
        """The next `size` bytes of the member's stored data, or all, in pieces."""
        wanted = self._left if size is None else min(size, self._left)
        while wanted:
            piece = self._some(wanted)
            wanted -= len(piece)
            self._left -= len(piece)
            yield piece

    def read(self, limit: int) -> bytes:
        """All data of the member. Raises Malformed if that is more than `limit` bytes."""
        if self._left > limit:
            raise Malformed(f"a file in the archive is larger than {limit} bytes")
        return b"".join(self.data())

    # How it is done.

    def _next(self) -> Member | None:
        """The next file, with what the extension headers before it say about it."""
        records: tar.Records | None = None
        changes: dict[str, bytes] = {}
        while True:
            self._skip()
            block = self._header()
            if block is None:
                return None
            member = tar.parse(block)
            self._left = member.stored
            self._padding = -member.stored % BLOCK
            match member.type:
                case tar.PAX:
                    records = tar.parse_pax(self._extension())
                case tar.GNU_LONG_NAME:
                    changes["name"] = self._extension().partition(b"\0")[0]
                case tar.GNU_LONG_LINK:
                    changes["link"] = self._extension().partition(b"\0")[0]
                case tar.PAX_GLOBAL:
                    continue  # Docker ignores them too.
                case _:
                    return self._complete(member, bytes(block), changes, records)

    def _complete(
        self,
        member: Member,
        block: bytes,
        changes: dict[str, bytes],
        records: tar.Records | None,
    ) -> Member:
        if changes:
            member = member._replace(**changes)  # type: ignore[arg-type]
        if member.type == tar.GNU_SPARSE:
            size, segments = tar.old_sparse(block, self._continued(block))
            member = member._replace(type=tar.REGULAR, size=size, segments=segments)
        if records is not None:
            member = tar.apply_pax(member, records)
            self._left = member.stored
            self._padding = -member.stored % BLOCK
            if tar.sparse_in_data(records):
                member = self._sparse_map(member)
        if member.segments is not None:
            tar.check_segments(member)
        return member

    def _header(self) -> memoryview | None:
        block = self._exact(BLOCK, end_allowed=True)
        if block is None:
            return None
        if block[0] == 0 and block == _ZERO:
            second = self._exact(BLOCK, end_allowed=True)
            if second is not None and second != _ZERO:
                raise Malformed("archive/tar: invalid tar header")
            for _ in self._chunks:
                pass
            return None
        return block

    def _extension(self) -> bytes:
        return self.read(tar.EXTENSION_LIMIT)

    def _continued(self, block: bytes) -> list[bytes]:
        """The further blocks of an old GNU sparse header."""
        extensions: list[bytes] = []
        more = block[482]
        while more:
            extension = self._exact(BLOCK)
            assert extension is not None
            extensions.append(bytes(extension))
            more = extension[504]
            if len(extensions) * BLOCK > tar.EXTENSION_LIMIT:
                raise Malformed("archive/tar: invalid tar header")
        return extensions

    def _sparse_map(self, member: Member) -> Member:
        """GNU's format 1.0: decimal numbers, one a line, in the first blocks of the data."""
        text = bytearray()
        lines: list[bytes] = []
        wanted = 1
        while len(lines) < wanted:
            if self._left < BLOCK or len(text) > tar.EXTENSION_LIMIT:
                raise Malformed("archive/tar: invalid tar header")
            for piece in self.data(BLOCK):
                text += piece
            *lines, _ = bytes(text).split(b"\n")
            if lines and lines[0].isdigit() and len(lines[0]) < 8:
                wanted = 1 + 2 * int(lines[0])
        numbers = [tar.number(b"%o" % int(line)) if line.isdigit() else -1 for line in lines]
        pairs = zip(numbers[1:wanted:2], numbers[2:wanted:2], strict=True)
        segments = tuple(tar.Segment(*pair) for pair in pairs)
        return member._replace(stored=self._left, segments=segments)

    def _skip(self) -> None:
        left, padding = self._left, self._padding
        self._left = self._padding = 0
        while left:
            left -= len(self._some(left))
        try:
            while padding:
                padding -= len(self._some(padding))
        except Malformed:
            pass  # Go's reader, too, accepts an archive that ends with the last byte of data.

    def _some(self, limit: int) -> memoryview:
        """At least one byte, at most `limit`, without copying."""
        while self._offset >= len(self._buffer):
            self._fill()
        piece = self._buffer[self._offset : self._offset + limit]
        self._offset += len(piece)
        return piece

    def _exact(self, size: int, *, end_allowed: bool = False) -> memoryview | None:
        """Just so many bytes; None if the stream ends before the first of them."""
        start = self._offset
        if len(self._buffer) - start >= size:
            self._offset = start + size
            return self._buffer[start : self._offset]
        rest = bytes(self._buffer[start:])
        while len(rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                if end_allowed and not rest:
                    return None
                raise Malformed("unexpected EOF")
            rest += chunk
        self._buffer = memoryview(rest)
        self._offset = size
        return self._buffer[:size]

    def _fill(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise Malformed("unexpected EOF")
        self._buffer = memoryview(chunk)
        self._offset = 0
