import json
from pathlib import Path

import pytest

from pinnace.cli import arguments, daemon_settings
from pinnace.cli.arguments import Failure
from pinnace.cli.daemon_settings import Settings


def read(*words: str, file: Path | None = None, **directives: object) -> Settings:
    if file is not None:
        file.write_text(json.dumps({key.replace("_", "-"): v for key, v in directives.items()}))
        words = (*words, "--config-file", str(file))
    else:
        words = ("--config-file", "/dev/null", *words)
    values = arguments.parse(words, daemon_settings.OPTIONS, interspersed=True)
    return daemon_settings.read(values, [], debug=False)


def test_defaults() -> None:
    settings = read()

    assert settings.hosts == ["unix:///run/pinnace/pinnace.sock"]
    assert settings.data_root == "/var/lib/pinnace"
    assert settings.runtime_root == "/run/pinnace"
    assert settings.group == "docker"
    assert settings.debug is False
    assert settings.shm_size == 64 << 20


def test_flags_are_dockerds() -> None:
    settings = read(
        *("-H", "unix:///a", "--host=tcp://127.0.0.1:1", "--data-root", "/d", "--exec-root", "/e"),
        *("-p", "/pid", "-G", "wheel", "-D", "--log-driver", "local", "--log-opt", "max-size=1m"),
        *("--label", "a=b", "--default-shm-size", "1g", "--init", "--cgroup-parent", "/p"),
    )

    assert settings.hosts == ["unix:///a", "tcp://127.0.0.1:1"]
    assert (settings.data_root, settings.runtime_root) == ("/d", "/e")
    assert (settings.pidfile, settings.group, settings.debug) == ("/pid", "wheel", True)
    assert settings.engine_options() == {
        "cgroup_parent": "/p",
        "shm_size": 1 << 30,
        "log_driver": "local",
        "log_options": {"max-size": "1m"},
        "init": True,
        "labels": ["a=b"],
        "default_runtime": "pinnace",
        "runtimes": {},
    }


def test_the_runtime_root_has_two_names() -> None:
    assert read("--runtime-root", "/r").runtime_root == "/r"


def test_the_file_says_the_same_in_its_own_words(tmp_path: Path) -> None:
    settings = read(
        file=tmp_path / "daemon.json",
        hosts=["unix:///f"],
        debug=True,
        labels=["x=y"],
        log_opts={"max-file": "3"},
        default_shm_size="128m",
        runtimes={"runc": {"path": "/bin/runc", "runtimeArgs": ["--debug"]}},
        registry_mirrors=[],
    )

    assert settings.hosts == ["unix:///f"]
    assert settings.debug is True
    assert settings.shm_size == 128 << 20
    assert settings.log_options == {"max-file": "3"}
    assert settings.runtimes == {"runc": ["/bin/runc", "--debug"]}


def test_a_directive_without_effect_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    read(file=tmp_path / "daemon.json", userns_remap="default")

    assert "the directive userns-remap is not supported" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "directives", "message"),
    [
        (
            (),
            {"foo": 1, "bar": 2},
            "the following directives don't match any configuration option: bar, foo",
        ),
        (("-D",), {"debug": True}, "specified both as a flag and in the configuration file: debug"),
        ((), {"debug": "yes"}, "debug must be a bool"),
        ((), {"runtimes": {"x": {}}}, "runtime x has no path"),
        ((), {"default-shm-size": "huge"}, "invalid size: 'huge'"),
        (("--label", "x"), {}, "bad attribute format: x"),
        (("-H", "foo://x"), {}, "invalid bind address format: foo://x"),
    ],
)
def test_what_is_refused(
    words: tuple[str, ...], directives: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(Failure) as raised:
        read(*words, file=tmp_path / "daemon.json", **directives)

    assert message in raised.value.message


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    words = ["--config-file", str(tmp_path / "none")]
    values = arguments.parse(words, daemon_settings.OPTIONS, interspersed=True)

    with pytest.raises(Failure, match="no such file or directory"):
        daemon_settings.read(values, [], debug=False)


def test_addresses_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "2")
    socket = tmp_path / "folder" / "sock"
    settings = read("-H", "fd://", "-H", f"unix://{socket}", "-H", "tcp://127.0.0.1")

    assert settings.listen_addresses() == [
        "fd://3",
        "fd://4",
        f"unix://{socket}",
        "tcp://127.0.0.1:2375",
    ]
    assert socket.parent.is_dir()


def test_sockets_that_nobody_passed_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)

    with pytest.raises(Failure, match="no sockets found via socket activation"):
        read("-H", "fd://").listen_addresses()
