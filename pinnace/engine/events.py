"""What happened: a short memory of Docker's event documents, and those who listen.

Rule 1: publishing never waits: a listener's callback must only put the event away.
Rule 2: a listener misses nothing between what it is told of the past and what it hears.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pinnace import errors
from pinnace.engine import filters
from pinnace.engine.documents import Container
from pinnace.engine.filters import Filters
from pinnace.oci import reference

Event: TypeAlias = dict[str, Any]
Callback: TypeAlias = Callable[[Event], None]

REMEMBERED: Final = 256
_PREFIXED: Final = frozenset({"health_status", "exec_create", "exec_start"})


class Subscription:
    """One listener; closed, it hears nothing more."""

    def __init__(self, events: "Events", wanted: Filters, until: int, callback: Callback) -> None:
        self._events = events
        self._wanted = wanted
        self._until = until
        self._callback = callback

    def offer(self, event: Event) -> None:
        if (not self._until or event["timeNano"] <= self._until) and wants(self._wanted, event):
            self._callback(event)

    def close(self) -> None:
        self._events.forget(self)


class Events:
    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._past: deque[Event] = deque(maxlen=REMEMBERED)
        self._subscriptions: list[Subscription] = []

    def publish(
        self, kind: str, action: str, ident: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        """kind is container, image, volume, network, daemon or builder."""
        with self._lock:
            # Under the lock, so that what is heard is in the order of its times.
            now = self._clock()
            event: Event = {
                "Type": kind,
                "Action": action,
                "Actor": {"ID": ident, "Attributes": dict(attributes or {})},
                "scope": "local",
                "time": now // 10**9,
                "timeNano": now,
            }
            self._past.append(event)
            for subscription in self._subscriptions:
                subscription.offer(event)

    def container(
        self, action: str, container: Container, attributes: Mapping[str, str] | None = None
    ) -> None:
        """An event of a container: its labels are attributes, its name and image win over them."""
        config = container.config
        known = {**(attributes or {}), **config.labels}
        if config.image:
            known["image"] = config.image
        known["name"] = container.name
        self.publish("container", action, container.id, known)

    def image(self, action: str, ident: str, name: str, labels: Mapping[str, str]) -> None:
        self.publish("image", action, ident, {**labels, **({"name": name} if name else {})})

    def volume(self, action: str, name: str, attributes: Mapping[str, str]) -> None:
        self.publish("volume", action, name, attributes)

    def network(self, action: str, ident: str, attributes: Mapping[str, str]) -> None:
        self.publish("network", action, ident, attributes)

    def subscribe(
        self, wanted: Filters, since: int, until: int, callback: Callback
    ) -> Subscription:
        """Call back for what is remembered from since to until, then for all that comes.

        Times are nanoseconds, 0 is none: without either there is no past to tell.
        """
        subscription = Subscription(self, wanted, until, callback)
        with self._lock:
            if since or until:
                for event in self._past:
                    if event["timeNano"] >= since:
                        subscription.offer(event)
            self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    @property
    def listeners(self) -> int:
        return len(self._subscriptions)


def wants(wanted: Filters, event: Event) -> bool:
    """Whether the filters of an events stream let the event through; unknown keys are ignored."""
    if not wanted:
        return True
    attributes = event["Actor"]["Attributes"]
    return (
        _action(wanted, event["Action"])
        and filters.exact(wanted, "type", event["Type"])
        and filters.exact(wanted, "scope", event["scope"])
        and all(_actor(wanted, kind, event) for kind in _KINDS)
        and _image(wanted, event)
        and filters.labels(wanted, attributes)
    )


_KINDS: Final = (
    "daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config",
)  # fmt: skip


def _action(wanted: Filters, action: str) -> bool:
    """`exec_start` stands for `exec_start: /bin/sh`."""
    if _PREFIXED.intersection(wanted.get("event", ())):
        return filters.fuzzy(wanted, "event", action)
    return filters.exact(wanted, "event", action)


def _actor(wanted: Filters, kind: str, event: Event) -> bool:
    if not wanted.get(kind):
        return True
    actor = event["Actor"]
    names = (actor["ID"], actor["Attributes"].get("name", ""))
    return any(filters.fuzzy(wanted, kind, name) for name in names)


def _image(wanted: Filters, event: Event) -> bool:
    if not wanted.get("image"):
        return True
    actor = event["Actor"]
    name = actor["Attributes"].get("name" if event["Type"] == "image" else "image", "")
    known = (actor["ID"], name, _untagged(actor["ID"]), _untagged(name))
    return any(filters.exact(wanted, "image", text) for text in known)


def _untagged(name: str) -> str:
    try:
        return reference.parse(name).familiar_name
    except errors.Invalid:
        return name
