"""Images as immutable values: descriptors, manifests, indexes, configs, and what follows of them.

Sources: OCI image-spec 1.1 (descriptor.md, manifest.md, image-index.md, config.md); Docker's
config keeps a few more fields than OCI's. Whoever needs a digest keeps the bytes: documents
are decoded beside them, never encoded again.

Rule: documents of strangers are bounded and checked here (I14), before anyone acts on them.
"""

import hashlib
import platform
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec
from msgspec import field

from pinnace import errors
from pinnace.oci.digest import Digest

MANIFEST_LIMIT = 4 << 20
CONFIG_LIMIT = 8 << 20

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)


class _Value(msgspec.Struct, frozen=True, omit_defaults=True):
    pass


class Platform(_Value, frozen=True, kw_only=True):
    architecture: str = ""
    os: str = ""
    os_version: str | None = field(name="os.version", default=None)
    os_features: list[str] | None = field(name="os.features", default=None)
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Descriptor(_Value, frozen=True, kw_only=True, rename="camel"):
    media_type: str = ""
    digest: Digest
    size: int = 0
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    platform: Platform | None = None
    artifact_type: str | None = None


class Manifest(_Value, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    schema_version: int = 2
    media_type: str = ""
    config: Descriptor
    layers: list[Descriptor]
    annotations: dict[str, str] | None = None


class Index(_Value, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    schema_version: int = 2
    media_type: str = ""
    manifests: list[Descriptor]
    annotations: dict[str, str] | None = None


class Healthcheck(_Value, frozen=True, kw_only=True, rename="pascal"):
    test: list[str] | None = None
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None


class Config(_Value, frozen=True, kw_only=True, rename="pascal"):
    """What a container of the image starts with: the "config" of an ImageConfig."""

    hostname: str | None = None
    domainname: str | None = None
    user: str | None = None
    attach_stdin: bool | None = None
    attach_stdout: bool | None = None
    attach_stderr: bool | None = None
    exposed_ports: dict[str, dict[str, str]] | None = None
    tty: bool | None = None
    open_stdin: bool | None = None
    stdin_once: bool | None = None
    env: list[str] | None = None
    cmd: list[str] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool | None = None
    image: str | None = None
    volumes: dict[str, dict[str, str]] | None = None
    working_dir: str | None = None
    entrypoint: list[str] | None = None
    network_disabled: bool | None = None
    mac_address: str | None = None
    on_build: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    shell: list[str] | None = None


class RootFS(_Value, frozen=True, kw_only=True, omit_defaults=False):
    type: str = "layers"
    diff_ids: list[Digest] | None = None


class History(_Value, frozen=True, kw_only=True):
    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class ImageConfig(_Value, frozen=True, kw_only=True):
    """The document whose digest is the image's id."""

    architecture: str | None = None
    variant: str | None = None
    os: str | None = None
    os_version: str | None = field(name="os.version", default=None)
    os_features: list[str] | None = field(name="os.features", default=None)
    created: str | None = None
    author: str | None = None
    comment: str | None = None
    container: str | None = None
    container_config: Config | None = None
    docker_version: str | None = None
    config: Config | None = None
    rootfs: RootFS
    history: list[History] | None = None

    @property
    def diff_ids(self) -> Sequence[Digest]:
        return self.rootfs.diff_ids or ()

    @property
    def platform(self) -> Platform:
        return Platform(
            architecture=self.architecture or "",
            os=self.os or "linux",
            os_version=self.os_version,
            os_features=self.os_features,
            variant=self.variant,
        )


class Image(Protocol):
    """An image anywhere: in the store, in an archive, in a registry.

    Moving an image is: read its manifest, config and blobs here, write them there.
    """

    def manifest(self) -> bytes:
        """The manifest as it came, at most MANIFEST_LIMIT bytes."""
        ...

    def config(self) -> bytes:
        """The config as it came, at most CONFIG_LIMIT bytes."""
        ...

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """The content of a layer of the manifest. Raises NotFound. Not yet verified."""
        ...


T = TypeVar("T")


def decode_config(raw: bytes) -> ImageConfig:
    """Raises Invalid unless it is a config of layers, with a history that fits them."""
    config = _decode(raw, ImageConfig, "image config", CONFIG_LIMIT)
    if config.rootfs.type != "layers":
        raise errors.Invalid(f"invalid image config: rootfs type {config.rootfs.type!r}")
    filled = sum(not entry.empty_layer for entry in config.history or ())
    if filled > len(config.diff_ids):
        raise errors.Invalid("too many non-empty layers in History section")
    return config


def decode_manifest(raw: bytes, media_type: str = "") -> Manifest | Index:
    """A manifest or an index, whichever it is, and nothing that could be both.

    `media_type` is what the sender called it, if anything (OCI: both must agree).
    """
    probe = _decode(raw, _Probe, "manifest", MANIFEST_LIMIT)
    if probe.schema_version != 2:
        raise errors.Invalid(f"unsupported manifest schema version {probe.schema_version}")
    # CVE-2021-41190: a document with both means two different images to two readers.
    if probe.has("manifests") and probe.has("layers", "config"):
        raise errors.Invalid("invalid manifest: it has both layers and manifests")
    if probe.media_type and media_type and probe.media_type != media_type:
        raise errors.Invalid(
            f"invalid manifest: it says {probe.media_type}, its sender says {media_type}"
        )
    known = probe.media_type or media_type
    if probe.has("manifests"):
        _expect(known, INDEXES)
        return _decode(raw, Index, "image index", MANIFEST_LIMIT)
    _expect(known, MANIFESTS)
    return _decode(raw, Manifest, "manifest", MANIFEST_LIMIT)


def decode(raw: bytes, type: type[T], what: str) -> T:
    """Any other document of an archive or a registry."""
    return _decode(raw, type, what, MANIFEST_LIMIT)


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """The name of each layer together with those below it (config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        if chain:
            pair = f"{chain[-1]} {diff_id}".encode()
            chain.append("sha256:" + hashlib.sha256(pair).hexdigest())
        else:
            chain.append(diff_id)
    return chain


_MACHINES = {
    "x86_64": ("amd64", None),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "riscv64": ("riscv64", None),
    "ppc64le": ("ppc64le", None),
    "s390x": ("s390x", None),
}


def host_platform() -> Platform:
    machine = platform.machine()
    architecture, variant = _MACHINES.get(machine, (machine, None))
    return Platform(os="linux", architecture=architecture, variant=variant)


_OPERATING_SYSTEMS = frozenset(
    ("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "aix", "js", "wasip1")
)
_ARCHITECTURES = {
    "amd64": ("amd64", None),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "386": ("386", None),
    "i386": ("386", None),
    "arm64": ("arm64", None),
    "aarch64": ("arm64", None),
    "arm": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "ppc64le": ("ppc64le", None),
    "s390x": ("s390x", None),
    "riscv64": ("riscv64", None),
    "loong64": ("loong64", None),
    "mips64le": ("mips64le", None),
    "wasm": ("wasm", None),
}


def parse_platform(text: str) -> Platform:
    """linux, arm64, linux/arm64 or linux/arm/v7. Raises Invalid in the words of containerd."""
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(parts):
        raise errors.Invalid(f'"{text}": cannot parse platform specifier: invalid argument')
    host = host_platform()
    if len(parts) == 1:
        if parts[0] in _OPERATING_SYSTEMS:
            return Platform(os=parts[0], architecture=host.architecture, variant=host.variant)
        if parts[0] not in _ARCHITECTURES:
            raise errors.Invalid(
                f'"{text}": unknown operating system or architecture: invalid argument'
            )
        parts = ["linux", *parts]
    architecture, variant = _ARCHITECTURES.get(parts[1], (parts[1], None))
    if len(parts) == 3:
        variant = parts[2]
    return Platform(os=parts[0], architecture=architecture, variant=variant)


class _Probe(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    config: msgspec.Raw = msgspec.Raw(b"null")
    layers: msgspec.Raw = msgspec.Raw(b"null")
    manifests: msgspec.Raw = msgspec.Raw(b"null")

    def has(self, *names: str) -> bool:
        return any(bytes(getattr(self, name)) != b"null" for name in names)


def _expect(media_type: str, allowed: tuple[str, str]) -> None:
    if media_type and media_type not in allowed:
        raise errors.Invalid(f"invalid manifest: unexpected media type {media_type}")


def _decode(raw: bytes, type: type[T], what: str, limit: int) -> T:
    if len(raw) > limit:
        raise errors.Invalid(f"invalid {what}: larger than {limit} bytes")
    try:
        return msgspec.json.decode(raw, type=type)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise errors.Invalid(f"invalid {what}: {error}") from error
