import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import fakes
from tests.cli.conftest import Invoke
from tests.cli.fakes import Answer, FakeDaemon, Request

Start = Callable[..., FakeDaemon]
MESSAGES = b'{"status":"Pulling","id":"1"}\n{"status":"Status: done"}\n'


def transferring(request: Request) -> Answer | None:
    if request.method == "POST" and ("/images/create" in request.path or "/push" in request.path):
        return Answer(200, MESSAGES)
    if request.path == "/auth":
        return fakes.document({"Status": "Login Succeeded", "IdentityToken": ""})
    return None


def sent_auth(fake: FakeDaemon) -> dict[str, str]:
    header = fake.requests[-1].headers.get("x-registry-auth", "")
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(header)) if header else {}
    return found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    secret = base64.b64encode(b"me:pass:word").decode()
    path = tmp_path / "docker"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"auths": {"reg.example": {"auth": secret}}}))
    return path


def test_credentials_of_the_registry_go_along(invoke: Invoke, daemon: Start, config: Path) -> None:
    fake = daemon(transferring)

    invoke("--config", str(config), "pull", "-q", "reg.example/x", host=fake.host)

    assert sent_auth(fake) == {
        "username": "me",
        "password": "pass:word",
        "serveraddress": "reg.example",
    }


def test_another_registry_gets_none(invoke: Invoke, daemon: Start, config: Path) -> None:
    fake = daemon(transferring)

    invoke("--config", str(config), "pull", "other.example/x", host=fake.host)

    assert "x-registry-auth" not in fake.requests[-1].headers


def test_a_push_always_says_who_it_is(invoke: Invoke, daemon: Start) -> None:
    fake = daemon(transferring)

    done = invoke("push", "reg.example/x:1", host=fake.host)

    assert done == (0, "1: Pulling\nStatus: done\n", "")
    assert fake.requests[-1].path == "/images/reg.example/x/push?tag=1"
    assert sent_auth(fake) == {}


def test_a_missing_image_is_pulled_before_it_is_run(invoke: Invoke, daemon: Start) -> None:
    def respond(request: Request) -> Answer | None:
        if request.path.startswith("/containers/create") and not fake.asked("POST", "/images"):
            return fakes.refusal(404, "No such image: x:latest")
        return transferring(request) or fakes.creating(request)

    fake = daemon(respond)

    done = invoke("create", "x", host=fake.host)

    assert done.stdout == f"{fakes.CONTAINER_ID}\n"
    assert done.stderr == ("Unable to find image 'x:latest' locally\n1: Pulling\nStatus: done\n")


def test_login_keeps_what_works(invoke: Invoke, daemon: Start, config: Path) -> None:
    fake = daemon(transferring)
    words = ["--config", str(config), "login", "-u", "you", "--password-stdin", "new.example"]

    done = invoke(*words, host=fake.host, stdin=b"secret\n")

    assert done.stdout == "Login Succeeded\n"
    assert fake.requests[-1].document == {
        "username": "you",
        "password": "secret",
        "serveraddress": "new.example",
    }
    kept = json.loads((config / "config.json").read_text())["auths"]
    assert base64.b64decode(kept["new.example"]["auth"]) == b"you:secret"
    assert "reg.example" in kept
    assert (config / "config.json").stat().st_mode & 0o777 == 0o600


def test_logout_forgets(invoke: Invoke, daemon: Start, config: Path) -> None:
    done = invoke("--config", str(config), "logout", "reg.example", host=daemon().host)

    assert done.stdout == "Removing login credentials for reg.example\n"
    assert json.loads((config / "config.json").read_text())["auths"] == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "x", "--password-stdin"], "conflicting options"),
        (["--password-stdin"], "requires --username"),
        ([], "Cannot perform an interactive login from a non TTY device"),
    ],
)
def test_login_without_a_password(
    words: list[str], message: str, invoke: Invoke, daemon: Start
) -> None:
    assert message in invoke("login", *words, host=daemon().host).stderr
