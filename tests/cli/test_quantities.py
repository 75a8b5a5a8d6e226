import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.cli import quantities


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1k", 1024),
        ("1K", 1024),
        ("1kb", 1024),
        ("1KiB", 1024),
        ("1.5m", 1572864),
        ("2 g", 2 << 30),
        ("1t", 1 << 40),
        ("1p", 1 << 50),
        ("7b", 7),
        (".5k", 512),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert quantities.size(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("abc", "invalid size: 'abc'"),
        ("-5", "invalid size: '-5'"),
        ("5x", "invalid suffix: 'x'"),
        ("5kx", "invalid suffix: 'kx'"),
        ("5bb", "invalid suffix: 'bb'"),
        ("5kilo", "invalid suffix: 'kilo'"),
        ("1_0", 'strconv.ParseFloat: parsing "1_0": invalid syntax'),
        ("1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
    ],
)
def test_sizes_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        quantities.size(text)

    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1h30m", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("100ms", 10**8),
        ("-2s", -2 * 10**9),
        ("+3us", 3000),
        ("1m0.25s", 60_250_000_000),
        ("5ns", 5),
    ],
)
def test_durations(text: str, value: int) -> None:
    assert quantities.duration(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("1.2.3s", 'time: invalid duration "1.2.3s"'),
        (".s", 'time: invalid duration ".s"'),
    ],
)
def test_durations_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        quantities.duration(text)

    assert str(raised.value) == message


@pytest.mark.parametrize(("text", "value"), [("1", 10**9), ("0.5", 5 * 10**8), ("1/4", 25 * 10**7)])
def test_processors_are_exact(text: str, value: int) -> None:
    assert quantities.cpus(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "failed to parse x as a rational number"),
        ("1/0", "failed to parse 1/0 as a rational number"),
        ("0.00000000001", "value is too precise"),
    ],
)
def test_processors_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        quantities.cpus(text)

    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("-5", -5), ("+5", 5), ("0x10", 16), ("010", 8), ("1_000", 1000)]
)
def test_integers_have_gos_bases(text: str, value: int) -> None:
    assert quantities.integer(text) == value


def test_integers_have_limits() -> None:
    with pytest.raises(ValueError, match="value out of range"):
        quantities.integer(str(1 << 63))
    with pytest.raises(ValueError, match="value out of range"):
        quantities.unsigned16("65536")
    with pytest.raises(ValueError, match="invalid syntax"):
        quantities.unsigned("-1")


@given(st.text(alphabet="0123456789.kmgbi -_x", max_size=8))
def test_any_size_is_read_or_refused(text: str) -> None:
    try:
        assert quantities.size(text) >= 0
    except ValueError as error:
        assert str(error)


@given(st.integers(min_value=0, max_value=10**15))
def test_a_duration_in_nanoseconds_is_itself(count: int) -> None:
    assert quantities.duration(f"{count}ns") == count
