"""Image names: parse, normalise, print as people write them.

    reference = [domain "/"] path [":" tag] ["@" digest]

"web" is short for docker.io/library/web:latest. What comes before the first slash is a domain
if it holds a dot, a colon or a capital letter, or is "localhost"; else it belongs to a path on
docker.io. Grammar and error texts: github.com/distribution/reference, as in Docker 28.
"""

import fnmatch
import re

import msgspec

from pinnace import errors
from pinnace.oci import digest as digests

DEFAULT_DOMAIN = "docker.io"
OFFICIAL = "library/"
DEFAULT_TAG = "latest"

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_reference = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
).fullmatch
_tag = re.compile(_TAG, re.ASCII).fullmatch
_identifier = re.compile(r"[a-f0-9]{64}").fullmatch


class Reference(msgspec.Struct, frozen=True):
    """A parsed name; domain and path are complete, tag and digest may be missing."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        """The complete form, as stored."""
        return self.repository + self._suffix

    @property
    def repository(self) -> str:
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: no docker.io, no library/."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        short = self.path.removeprefix(OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return tag + digest

    def tagged(self) -> "Reference":
        """With the default tag, if it has neither tag nor digest."""
        if self.tag or self.digest:
            return self
        return with_tag(self, DEFAULT_TAG)

    def pinned(self) -> "Reference":
        """Without the tag, if it has a digest too: the digest decides."""
        return msgspec.structs.replace(self, tag=None) if self.digest else self


def parse(text: str) -> Reference:
    """A name as people write it. Raises Invalid in Docker's words."""
    if _identifier(text):
        raise errors.Invalid(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, path = _split_domain(text)
    name = path.partition(":")[0]
    if name.lower() != name:
        raise errors.Invalid(
            f"invalid reference format: repository name ({name}) must be lowercase"
        )
    match = _reference(f"{domain}/{path}")
    if match is None:
        if not text:
            raise errors.Invalid("invalid reference format")
        if _reference(f"{domain}/{path}".lower()):
            raise errors.Invalid("repository name must be lowercase")
        raise errors.Invalid("invalid reference format")
    if len(match["path"]) > 255:
        raise errors.Invalid("repository name must not be more than 255 characters")
    if match["digest"]:
        digests.parse(match["digest"])
    return Reference(match["domain"], match["path"], match["tag"], match["digest"])


def identifier(text: str) -> str | None:
    """The image id (sha256:...) if the text is a complete one, with or without algorithm."""
    if _identifier(text):
        return f"sha256:{text}"
    return text if digests.valid(text) else None


def with_tag(name: Reference, tag: str) -> Reference:
    if not _tag(tag):
        raise errors.Invalid("invalid tag format")
    return msgspec.structs.replace(name, tag=tag)


def repository_tag(repository: str, tag: str) -> Reference | None:
    """What `docker tag`, `import` and `commit` put into two fields; None when both are empty."""
    if not repository:
        return None
    name = parse(repository)
    if name.digest:
        raise errors.Invalid("cannot import digest reference")
    if tag:
        return with_tag(name, tag)
    return name.tagged()


def matches(pattern: str, name: Reference) -> bool:
    """Docker's filter `reference=`: a glob for the familiar form, with or without the tag.

    As Go's path.Match: * and ? stop at slashes.
    """
    names = (name.familiar, name.familiar_name)
    return any(_glob(pattern, candidate) for candidate in names)


def _glob(pattern: str, text: str) -> bool:
    patterns, parts = pattern.split("/"), text.split("/")
    if len(patterns) != len(parts):
        return False
    pairs = zip(patterns, parts, strict=True)
    return all(fnmatch.fnmatchcase(part, piece) for piece, part in pairs)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, OFFICIAL + text
    if first == "index.docker.io":
        first = DEFAULT_DOMAIN
    special = first == "localhost" or "." in first or ":" in first or first.lower() != first
    domain, path = (first, rest) if special else (DEFAULT_DOMAIN, text)
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = OFFICIAL + path
    return domain, path
