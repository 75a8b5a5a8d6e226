import msgspec
import pytest

from pinnace.engine import restarts
from pinnace.engine.documents import Container, HostConfig, RestartPolicy, State

SECOND = 1_000_000_000


def container(policy: str, *, maximum: int = 0, code: int = 1, tries: int = 0) -> Container:
    host = HostConfig(restart_policy=RestartPolicy(name=policy, maximum_retry_count=maximum))
    state = State(exit_code=code, started_at=100 * SECOND)
    return Container(
        id="a", host_config=host, state=state, restart_count=tries, has_been_started_before=True
    )


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("", 1, False),
        ("no", 1, False),
        ("always", 0, True),
        ("always", 1, True),
        ("unless-stopped", 0, True),
        ("on-failure", 0, False),
        ("on-failure", 3, True),
    ],
)
def test_who_is_started_again(policy: str, code: int, again: bool) -> None:
    decided = restarts.decide(container(policy, code=code), 101 * SECOND)

    assert (decided is not None) is again


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_who_was_stopped_is_not(policy: str) -> None:
    stopped = container(policy)
    stopped.has_been_manually_stopped = True

    assert restarts.decide(stopped, 101 * SECOND) is None


def test_tries_are_counted() -> None:
    assert restarts.decide(container("on-failure", maximum=2, tries=1), 101 * SECOND) is not None
    assert restarts.decide(container("on-failure", maximum=2, tries=2), 101 * SECOND) is None


def test_the_delay_doubles_up_to_a_minute_and_begins_anew_after_a_good_run() -> None:
    delays = [restarts.decide(container("always", tries=n), 101 * SECOND) for n in range(12)]

    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert restarts.decide(container("always", tries=9), 110 * SECOND) == 0.1


@pytest.mark.parametrize(
    ("policy", "stopped", "code", "started"),
    [
        ("always", True, 0, True),
        ("unless-stopped", False, 0, True),
        ("unless-stopped", True, 0, False),
        ("on-failure", False, 1, True),
        ("on-failure", False, 0, False),
        ("no", False, 1, False),
    ],
)
def test_who_is_started_with_the_engine(
    policy: str, stopped: bool, code: int, started: bool
) -> None:
    exited = container(policy, code=code)
    exited.has_been_manually_stopped = stopped

    assert restarts.at_boot(exited) is started


def test_what_never_ran_is_not_started_with_the_engine() -> None:
    new = msgspec.structs.replace(container("always"), has_been_started_before=False)

    assert not restarts.at_boot(new)
