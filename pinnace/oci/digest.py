"""Digests of the form sha256:<64 hex digits>, and readers that verify what passes.

The grammar is checked where a digest comes in, since digests become file names.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from pinnace import errors

PATTERN = r"\Asha256:[0-9a-f]{64}\Z"

# A str that was checked, by `parse` or by the decoder of the document it stood in.
Digest = Annotated[str, msgspec.Meta(pattern=PATTERN)]

EMPTY = "sha256:" + hashlib.sha256().hexdigest()

_matches = re.compile(PATTERN).match


class Mismatch(errors.Invalid):
    """The bytes are not those that were promised."""


def valid(text: str) -> bool:
    return _matches(text) is not None


def parse(text: str) -> Digest:
    """Raises Invalid in the words of Docker's digest package."""
    if valid(text):
        return text
    algorithm, colon, encoded = text.partition(":")
    if not colon or not algorithm or not encoded:
        raise errors.Invalid("invalid checksum digest format")
    if algorithm != "sha256":
        raise errors.Invalid("unsupported digest algorithm")
    if len(encoded) != 64:
        raise errors.Invalid("invalid checksum digest length")
    raise errors.Invalid("invalid checksum digest format")


def of(data: bytes) -> Digest:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encoded(digest: Digest) -> str:
    """The hex digits: what a blob's file is called."""
    return digest.removeprefix("sha256:")


class Digester:
    """Hashes and counts chunks."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)

    @property
    def digest(self) -> Digest:
        return "sha256:" + self._hash.hexdigest()


def verified(
    chunks: Iterable[bytes], *, digest: Digest | None, size: int | None
) -> Iterator[bytes]:
    """The same chunks; Mismatch instead of an end, or of a byte too many, if they are others."""
    digester = Digester()
    for chunk in chunks:
        digester.update(chunk)
        if size is not None and digester.size > size:
            raise Mismatch(f"content is longer than the expected {size} bytes")
        yield chunk
    if size is not None and digester.size != size:
        raise Mismatch(f"content is {digester.size} bytes long, expected {size}")
    if digest is not None and digester.digest != digest:
        raise Mismatch(f"content has digest {digester.digest}, expected {digest}")
