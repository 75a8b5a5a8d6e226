import os
import platform
import shutil
import struct
from pathlib import Path

import pytest

from pinnace.store import elf

_RUNNERS = {"x86_64": "qemu-x86_64-static", "aarch64": "qemu-aarch64-static"}


def _command(machine: str, program: Path) -> list[str]:
    """How to run a program of another machine: with qemu's emulator, where there is one."""
    if platform.machine() == machine:
        return [str(program)]
    emulator = shutil.which(_RUNNERS[machine])
    if emulator is None:
        pytest.skip(f"{_RUNNERS[machine]} is not installed")
    return [emulator, str(program)]


def _run(command: list[str], stdout: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, stdout, 1)]
    pid = os.posix_spawn(command[0], command, {}, file_actions=actions)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(params=list(_RUNNERS))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("message", [elf.GREETING, b"x", b"\0\xff" * 30000], ids=len)
def test_the_message_is_written(machine: str, message: bytes, tmp_path: Path) -> None:
    program = tmp_path / "hello"
    program.write_bytes(elf.hello(message, machine))
    program.chmod(0o755)

    with (tmp_path / "output").open("wb") as output:
        status = _run(_command(machine, program), output.fileno())

    assert status == 0
    assert (tmp_path / "output").read_bytes() == message


def test_a_message_that_cannot_be_written_is_told_by_the_status(
    machine: str, tmp_path: Path
) -> None:
    program = tmp_path / "hello"
    program.write_bytes(elf.hello(b"hello\n", machine))
    program.chmod(0o755)

    with open("/dev/full", "wb") as full:
        assert _run(_command(machine, program), full.fileno()) == 1


def test_a_part_that_was_written_is_not_taken_for_the_whole(machine: str, tmp_path: Path) -> None:
    """A pipe that does not wait takes what it has room for; the next write then fails."""
    program = tmp_path / "hello"
    message = bytes(range(256)) * 255
    program.write_bytes(elf.hello(message, machine))
    program.chmod(0o755)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    os.write(writer, bytes(16 * 4096 - 8192))  # a pipe holds 16 pages

    status = _run(_command(machine, program), writer)

    os.close(writer)
    with open(reader, "rb") as pipe:
        content = pipe.read()
    assert status == 1
    assert content[-8192:] == message[:8192]


def test_programs_are_small(machine: str) -> None:
    assert len(elf.hello(b"", machine)) < 256
    assert len(elf.hello(elf.GREETING, machine)) < 1024


def test_nothing_is_both_writable_and_executable(machine: str) -> None:
    content = elf.hello(elf.GREETING, machine)
    (offset,), (size, count) = (
        struct.unpack_from("<Q", content, 32),
        struct.unpack_from("<HH", content, 54),
    )
    headers = [struct.unpack_from("<II", content, offset + n * size) for n in range(count)]

    assert headers == [(1, 5), (0x6474E551, 6)]


def test_a_message_that_is_too_long_is_refused(machine: str) -> None:
    with pytest.raises(ValueError, match="too long"):
        elf.hello(bytes(elf.MAX_MESSAGE + 1), machine)


def test_the_greeting_fits_a_terminal() -> None:
    lines = elf.GREETING.decode().splitlines()

    assert max(map(len, lines)) <= 84
    assert "docker run" in elf.GREETING.decode()
