"""The `filters` of lists and prunes: what the words mean for a name, for labels, for a container.

Pure. A key with several values matches when one of them does, but for labels, which must all be
there; different keys must all match. An absent key lets everything through.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from pinnace import errors
from pinnace.engine.documents import Container, Status

Filters: TypeAlias = Mapping[str, Sequence[str]]

CONTAINERS: Final = frozenset({
    "ancestor", "before", "exited", "id", "isolation", "label", "name", "status", "health",
    "since", "volume", "network", "is-task", "publish", "expose",
})  # fmt: skip
VOLUMES: Final = frozenset({"dangling", "name", "driver", "label"})
IMAGES: Final = frozenset({"dangling", "label", "before", "since", "reference", "until"})
NETWORKS: Final = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
PRUNE: Final = frozenset({"label", "label!", "until"})

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_HEALTH: Final = ("none", "starting", "healthy", "unhealthy")
# The order is that of Docker's message.
_STATUSES: Final = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_SPECIAL: Final = frozenset(r"\.^$*+?{}[]()|")


def check(filters: Filters, known: frozenset[str]) -> None:
    for name in filters:
        if name not in known:
            raise errors.Invalid(f"invalid filter '{name}'")


def boolean(filters: Filters, key: str, *, default: bool = False) -> bool:
    values = filters.get(key, ())
    if not values:
        return default
    true, false = set(values) & _TRUE, set(values) & _FALSE
    if len(values) != len(true) + len(false) or (true and false):
        shown = " ".join(values)
        raise errors.Invalid(f"invalid filter '{key}=[{shown}]'")
    return bool(true)


# One value


def exact(filters: Filters, key: str, text: str) -> bool:
    values = filters.get(key, ())
    return not values or text in values


def fuzzy(filters: Filters, key: str, text: str) -> bool:
    """One of the values is how the text begins."""
    values = filters.get(key, ())
    return not values or any(text.startswith(value) for value in values)


def matches(filters: Filters, key: str, text: str) -> bool:
    """One of the values is found in the text as a regular expression; bad ones find nothing."""
    values = filters.get(key, ())
    return not values or text in values or any(_search(value, text) for value in values)


def _search(pattern: str, text: str) -> bool:
    if not _SPECIAL & set(pattern):
        return pattern in text
    try:
        return re.search(pattern, text) is not None
    except (re.error, OverflowError, RecursionError):
        return False


def labels(filters: Filters, own: Mapping[str, str], key: str = "label") -> bool:
    for value in filters.get(key, ()):
        name, equals, wanted = value.partition("=")
        if name not in own or (equals and own[name] != wanted):
            return False
    return True


def prunable(filters: Filters, own: Mapping[str, str]) -> bool:
    """Of `label` all must be there, of `label!` not all may be."""
    unwanted = "label!" in filters and labels(filters, own, "label!")
    return labels(filters, own) and not unwanted


# Containers


class ContainerQuery(NamedTuple):
    """The filters of `ps`, checked; what only the engine can look up is looked up."""

    filters: Filters
    all: bool
    before: Container | None
    since: Container | None
    exit_codes: frozenset[int]
    ports: frozenset[str]
    images: frozenset[str] | None

    def keep(self, containers: Sequence[Container], limit: int = 0) -> list[Container]:
        """Of containers, newest first, those that are wanted."""
        if self.before is not None:
            ids = [container.id for container in containers]
            first = ids.index(self.before.id) + 1 if self.before.id in ids else len(ids)
            containers = containers[first:]
        kept: list[Container] = []
        for container in containers:
            if self.since is not None and container.id == self.since.id:
                break
            if limit > 0 and len(kept) == limit:
                break
            if self.wants(container, limited=limit > 0):
                kept.append(container)
        return kept

    def wants(self, container: Container, *, limited: bool = False) -> bool:
        filters, state = self.filters, container.state
        if not (self.all or limited or state.running):
            return False
        return (
            self._named(container)
            and boolean(filters, "is-task") is False
            and labels(filters, container.config.labels)
            and (not self.exit_codes or self._exited(container))
            and exact(filters, "status", state.status.value)
            and exact(filters, "health", state.health.status if state.health else "none")
            and self._has_volume(container)
            and (self.images is None or container.image in self.images)
            and self._in_network(container)
            and (not self.ports or not self.ports.isdisjoint(_ports(container)))
        )

    def _named(self, container: Container) -> bool:
        return (
            matches(self.filters, "name", container.name)
            or matches(self.filters, "name", "/" + container.name)
        ) and fuzzy(self.filters, "id", container.id)

    def _exited(self, container: Container) -> bool:
        state = container.state
        return state.exit_code in self.exit_codes and not state.running and state.started_at > 0

    def _has_volume(self, container: Container) -> bool:
        wanted = set(self.filters.get("volume", ()))
        known = {point.name or point.source for point in container.mounts}
        return not wanted or bool(wanted & (known | {p.destination for p in container.mounts}))

    def _in_network(self, container: Container) -> bool:
        wanted = self.filters.get("network", ())
        return not wanted or any(
            value in container.networking
            or any(leg.network_id.startswith(value) for leg in container.networking.values())
            for value in wanted
        )


def query(
    filters: Filters,
    *,
    all: bool,
    find: Callable[[str], Container],
    descendants: Callable[[str], Iterable[str]],
) -> ContainerQuery:
    """Check the filters of a list of containers.

    find(ident) is the container of `before` and `since`; descendants(reference) are the ids of
    the image and of those built on it, none if there is no such image.
    """
    check(filters, CONTAINERS)
    for value in filters.get("status", ()):
        if value not in _STATUSES:
            raise errors.Invalid(
                f"invalid filter 'status={value}': invalid value for state ({value}): "
                f"must be one of {', '.join(_STATUSES)}"
            )
    for value in filters.get("health", ()):
        if value not in _HEALTH:
            raise errors.Invalid(
                f"invalid filter 'health={value}': invalid value for health ({value}): "
                f"must be one of {', '.join(_HEALTH)}"
            )
    boolean(filters, "is-task")
    images = None
    if "ancestor" in filters:
        images = frozenset(id for value in filters["ancestor"] for id in descendants(value))
    return ContainerQuery(
        filters=filters,
        all=all or "status" in filters,
        before=_found(filters, "before", find),
        since=_found(filters, "since", find),
        exit_codes=frozenset(_exit_code(value) for value in filters.get("exited", ())),
        ports=frozenset(
            f"{key}:{port}"
            for key in ("publish", "expose")
            for value in filters.get(key, ())
            for port in ports(key, value)
        ),
        images=images,
    )


def _found(filters: Filters, key: str, find: Callable[[str], Container]) -> Container | None:
    found = [find(value) for value in filters.get(key, ())]
    return found[-1] if found else None


def _exit_code(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise errors.Invalid(
            f"invalid filter 'exited={value}': strconv.Atoi: parsing \"{value}\": invalid syntax"
        ) from None


def ports(key: str, value: str) -> list[str]:
    """`80`, `80/udp`, `8000-8002/tcp` → each port with its protocol."""
    if ":" in value:
        raise errors.Invalid(f"filter for '{key}' should not contain ':': {value}")
    text, _, protocol = value.partition("/")
    first, dash, last = text.partition("-")
    last = last if dash else first
    problem = _port_problem(first) or _port_problem(last)
    if not problem and int(last) < int(first):
        problem = f"Invalid range specified for the Port: {text}"
    if problem:
        raise errors.Invalid(f"error while looking up for {key} {value}: {problem}")
    return [f"{port}/{protocol or 'tcp'}" for port in range(int(first), int(last) + 1)]


def _port_problem(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        return f'strconv.ParseUint: parsing "{text}": invalid syntax'
    if len(text) > 5 or int(text) >= 2**16:
        return f'strconv.ParseUint: parsing "{text}": value out of range'
    return ""


def _ports(container: Container) -> set[str]:
    exposed = {f"expose:{port}" for port in container.config.exposed_ports}
    bound = container.host_config.port_bindings
    exposed |= {f"expose:{port}" for port in bound}
    if container.state.status not in (Status.RUNNING, Status.PAUSED):
        return set()
    published = {
        f"publish:{binding.host_port}/{port.partition('/')[2] or 'tcp'}"
        for port, bindings in bound.items()
        for binding in bindings
    }
    return exposed | published


# Times

_DURATION: Final = re.compile(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+")
_PART: Final = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_UNIX: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?")


def until(filters: Filters, now: int) -> int:
    """The moment of a prune's `until`, in nanoseconds; 0 when there is none."""
    values = filters.get("until", ())
    if len(values) > 1:
        raise errors.Invalid("more than one until filter specified")
    return moment(values[0], now) if values else 0


def moment(text: str, now: int) -> int:
    """`10m` (ago), `2013-01-02T00:00:42Z`, its beginnings, or Unix seconds → nanoseconds."""
    if _DURATION.fullmatch(text):
        ago = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
        return now - int(ago)
    if match := _UNIX.fullmatch(text):
        return int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0"))
    try:
        parsed = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise errors.Invalid(f'failed to parse value as time or duration: "{text}"') from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.UTC)
    return round(parsed.timestamp() * 10**6) * 1000
