"""The log options of a container, as Docker accepts and refuses them → what a driver needs.

Docker looks twice: at create only at names and at the options that every driver has
(`validate`), at start, and when logs are read, at the driver's own values (`parse`).
The words and Go's number grammar are those of moby 28 (daemon/logger/factory.go,
jsonfilelog/jsonfilelog.go, local/config.go) and docker/go-units.
"""

import math
from collections.abc import Mapping

import msgspec

from pinnace import errors

DRIVERS = ("json-file", "local", "none")

_ATTRIBUTES = {"env", "env-regex", "labels", "labels-regex", "tag"}
_OWN_OPTIONS = _ATTRIBUTES | {"max-file", "max-size", "compress"}
_EVERY_DRIVERS = {"mode", "max-buffer-size"} | {
    f"cache-{name}" for name in (*_OWN_OPTIONS, "disabled")
}

# Docker's json-file grows without bound unless told otherwise, and fills disks; here it is
# bounded, as Docker's documentation asks its users to do by hand.
_JSON_FILE_SIZE = 20 * 1000 * 1000
_LOCAL_SIZE = 20 * 1024 * 1024
_FILES = 5


class Settings(msgspec.Struct, frozen=True):
    """How much a driver keeps."""

    max_size: int  # a file that has reached it is rotated; 0: never
    max_files: int  # the current one and the rotated ones
    compress: bool


def validate(name: str, options: Mapping[str, str]) -> None:
    """What Docker refuses when a container is created."""
    if name == "none":
        return
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise errors.Invalid(f"logger: logging mode not supported: {mode}")
    _check_buffer_size(mode, options.get("max-buffer-size"))
    disabled = options.get("cache-disabled", "")
    if disabled and disabled not in _TRUE | _FALSE:
        raise errors.Invalid(f"invalid value for option cache-disabled: {disabled}")
    if name not in DRIVERS:
        raise errors.Invalid(f"logger: no log driver named '{name}' is registered")
    for option in sorted(options.keys() - _OWN_OPTIONS - _EVERY_DRIVERS):
        driver = "json-file log driver" if name == "json-file" else "log driver local"
        raise errors.Invalid(f"unknown log opt '{option}' for {driver}")


def parse(name: str, options: Mapping[str, str]) -> Settings:
    """The values of a driver's options; Docker refuses wrong ones when a container starts."""
    if name == "json-file":
        return _parse_json_file(options)
    if name == "local":
        return _parse_local(options)
    if name == "none":
        return Settings(0, 1, compress=False)
    raise errors.Invalid(f"logger: no log driver named '{name}' is registered")


def _check_buffer_size(mode: str, size: str | None) -> None:
    if size is None:
        return
    if mode != "non-blocking":
        raise errors.Invalid(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        )
    with _Prefix("error parsing option max-buffer-size: "):
        bytes_of(size, 1024)


def _parse_json_file(options: Mapping[str, str]) -> Settings:
    size = None
    if "max-size" in options:
        size = bytes_of(options["max-size"], 1000)
        if size <= 0:
            raise errors.Invalid("max-size must be a positive number")
    files = None
    if "max-file" in options:
        files = _integer(options["max-file"])
        if files < 1:
            raise errors.Invalid("max-file cannot be less than 1")
    compress = _boolean(options.get("compress", "false"))
    if compress and (files in (None, 1) or size is None):
        raise errors.Invalid(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    if size is None:
        return Settings(_JSON_FILE_SIZE, files or _FILES, compress)
    return Settings(size, files or 1, compress)


def _parse_local(options: Mapping[str, str]) -> Settings:
    size, files, compress = _LOCAL_SIZE, _FILES, True
    if (text := options.get("max-size")) is not None:
        with _Prefix(f"invalid value for max-size: {text}: "):
            size = bytes_of(text, 1000)
    if (text := options.get("max-file")) is not None:
        with _Prefix(f"invalid value for max-file: {text}: "):
            files = _integer(text)
    if (text := options.get("compress")) is not None:
        with _Prefix("error reading compress log option: "):
            compress = _boolean(text)
    if files < 0:
        raise errors.Invalid("max file count cannot be less than 0")
    if compress and files <= 1:
        raise errors.Invalid("compression cannot be enabled when max file count is 1")
    # With a size of 0, which Docker takes, every entry gets a file of its own; so does 1.
    return Settings(max(size, 1), max(files, 1), compress)


class _Prefix:
    """Go's errors.Wrap: what was being read, before what is wrong with it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, errors.Invalid):
            raise errors.Invalid(self._prefix + error.message) from error


# Go's strconv and docker/go-units

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_DIGITS = frozenset("0123456789")
_FLOAT = _DIGITS | frozenset("+-.eE")
_UNITS = "kmgtp"


def bytes_of(text: str, base: int) -> int:
    """A size for people ("20m", "1.5 GB", "64KiB"); base is what "k" means, 1000 or 1024."""
    split = max(text.rfind(c) for c in "0123456789. ")
    if split < 0:
        raise errors.Invalid(f"invalid size: '{text}'")
    number = text[:split] if text[split] == " " else text[: split + 1]
    suffix = text[split + 1 :]
    size = _float(number)
    if size < 0:
        raise errors.Invalid(f"invalid size: '{text}'")
    return int(min(size * _multiplier(suffix, base), (1 << 63) - 1))


def _multiplier(suffix: str, base: int) -> int:
    unit = suffix.lower()
    if unit in ("", "b"):
        return 1
    if unit[0] in _UNITS and unit[1:] in ("", "b", "ib"):
        return int(base ** (1 + _UNITS.index(unit[0])))
    # go-units lowers the suffix before it complains, unless it is too long to look at.
    raise errors.Invalid(f"invalid suffix: '{unit if len(suffix) <= 3 else suffix}'")


def _float(text: str) -> float:
    try:
        value = float(text) if _FLOAT.issuperset(text) else None
    except ValueError:
        value = None
    if value is None:
        raise errors.Invalid(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
    if math.isinf(value):
        raise errors.Invalid(f'strconv.ParseFloat: parsing "{text}": value out of range')
    return value


def _integer(text: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits or not _DIGITS.issuperset(digits):
        raise errors.Invalid(f'strconv.Atoi: parsing "{text}": invalid syntax')
    value = int(text) if len(digits) < 40 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise errors.Invalid(f'strconv.Atoi: parsing "{text}": value out of range')
    return value


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise errors.Invalid(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE
