import pytest

from pinnace.cli import progress
from pinnace.cli.arguments import Failure
from pinnace.cli.progress import Screen

PULL = [
    {"status": "Pulling from x", "id": "latest"},
    {"status": "Waiting", "progressDetail": {}, "id": "a"},
    {"status": "Waiting", "progressDetail": {}, "id": "b"},
    {"status": "Downloading", "progressDetail": {"current": 50, "total": 100}, "id": "a"},
    {"status": "Done", "progressDetail": {}, "id": "b"},
    {"status": "Status: Downloaded"},
]


def test_a_pipe_gets_plain_lines_without_bars() -> None:
    screen = Screen(1, width=0)

    assert "".join(screen.draw(message) for message in PULL) == (
        "latest: Pulling from x\na: Waiting\nb: Waiting\nb: Done\nStatus: Downloaded\n"
    )


def test_on_a_terminal_each_layer_has_its_line() -> None:
    screen = Screen(1, width=80)

    texts = [screen.draw(message) for message in PULL]

    assert texts == [
        "latest: Pulling from x\n",
        "\n\x1b[1A\x1b[2K\ra: Waiting \r\x1b[1B",
        "\n\x1b[1A\x1b[2K\rb: Waiting \r\x1b[1B",
        "\x1b[2A\x1b[2K\ra: Downloading      50B/100B\r\x1b[2B",
        "\x1b[1A\x1b[2K\rb: Done \r\x1b[1B",
        "Status: Downloaded\n",
    ]


@pytest.mark.parametrize(
    ("detail", "width", "bar"),
    [
        ({}, 80, ""),
        ({"current": 5_000}, 80, "     5kB"),
        ({"current": 3, "units": "layers"}, 80, "3 layers"),
        ({"current": 3, "total": 4, "units": "layers"}, 80, "3/4 layers"),
        ({"current": 1_000_000, "total": 2_000_000}, 80, "     1MB/2MB"),
        ({"current": 3_000, "total": 2_000}, 80, "     3kB"),
        ({"current": 1, "total": 2, "hidecounts": True}, 80, ""),
        (
            {"current": 10, "total": 100},
            120,
            "[=====>                                             ]      10B/100B",
        ),
        (
            {"current": 100, "total": 100},
            120,
            "[==================================================>]     100B/100B",
        ),
    ],
)
def test_bars(detail: dict[str, object], width: int, bar: str) -> None:
    assert Screen(1, width)._bar(detail) == bar


def test_the_time_left_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "time", lambda: 1060.0)

    assert Screen(1, 80)._bar({"current": 1, "total": 100, "start": 1000}).endswith(" 1h39m0s")


def test_a_failure_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    messages = [{"status": "a"}, {"errorDetail": {"message": "no space"}, "error": "no space"}]

    with pytest.raises(Failure, match="no space"):
        progress.display(messages)

    assert capfd.readouterr().out == "a\n"


def test_quiet_says_nothing_but_failures(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[object] = []

    progress.display([{"status": "a"}, {"aux": {"ID": "x"}}], quiet=True, aux=seen.append)

    assert capfd.readouterr().out == ""
    assert seen == [{"ID": "x"}]
