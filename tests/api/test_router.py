"""Paths, versions, and errors as statuses."""

import concurrent.futures
import threading
from typing import Any

import pytest

from pinnace import errors
from pinnace.api import messages, router
from pinnace.api.messages import NO_BODY, Request, Response
from pinnace.api.router import Pools, Route, Router
from tests.api.client import Client
from tests.api.conftest import Running
from tests.harness.deadline import until


def test_every_answer_carries_the_standard_headers(client: Client) -> None:
    for target in ("/_ping", "/containers/json", "/nosuch", "/v1.99/_ping"):
        headers = client.get(target).headers
        assert headers["Api-Version"] == "1.56"
        assert headers["Docker-Experimental"] == "false"
        assert headers["Ostype"] == "linux"
        assert headers["Server"].startswith("Docker/")


@pytest.mark.parametrize("path", ["/nosuch", "/v1.51/nosuch", "/", "/vx/_ping", "/v1.51"])
def test_unknown_pages(client: Client, path: str) -> None:
    answer = client.get(path)

    assert (answer.status, answer.message) == (404, "page not found")


@pytest.mark.parametrize(("method", "path"), [("PUT", "/_ping"), ("POST", "/containers/json")])
def test_a_page_of_another_method_is_unknown(client: Client, method: str, path: str) -> None:
    answer = client.ask(method, path)

    assert (answer.status, answer.message) == (404, "page not found")


@pytest.mark.parametrize(
    "version", ["1.24", "1.30", "1.41", "1.51", "1.56", "1.051", "1.24.0", "1.56.0"]
)
def test_served_versions(client: Client, version: str) -> None:
    assert client.get(f"/v{version}/_ping").body == b"OK"


def test_a_version_of_the_future_is_refused(client: Client) -> None:
    answer = client.get("/v1.99/_ping")

    assert answer.status == 400
    assert answer.message == (
        "client version 1.99 is too new. Maximum supported API version is 1.56"
    )


@pytest.mark.parametrize("version", ["1.10", "1.23", "1.2.3", "1", "0", "..."])
def test_an_ancient_version_is_refused_in_plain_text(client: Client, version: str) -> None:
    answer = client.get(f"/v{version}/_ping")

    assert answer.status == 400
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body.decode() == (
        f"client version {version} is too old. Minimum supported API version is 1.24, please "
        "upgrade your client to a newer version\n"
    )


@pytest.mark.parametrize("version", ["2", "1.57", "1.999999999999999999"])
def test_other_new_versions_are_refused(client: Client, version: str) -> None:
    assert client.get(f"/v{version}/_ping").status == 400


def test_a_page_newer_than_the_version_is_refused(client: Client) -> None:
    answer = client.post("/v1.24/containers/prune")

    assert answer.status == 400
    assert answer.message == "POST /containers/prune requires minimum API version 1.25"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//containers/json", "/containers/json"),
        ("/v1.51/images/a//b/json", "/v1.51/images/a/b/json"),
        ("/v1.51/containers/../version?a=b", "/v1.51/version?a=b"),
        ("/./_ping", "/_ping"),
        ("/a/b/../c/", "/a/c/"),
    ],
)
def test_unclean_paths_are_redirected(client: Client, path: str, location: str) -> None:
    answer = client.get(path)

    assert answer.status == 301
    assert answer.headers["Location"] == location


def test_a_broken_escape_is_no_request(client: Client) -> None:
    answer = client.get("/containers/%zz/json")

    assert answer.status == 400
    assert answer.body == b"400 Bad Request"


def test_a_broken_query_is_refused(client: Client) -> None:
    answer = client.get("/containers/json?filters=%zz")

    assert (answer.status, answer.message) == (400, 'invalid URL escape "%zz"')


def test_names_may_have_slashes_also_escaped(client: Client) -> None:
    assert client.get("/images/a/b/c/json").message == "No such image: a/b/c:latest"
    assert client.get("/images/a%2Fb/json").message == "No such image: a/b:latest"


