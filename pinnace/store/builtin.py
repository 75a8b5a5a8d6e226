"""The two images that are there from the first start: `hello` and `host`.

hello: one small static program in one layer. host: this machine's own root file system,
read-only below what the container writes, without the machine's secrets and the engine's data.
"""

import glob
import os
import platform
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import msgspec

from pinnace.oci import digest, image, reference
from pinnace.runtime.layers import Entry, Masks
from pinnace.store import elf, initlayer, leases, merged, tar
from pinnace.store.imagestore import ImageStore
from pinnace.store.layers import Layer, Layers

# Their ids are the same everywhere and at every start.
_CREATED = "2026-01-01T00:00:00Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Machines whose code `store.elf` can write.
_HELLO_MACHINES = ("x86_64", "aarch64")

# The name of the layer that is the machine itself; no archive has this digest.
HOST_LAYER = digest.of(b"the root file system of this machine")
HOST_MEDIA_TYPE = "application/vnd.pinnace.host.layer.v1"

# Shown as empty folders.
_EMPTIED = (
    "/home", "/root", "/run", "/tmp", "/var/tmp",
    "/etc/ssl/private", "/etc/pki/tls/private", "/etc/letsencrypt", "/etc/wireguard",
    "/etc/kubernetes", "/etc/NetworkManager/system-connections",
    "/var/mail", "/var/spool/mail", "/var/spool/cron", "/var/lib/private",
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet",
)  # fmt: skip
# Not shown at all.
_HIDDEN = (
    "/etc/shadow*", "/etc/gshadow*", "/etc/security/opasswd*", "/etc/ssh/ssh_host_*_key",
    "/etc/krb5.keytab", "/etc/ipsec.secrets", "/etc/ppp/*-secrets", "/etc/sudoers.d/*",
    "/var/lib/systemd/random-seed", "/swapfile", "/swap.img",
)  # fmt: skip


def add(images: ImageStore, layers: Layers, lease: leases.Lease, *, hidden: Sequence[str]) -> None:
    """Make both and tag them, as if nobody had ever removed them."""
    add_host(images, hidden=hidden)
    made = {"hello": _put_hello, "host": _put_host}
    if platform.machine() not in _HELLO_MACHINES:
        del made["hello"]
    for name, put in made.items():
        id = put(images, layers, lease)
        images.tag(reference.parse(name).tagged(), id)


def add_host(images: ImageStore, *, hidden: Sequence[str]) -> None:
    """Needed at every start: the snapshotter does not remember what to hide."""
    images.snapshots.add_host(HOST_LAYER, "/", partial(host_masks, hidden))


def _put_hello(images: ImageStore, layers: Layers, lease: leases.Lease) -> digest.Digest:
    layer = layers.add(_hello_tar(), None, lease)
    config = _config([layer.diff_id], image.Config(env=[_PATH], cmd=["/hello"], working_dir="/"))
    return images.put(config, [layer], lease=lease).id


def _hello_tar() -> Iterator[bytes]:
    program = elf.hello(elf.GREETING, platform.machine())
    member = tar.Member(b"hello", tar.REGULAR, 0o755, 0, 0, len(program), 0)
    yield tar.header(member) + program + tar.padding(len(program)) + tar.END


def _put_host(images: ImageStore, layers: Layers, lease: leases.Lease) -> digest.Digest:
    layer = Layer(HOST_LAYER, HOST_LAYER, HOST_LAYER, 0, HOST_MEDIA_TYPE)
    shell = "/bin/bash" if shutil.which("/bin/bash") else "/bin/sh"
    config = _config([HOST_LAYER], image.Config(env=[_PATH], cmd=[shell], working_dir="/"))
    return images.put(config, [layer], lease=lease).id


def _config(diff_ids: list[digest.Digest], config: image.Config) -> bytes:
    machine = image.host_platform()
    history = image.History(created=_CREATED, created_by="pinnace", comment="built in")
    return msgspec.json.encode(
        image.ImageConfig(
            architecture=machine.architecture,
            os=machine.os,
            created=_CREATED,
            config=config,
            rootfs=image.RootFS(diff_ids=diff_ids),
            history=[history],
        )
    )


def host_masks(hidden: Iterable[str], root: str = "/") -> Masks:
    """The layer above the machine's root: what it hides, and the init layer's files.

    `hidden`: the engine's own folders.
    """
    now = time.time_ns()
    with merged.Directory.open([root]) as host:
        entries = {entry.path: entry for entry in initlayer.plan(host)}
        for path, empty in sorted(_found(hidden, root)):
            if any(path == name or path.startswith(name + "/") for name in _gone(entries)):
                continue
            status = host.find(path)
            if status is None:
                continue  # on another file system that is mounted there
            _add_parents(entries, host, path, now)
            folder = initlayer.directory(path, status, now)
            if empty and stat.S_ISDIR(status.st_mode):
                entries[path] = msgspec.structs.replace(folder, kind="opaque")
            else:
                entries[path] = Entry(path, "whiteout", mtime=now)
    return Masks(sorted(entries.values(), key=lambda entry: entry.path))


def _found(hidden: Iterable[str], root: str) -> set[tuple[str, bool]]:
    """Paths relative to the root, links in them resolved; whether they are to be emptied."""
    base = os.path.realpath(root)
    found: set[tuple[str, bool]] = set()
    patterns = [(path, True) for path in _EMPTIED] + [(path, False) for path in _HIDDEN]
    for pattern, empty in patterns:
        for path in glob.iglob(base.rstrip("/") + pattern):
            found.add((os.path.relpath(os.path.realpath(path), base), empty))
    for path in hidden:
        found.add((os.path.relpath(os.path.realpath(path), base), False))
    return {(path, empty) for path, empty in found if not path.startswith("..")}


def _gone(entries: dict[str, Entry]) -> list[str]:
    return [path for path, entry in entries.items() if entry.kind in ("opaque", "whiteout")]


def _add_parents(entries: dict[str, Entry], host: merged.Directory, path: str, now: int) -> None:
    parts = path.split("/")
    for end in range(1, len(parts)):
        parent = "/".join(parts[:end])
        if parent not in entries:
            entries[parent] = initlayer.directory(parent, host.find(parent), now)
