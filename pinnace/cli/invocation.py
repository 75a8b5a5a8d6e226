"""What a command is given: its arguments, and the way to the daemon, opened when asked for."""

from __future__ import annotations

from pinnace.cli.arguments import Failure
from pinnace.cli.client import Client
from pinnace.cli.connection import Address, default_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pinnace.cli.arguments import Values
    from pinnace.cli.config import Config


class Globals:
    """The options before the command."""

    __slots__ = ("config_dir", "debug", "hosts")

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.config_dir = ""
        self.debug = False


class Invocation:
    """One run of one command."""

    __slots__ = (
        "_client",
        "_config",
        "arguments",
        "environment",
        "globals",
        "path",
        "program",
        "raw",
    )

    def __init__(
        self,
        path: str,
        arguments: Values,
        raw: Sequence[str],
        options: Globals,
        environment: Mapping[str, str],
    ) -> None:
        self.path = path
        self.program = path.partition(" ")[0]
        self.arguments = arguments
        self.raw = raw
        self.globals = options
        self.environment = environment
        self._client: Client | None = None
        self._config: Config | None = None

    @property
    def operands(self) -> list[str]:
        return self.arguments.operands

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self.new_client()
        return self._client

    def new_client(self) -> Client:
        """One more, for requests that must not wait for the first one's."""
        version = self.environment.get("DOCKER_API_VERSION", "")
        client = Client(self.address(), version=version, headers=self.config.headers)
        client.program = self.program
        return client

    def address(self) -> Address:
        hosts = self.globals.hosts
        if len(hosts) > 1:
            raise Failure("specify only one -H")
        host = hosts[0] if hosts else self.environment.get("DOCKER_HOST", "")
        if not host:
            return default_address()
        if host.startswith("ssh://"):
            raise Failure("ssh:// addresses are not supported; forward the socket instead")
        if not host.startswith("unix://") and self.environment.get("DOCKER_TLS_VERIFY"):
            # Going on in the clear is not what was asked for.
            raise Failure("TLS is not supported by this client yet")
        try:
            return Address(host)
        except ValueError as error:
            raise Failure(
                f"Failed to initialize: unable to resolve docker endpoint: {error}"
            ) from None

    @property
    def config(self) -> Config:
        if self._config is None:
            from pinnace.cli import config

            self._config = config.load(self.globals.config_dir, self.environment)
        return self._config

    def __getitem__(self, key: str) -> Any:
        return self.arguments[key]
