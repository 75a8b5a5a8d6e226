"""Times and durations as Go writes them."""

import msgspec
import pytest

from pinnace.api import types

SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1_795_455_548_058_956_169, "2026-11-23T17:39:08.058956169Z"),
        (1_795_455_548_258_170_000, "2026-11-23T17:39:08.25817Z"),
        (1_795_455_548_000_000_000, "2026-11-23T17:39:08Z"),
    ],
)
def test_times(nanoseconds: int, text: str) -> None:
    assert types.show_time(nanoseconds) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (-5, "Less than a second"),
        (SECOND - 1, "Less than a second"),
        (SECOND, "1 second"),
        (59 * SECOND, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations(duration: int, text: str) -> None:
    assert types.human_duration(duration) == text


def test_a_wait_has_an_error_only_if_there_is_one() -> None:
    assert msgspec.json.encode(types.WaitResponse(0)) == b'{"StatusCode":0}'
    failed = types.WaitResponse(1, types.WaitError("gone"))
    assert msgspec.json.decode(msgspec.json.encode(failed)) == {
        "StatusCode": 1,
        "Error": {"Message": "gone"},
    }
