"""Streams as iterators of chunks: taken from files, decompressed, hashed, read ahead in a thread.

Hashing, decompression and reading release the interpreter's lock, so a pipeline of `ahead`
stages uses the processors that there are.
"""

import bz2
import contextlib
import lzma
import queue
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pinnace import errors
from pinnace.oci.digest import Digester

Chunks = Iterator[bytes]

CHUNK = 1 << 20
_MAGICS = (
    ("gzip", b"\x1f\x8b\x08"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("bzip2", b"BZh"),
    ("xz", b"\xfd7zXZ\0"),
)
LONGEST_MAGIC = 6


@runtime_checkable
class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def from_file(file: Readable, size: int = CHUNK) -> Chunks:
    while chunk := file.read(size):
        yield chunk


def hashed(chunks: Iterable[bytes], digester: Digester) -> Chunks:
    """The same chunks, counted and hashed on their way."""
    for chunk in chunks:
        digester.update(chunk)
        yield chunk


def tee(chunks: Iterable[bytes], write: Callable[[bytes], object]) -> Chunks:
    """The same chunks, written elsewhere on their way."""
    for chunk in chunks:
        write(chunk)
        yield chunk


def peek(chunks: Iterable[bytes], size: int) -> tuple[bytes, Chunks]:
    """The first `size` bytes, if there are so many, and the whole stream again."""
    source = iter(chunks)
    head: list[bytes] = []
    have = 0
    while have < size:
        chunk = next(source, None)
        if chunk is None:
            break
        head.append(chunk)
        have += len(chunk)
    start = b"".join(head)

    def again() -> Chunks:
        if start:
            yield start
        yield from source

    return start[:size], again()


def compression(head: bytes) -> str:
    """gzip, zstd, bzip2 or xz by a stream's first bytes, else "" for none."""
    return next((name for name, magic in _MAGICS if head.startswith(magic)), "")


def decompressed(chunks: Iterable[bytes]) -> tuple[str, Chunks]:
    """How the stream is compressed, and what is inside."""
    head, source = peek(chunks, LONGEST_MAGIC)
    kind = compression(head)
    return kind, _inflated(source, _CODECS[kind]()) if kind else source


class _Inflater(Protocol):
    """One member of a compressed stream; a stream may have several, one after another."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Codec(NamedTuple):
    start: Callable[[], _Inflater]
    errors: tuple[type[Exception], ...]


class _Gzip:
    """zlib's interface in the manner of bz2's, lzma's and zstd's."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._rest = b""
        self._full = False

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    @property
    def needs_input(self) -> bool:
        return not self._rest and not self._full

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = bytes(self._inner.decompress(self._rest + data if self._rest else data, max_length))
        self._rest = bytes(self._inner.unconsumed_tail)
        # All input may be taken while output still waits for room.
        self._full = len(out) == max_length
        return out


def _gzip() -> _Codec:
    # 31: with gzip's header and checksum.
    try:
        from isal import isal_zlib
    except ImportError:
        return _Codec(lambda: _Gzip(zlib.decompressobj(31)), (zlib.error,))
    return _Codec(lambda: _Gzip(isal_zlib.decompressobj(31)), (isal_zlib.error,))  # type: ignore[arg-type, unused-ignore]


def _zstd() -> _Codec:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd
    return _Codec(zstd.ZstdDecompressor, (zstd.ZstdError,))


_CODECS: dict[str, Callable[[], _Codec]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "bzip2": lambda: _Codec(bz2.BZ2Decompressor, (OSError, ValueError)),
    "xz": lambda: _Codec(lzma.LZMADecompressor, (lzma.LZMAError,)),
}


def _inflated(chunks: Chunks, codec: _Codec) -> Chunks:
    inflater: _Inflater | None = None
    for chunk in chunks:
        while chunk:
            if inflater is None:
                chunk = chunk.lstrip(b"\0")  # padding after the last member
                if not chunk:
                    break
                inflater = codec.start()
            yield from _inflate(inflater, chunk, codec.errors)
            if not inflater.eof:
                break
            chunk, inflater = inflater.unused_data, None
    if inflater is not None:
        raise errors.Invalid("unexpected EOF")


def _inflate(inflater: _Inflater, chunk: bytes, kinds: tuple[type[Exception], ...]) -> Chunks:
    """At most CHUNK bytes at a time come out, however much a few bytes stand for (bombs)."""
    try:
        yield inflater.decompress(chunk, CHUNK)
        while not inflater.eof and not inflater.needs_input:
            yield inflater.decompress(b"", CHUNK)
    except kinds as error:
        raise errors.Invalid(f"invalid compressed data: {error}") from error


def compressed(chunks: Iterable[bytes]) -> Chunks:
    """As gzip, quickly."""
    try:
        from isal import isal_zlib

        deflater: Any = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
    except ImportError:
        deflater = zlib.compressobj(1, zlib.DEFLATED, 31)
    for chunk in chunks:
        if out := deflater.compress(chunk):
            yield out
    yield deflater.flush()


class Ahead:
    """The same chunks, produced by a thread that is some chunks ahead of who takes them.

    An exception of the producer is raised where its chunk would have come. Leaving the `with`
    block ends the thread.
    """

    def __init__(self, chunks: Iterable[bytes], depth: int = 8) -> None:
        self._chunks = chunks
        self._ready: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
        self._stop = False
        self._thread = threading.Thread(target=self._produce, name="read-ahead", daemon=True)

    def __enter__(self) -> Chunks:
        self._thread.start()
        return self._consume()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait()
        # A producer that waits for a client who sends nothing ends together with the client.
        self._thread.join(1.0)

    def _produce(self) -> None:
        try:
            for chunk in self._chunks:
                if self._stop:
                    return
                self._ready.put(chunk)
            self._ready.put(None)
        except BaseException as error:  # noqa: BLE001 (handed over, raised by the consumer)
            self._ready.put(error)

    def _consume(self) -> Chunks:
        while (item := self._ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
