import hashlib

import pytest

from pinnace import errors
from pinnace.oci import digest

GOOD = "sha256:" + "0123456789abcdef" * 4


def test_a_good_digest_is_itself() -> None:
    assert digest.parse(GOOD) == GOOD
    assert digest.encoded(GOOD) == GOOD[7:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid checksum digest format"),
        ("sha256", "invalid checksum digest format"),
        ("sha256:", "invalid checksum digest format"),
        (":" + "a" * 64, "invalid checksum digest format"),
        ("sha256:abc", "invalid checksum digest length"),
        ("sha256:" + "A" * 64, "invalid checksum digest format"),
        ("sha256:../../../../etc/passwd", "invalid checksum digest length"),
        ("sha256:" + "a" * 63 + "\n", "invalid checksum digest format"),
        (GOOD + "\n", "invalid checksum digest length"),
        ("md5:" + "a" * 32, "unsupported digest algorithm"),
    ],
)
def test_anything_else_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(errors.Invalid, match=f"^{message}$"):
        digest.parse(text)


def test_a_digester_counts_and_hashes() -> None:
    digester = digest.Digester()
    digester.update(b"ab")
    digester.update(memoryview(b"c"))

    assert digester.size == 3
    assert digester.digest == digest.of(b"abc") == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    assert digest.of(b"") == digest.EMPTY


def test_verified_chunks_are_the_same_chunks() -> None:
    chunks = [b"a", b"bc"]

    assert list(digest.verified(chunks, digest=digest.of(b"abc"), size=3)) == chunks


@pytest.mark.parametrize(
    ("expected", "size"),
    [(digest.of(b"abd"), None), (None, 2), (None, 4), (digest.of(b"abc"), 2)],
    ids=["digest", "too long", "too short", "size first"],
)
def test_other_content_than_promised_is_a_mismatch(expected: str | None, size: int | None) -> None:
    with pytest.raises(digest.Mismatch):
        list(digest.verified([b"abc"], digest=expected, size=size))