def test_names_that_are_no_text_are_answered(client: Client) -> None:
    assert client.get("/containers/%ff%fe/json").status == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.Invalid("x"), 400),
        (errors.Forbidden("x"), 403),
        (errors.Unauthorized("x"), 401),
        (errors.Unavailable("x"), 503),
        (errors.Unsupported("x"), 501),
        (errors.Failed("x"), 500),
        (messages.Truncated("x"), 400),
    ],
)
def test_errors_have_a_status(
    running: Running, client: Client, error: Exception, status: int
) -> None:
    def fail(name: str) -> dict[str, Any]:
        raise error

    running.engine.volumes.inspect = fail  # type: ignore[method-assign]

    answer = client.get("/volumes/v")

    assert (answer.status, answer.message) == (status, "x")


def test_every_error_has_a_status() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.PinnaceError)
    ]

    assert set(kinds) - {errors.PinnaceError} == set(router.STATUS)


def test_what_is_as_wanted_is_not_modified(client: Client) -> None:
    client.post("/containers/create?name=a", {"Image": "busybox"})
    client.post("/containers/a/start")

    answer = client.post("/containers/a/start")

    assert (answer.status, answer.body) == (304, b"")
    assert "Content-Type" not in answer.headers
    assert client.get("/_ping").body == b"OK"


def test_a_body_larger_than_a_document_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "LONGEST_DOCUMENT", 1000)

    answer = client.post("/volumes/create", {"Name": "v" * 2000})

    assert (answer.status, answer.message) == (400, "request body is larger than 1000 bytes")


def test_slow_work_leaves_threads_for_the_quick(running: Running) -> None:
    gate = threading.Event()
    running.engine.containers.stop = lambda *_: gate.wait(20)  # type: ignore[assignment,method-assign]
    clients = [running.client() for _ in range(40)]
    for client in clients:
        client.request("POST", "/containers/a/stop")

    with running.client() as client:
        assert client.get("/version").status == 200
    gate.set()
    for client in clients:
        assert client.answer().status == 204
        client.socket.close()


def test_what_is_made_for_a_client_that_is_gone_is_closed(running: Running) -> None:
    entered, gate, closed = threading.Event(), threading.Event(), threading.Event()

    class Reader:
        finished = False

        def close(self) -> None:
            closed.set()

    def logs(*_: object) -> Reader:
        entered.set()
        gate.wait(10)
        return Reader()

    with running.client() as client:
        client.post("/containers/create?name=a", {"Image": "busybox"})
        running.engine.containers.logs = logs  # type: ignore[assignment,method-assign]
        client.request("GET", "/_ping")
        client.request("GET", "/containers/a/logs?stdout=1")
        (connection,) = running.server.connections
        assert entered.wait(10)
    # An answer that was never read resets the connection.
    until(lambda: connection not in running.server.connections)
    gate.set()

    assert closed.wait(10)


def make_router(*routes: Route) -> Router:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    engine: Any = None
    return Router(routes, engine, Pools(pool, pool))


def test_the_first_route_wins_and_fixed_paths_before_all() -> None:
    def handler(engine: object, request: Request) -> Response:
        return messages.empty()

    routes = [
        Route("GET", "/a/{name}/json", handler),
        Route("GET", "/a/{name}", handler),
        Route("GET", "/a/list", handler),
        Route("GET", "/b/{id:segment}/c", handler),
    ]
    found = make_router(*routes).find

    assert found("GET", "/a/list") == (routes[2], {})
    assert found("GET", "/a/x/y/json") == (routes[0], {"name": "x/y"})
    assert found("GET", "/a/x/y") == (routes[1], {"name": "x/y"})
    assert found("GET", "/a/") == (routes[1], {"name": ""})
    assert found("GET", "/b/x/c") == (routes[3], {"id": "x"})
    assert found("GET", "/b/x/y/c") is None
    assert found("POST", "/a/list") is None


def test_an_inline_handler_may_fail() -> None:
    def fail(engine: object, request: Request) -> Response:
        raise errors.Conflict("no")

    answer = make_router(Route("GET", "/x", fail, inline=True))(Request("GET", "/x", [], NO_BODY))

    assert answer == messages.error(409, "no")
