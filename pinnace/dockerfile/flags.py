"""The flags of an instruction (--from=x --link): which are known, and what was given."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pinnace.dockerfile.source import DockerfileError
from pinnace.dockerfile.suggest import hint


@dataclass(frozen=True, slots=True)
class Flags:
    """What was given; the booleans, strings and lists under their names."""

    booleans: dict[str, bool] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def string(self, name: str, default: str = "") -> str:
        return self.strings.get(name, default)

    def boolean(self, name: str) -> bool:
        return self.booleans.get(name, False)

    def list(self, name: str) -> tuple[str, ...]:
        return self.lists.get(name, ())


def parse(
    given: Sequence[str],
    *,
    booleans: Sequence[str] = (),
    strings: Sequence[str] = (),
    lists: Sequence[str] = (),
) -> Flags:
    """Raises DockerfileError for a flag that is unknown, repeated or without its value."""
    flags = Flags()
    for argument in given:
        spelled, equals, value = argument.partition("=")
        name = spelled[2:]
        if name not in (*booleans, *strings, *lists):
            raise DockerfileError(
                f"unknown flag: {spelled}{hint(name, (*strings, *booleans, *lists))}"
            )
        if name in flags.booleans or name in flags.strings:
            raise DockerfileError(f"duplicate flag specified: {spelled}")
        if name in booleans:
            flags.booleans[name] = _boolean(spelled, equals, value)
            continue
        if not equals:
            raise DockerfileError(f"missing a value on flag: {spelled}")
        if name in strings:
            flags.strings[name] = value
        else:
            flags.lists[name] = (*flags.list(name), value)
    return flags


def _boolean(spelled: str, equals: str, value: str) -> bool:
    if equals and not value:
        raise DockerfileError(f"missing a value on flag: {spelled}")
    if value.lower() not in ("", "true", "false"):
        raise DockerfileError(f"expecting boolean value for flag {spelled}, not: {value}")
    return value.lower() != "false"
