import time

import pytest

from pinnace.cli import moments


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments.time, "time_ns", lambda: 1_700_000_000_123_456_789)
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("", ""),
        ("0", "0"),
        ("1136073600", "1136073600"),
        ("1136073600.5", "1136073600.5"),
        ("0s", "1700000000.123456789"),
        ("1m", "1699999940.123456789"),
        ("1.5h", "1699994600.123456789"),
        ("2006-01-02T15:04:05Z", "1136214245.000000000"),
        ("2006-01-02T15:04:05.000000001Z", "1136214245.000000001"),
        ("2006-01-02T15:04:05+01:00", "1136210645.000000000"),
        ("2006-01-02T15:04:05", "1136207045.000000000"),
        ("2006-01-02T15:04", "1136207040.000000000"),
        ("2006-01-02", "1136152800.000000000"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert moments.timestamp(text) == moment


@pytest.mark.parametrize("text", ["foo", "2006", "2006-01", "2006-1-2Tx", "12:30"])
def test_what_is_no_moment(text: str) -> None:
    if text.isdigit():
        assert moments.timestamp(text) == text
        return
    with pytest.raises(ValueError, match="failed to parse value as time or duration"):
        moments.timestamp(text)
