"""The user's own settings, from Docker's config.json: read if it is there, never needed."""

from __future__ import annotations

import os

from pinnace.cli import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


class Config:
    """config.json with the defaults where it says nothing."""

    __slots__ = ("document", "path")

    def __init__(self, path: str, content: dict[str, Any]) -> None:
        self.path = path
        self.document = content

    def text(self, key: str) -> str:
        value = self.document.get(key)
        return value if isinstance(value, str) else ""

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.document.get("HttpHeaders") or {})

    @property
    def auths(self) -> dict[str, dict[str, str]]:
        return dict(self.document.get("auths") or {})

    def proxies(self, host: str) -> dict[str, str]:
        """The proxy variables that every new container gets, for the daemon at `host`."""
        table = self.document.get("proxies") or {}
        chosen = table.get(host) or table.get("default") or {}
        found = {}
        for key, variable in _PROXIES.items():
            if chosen.get(key):
                found[variable] = found[variable.lower()] = chosen[key]
        return found

    def save(self) -> None:
        """Atomically, and readable for its owner only: it has credentials."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        temporary = f"{self.path}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(document.indented(self.document, "\t"))
        os.rename(temporary, os.path.realpath(self.path))


def load(directory: str, environment: Mapping[str, str]) -> Config:
    directory = directory or environment.get("DOCKER_CONFIG", "")
    if not directory:
        directory = f"{environment.get('HOME') or os.path.expanduser('~')}/.docker"
    path = f"{directory}/config.json"
    try:
        with open(path, "rb") as file:
            content = document.decode(file.read())
    except (OSError, ValueError):
        # Docker warns about a damaged file and goes on without; so does a missing one go unsaid.
        return Config(path, {})
    return Config(path, content if isinstance(content, dict) else {})
