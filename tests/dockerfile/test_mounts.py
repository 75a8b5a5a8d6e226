import pytest

from pinnace.dockerfile import csv, mounts
from pinnace.dockerfile.mounts import Device, Mount, MountType, Sharing
from pinnace.dockerfile.source import DockerfileError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/x", {"target": "/x"}),
        ("type=bind,from=a,src=b,dst=c,rw", {"readonly": False, "source": "b", "target": "c"}),
        ("TYPE=BIND,readwrite=false,destination=c", {"readonly": True, "target": "c"}),
        (
            "type=cache,id=a,sharing=locked,mode=0750,uid=1,gid=2,target=/c",
            {
                "type": MountType.CACHE,
                "id": "a",
                "sharing": Sharing.LOCKED,
                "mode": 0o750,
                "uid": 1,
                "gid": 2,
                "readonly": False,
            },
        ),
        ("type=cache,ro,target=/c", {"type": MountType.CACHE, "readonly": True}),
        ("type=tmpfs,size=1.5GiB,target=/t", {"size": 3 << 29, "readonly": False}),
        (
            "type=secret,id=a,required,env=,mode=400",
            {"id": "a", "required": True, "env": "", "mode": 0o400, "readonly": True},
        ),
        ("type=ssh,required=0", {"type": MountType.SSH, "required": False, "env": None}),
        ('type=bind,"source=a,b",target=/x', {"source": "a,b"}),
    ],
)
def test_a_mount_is_read_from_its_fields(text: str, expected: dict[str, object]) -> None:
    mount = mounts.parse(text)

    assert {name: getattr(mount, name) for name in expected} == expected


def test_before_expansion_only_the_stage_is_known() -> None:
    assert mounts.unexpanded("type=$x,from=a,target=$y,foo") == Mount(
        text="type=$x,from=a,target=$y,foo", from_="a", target="$y"
    )


def test_the_stage_may_end_with_a_dollar_but_holds_no_variable() -> None:
    assert mounts.unexpanded("from=a$").from_ == "a$"
    with pytest.raises(DockerfileError, match="doesn't support variable expansion"):
        mounts.unexpanded("from=a$b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vendor.com/class=Name", Device("vendor.com/class=Name")),
        ("name=a,required", Device("a", required=True)),
        ("a,required=false", Device("a")),
    ],
)
def test_a_device_is_read_from_its_fields(text: str, expected: Device) -> None:
    assert mounts.device(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ["a", "b"]),
        ("a,", ["a", ""]),
        (",a", ["", "a"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']),
        ('""', [""]),
    ],
)
def test_a_record_has_its_fields(text: str, expected: list[str]) -> None:
    assert csv.fields(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "EOF"),
        ('a,b"c', 'parse error on line 1, column 4: bare " in non-quoted field'),
        ('"a', 'parse error on line 1, column 2: extraneous or missing " in quoted-field'),
        ('"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'),
        ('"a""', 'parse error on line 1, column 5: extraneous or missing " in quoted-field'),
    ],
)
def test_a_wrong_record_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^.") as caught:
        csv.fields(text)

    assert str(caught.value) == message
