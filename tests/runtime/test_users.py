import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.runtime import users
from pinnace.runtime.users import Identity

_PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin

toor:x:0:7::/home/toor:/bin/sh
  alice:x:1000:100:Alice:/home/alice:/bin/sh
1234:x:0:0::/:/bin/sh
bob:x:1001:101
caf\xe9:x:1002:102::/home/caf\xe9:/bin/sh
"""
_GROUP = b"""\
root:x:0:
# a comment:x:9:root
daemon:x:1:
wheel:x:10:root,alice
users:x:100:alice
1234:x:0:1234
audio:x:63:alice,root
"""


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (0, 10, 63), "/root", "root")),
        ("root", Identity(0, 0, (0, 10, 63), "/root", "root")),
        ("0", Identity(0, 0, (0, 10, 63), "/root", "root")),
        ("alice", Identity(1000, 100, (100, 10, 63), "/home/alice", "alice")),
        ("1000", Identity(1000, 100, (100, 10, 63), "/home/alice", "alice")),
        ("+1000", Identity(1000, 100, (100, 10, 63), "/home/alice", "alice")),
        ("01000", Identity(1000, 100, (100, 10, 63), "/home/alice", "alice")),
        ("alice:", Identity(1000, 100, (100, 10, 63), "/home/alice", "alice")),
        ("alice:wheel", Identity(1000, 10, (10,), "/home/alice", "alice")),
        ("alice:5", Identity(1000, 5, (5,), "/home/alice", "alice")),
        (":5", Identity(0, 5, (5,), "/root", "root")),
        (":", Identity(0, 0, (0, 10, 63), "/root", "root")),
        ("77", Identity(77, 0, (0,), "/", "")),
        ("77:wheel", Identity(77, 10, (10,), "/", "")),
        ("77:88", Identity(77, 88, (88,), "/", "")),
        ("bob", Identity(1001, 101, (101,), "", "bob")),
        ("2147483647:2147483647", Identity(2**31 - 1, 2**31 - 1, (2**31 - 1,), "/", "")),
        # By name the group is that entry's; the home is that of the uid, as with runc.
        ("toor", Identity(0, 7, (7,), "/root", "toor")),
        ("caf\udce9", Identity(1002, 102, (102,), "/home/caf\udce9", "caf\udce9")),
    ],
)
def test_who_is_meant(user: str, expected: Identity) -> None:
    assert users.resolve(user, _PASSWD, _GROUP) == expected


@pytest.mark.parametrize("user", ["1234", "1234:1234"])
def test_a_number_is_never_looked_up_as_a_name(user: str) -> None:
    identity = users.resolve(user, _PASSWD, _GROUP)

    assert identity.uid == 1234
    assert identity.gid == (1234 if ":" in user else 0)
    assert identity.home == "/"


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("foo", "unable to find user foo: no matching entries in passwd file"),
        (" 5", "unable to find user  5: no matching entries in passwd file"),
        ("foo:wheel", "unable to find user foo: no matching entries in passwd file"),
        ("1:foo", "unable to find group foo: no matching entries in group file"),
        ("1:2:3", "unable to find group 2:3: no matching entries in group file"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("4294967296", "uids and gids must be in range 0-2147483647"),
        ("1:99999999999999999999", "uids and gids must be in range 0-2147483647"),
        ("1:-5", "uids and gids must be in range 0-2147483647"),
        ("9" * 10000, "uids and gids must be in range 0-2147483647"),
        ("\u0663", "unable to find user \u0663: no matching entries in passwd file"),
    ],
)
def test_who_is_not_found_or_out_of_range(user: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        users.resolve(user, _PASSWD, _GROUP)

    assert str(caught.value) == message


def test_without_files_only_numbers_are_known() -> None:
    assert users.resolve("", b"", b"") == Identity(0, 0, (0,), "/", "")
    assert users.resolve("5:6", b"", b"") == Identity(5, 6, (6,), "/", "")
    with pytest.raises(ValueError, match="unable to find user root: no matching entries"):
        users.resolve("root", b"", b"")


@pytest.mark.parametrize(
    "line",
    [
        b"evil:x:notanumber:5::/:/bin/sh",
        b"evil:x::5::/:/bin/sh",
        b"evil:x: 5:5::/:",
        b"evil",
        b"evil:x:0x5:5::/:",
        b"evil:x:5e0:5::/:",
        b"evil:x:-1:0::/:",
        b"evil:x:+5:0::/:",
        b"evil:x:4294967296:0::/:",
        b"evil:x:5:notanumber::/:",
        b"evil:x:\xd9\xa3:0::/:",
    ],
)
def test_a_malformed_entry_is_never_root(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"malformed entry in passwd file|in range"):
        users.resolve("evil", line + b"\n", b"")
    assert users.resolve("0", line + b"\n", b"").name == ""


def test_an_entry_without_a_name_is_in_no_group() -> None:
    assert users.resolve("", b":x:0:0::/:\n", b"wheel:x:10:\n").groups == (0,)


def test_malformed_entries_of_others_do_not_matter() -> None:
    passwd, group = b"evil:x:y:z::/:\n" + _PASSWD, b"evil:x:y:evil\n" + _GROUP

    assert users.resolve("alice", passwd, group) == users.resolve("alice", _PASSWD, _GROUP)


def test_a_malformed_group_is_never_roots() -> None:
    group = b"evil:x:y:alice\n"

    with pytest.raises(ValueError, match="malformed entry in group file"):
        users.resolve("alice", _PASSWD, group)
    with pytest.raises(ValueError, match="unable to find group evil: malformed entry"):
        users.resolve("alice:evil", _PASSWD, group)


def test_extra_groups_come_last_and_once() -> None:
    identity = users.resolve("alice", _PASSWD, _GROUP, ["77", "daemon", "77", "wheel", ""])

    assert identity.groups == (100, 10, 63, 77, 1)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("nosuch", "unable to find group nosuch: no matching entries in group file"),
        ("4294967295", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_extra_groups_have_to_exist(group: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        users.resolve("alice", _PASSWD, _GROUP, [group])

    assert str(caught.value) == message


@given(st.text(), st.binary(), st.binary(), st.lists(st.text(), max_size=3))
def test_ids_are_in_range_or_there_is_a_sentence(
    user: str, passwd: bytes, group: bytes, extra: list[str]
) -> None:
    try:
        identity = users.resolve(user, passwd, group, extra)
    except ValueError as error:
        assert "unable to find" in str(error) or "in range" in str(error)
    else:
        assert all(0 <= i <= users.MAX_ID for i in (identity.uid, *identity.groups))


# files of the container


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "host").write_text("evil:x:0:0::/:\n")
    (tmp_path / "root" / "etc").mkdir(parents=True)
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def _etc(root: int) -> Path:
    return Path(f"/proc/self/fd/{root}/etc").resolve()


def test_a_file_is_read(root: int) -> None:
    (_etc(root) / "passwd").write_bytes(_PASSWD)

    assert users.read(root, "/etc/passwd") == _PASSWD


def test_links_are_followed_inside(root: int) -> None:
    (_etc(root) / "real").write_bytes(_PASSWD)
    (_etc(root) / "passwd").symlink_to("/etc/real")

    assert users.read(root, "/etc/passwd") == _PASSWD


@pytest.mark.parametrize("target", ["../../host", "../../../../../host", "{outside}", "loop"])
def test_links_do_not_lead_out(root: int, target: str, tmp_path: Path) -> None:
    target = target.format(outside=tmp_path / "host")
    (_etc(root) / "passwd").symlink_to(target)
    (_etc(root) / "loop").symlink_to("passwd")

    assert users.read(root, "/etc/passwd") == b""


def test_links_of_proc_are_not_followed(root: int) -> None:
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    exe = users.read(proc, "self/exe")
    os.close(proc)

    assert exe == b""


def test_what_is_no_regular_file_has_no_entries(root: int) -> None:
    etc = _etc(root)
    os.mkfifo(etc / "fifo")
    (etc / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(etc / "socket"))
        for name in ("fifo", "directory", "socket", "missing", "fifo/below"):
            assert users.read(root, f"/etc/{name}") == b"", name


@pytest.mark.root
def test_devices_are_not_opened(root: int) -> None:
    # No driver has this number, so that an open would fail with ENXIO.
    os.mknod(_etc(root) / "passwd", 0o20666, os.makedev(1, 255))

    assert users.read(root, "/etc/passwd") == b""


def test_a_file_that_is_too_large_is_an_error(root: int) -> None:
    with (_etc(root) / "passwd").open("wb") as file:
        file.truncate(users.MAX_FILE)
    assert len(users.read(root, "/etc/passwd")) == users.MAX_FILE

    with (_etc(root) / "passwd").open("ab") as file:
        file.write(b"x")
    with pytest.raises(OSError) as caught:
        users.read(root, "/etc/passwd")

    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == "/etc/passwd"
