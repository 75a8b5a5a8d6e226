from pathlib import Path

from pinnace.cli import config


def test_nothing_need_be_there(tmp_path: Path) -> None:
    found = config.load(str(tmp_path), {})

    assert found.text("psFormat") == ""
    assert found.headers == {}
    assert found.auths == {}


def test_a_damaged_file_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    assert config.load(str(tmp_path), {}).document == {}


def test_where_it_is_looked_for(tmp_path: Path) -> None:
    assert config.load("/c", {"DOCKER_CONFIG": "/d"}).path == "/c/config.json"
    assert config.load("", {"DOCKER_CONFIG": "/d"}).path == "/d/config.json"
    assert config.load("", {"HOME": "/h"}).path == "/h/.docker/config.json"


def test_proxies_are_for_a_daemon_or_for_all() -> None:
    document = {
        "proxies": {
            "default": {"httpProxy": "http://a", "noProxy": "x"},
            "unix:///s": {"httpsProxy": "http://b"},
        }
    }
    found = config.Config("", document)

    assert found.proxies("") == {
        "HTTP_PROXY": "http://a",
        "http_proxy": "http://a",
        "NO_PROXY": "x",
        "no_proxy": "x",
    }
    assert found.proxies("unix:///s") == {"HTTPS_PROXY": "http://b", "https_proxy": "http://b"}


def test_it_is_saved_whole_and_for_its_owner(tmp_path: Path) -> None:
    found = config.load(str(tmp_path / "new"), {})
    found.document["a"] = {"b": 1}

    found.save()

    path = tmp_path / "new" / "config.json"
    assert path.read_text() == '{\n\t"a": {\n\t\t"b": 1\n\t}\n}'
    assert path.stat().st_mode & 0o777 == 0o600
    assert config.load(str(tmp_path / "new"), {}).document == {"a": {"b": 1}}
