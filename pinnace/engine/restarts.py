"""Whether and when a container that has exited is started again (pure).

Source: moby, restartmanager: back-off from 100 ms, doubled each time up to a minute, begun anew
after a run of ten seconds.
"""

from pinnace.engine.documents import Container

_FIRST, _LONGEST = 0.1, 60.0
_GOOD_RUN_NS = 10_000_000_000


def decide(container: Container, now_ns: int) -> float | None:
    """Seconds until the next start, or None: it stays as it is."""
    if container.has_been_manually_stopped:
        return None
    policy = container.host_config.restart_policy
    match policy.name:
        case "always" | "unless-stopped":
            wanted = True
        case "on-failure":
            limit = policy.maximum_retry_count
            within = not limit or container.restart_count < limit
            wanted = container.state.exit_code != 0 and within
        case _:
            wanted = False
    return delay(container, now_ns) if wanted else None


def at_boot(container: Container) -> bool:
    """Whether an exited container is started when the engine is."""
    if not container.has_been_started_before:
        return False
    match container.host_config.restart_policy.name:
        case "always":
            return True
        case "unless-stopped":
            return not container.has_been_manually_stopped
        case "on-failure":
            return container.state.exit_code != 0 and not container.has_been_manually_stopped
    return False


def delay(container: Container, now_ns: int) -> float:
    if now_ns - container.state.started_at >= _GOOD_RUN_NS:
        return _FIRST
    return min(_LONGEST, _FIRST * 2.0 ** min(container.restart_count, 20))
