"""/_ping, /version, /info, /auth and OPTIONS."""

from tests.api.client import Client
from tests.api.conftest import Running


def test_ping(client: Client) -> None:
    answer = client.get("/_ping")

    assert answer.body == b"OK"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["Builder-Version"] == "1"
    assert answer.headers["Swarm"] == "inactive"


def test_version_says_what_the_api_speaks(client: Client) -> None:
    shown = client.get("/v1.30/version").json

    assert (shown["ApiVersion"], shown["MinAPIVersion"]) == ("1.56", "1.24")
    details = shown["Components"][0]["Details"]
    assert (details["ApiVersion"], details["MinAPIVersion"]) == ("1.56", "1.24")
    assert details["KernelVersion"] == "6.1"


def test_info_is_of_the_version_asked(client: Client) -> None:
    assert "BridgeNfIptables" in client.get("/v1.49/info").json
    assert "BridgeNfIptables" not in client.get("/info").json
    assert client.get("/info").json["Name"] == "fake"


def test_options_are_anything(client: Client) -> None:
    answer = client.ask("OPTIONS", "/v1.51/containers/json")

    assert (answer.status, answer.body) == (200, b"")


def test_nobody_can_log_in_yet(client: Client) -> None:
    assert client.post("/auth", {"username": "a", "password": "b"}).status == 501


def test_slow_info_does_not_stop_pings(running: Running, client: Client) -> None:
    client.request("GET", "/info")
    with running.client() as other:
        assert other.get("/_ping").body == b"OK"
    assert client.answer().status == 200
