"""/containers/{id}/exec and /exec."""

from tests.api.client import Client
from tests.api.conftest import Running


def started(client: Client) -> str:
    made = client.post("/containers/create?name=a", {"Image": "busybox"})
    client.post("/containers/a/start")
    return str(made.json["Id"])


def test_an_exec_is_made_and_shown(running: Running, client: Client) -> None:
    ident = started(client)

    made = client.post(
        "/containers/a/exec",
        {"Cmd": ["sh", "-c", "x"], "AttachStdout": True, "User": "daemon", "DetachKeys": ""},
    )

    assert made.status == 201
    exec_id = made.json["Id"]
    assert client.get(f"/exec/{exec_id}/json").json == {
        "ID": exec_id,
        "Running": False,
        "ExitCode": None,
        "ProcessConfig": {
            "tty": False,
            "entrypoint": "sh",
            "arguments": ["-c", "x"],
            "privileged": False,
            "user": "daemon",
        },
        "OpenStdin": False,
        "OpenStderr": False,
        "OpenStdout": True,
        "CanRemove": False,
        "ContainerID": ident,
        "DetachKeys": "",
        "Pid": 0,
    }


def test_detach_keys_are_shown_in_base64_and_no_user_not_at_all(
    running: Running, client: Client
) -> None:
    started(client)
    exec_id = client.post("/containers/a/exec", {"Cmd": ["x"]}).json["Id"]
    running.engine.execs.all[exec_id].detach_keys = b"\x10\x11"

    shown = client.get(f"/exec/{exec_id}/json").json

    assert shown["DetachKeys"] == "EBE="
    assert "user" not in shown["ProcessConfig"]


def test_an_exec_needs_a_command(client: Client) -> None:
    documents: list[dict[str, object]] = [{}, {"Cmd": []}, {"Cmd": None}]
    for document in documents:
        answer = client.post("/containers/a/exec", document)
        assert (answer.status, answer.message) == (400, "No exec command specified")


def test_an_exec_needs_a_running_container(client: Client) -> None:
    made = client.post("/containers/create?name=a", {"Image": "busybox"})

    answer = client.post("/containers/a/exec", {"Cmd": ["x"]})

    assert (answer.status, answer.message) == (
        409,
        f"container {made.json['Id']} is not running",
    )


def test_there_is_no_such_exec(client: Client) -> None:
    for method, target in (("GET", "json"), ("POST", "resize?h=1&w=1"), ("POST", "start")):
        answer = client.ask(method, f"/exec/nope/{target}")
        assert (answer.status, answer.message) == (404, "No such exec instance: nope")


def test_resize_needs_numbers(client: Client) -> None:
    assert client.post("/exec/x/resize?h=1").message == 'invalid resize width "": invalid syntax'
