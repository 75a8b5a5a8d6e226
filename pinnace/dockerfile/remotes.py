"""Sources that are not files of the context: URLs, and git repositories with what to take of them.

https://host/org/repo.git#branch:folder   git@host:org/repo.git?tag=v1&submodules=false
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qs, urlsplit

from pinnace.dockerfile import golang
from pinnace.dockerfile.source import DockerfileError

_protocol = re.compile(r"([a-zA-Z0-9]+)://").match
_scp = re.compile(r"[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:[^\n]*").fullmatch
_BOOLEANS = ("submodules", "keep-git-dir", "fetch-by-commit")
_STRINGS = ("ref", "tag", "branch", "subdir", "checksum", "commit", "mtime")


@dataclass(frozen=True, slots=True)
class Http:
    url: str

    @property
    def filename(self) -> str:
        """What ADD calls it when the destination is a folder."""
        name = posixpath.basename(urlsplit(self.url).path.rstrip("/"))
        return name if name not in ("", ".") else "__unnamed__"


@dataclass(frozen=True, slots=True)
class Git:
    remote: str
    """What git is given: without query and fragment."""
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    fetch_by_commit: bool = False
    mtime: str = ""
    """"checkout" or "commit"; whose time the files have."""


def parse(source: str) -> Http | Git | None:
    """None for a path of the context. Raises DockerfileError for a wrong query of a repository."""
    git = repository(source)
    if git is not None:
        return git
    return Http(source) if source.startswith(("http://", "https://")) else None


def repository(source: str) -> Git | None:
    """None for what is no repository. Raises DockerfileError."""
    if _protocol(source):
        return _from_url(source)
    if not _scp(source):
        return None
    before, _, fragment = source.partition("#")
    remote, _, query = before.partition("?")
    return _with_query(_with_fragment(Git(remote), fragment), _queries(query))


def _from_url(source: str) -> Git | None:
    try:
        url = urlsplit(source)
    except ValueError:
        return None
    if url.scheme not in ("http", "https", "ssh", "git"):
        return None
    # A page may well be at .../repo, so that of these only names of repositories are one.
    if url.scheme in ("http", "https") and not url.path.endswith(".git"):
        return None
    remote = SplitResult(url.scheme, url.netloc, url.path, "", "").geturl()
    return _with_query(_with_fragment(Git(remote), url.fragment), _queries(url.query))


def _queries(query: str) -> Mapping[str, list[str]]:
    return parse_qs(query, keep_blank_values=True)


def _with_fragment(git: Git, fragment: str) -> Git:
    ref, _, subdir = fragment.partition(":")
    subdir = posixpath.normpath(f"/{subdir}").lstrip("/") if subdir else ""
    return replace(git, ref=ref, subdir=subdir)


def _with_query(git: Git, queries: Mapping[str, list[str]]) -> Git:
    values = {name: _value(name, given) for name, given in queries.items()}
    ref, subdir = values.get("ref", ""), values.get("subdir", "")
    git = replace(
        git,
        ref=_agreed("ref", git.ref, ref),
        subdir=_agreed("subdir", git.subdir, subdir),
        checksum=values.get("checksum", "") or values.get("commit", ""),
        keep_git_dir=_boolean("keep-git-dir", values),
        submodules=_boolean("submodules", values),
        fetch_by_commit=_boolean("fetch-by-commit", values) or False,
        mtime=values.get("mtime", ""),
    )
    if git.mtime not in ("", "checkout", "commit"):
        raise DockerfileError(
            f'invalid mtime value: {golang.quote(git.mtime)} (must be "checkout" or "commit")'
        )
    return _with_names(git, values.get("tag", ""), values.get("branch", ""))


def _with_names(git: Git, tag: str, branch: str) -> Git:
    if tag and branch:
        raise DockerfileError("branch conflicts with tag")
    for name, prefix in ((tag, "refs/tags/"), (branch, "refs/heads/")):
        if name:
            complete = name if name.startswith(prefix) else prefix + name
            git = replace(git, ref=_agreed("ref", git.ref, complete))
    return git


def _value(name: str, given: list[str]) -> str:
    quoted = golang.quote(name)
    if len(given) > 1:
        raise DockerfileError(f"query {quoted} has multiple values")
    if name not in (*_BOOLEANS, *_STRINGS):
        raise DockerfileError(
            f"unexpected query {quoted}" if given[0] else f"query {quoted} has no value"
        )
    if not given[0] and name not in _BOOLEANS:
        raise DockerfileError(f"query {quoted} has no value")
    return given[0]


def _agreed(what: str, one: str, other: str) -> str:
    if one and other and one != other:
        raise DockerfileError(f"{what} conflicts: {golang.quote(one)} vs {golang.quote(other)}")
    return other or one


def _boolean(name: str, values: Mapping[str, str]) -> bool | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        return golang.boolean(text) if text else True
    except ValueError:
        raise DockerfileError(f"invalid {name} value: {golang.quote(text)}") from None
