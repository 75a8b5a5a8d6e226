"""What a container may print to trip a log driver up; Docker's own answers are in golden/."""

import random

PIECE = 16 * 1024

_INVALID = [
    b"\x80", b"\xff\xfe", b"\xc3", b"\xe2\x82", b"\xe2\x82A", b"\xf0\x9f\x98", b"\xf0\x9f\x98A",
    b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\xe2\x80\xa8",
    b'?\xff?\xef\xbf\xbd\xff"\xff\\\xff<\xff', b"\xf0\xe2\x80\xa8\xe2\x80",
]  # fmt: skip
_LENGTHS = [
    PIECE - 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 3, 40000,
]  # fmt: skip

INPUTS = {
    "every-byte": b"".join(b"%02x:" % i + bytes([i]) + b":\n" for i in range(256)),
    "escapes": (
        b'plain\n"quoted" \\back\\slash\\\n<a href="x">&amp;</a>\n\ttab\r\n'
        b"carriage\rreturn\x08\x0c\x1b[31mred\x1b[0m\x7f\n\x00nul\x00\n"
        b"\\u003c \\n \\ud83d\n/slash\n?question?\n"
    ),
    "unicode": (
        "grüße 日本 😀 \u2028line\u2029para\u2028 \ufffd \ufeff e\u0301 \x85 \u007f "
        "\U0010ffff \ue000\n"
    ).encode()
    * 2,
    "invalid": b"".join(piece + b"|\n" for piece in _INVALID) + b"cut \xe2\x82",
    "newlines": b"\n\n\na\n\n\n",
    "no-newline": b"first\nlast without newline",
    "one-byte": b"x",
    "empty": b"",
    "long-lines": b"".join(bytes([97 + k]) * length + b"\n" for k, length in enumerate(_LENGTHS))
    + b"end\n",
    "long-unterminated": b"short\n" + b"y" * (PIECE * 2 + 5),
    "long-exact-unterminated": b"z" * PIECE,
    "long-exact-twice-unterminated": b"z" * (2 * PIECE),
    "multibyte-on-the-border": b"x" * (PIECE - 1)
    + "étail\n".encode()
    + b"x" * (PIECE - 2)
    + "€tail\n".encode()
    + b"x" * (PIECE - 3)
    + "😀\n".encode(),
    "escapes-on-the-border": b'"' * (PIECE - 1)
    + b"\\\n"
    + b"<" * (PIECE + 3)
    + b"\n"
    + b"\x01" * (2 * PIECE)
    + b"\n",
    "binary": random.Random(7).randbytes(30000),
    "binary-without-newlines": random.Random(8).randbytes(40000).replace(b"\n", b""),
}
