import hashlib
import json

import msgspec
import pytest

from pinnace import errors
from pinnace.oci import image

A, B, C = ("sha256:" + letter * 64 for letter in "abc")


def config(**changes: object) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [A]}
    document = {"architecture": "amd64", "os": "linux", "rootfs": rootfs, **changes}
    return json.dumps(document).encode()


def manifest(**changes: object) -> bytes:
    descriptor = {"mediaType": image.OCI_CONFIG, "digest": A, "size": 2}
    document = {"schemaVersion": 2, "config": descriptor, "layers": [descriptor], **changes}
    return json.dumps(document).encode()


def test_a_config_may_have_fields_that_nobody_knows() -> None:
    decoded = image.decode_config(config(moby={"x": 1}, config={"Cmd": ["sh"], "Future": 1}))

    assert decoded.diff_ids == [A]
    assert decoded.config is not None and decoded.config.cmd == ["sh"]
    assert str(decoded.platform) == "linux/amd64"


def test_null_is_absent() -> None:
    decoded = image.decode_config(config(config=None, history=None, created=None))

    assert decoded.config is None and decoded.history is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"[" * 60000,
        b'{"rootfs":' + b"[" * 60000,
        b"\xff\xfe",
        config(rootfs=None),
        config(rootfs={"type": "evil", "diff_ids": [A]}),
        config(rootfs={"type": "layers", "diff_ids": ["sha256:../../../etc"]}),
        config(rootfs={"type": "layers", "diff_ids": "x"}),
        config(config=5),
        config(config={"Cmd": "x"}),
        config(config={"ExposedPorts": ["x"]}),
        config(history=[{}, {}]),
        config(author="x" * image.CONFIG_LIMIT),
    ],
    ids=range(17),
)
def test_broken_configs_are_invalid(raw: bytes) -> None:
    with pytest.raises(errors.Invalid):
        image.decode_config(raw)


def test_a_manifest_has_a_config_and_layers() -> None:
    decoded = image.decode_manifest(manifest(mediaType=image.OCI_MANIFEST), image.OCI_MANIFEST)

    assert isinstance(decoded, image.Manifest)
    assert decoded.config.digest == A


def test_an_index_has_manifests() -> None:
    raw = json.dumps({"schemaVersion": 2, "manifests": [{"digest": B, "size": 1}]}).encode()

    decoded = image.decode_manifest(raw)

    assert isinstance(decoded, image.Index)
    assert decoded.manifests[0].digest == B


@pytest.mark.parametrize(
    ("raw", "media_type"),
    [
        (manifest(schemaVersion=1), ""),
        (manifest(manifests=[]), ""),
        (manifest(config=None, layers=None, manifests=[{"digest": B}], schemaVersion=2)[:-1], ""),
        (manifest(mediaType=image.OCI_INDEX), ""),
        (manifest(mediaType=image.OCI_MANIFEST), image.DOCKER_MANIFEST),
        (manifest(), image.OCI_INDEX),
        (manifest(layers=[{"digest": "sha256:../x"}]), ""),
        (b'{"schemaVersion": 2}', ""),
    ],
    ids=["schema 1", "both", "cut", "index type", "two types", "other type", "path", "neither"],
)
def test_what_could_be_two_things_is_neither(raw: bytes, media_type: str) -> None:
    with pytest.raises(errors.Invalid):
        image.decode_manifest(raw, media_type)


def test_chain_ids_follow_the_specification() -> None:
    second = "sha256:" + hashlib.sha256(f"{A} {B}".encode()).hexdigest()
    third = "sha256:" + hashlib.sha256(f"{second} {C}".encode()).hexdigest()

    assert image.chain_ids([A, B, C]) == [A, second, third]
    assert image.chain_ids([]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("arm64", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_platforms_are_read(text: str, expected: str) -> None:
    assert str(image.parse_platform(text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", '"foo": unknown operating system or architecture: invalid argument'),
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        ("linux/", '"linux/": cannot parse platform specifier: invalid argument'),
    ],
)
def test_bad_platforms_are_refused(text: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        image.parse_platform(text)

    assert caught.value.message == message


def test_the_machine_has_a_platform() -> None:
    assert image.host_platform().os == "linux"
    assert image.parse_platform("linux") == image.host_platform()


def test_documents_leave_out_what_is_absent() -> None:
    entry = image.History(created_by="x")

    assert msgspec.json.encode(entry) == b'{"created_by":"x"}'
