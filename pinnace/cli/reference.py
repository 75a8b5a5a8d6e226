"""Names of images, as far as a client must understand them: the daemon knows the rest."""

from __future__ import annotations

import os

_HEX = frozenset("0123456789abcdef")
_DEFAULT_DOMAIN = "docker.io"
_TAG = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
}


class Reference:
    """A repository with a tag, a digest or both."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str, digest: str) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def name(self) -> str:
        """The repository as people write it."""
        if self.domain != _DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix("library/")

    @property
    def full(self) -> str:
        """The repository with its domain, whichever it is."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.name + tag + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference | None:
    """The name with the tag that is meant; None if it is the id of an image."""
    if is_id(text):
        return None
    found = named(text)
    if not found.tag and not found.digest:
        found.tag = "latest"
    return found


def is_id(text: str) -> bool:
    digits = text.removeprefix("sha256:")
    return len(digits) == 64 and _HEX.issuperset(digits)


def named(text: str) -> Reference:
    """ValueError in Docker's words if it is no name."""
    rest, _, digest = text.partition("@")
    if "@" in text and not _is_digest(digest):
        raise ValueError("invalid reference format")
    domain, slash, path = rest.partition("/")
    if not slash or not _is_domain(domain):
        domain, path = _DEFAULT_DOMAIN, rest
    if domain == "index.docker.io":
        domain = _DEFAULT_DOMAIN
    path, colon, tag = path.partition(":")
    if domain == _DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    if path != path.lower():
        raise ValueError(f"invalid reference format: repository name ({path}) must be lowercase")
    good = _is_path(path) and len(tag) <= 128 and _TAG.issuperset(tag)
    if not good or (colon and (not tag or tag[0] in ".-")) or rest.startswith("/"):
        raise ValueError("invalid reference format")
    return Reference(domain, path, tag, digest)


def _is_digest(text: str) -> bool:
    algorithm, _, digits = text.partition(":")
    return len(digits) >= 32 and algorithm[:1].isalpha() and _HEX.issuperset(digits.lower())


def _is_domain(text: str) -> bool:
    return "." in text or ":" in text or text == "localhost" or text != text.lower()


def _is_path(path: str) -> bool:
    return path.isascii() and all(_is_component(part) for part in path.split("/"))


def _is_component(part: str) -> bool:
    """Letters and digits, parted by a dot, one or two underscores, or any number of dashes."""
    separators = "".join(char if not char.isalnum() else " " for char in part).split()
    allowed = all(each in (".", "_", "__") or not each.strip("-") for each in separators)
    return allowed and part[:1].isalnum() and part[-1:].isalnum()


def platform(text: str) -> str:
    """os/arch[/variant] in the API's words; empty stays empty."""
    if not text:
        return ""
    parts = text.lower().split("/")
    if len(parts) == 1:
        if parts[0] in ("linux", "windows", "darwin", "freebsd"):
            parts.append(os.uname().machine)
        else:
            parts.insert(0, "linux")
    architecture = _ARCHITECTURES.get(parts[1], parts[1])
    variant = parts[2] if len(parts) > 2 else {"armhf": "v7", "armel": "v6"}.get(parts[1], "")
    if architecture == "arm64" and variant in ("v8", "8"):
        variant = ""
    return "/".join(part for part in (parts[0], architecture, variant) if part)
