"""Records what the real docker command does: `python -m tests.cli.record [REFERENCE_HOST]`.

With the address of a reference daemon, its answers are recorded first (golden/answers.json);
then docker is run on every line of golden/*.txt and what it asked and said is written beside:

    create   a daemon creates whatever it is asked for: the request's body matters
    show     a daemon has the answers of answers.json: what is printed matters
    usage    flags, operands and help: no daemon is asked
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

from tests.cli import fakes

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
DATA = HERE / "data"

# What the answering daemon can be asked, and is recorded from a reference.
DOCUMENTS = (
    "/info",
    "/version",
    "/containers/web/json",
    "/containers/web/top",
    "/containers/web/changes",
    "/images/busybox/json",
    "/images/busybox/history",
    "/networks/bridge",
)


class Answers:
    """The daemon of golden/answers.json: by method and path, the query apart from it ignored."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self._documents = documents

    def __call__(self, request: fakes.Request) -> fakes.Answer | None:
        path = urllib.parse.unquote(request.path.partition("?")[0])
        found = self._documents.get(f"{request.method} {path}")
        if found is None:
            if "nosuch" in request.path:
                kind = path.split("/")[1].removesuffix("s")
                return fakes.refusal(404, f"No such {kind}: nosuch")
            return None
        if found["kind"] == "stream":
            return fakes.Answer(200, found["text"].encode(), {"Content-Type": found["type"]})
        return fakes.document(found["body"], found["status"])


def main() -> None:
    if len(sys.argv) > 1:
        _record_answers(sys.argv[1])
    answers = Answers(json.loads((GOLDEN / "answers.json").read_text()))
    for name, responder in (("create", fakes.creating), ("show", answers), ("usage", None)):
        lines = (GOLDEN / f"{name}.txt").read_text().splitlines()
        found = [_run(line, responder) for line in lines]
        document = {"now": int(time.time()), "cases": found}
        (GOLDEN / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        print(f"{name}: {len(found)} cases")


def _run(line: str, responder: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        responders = [responder] if responder else []
        with fakes.FakeDaemon(Path(folder, "sock"), *responders, api_version="1.50") as daemon:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": "/nonexistent",
                "DOCKER_HOST": daemon.host,
                "TZ": "UTC",
            }
            done = subprocess.run(
                ["docker", *shlex.split(line)],
                env=environment,
                cwd=DATA,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            requests = [normal(request) for request in daemon.requests]
    return {
        "line": line,
        "status": done.returncode,
        "stdout": done.stdout,
        "stderr": _clean(done.stderr),
        "requests": [request for request in requests if request],
    }


def normal(request: fakes.Request) -> dict[str, Any] | None:
    """A request as it is compared: no order where there is none, nothing of this machine."""
    if request.path == "/_ping" or request.method in ("GET", "HEAD"):
        return None
    path, _, query = request.path.partition("?")
    pairs = sorted(urllib.parse.parse_qsl(query))
    body = request.document if request.body[:1] in (b"{", b"[") else None
    if body is not None:
        body = json.loads(json.dumps(body).replace(str(DATA), "{cwd}"))
        for key, holder in (("Env", body), ("Binds", body.get("HostConfig") or {})):
            if holder.get(key):
                holder[key] = sorted(holder[key])
    return {
        "method": request.method,
        "path": urllib.parse.unquote(path),
        "query": [list(pair) for pair in pairs],
        "body": body,
    }


def _clean(text: str) -> str:
    """Without the log lines of docker's own logger."""
    return re.sub(r'^time="[^\n]*\n', "", text, flags=re.MULTILINE)


def _record_answers(host: str) -> None:
    from docker import APIClient  # the reference is asked by another client than ours

    client = APIClient(base_url=host)
    path = GOLDEN / "answers.json"
    answers = json.loads(path.read_text()) if path.exists() else {}
    for name in DOCUMENTS:
        response = client._get(client._url(name))
        answers[f"GET {name}"] = {"kind": "json", "status": 200, "body": response.json()}
    path.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
