"""Log options, and Docker's words about wrong ones (recorded from 28.5.2)."""

import pytest

from pinnace import errors
from pinnace.supervisor.logs_settings import Settings, bytes_of, parse, validate


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("json-file", {}),
        ("json-file", {"max-size": "10m", "max-file": "3", "compress": "true"}),
        ("json-file", {"labels": "a", "labels-regex": "(", "env": "b", "env-regex": "c"}),
        ("json-file", {"tag": "{{.Name}}", "mode": "non-blocking", "max-buffer-size": "4m"}),
        ("json-file", {"max-size": "nonsense"}),  # refused at start only
        ("local", {"max-size": "10m", "mode": "blocking", "cache-disabled": "true"}),
        ("none", {"whatever": "x"}),
    ],
)
def test_what_docker_takes_at_create_is_taken(name: str, options: dict[str, str]) -> None:
    validate(name, options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("x", {}, "logger: no log driver named 'x' is registered"),
        ("json-file", {"foo": "bar"}, "unknown log opt 'foo' for json-file log driver"),
        ("local", {"foo": "1"}, "unknown log opt 'foo' for log driver local"),
        ("json-file", {"mode": "fast"}, "logger: logging mode not supported: fast"),
        (
            "json-file",
            {"max-buffer-size": "1m"},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "json-file",
            {"mode": "non-blocking", "max-buffer-size": "zz"},
            "error parsing option max-buffer-size: invalid size: 'zz'",
        ),
        ("local", {"cache-disabled": "q"}, "invalid value for option cache-disabled: q"),
    ],
)
def test_what_docker_refuses_at_create_is_refused_in_its_words(
    name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(errors.Invalid) as caught:
        validate(name, options)

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("json-file", {"max-size": "zzz"}, "invalid size: 'zzz'"),
        ("json-file", {"max-size": ""}, "invalid size: ''"),
        ("json-file", {"max-size": "-1"}, "invalid size: '-1'"),
        ("json-file", {"max-size": "0"}, "max-size must be a positive number"),
        ("json-file", {"max-size": "1q"}, "invalid suffix: 'q'"),
        ("json-file", {"max-size": "1KBIT"}, "invalid suffix: 'KBIT'"),
        ("json-file", {"max-size": "1KX"}, "invalid suffix: 'kx'"),
        (
            "json-file",
            {"max-size": "q1"},
            'strconv.ParseFloat: parsing "q1": invalid syntax',
        ),
        (
            "json-file",
            {"max-size": "1e400"},
            'strconv.ParseFloat: parsing "1e400": value out of range',
        ),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "a"}, 'strconv.Atoi: parsing "a": invalid syntax'),
        ("json-file", {"max-file": ""}, 'strconv.Atoi: parsing "": invalid syntax'),
        (
            "json-file",
            {"max-file": "99999999999999999999"},
            'strconv.Atoi: parsing "99999999999999999999": value out of range',
        ),
        (
            "json-file",
            {"compress": "maybe"},
            'strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (
            "json-file",
            {"compress": "true"},
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        ("local", {"max-size": "-1"}, "invalid value for max-size: -1: invalid size: '-1'"),
        (
            "local",
            {"max-file": "x"},
            'invalid value for max-file: x: strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("local", {"max-file": "-1"}, "max file count cannot be less than 0"),
        ("local", {"max-file": "1"}, "compression cannot be enabled when max file count is 1"),
        (
            "local",
            {"compress": "x"},
            'error reading compress log option: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        ("x", {}, "logger: no log driver named 'x' is registered"),
    ],
)
def test_what_docker_refuses_at_start_is_refused_in_its_words(
    name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(errors.Invalid) as caught:
        parse(name, options)

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("name", "options", "settings"),
    [
        ("json-file", {}, Settings(20_000_000, 5, compress=False)),
        ("json-file", {"max-file": "2"}, Settings(20_000_000, 2, compress=False)),
        ("json-file", {"max-size": "1k"}, Settings(1000, 1, compress=False)),
        (
            "json-file",
            {"max-size": "1k", "max-file": "+3", "compress": "1"},
            Settings(1000, 3, compress=True),
        ),
        ("local", {}, Settings(20 << 20, 5, compress=True)),
        ("local", {"max-size": "1k", "compress": "F"}, Settings(1000, 5, compress=False)),
        ("local", {"max-file": "0", "compress": "0"}, Settings(20 << 20, 1, compress=False)),
        ("none", {"max-size": "x"}, Settings(0, 1, compress=False)),
    ],
)
def test_a_log_is_bounded_as_asked_and_also_if_not_asked(
    name: str, options: dict[str, str], settings: Settings
) -> None:
    assert parse(name, options) == settings


@pytest.mark.parametrize(
    ("text", "base", "size"),
    [
        ("32", 1000, 32),
        ("32b", 1000, 32),
        ("32.5kB", 1000, 32500),
        ("32 GB", 1000, 32_000_000_000),
        ("1e3", 1000, 1000),
        ("1KiB", 1000, 1000),  # go-units: the suffix says which letter, the caller which base
        ("1KiB", 1024, 1024),
        ("2t", 1024, 2 << 40),
        ("3P", 1024, 3 << 50),
        (".5m", 1000, 500_000),
        ("1e300p", 1000, (1 << 63) - 1),
    ],
)
def test_sizes_are_read_as_go_units_reads_them(text: str, base: int, size: int) -> None:
    assert bytes_of(text, base) == size


@pytest.mark.parametrize("text", [" 1", "1_000", "0x10", "nan1", "--1"])
def test_numbers_that_only_python_takes_are_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        bytes_of(text, 1000)
