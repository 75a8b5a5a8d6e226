"""All routes. The order counts where two match: a fixed path comes before a pattern by itself,
between patterns the first one wins, and DELETE /containers/{name} would match anything below."""

from typing import Final

from pinnace.api import (
    absent,
    attach,
    containers,
    events,
    execs,
    images,
    networks,
    system,
    volumes,
)
from pinnace.api.router import Route

ROUTES: Final[list[Route]] = [
    *absent.ROUTES,
    *system.ROUTES,
    *attach.ROUTES,
    *execs.ROUTES,
    *containers.ROUTES,
    *images.ROUTES,
    *volumes.ROUTES,
    *networks.ROUTES,
    *events.ROUTES,
]
