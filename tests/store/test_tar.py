import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.store import tar
from pinnace.store.tar import Member, Records, Segment


def block(**fields: object) -> bytes:
    info = tarfile.TarInfo("name")
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def with_checksum(raw: bytes) -> bytes:
    blank = raw[:148] + b" " * 8 + raw[156:]
    return raw[:148] + b"%06o\0 " % sum(blank) + raw[156:]


def test_a_header_is_read() -> None:
    member = tar.parse(block(mode=0o4755, uid=1, gid=2, size=3, mtime=4))

    assert member == Member(b"name", tar.REGULAR, 0o4755, 1, 2, 3, 4_000_000_000, size=3)


def test_big_numbers_are_binary() -> None:
    member = tar.parse(block(uid=1 << 40, size=1 << 40, mtime=-5))

    assert (member.uid, member.stored, member.mtime) == (1 << 40, 1 << 40, -5_000_000_000)


def test_a_prefix_belongs_to_the_name() -> None:
    info = tarfile.TarInfo("p" * 90 + "/" + "n" * 90)

    assert tar.parse(info.tobuf(tarfile.USTAR_FORMAT)).name == info.name.encode()


def test_an_old_header_with_a_slash_is_a_folder() -> None:
    raw = bytearray(block(name="d/"))
    raw[156] = 0

    assert tar.parse(with_checksum(bytes(raw))).type == tar.DIRECTORY


@pytest.mark.parametrize("kind", [tar.LINK, tar.SYMLINK, tar.DIRECTORY, tar.FIFO, tar.CHAR])
def test_only_files_have_data(kind: bytes) -> None:
    assert tar.parse(block(type=kind, size=1000)).stored == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"x" * 512,
        block()[:148] + b"0000000\0" + block()[156:],
        block()[:300] + b"\1" + block()[301:],
        with_checksum(block()[:100] + b"9999999\0" + block()[108:]),
        with_checksum(block()[:124] + b"\xff" * 12 + block()[136:]),
    ],
    ids=["junk", "no checksum", "a bit", "not octal", "negative size"],
)
def test_broken_headers_are_malformed(raw: bytes) -> None:
    with pytest.raises(tar.Malformed):
        tar.parse(raw)


def test_signed_checksums_are_accepted() -> None:
    raw = block(name="n\udcff\udcff")
    blank = raw[:148] + b" " * 8 + raw[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blank)

    assert tar.parse(raw[:148] + b"%06o\0 " % signed + raw[156:]).name == b"n\xff\xff"


def test_pax_records_correct_a_member() -> None:
    data = b"".join(
        tar._record(key, value)
        for key, value in {
            b"path": b"other\nname",
            b"linkpath": b"",
            b"size": b"12",
            b"uid": b"70000",
            b"gid": b"70001",
            b"mtime": b"1.5",
            b"SCHILY.xattr.user.x": b"a=b\n",
            b"comment": b"?",
        }.items()
    )

    member = tar.apply_pax(tar.parse(block()), tar.parse_pax(data))

    assert member == Member(
        b"other\nname",
        tar.REGULAR,
        0o644,
        70000,
        70001,
        12,
        1_500_000_000,
        xattrs={b"user.x": b"a=b\n"},
        size=12,
    )


def test_times_before_1970_have_fractions_too() -> None:
    member = tar.apply_pax(tar.parse(block()), tar.parse_pax(tar._record(b"mtime", b"-1.25")))

    assert member.mtime == -1_250_000_000


@pytest.mark.parametrize(
    "data",
    [b"x", b"5 a=b\n\n", b"99 path=x\n", b"0 path=\n", b"6 ab=\n\0", b"-1 a=b\n", b"7 path\n"],
)
def test_broken_pax_records_are_malformed(data: bytes) -> None:
    with pytest.raises(tar.Malformed):
        tar.parse_pax(data)


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=20).filter(
            lambda key: b"=" not in key and not key.startswith(b"GNU.sparse")
        ),
        st.binary(max_size=200),
    )
)
def test_pax_records_are_read_as_they_were_written(values: dict[bytes, bytes]) -> None:
    data = b"".join(tar._record(key, value) for key, value in values.items())

    assert tar.parse_pax(data) == Records(values, None)


names = st.binary(min_size=1, max_size=300).filter(
    lambda name: b"\0" not in name and not name.endswith(b"/")
)
members = st.builds(
    Member,
    name=names,
    type=st.just(tar.REGULAR),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    stored=st.just(0),
    mtime=st.integers(0, 2**34).map(lambda second: second * 1_000_000_000),
    xattrs=st.dictionaries(
        st.sampled_from([b"user.a", b"security.capability"]), st.binary(max_size=50)
    ),
)


@given(members)
def test_written_members_are_read_by_others(member: Member) -> None:
    raw = tar.header(member) + tar.END

    with tarfile.open(fileobj=io.BytesIO(raw), errors="surrogateescape") as file:
        (info,) = file.getmembers()

    assert info.name.encode("utf-8", "surrogateescape") == member.name
    assert (info.mode, info.uid, info.gid) == (member.mode, member.uid, member.gid)
    assert info.mtime == member.mtime // 1_000_000_000


def test_segments_must_fit() -> None:
    member = Member(b"x", tar.REGULAR, 0, 0, 0, 10, 0, size=100)

    tar.check_segments(member._replace(segments=(Segment(0, 5), Segment(95, 5))))
    for bad in (
        (Segment(0, 5), Segment(4, 1)),
        (Segment(95, 6),),
        (Segment(0, 11),),
        (Segment(-1, 1),),
        (Segment(5, -1),),
    ):
        with pytest.raises(tar.Malformed):
            tar.check_segments(member._replace(segments=bad))
